//! Memory that O_DIRECT accepts.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::{fmt, slice};

use crate::BLOCK_BYTES;

/// Memory aligned to [`BLOCK_BYTES`] whose length is a multiple of it, at least one block.
pub struct AlignedBuffer {
    /// Allocated with [`layout`]`(length)`, all of it initialized.
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the buffer owns its memory alone, like a `Vec<u8>`.
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// A buffer of zeros.
    ///
    /// # Panics
    /// When `length` is not a positive multiple of [`BLOCK_BYTES`].
    #[must_use]
    pub fn zeroed(length: usize) -> AlignedBuffer {
        assert!(0 < length && length.is_multiple_of(BLOCK_BYTES), "a buffer is whole blocks");
        let layout = layout(length);
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(memory) else { handle_alloc_error(layout) };
        AlignedBuffer { start, length }
    }
}

impl AlignedBuffer {
    /// A buffer of `parts` one behind the other, and zeros from there to the end of the block.
    ///
    /// # Panics
    /// When there is nothing in the parts.
    #[must_use]
    pub fn concat(parts: &[&[u8]]) -> AlignedBuffer {
        let filled: usize = parts.iter().map(|part| part.len()).sum();
        assert!(0 < filled, "a buffer is whole blocks");
        let length = filled.next_multiple_of(BLOCK_BYTES);
        let layout = layout(length);
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(memory) else { handle_alloc_error(layout) };
        let mut position = 0;
        for part in parts {
            // SAFETY: the parts end at `filled`, within the `length` bytes just allocated, which
            // nothing else refers to.
            unsafe { start.add(position).copy_from_nonoverlapping(part_start(part), part.len()) };
            position += part.len();
        }
        // SAFETY: from `filled` to the end of the allocation.
        unsafe { start.add(filled).write_bytes(0, length - filled) };
        // All of it is initialized now.
        AlignedBuffer { start, length }
    }
}

fn part_start(part: &[u8]) -> NonNull<u8> {
    NonNull::from_ref(part).cast()
}

fn layout(length: usize) -> Layout {
    Layout::from_size_align(length, BLOCK_BYTES).expect("a buffer is smaller than memory")
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout, and dropped once.
        unsafe { dealloc(self.start.as_ptr(), layout(self.length)) }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` initialized bytes that this buffer owns.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.length)
    }
}

// SAFETY: the memory does not move when the buffer does, and stays valid until it is dropped.
unsafe impl tokio_uring::buf::IoBuf for AlignedBuffer {
    fn stable_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.length
    }

    fn bytes_total(&self) -> usize {
        self.length
    }
}

// SAFETY: as above; all bytes are initialized from the start, so there is nothing to keep account of.
unsafe impl tokio_uring::buf::IoBufMut for AlignedBuffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    unsafe fn set_init(&mut self, _count: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_zero() {
        for blocks in [1, 2, 300] {
            let mut buffer = AlignedBuffer::zeroed(blocks * BLOCK_BYTES);
            assert_eq!(buffer.as_ptr() as usize % BLOCK_BYTES, 0);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(1);
            assert!(buffer.iter().all(|byte| *byte == 1));
        }
    }

    #[test]
    fn parts_follow_one_another_and_zeros_follow_them() {
        for lengths in
            [&[1][..], &[0, BLOCK_BYTES], &[3, 0, BLOCK_BYTES, 7], &[2 * BLOCK_BYTES - 1]]
        {
            let parts: Vec<Vec<u8>> =
                lengths.iter().zip(1..).map(|(length, byte)| vec![byte; *length]).collect();
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let buffer = AlignedBuffer::concat(&slices);
            let mut want = parts.concat();
            want.resize(want.len().next_multiple_of(BLOCK_BYTES), 0);
            assert_eq!(&*buffer, want);
            assert_eq!(buffer.as_ptr() as usize % BLOCK_BYTES, 0);
        }
    }
}
