//! A disk that can be filled.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

/// A file system of its own in memory, with a bound. Unmounted when dropped.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts an empty one that takes so many MiB.
    ///
    /// # Errors
    /// No right to mount: it takes root.
    pub fn mount(at: &Path, size_mib: u32) -> anyhow::Result<SmallDisk> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={size_mib}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status()?;
        ensure!(mount.success(), "mount {}", at.display());
        Ok(SmallDisk { at: at.to_owned() })
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// Something else than that it is full.
    pub fn fill(&self) -> std::io::Result<()> {
        let mut file = File::create(self.filler())?;
        let zeros = [0; 1 << 12];
        loop {
            match file.write_all(&zeros) {
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                done => done?,
            }
        }
    }

    /// Gives back what [`fill`](Self::fill) took.
    ///
    /// # Errors
    /// It was not filled.
    pub fn free(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.filler())
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever has files open there may not be gone yet.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
