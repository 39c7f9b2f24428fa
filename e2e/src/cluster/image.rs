//! Container images without a registry and without a daemon: a docker-archive tar of one layer,
//! FROM scratch, from files of this machine. The same files give the same bytes.
//!
//! It deliberately knows no base images and runs nothing inside the image: a program brings along
//! what it needs, a dynamically linked one its libraries ([`with_libraries`]).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// The user that images run as unless told otherwise: the "nonroot" of distroless images.
pub const NON_ROOT: u32 = 65532;

/// One entry of an image.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Absolute, in the image.
    path: String,
    mode: u32,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    HostFile(PathBuf),
    Bytes(Vec<u8>),
    Directory,
}

impl Entry {
    /// A file of this machine, links followed.
    #[must_use]
    pub fn file(host: &Path, path: &str, mode: u32) -> Entry {
        Entry { path: path.to_owned(), mode, content: Content::HostFile(host.to_owned()) }
    }

    /// A file with this content.
    #[must_use]
    pub fn bytes(bytes: &[u8], path: &str, mode: u32) -> Entry {
        Entry { path: path.to_owned(), mode, content: Content::Bytes(bytes.to_owned()) }
    }

    /// A directory that must exist, or have other rights than 0755.
    #[must_use]
    pub fn directory(path: &str, mode: u32) -> Entry {
        Entry { path: path.to_owned(), mode, content: Content::Directory }
    }

    /// Where it will be.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// What the image's config says.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HOST/NAME:VERSION`. With a host, so that no runtime puts Docker Hub's in front.
    pub tag: String,
    /// The command line's start.
    pub entrypoint: Vec<String>,
    /// A number: there may be no /etc/passwd.
    pub user: u32,
    /// `NAME=VALUE`
    pub env: Vec<String>,
}

impl Config {
    /// An image that runs this program as [`NON_ROOT`].
    #[must_use]
    pub fn new(tag: &str, program: &str) -> Config {
        Config {
            tag: tag.to_owned(),
            entrypoint: vec![program.to_owned()],
            user: NON_ROOT,
            env: vec!["PATH=/bin".to_owned()],
        }
    }
}

/// Writes the image as a docker-archive to `target`, whose directory must exist.
///
/// # Errors
/// A file cannot be read or written, or the tag has no host.
pub fn build(target: &Path, config: &Config, entries: &[Entry]) -> anyhow::Result<()> {
    let host = config.tag.split('/').next().unwrap_or_default();
    ensure!(host.contains('.') && config.tag.contains('/'), "{}: a tag needs a host", config.tag);
    let layer = layer(entries)?;
    let layer_digest = hex(&Sha256::digest(&layer));
    let image = json!({
        "architecture": architecture()?,
        "os": "linux",
        "config": {
            "Entrypoint": config.entrypoint,
            "Env": config.env,
            "User": config.user.to_string(),
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "leat e2e" }],
    });
    let image = serde_json::to_vec(&image)?;
    let image_name = format!("{}.json", hex(&Sha256::digest(&image)));
    let layer_name = format!("{layer_digest}/layer.tar");
    let manifest =
        json!([{ "Config": image_name, "RepoTags": [config.tag], "Layers": [layer_name] }]);

    let file = File::create(target).with_context(|| format!("create {}", target.display()))?;
    let mut archive = Builder::new(file);
    append(&mut archive, &image_name, 0o644, &image)?;
    append(&mut archive, &layer_name, 0o644, &layer)?;
    append(&mut archive, "manifest.json", 0o644, &serde_json::to_vec(&manifest)?)?;
    archive.into_inner()?.flush()?;
    Ok(())
}

/// `program` at `path`, with all that glibc needs to run it and to look up names: libraries,
/// loader, name service, users, a writable /tmp.
///
/// # Errors
/// `ldd` cannot read it, or names a library that is not there.
pub fn with_libraries(program: &Path, path: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = vec![
        Entry::file(program, path, 0o755),
        Entry::bytes(
            format!("root:x:0:0::/:/\nnonroot:x:{NON_ROOT}:{NON_ROOT}::/tmp:/\n").as_bytes(),
            "/etc/passwd",
            0o644,
        ),
        Entry::bytes(format!("root:x:0:\nnonroot:x:{NON_ROOT}:\n").as_bytes(), "/etc/group", 0o644),
        Entry::bytes(b"hosts: files dns\n", "/etc/nsswitch.conf", 0o644),
        Entry::directory("/tmp", 0o1777),
    ];
    let libraries = libraries(program)?;
    entries.extend(
        libraries.iter().map(|library| Entry::file(library, &library.to_string_lossy(), 0o755)),
    );
    Ok(entries)
}

/// The paths at which the loader looks for what `program` is linked with; none when static.
fn libraries(program: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("run ldd (package libc-bin)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("not a dynamic executable") || text.contains("statically linked") {
        return Ok(BTreeSet::new());
    }
    ensure!(output.status.success(), "ldd {}: {errors}", program.display());
    let mut libraries = BTreeSet::new();
    for line in text.lines() {
        // "libm.so.6 => /lib/.../libm.so.6 (0x...)", the loader without an arrow; the vdso has no
        // path.
        if line.contains("not found") {
            bail!("{} needs a library that is not here: {}", program.display(), line.trim());
        }
        libraries
            .extend(line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from));
    }
    // glibc opens these by name when a program first looks up a host; ldd cannot know.
    let libc = libraries.iter().find(|path| path.ends_with("libc.so.6")).context("no libc.so.6")?;
    let folder = libc.parent().context("libc in no folder")?.to_owned();
    let by_name = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];
    let present = by_name.iter().map(|name| folder.join(name)).filter(|path| path.exists());
    libraries.extend(present);
    Ok(libraries)
}

/// The entries as a tar, every directory on their way in front of them.
fn layer(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    let mut made: BTreeSet<PathBuf> = BTreeSet::new();
    for entry in entries {
        let path = entry.path.strip_prefix('/').context("a path in an image starts with /")?;
        let mut above: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        above.pop(); // The root.
        for folder in above.into_iter().rev() {
            if made.insert(folder.to_owned()) {
                append_directory(&mut layer, &folder.to_string_lossy(), 0o755)?;
            }
        }
        match &entry.content {
            Content::Directory => {
                made.insert(PathBuf::from(path));
                append_directory(&mut layer, path, entry.mode)?;
            }
            Content::Bytes(bytes) => append(&mut layer, path, entry.mode, bytes)?,
            Content::HostFile(host) => {
                let mut bytes = Vec::new();
                File::open(host)
                    .and_then(|mut file| file.read_to_end(&mut bytes))
                    .with_context(|| format!("read {}", host.display()))?;
                append(&mut layer, path, entry.mode, &bytes)?;
            }
        }
    }
    Ok(layer.into_inner()?)
}

fn append<W: Write>(
    archive: &mut Builder<W>,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> anyhow::Result<()> {
    let mut header = header(EntryType::Regular, mode);
    header.set_size(u64::try_from(bytes.len())?);
    archive.append_data(&mut header, path, bytes).with_context(|| format!("add {path}"))
}

fn append_directory<W: Write>(
    archive: &mut Builder<W>,
    path: &str,
    mode: u32,
) -> anyhow::Result<()> {
    let mut header = header(EntryType::Directory, mode);
    header.set_size(0);
    archive.append_data(&mut header, path, &[][..]).with_context(|| format!("add {path}"))
}

/// Owned by root, from no time: the bytes depend on the content only.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn architecture() -> anyhow::Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no image architecture is known for {other}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tag inside a docker-archive, for telling what was loaded.
///
/// # Errors
/// It is none.
pub fn tag_of(archive: &Path) -> anyhow::Result<String> {
    let file = File::open(archive).with_context(|| format!("open {}", archive.display()))?;
    for entry in tar::Archive::new(file).entries()? {
        let entry = entry?;
        if entry.path()?.as_ref() == Path::new("manifest.json") {
            let manifest: serde_json::Value = serde_json::from_reader(entry)?;
            let tag = manifest[0]["RepoTags"][0].as_str().context("no tag in manifest.json")?;
            return Ok(tag.to_owned());
        }
    }
    bail!("{} is no docker-archive: it has no manifest.json", archive.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_and_the_tag_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new("leat.dev/probe:1", "/bin/probe");
        let entries = [Entry::bytes(b"x", "/a/b/c", 0o644), Entry::directory("/a/d", 0o700)];
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        build(&one, &config, &entries).unwrap();
        build(&two, &config, &entries).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        assert_eq!(tag_of(&one).unwrap(), "leat.dev/probe:1");
    }

    #[test]
    fn a_layer_has_each_directory_once_and_before_its_files() {
        let entries = [
            Entry::bytes(b"x", "/a/b/c", 0o644),
            Entry::bytes(b"y", "/a/b/d", 0o600),
            Entry::directory("/tmp", 0o1777),
        ];
        let layer = layer(&entries).unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let listed: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                format!("{:o} {}", entry.header().mode().unwrap(), entry.path().unwrap().display())
            })
            .collect();
        assert_eq!(listed, ["755 a", "755 a/b", "644 a/b/c", "600 a/b/d", "1777 tmp"]);
    }

    #[test]
    fn a_tag_without_a_host_is_refused() {
        let config = Config::new("probe:1", "/bin/probe");
        assert!(build(Path::new("/nowhere"), &config, &[]).is_err());
    }

    #[test]
    fn a_dynamic_program_brings_its_loader_and_its_name_service() {
        let program = std::env::current_exe().unwrap();
        let entries = with_libraries(&program, "/bin/test").unwrap();
        let has = |part: &str| entries.iter().any(|entry| entry.path.contains(part));
        assert!(has("libc.so.6") && has("/ld-linux") && has("libresolv.so.2"));
    }
}
