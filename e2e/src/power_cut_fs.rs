//! A file system in memory whose power can fail.
//!
//! `kill -9` never loses the kernel's page cache; a power cut does. Mounted by FUSE, this file system
//! remembers for each file what an fsync has covered and what not. [`PowerCutFs::cut`] throws away
//! everything else, except that each 512-byte sector of the writes in flight survives or not by chance,
//! and so does each change of names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SECTOR_BYTES: usize = 512;
const ROOT: u64 = 1;
/// Nothing is remembered by the kernel: it would survive the cut.
const TTL: Duration = Duration::ZERO;

/// A mounted file system. Unmounted when dropped.
pub struct PowerCutFs {
    disk: Arc<Mutex<Disk>>,
    _session: BackgroundSession,
}

impl PowerCutFs {
    /// Mounts an empty one.
    ///
    /// # Errors
    /// No right to mount, or no /dev/fuse.
    pub fn mount(path: &Path, seed: u64) -> std::io::Result<PowerCutFs> {
        let disk = Arc::new(Mutex::new(Disk::new(seed)));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("power-cut".to_owned())];
        let session = fuser::spawn_mount(Served { disk: Arc::clone(&disk) }, path, &config)?;
        Ok(PowerCutFs { disk, _session: session })
    }

    /// The power fails and comes back. Whoever had files open must be gone.
    pub fn cut(&self) {
        lock(&self.disk).cut();
    }
}

struct Served {
    disk: Arc<Mutex<Disk>>,
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Disk {
    random: StdRng,
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

enum Node {
    File(File),
    Directory(Directory),
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    visible: Vec<u8>,
    /// Writes no fsync has covered, oldest first.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct Directory {
    durable: BTreeMap<String, u64>,
    visible: BTreeMap<String, u64>,
    /// Changes no fsync of the directory has covered, oldest first.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Set(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

impl Disk {
    fn new(seed: u64) -> Disk {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Disk { random: StdRng::seed_from_u64(seed), nodes, next: ROOT + 1 }
    }

    fn cut(&mut self) {
        let Disk { random, nodes, .. } = self;
        for node in nodes.values_mut() {
            match node {
                Node::File(file) => file.cut(random),
                Node::Directory(directory) => directory.cut(random),
            }
        }
    }

    fn add(&mut self, node: Node) -> u64 {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        number
    }

    fn directory(&mut self, number: INodeNo) -> Result<&mut Directory, Errno> {
        match self.nodes.get_mut(&number.0) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn file(&mut self, number: INodeNo) -> Result<&mut File, Errno> {
        match self.nodes.get_mut(&number.0) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn find(&mut self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        let name = text(name)?;
        self.directory(parent)?.visible.get(&name).copied().ok_or(Errno::ENOENT)
    }

    fn create(&mut self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, Errno> {
        let name = text(name)?;
        if self.directory(parent)?.visible.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        let number = self.add(node);
        self.directory(parent)?.change(Change::Set(name, number));
        self.attributes(INodeNo(number))
    }

    fn remove(&mut self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.find(parent, name)?;
        let name = text(name)?;
        self.directory(parent)?.change(Change::Remove(name));
        Ok(())
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let (kind, size) = match self.nodes.get(&number.0) {
            None => return Err(Errno::ENOENT),
            Some(Node::File(file)) => (FileType::RegularFile, file.visible.len() as u64),
            Some(Node::Directory(_)) => (FileType::Directory, 0),
        };
        let never = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(SECTOR_BYTES as u64),
            atime: never,
            mtime: never,
            ctime: never,
            crtime: never,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl File {
    fn write(&mut self, position: usize, bytes: &[u8]) {
        self.resize(self.visible.len().max(position + bytes.len()));
        self.visible[position..position + bytes.len()].copy_from_slice(bytes);
        self.pending.push((position, bytes.to_vec()));
    }

    /// A change of size is kept with the next fsync, like the bytes.
    fn resize(&mut self, size: usize) {
        self.visible.resize(size, 0);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
        self.pending.clear();
    }

    fn cut(&mut self, random: &mut StdRng) {
        for (position, bytes) in self.pending.drain(..) {
            for (at, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let start = position + at * SECTOR_BYTES;
                // Past the durable size nothing is kept: the size was not.
                let kept = self.durable.get_mut(start..start + sector.len());
                if let (Some(kept), true) = (kept, random.random_bool(0.5)) {
                    kept.copy_from_slice(sector);
                }
            }
        }
        self.visible.clone_from(&self.durable);
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.visible);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
        self.pending.clear();
    }

    fn cut(&mut self, random: &mut StdRng) {
        for change in self.pending.drain(..) {
            if random.random_bool(0.5) {
                change.apply(&mut self.durable);
            }
        }
        self.visible.clone_from(&self.durable);
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Set(name, number) => drop(names.insert(name, number)),
            Change::Remove(name) => drop(names.remove(&name)),
            Change::Rename(source, target, number) => {
                names.remove(&source);
                names.insert(target, number);
            }
        }
    }
}

fn text(name: &OsStr) -> Result<String, Errno> {
    name.to_str().map(str::to_owned).ok_or(Errno::EINVAL)
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("a 64-bit machine")
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = lock(&self.disk);
        let found = disk.find(parent, name).and_then(|number| disk.attributes(INodeNo(number)));
        match found {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match lock(&self.disk).attributes(ino) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = lock(&self.disk);
        if let (Some(size), Ok(file)) = (size, disk.file(ino)) {
            file.resize(index(size));
        }
        match disk.attributes(ino) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let node = Node::Directory(Directory::default());
        match lock(&self.disk).create(parent, name, node) {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(lock(&self.disk).remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(lock(&self.disk).remove(parent, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut disk = lock(&self.disk);
        let renamed = disk.find(parent, name).and_then(|number| {
            if parent != new_parent {
                return Err(Errno::EXDEV);
            }
            let change = Change::Rename(text(name)?, text(new_name)?, number);
            disk.directory(parent)?.change(change);
            Ok(())
        });
        answer(renamed, reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match lock(&self.disk).create(parent, name, Node::File(File::default())) {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match lock(&self.disk).file(ino) {
            Ok(file) => {
                let rest = file.visible.get(index(offset)..).unwrap_or_default();
                reply.data(&rest[..rest.len().min(size as usize)]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match lock(&self.disk).file(ino) {
            Ok(file) => {
                file.write(index(offset), data);
                reply.written(u32::try_from(data.len()).expect("FUSE writes are small"));
            }
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(lock(&self.disk).file(ino).map(File::sync), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(lock(&self.disk).directory(ino).map(Directory::sync), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut disk = lock(&self.disk);
        let names = match disk.directory(ino) {
            Ok(directory) => directory.visible.clone(),
            Err(error) => return reply.error(error),
        };
        for (at, (name, number)) in names.into_iter().enumerate().skip(index(offset)) {
            let kind = match disk.nodes.get(&number) {
                Some(Node::Directory(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        let size = index(offset + length);
        let grow = |file: &mut File| file.resize(file.visible.len().max(size));
        answer(lock(&self.disk).file(ino).map(grow), reply);
    }
}

fn answer(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
