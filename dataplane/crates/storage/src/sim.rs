//! A disk in memory that fails in the ways disks fail, all of it decided by a seed.
//!
//! A file has its durable bytes and the writes that no successful sync has covered yet. A crash
//! decides for every 512-byte sector of every such write whether it reached the disk, and for every
//! change of names that no directory sync has covered whether it is remembered. Nothing here reads a
//! clock or a random number that the seed does not give.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::{AlignedBuffer, FileEntry, LogFile, Storage, check_bounds};

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct Sim {
    disk: Rc<RefCell<Disk>>,
}

/// A handle to the disk, as a log uses it. Handles from before a crash are dead.
#[derive(Clone)]
pub struct SimStorage {
    disk: Rc<RefCell<Disk>>,
    life: u64,
}

/// An open file of the disk.
pub struct SimFile {
    disk: Rc<RefCell<Disk>>,
    life: u64,
    inode: usize,
    size_bytes: u64,
}

/// What goes wrong while the disk runs. None by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Of 1,000 syncs, how many fail. What they should have made durable is lost or not, by sector,
    /// and later syncs do not bring it back.
    pub sync_errors_per_mille: u32,
    /// Of 1,000 reads, how many fail.
    pub read_errors_per_mille: u32,
    /// Of 1,000 writes, how many stop half way with an error.
    pub write_errors_per_mille: u32,
    /// Of 1,000 renames and removals, how many fail and change nothing.
    pub name_errors_per_mille: u32,
    /// Syncs succeed and do nothing: a disk that lies, or a program that does not sync. For tests
    /// that must be able to fail.
    pub syncs_do_nothing: bool,
}

struct Disk {
    random: Random,
    faults: Faults,
    inodes: Vec<Inode>,
    directories: BTreeMap<PathBuf, Directory>,
    space_bytes: u64,
    operations: u64,
    crash_at: Option<u64>,
    life: u64,
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    /// What readers see: the durable bytes with all writes applied.
    visible: Vec<u8>,
    /// Writes no sync has covered, oldest first.
    pending: Vec<(usize, Vec<u8>)>,
    names: u32,
}

#[derive(Default)]
struct Directory {
    durable: BTreeMap<String, usize>,
    visible: BTreeMap<String, usize>,
    /// Changes no directory sync has covered, oldest first.
    pending: Vec<NameChange>,
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

impl Sim {
    /// An empty disk whose faults are decided by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Sim {
        let disk = Disk {
            random: Random { state: seed },
            faults: Faults::default(),
            inodes: Vec::new(),
            directories: BTreeMap::new(),
            space_bytes: u64::MAX,
            operations: 0,
            crash_at: None,
            life: 0,
        };
        Sim { disk: Rc::new(RefCell::new(disk)) }
    }

    /// The disk as it is since the last crash.
    #[must_use]
    pub fn storage(&self) -> SimStorage {
        SimStorage { disk: Rc::clone(&self.disk), life: self.disk.borrow().life }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.disk.borrow_mut().faults = faults;
    }

    /// Limits the space for all files together.
    pub fn set_space(&self, space_bytes: u64) {
        self.disk.borrow_mut().space_bytes = space_bytes;
    }

    /// Operations so far: each is a place where a crash can be put.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk.borrow().operations
    }

    /// Has the power fail in the middle of operation number `operation`, counted from 0.
    pub fn crash_at(&self, operation: u64) {
        self.disk.borrow_mut().crash_at = Some(operation);
    }

    /// Whether the power has failed since the last [`restart`](Self::restart).
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        let disk = self.disk.borrow();
        disk.crash_at.is_some_and(|at| at < disk.operations)
    }

    /// The power fails if it has not yet, and comes back: what was not durable is kept or lost, by
    /// the seed. Handles from before are dead.
    pub fn restart(&self) {
        self.disk.borrow_mut().restart();
    }

    /// Damages one bit of a file, durably.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn flip_bit(&self, path: &Path, position: usize) {
        let mut disk = self.disk.borrow_mut();
        let inode = disk.find(path).expect("a test damages a file that is there");
        let inode = &mut disk.inodes[inode];
        inode.durable[position] ^= 1;
        inode.visible[position] ^= 1;
    }

    /// Loses a file, durably.
    pub fn lose(&self, path: &Path) {
        let mut disk = self.disk.borrow_mut();
        if let Ok((directory, name)) = disk.directory_of(path) {
            directory.visible.remove(&name);
            directory.durable.remove(&name);
        }
    }
}

impl Storage for SimStorage {
    type File = SimFile;

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.operation().await?;
        for ancestor in path.ancestors() {
            disk.directories.entry(ancestor.to_owned()).or_default();
        }
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        let disk = self.operation().await?;
        let directory = disk.directories.get(path).ok_or(io::ErrorKind::NotFound)?;
        let entry = |(name, inode): (&String, &usize)| FileEntry {
            name: name.clone(),
            size_bytes: disk.inodes[*inode].visible.len() as u64,
        };
        Ok(directory.visible.iter().map(entry).collect())
    }

    async fn open(&self, path: &Path) -> io::Result<SimFile> {
        let disk = self.operation().await?;
        let inode = disk.find(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&disk, inode))
    }

    async fn create(&self, path: &Path, size_bytes: u64) -> io::Result<SimFile> {
        let mut disk = self.operation().await?;
        if disk.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let used: u64 = disk.inodes.iter().filter(|i| 0 < i.names).map(Inode::bytes).sum();
        if disk.space_bytes < used.saturating_add(size_bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = usize::try_from(size_bytes).expect("a test's file fits memory");
        let zeros = vec![0; length];
        let inode = disk.inodes.len();
        disk.inodes.push(Inode {
            durable: zeros.clone(),
            visible: zeros,
            pending: vec![],
            names: 1,
        });
        let (directory, name) = disk.directory_of(path)?;
        directory.change(NameChange::Set(name, inode));
        Ok(self.file(&disk, inode))
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let mut disk = self.operation().await?;
        disk.fail_name_change()?;
        let inode = disk.find(source).ok_or(io::ErrorKind::NotFound)?;
        let replaced = disk.find(target);
        let (_, target_name) = disk.directory_of(target)?;
        let (directory, source_name) = disk.directory_of(source)?;
        directory.change(NameChange::Rename(source_name, target_name, inode));
        if let Some(replaced) = replaced {
            disk.inodes[replaced].names -= 1;
        }
        Ok(())
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.operation().await?;
        disk.fail_name_change()?;
        let inode = disk.find(path).ok_or(io::ErrorKind::NotFound)?;
        let (directory, name) = disk.directory_of(path)?;
        directory.change(NameChange::Remove(name));
        disk.inodes[inode].names -= 1;
        Ok(())
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.operation().await?;
        let directory = disk.directories.get(path).ok_or(io::ErrorKind::NotFound)?;
        if !directory.visible.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        disk.directories.remove(path);
        Ok(())
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.operation().await?;
        if disk.faults.syncs_do_nothing {
            return Ok(());
        }
        let directory = disk.directories.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        directory.durable = directory.visible.clone();
        directory.pending.clear();
        Ok(())
    }
}

impl LogFile for SimFile {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    async fn write_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        (self.write(&buffer, position).await, buffer)
    }

    async fn write_durable_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        let written = self.write(&buffer, position).await;
        match written {
            Ok(()) => (self.sync().await, buffer),
            failed => (failed, buffer),
        }
    }

    async fn read_at(
        &self,
        mut buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<usize>, AlignedBuffer) {
        (self.read(&mut buffer, position).await, buffer)
    }

    async fn sync(&self) -> io::Result<()> {
        let mut disk = operation(&self.disk, self.life).await?;
        if disk.faults.syncs_do_nothing {
            return Ok(());
        }
        let per_mille = disk.faults.sync_errors_per_mille;
        let fails = disk.random.per_mille(per_mille);
        let Disk { random, inodes, .. } = &mut *disk;
        let inode = &mut inodes[self.inode];
        if fails {
            inode.keep_some(random);
            return Err(io::Error::other("simulated: sync failed"));
        }
        inode.durable.copy_from_slice(&inode.visible);
        inode.pending.clear();
        Ok(())
    }
}

impl SimFile {
    async fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut disk = operation(&self.disk, self.life).await.inspect_err(|_| {
            // The power failed during this write: a part of it may have got through.
            let mut disk = self.disk.borrow_mut();
            if disk.life == self.life
                && check_bounds(self.size_bytes, position, bytes.len()).is_ok()
            {
                disk.inodes[self.inode].write(bytes, position);
            }
        })?;
        check_bounds(self.size_bytes, position, bytes.len())?;
        let per_mille = disk.faults.write_errors_per_mille;
        if disk.random.per_mille(per_mille) {
            let sectors = bytes.len() / SECTOR_BYTES;
            let written = disk.random.below(sectors as u64 + 1);
            let written = usize::try_from(written).expect("below a usize") * SECTOR_BYTES;
            disk.inodes[self.inode].write(&bytes[..written], position);
            return Err(io::Error::other("simulated: write failed"));
        }
        disk.inodes[self.inode].write(bytes, position);
        Ok(())
    }

    async fn read(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut disk = operation(&self.disk, self.life).await?;
        let per_mille = disk.faults.read_errors_per_mille;
        if disk.random.per_mille(per_mille) {
            return Err(io::Error::other("simulated: read failed"));
        }
        let there = &disk.inodes[self.inode].visible;
        let position = usize::try_from(position).expect("a test's file fits memory");
        let there = there.get(position..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }
}

impl SimStorage {
    async fn operation(&self) -> io::Result<RefMut<'_, Disk>> {
        operation(&self.disk, self.life).await
    }

    fn file(&self, disk: &Disk, inode: usize) -> SimFile {
        SimFile {
            disk: Rc::clone(&self.disk),
            life: self.life,
            inode,
            size_bytes: disk.inodes[inode].visible.len() as u64,
        }
    }
}

/// Every operation lets others run first, counts, and fails once the power has.
async fn operation(disk: &Rc<RefCell<Disk>>, life: u64) -> io::Result<RefMut<'_, Disk>> {
    tokio::task::yield_now().await;
    let mut disk = disk.borrow_mut();
    if disk.life != life {
        return Err(io::Error::other("simulated: handle from before the crash"));
    }
    disk.operations += 1;
    if disk.crash_at.is_some_and(|at| at < disk.operations) {
        return Err(io::Error::other("simulated: power failure"));
    }
    Ok(disk)
}

impl Disk {
    fn fail_name_change(&mut self) -> io::Result<()> {
        let per_mille = self.faults.name_errors_per_mille;
        match self.random.per_mille(per_mille) {
            true => Err(io::Error::other("simulated: rename or removal failed")),
            false => Ok(()),
        }
    }

    fn directory_of(&mut self, path: &Path) -> io::Result<(&mut Directory, String)> {
        let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::NotFound)?;
        let directory = self.directories.get_mut(parent).ok_or(io::ErrorKind::NotFound)?;
        Ok((directory, name.to_owned()))
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let directory = self.directories.get(path.parent()?)?;
        directory.visible.get(path.file_name()?.to_str()?).copied()
    }

    fn restart(&mut self) {
        let Disk { random, inodes, directories, .. } = self;
        for inode in &mut *inodes {
            inode.keep_some(random);
            inode.visible.copy_from_slice(&inode.durable);
            inode.names = 0;
        }
        for directory in directories.values_mut() {
            directory.keep_some(random);
            for inode in directory.durable.values() {
                inodes[*inode].names += 1;
            }
        }
        self.life += 1;
        self.crash_at = None;
    }
}

impl Inode {
    fn bytes(&self) -> u64 {
        self.visible.len() as u64
    }

    fn write(&mut self, bytes: &[u8], position: u64) {
        let position = usize::try_from(position).expect("a test's file fits memory");
        self.visible[position..position + bytes.len()].copy_from_slice(bytes);
        self.pending.push((position, bytes.to_vec()));
    }

    /// Decides which sectors of the pending writes reach the disk.
    fn keep_some(&mut self, random: &mut Random) {
        for (position, bytes) in self.pending.drain(..) {
            for (at, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                if random.below(2) == 0 {
                    let start = position + at * SECTOR_BYTES;
                    self.durable[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }
}

impl Directory {
    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.visible);
        self.pending.push(change);
    }

    /// Decides which pending changes of names are remembered. Each is whole or absent.
    fn keep_some(&mut self, random: &mut Random) {
        for change in self.pending.drain(..) {
            if random.below(2) == 0 {
                change.apply(&mut self.durable);
            }
        }
        self.visible = self.durable.clone();
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Set(name, inode) => {
                names.insert(name, inode);
            }
            NameChange::Remove(name) => {
                names.remove(&name);
            }
            NameChange::Rename(source, target, inode) => {
                names.remove(&source);
                names.insert(target, inode);
            }
        }
    }
}

/// SplitMix64: small, and the same on every platform and in every version.
struct Random {
    state: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `[0, bound)`; the bias of the remainder does not matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn per_mille(&mut self, per_mille: u32) -> bool {
        // Always drawn, so that changing one fault does not shift all others.
        self.below(1_000) < u64::from(per_mille)
    }
}
