//! One suite, run over io_uring, blocking calls and the simulation, and over a file system without
//! O_DIRECT.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use storage::sim::Sim;
use storage::{AlignedBuffer, BLOCK_BYTES, LogFile, Storage};

const BLOCK: u64 = BLOCK_BYTES as u64;

async fn suite<S: Storage>(storage: S, directory: PathBuf) {
    storage.create_dir_all(&directory).await.unwrap();
    storage.create_dir_all(&directory).await.unwrap();
    new_files_are_zero(&storage, &directory).await;
    what_is_written_is_read(&storage, &directory).await;
    edges_are_kept(&storage, &directory).await;
    names_come_and_go(&storage, &directory).await;
    writes_beside_each_other_do_not_mix(&storage, &directory).await;
    large_transfers_are_whole(&storage, &directory).await;
}

fn block(byte: u8, blocks: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(blocks * BLOCK_BYTES);
    buffer.fill(byte);
    buffer
}

async fn read<F: LogFile>(file: &F, position: u64, blocks: usize) -> Vec<u8> {
    let (count, buffer) = file.read_at(block(0xff, blocks), position).await;
    buffer[..count.unwrap()].to_vec()
}

async fn new_files_are_zero<S: Storage>(storage: &S, directory: &Path) {
    let path = directory.join("new");
    let file = storage.create(&path, 3 * BLOCK).await.unwrap();
    assert_eq!(file.size_bytes(), 3 * BLOCK);
    assert_eq!(read(&file, 0, 3).await, vec![0; 3 * BLOCK_BYTES]);
    let again = storage.create(&path, BLOCK).await.err().unwrap();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    assert_eq!(storage.open(&path).await.unwrap().size_bytes(), 3 * BLOCK);
    let missing = storage.open(&directory.join("missing")).await.err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

async fn what_is_written_is_read<S: Storage>(storage: &S, directory: &Path) {
    let path = directory.join("written");
    let file = storage.create(&path, 64 * BLOCK).await.unwrap();
    for (byte, position, blocks) in [(1, 0, 1), (2, 5, 3), (3, 61, 3), (4, 6, 1)] {
        file.write_at(block(byte, blocks), position * BLOCK).await.0.unwrap();
    }
    file.sync().await.unwrap();
    file.write_durable_at(block(5, 2), 20 * BLOCK).await.0.unwrap();
    drop(file);
    let file = storage.open(&path).await.unwrap();
    let whole = read(&file, 0, 64).await;
    let blocks: Vec<u8> = whole.chunks(BLOCK_BYTES).map(|block| block[BLOCK_BYTES / 2]).collect();
    let mut want = [0; 64];
    for (at, byte) in [(0, 1), (5, 2), (6, 4), (7, 2), (20, 5), (21, 5), (61, 3), (62, 3), (63, 3)]
    {
        want[at] = byte;
    }
    assert_eq!(blocks, want);
}

async fn edges_are_kept<S: Storage>(storage: &S, directory: &Path) {
    let file = storage.create(&directory.join("edges"), 2 * BLOCK).await.unwrap();
    assert_eq!(read(&file, BLOCK, 4).await.len(), BLOCK_BYTES, "a read ends with the file");
    assert_eq!(read(&file, 2 * BLOCK, 1).await, [], "at its end there is nothing");
    for position in [2 * BLOCK, BLOCK, u64::MAX / BLOCK * BLOCK] {
        let (past, buffer) = file.write_at(block(1, 2), position).await;
        assert_eq!(past.unwrap_err().kind(), ErrorKind::InvalidInput, "at {position}");
        let (past, _) = file.write_durable_at(buffer, position).await;
        assert_eq!(past.unwrap_err().kind(), ErrorKind::InvalidInput, "at {position}");
    }
    assert_eq!(read(&file, 0, 2).await, vec![0; 2 * BLOCK_BYTES], "nothing was written");
}

async fn names_come_and_go<S: Storage>(storage: &S, directory: &Path) {
    let names = directory.join("names");
    storage.create_dir_all(&names).await.unwrap();
    for name in ["b", "a", "c"] {
        storage.create(&names.join(name), BLOCK).await.unwrap();
    }
    let held = storage.open(&names.join("a")).await.unwrap();
    held.write_at(block(9, 1), 0).await.0.unwrap();
    storage.rename(&names.join("a"), &names.join("b")).await.unwrap();
    storage.sync_dir(&names).await.unwrap();
    let list = async || {
        let entries = storage.list(&names).await.unwrap();
        entries.into_iter().map(|entry| (entry.name, entry.size_bytes)).collect::<Vec<_>>()
    };
    assert_eq!(list().await, [("b".to_owned(), BLOCK), ("c".to_owned(), BLOCK)]);
    let renamed = storage.open(&names.join("b")).await.unwrap();
    assert_eq!(read(&renamed, 0, 1).await[0], 9);
    storage.remove(&names.join("b")).await.unwrap();
    assert_eq!(read(&held, 0, 1).await[0], 9, "an open file outlives its name");
    let busy = storage.remove_dir(&names).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::DirectoryNotEmpty);
    storage.remove(&names.join("c")).await.unwrap();
    let gone = storage.remove(&names.join("c")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    storage.remove_dir(&names).await.unwrap();
    assert_eq!(storage.list(&names).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn writes_beside_each_other_do_not_mix<S: Storage>(storage: &S, directory: &Path) {
    let file = storage.create(&directory.join("beside"), 16 * BLOCK).await.unwrap();
    let file = std::rc::Rc::new(file);
    let writes: Vec<_> = (0..16_u8)
        .map(|number| {
            let file = std::rc::Rc::clone(&file);
            tokio::task::spawn_local(async move {
                file.write_at(block(number, 1), u64::from(number) * BLOCK).await.0.unwrap();
                file.sync().await.unwrap();
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    for number in 0..16 {
        assert_eq!(read(&*file, u64::from(number) * BLOCK, 1).await, vec![number; BLOCK_BYTES]);
    }
}

async fn large_transfers_are_whole<S: Storage>(storage: &S, directory: &Path) {
    const BLOCKS: usize = 4_096;
    let file = storage.create(&directory.join("large"), BLOCKS as u64 * BLOCK).await.unwrap();
    file.write_durable_at(block(7, BLOCKS), 0).await.0.unwrap();
    let read = read(&file, 0, BLOCKS).await;
    assert!(read.len() == BLOCKS * BLOCK_BYTES && read.iter().all(|byte| *byte == 7));
}

#[test]
fn io_uring_conforms() {
    storage::uring::probe().unwrap();
    let directory = tempfile::tempdir().unwrap();
    storage::uring::start(64, |storage| suite(storage, directory.path().join("a/b")));
}

#[test]
fn blocking_calls_conform() {
    let directory = tempfile::tempdir().unwrap();
    storage::blocking::start(|storage| suite(storage, directory.path().join("a/b")));
}

#[test]
fn a_file_system_without_o_direct_conforms() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    storage::uring::start(64, |storage| suite(storage, directory.path().join("uring")));
    storage::blocking::start(|storage| suite(storage, directory.path().join("blocking")));
}

#[test]
fn the_simulation_conforms() {
    crate::faults::run(suite(Sim::new(1).storage(), PathBuf::from("/a/b")));
}
