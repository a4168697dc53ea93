//! A shared mapping of a whole memory file.

use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

use super::MemFile;

/// Readable and writable shared memory, unmapped on drop.
///
/// The file behind it is sealed against shrinking, so every byte of the range
/// stays accessible for as long as the mapping lives.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is a range of addresses, valid in every thread of the
// process until drop; all access through it is by raw pointer or atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` only gives out the base address and the length.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps all of `file`. It is not in core dumps: the kernel would back every hole with
    /// memory to write it out, and leave it so.
    pub fn new(file: &MemFile) -> Result<Self, Errno> {
        let len = NonZeroUsize::new(file.len()).ok_or(Errno::EINVAL)?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: no address is asked for, so no existing mapping is replaced.
        let base = unsafe { mmap(None, len, prot, flags, file.fd()?, 0)? };
        let map = Mapping {
            base: base.cast(),
            len: len.get(),
        };
        // See `leave_out_of_dumps` for who is refused.
        let _ = map.dump(false);
        Ok(map)
    }

    /// Whether it is in core dumps of this process, and of those that it forks from now on.
    pub fn dump(&self, is_wanted: bool) -> Result<(), Errno> {
        let advice = match is_wanted {
            true => MmapAdvise::MADV_DODUMP,
            false => MmapAdvise::MADV_DONTDUMP,
        };
        // SAFETY: all of this mapping, of which it changes no contents.
        unsafe { madvise(self.base.cast(), self.len, advice) }
    }

    /// Gives the pages of a range back to the system; they read as zero afterwards. No
    /// descriptor is needed for it: the program may have closed it.
    pub fn punch(&self, offset: usize, len: usize) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(Errno::EINVAL)?;
        if end > self.len {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the range was just checked to lie inside this mapping; whoever punches it
        // has it to himself.
        unsafe { madvise(self.base.add(offset).cast(), len, MmapAdvise::MADV_REMOVE) }
    }

    /// The first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Backs a range with memory now, so that too little memory is an error here
    /// and not a signal later, and so that the hot path takes no page faults.
    pub fn populate(&self, offset: usize, len: usize) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(Errno::EINVAL)?;
        if end > self.len {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the range was just checked to lie inside this mapping, and
        // populating changes no contents.
        unsafe {
            madvise(
                self.base.add(offset).cast(),
                len,
                MmapAdvise::MADV_POPULATE_WRITE,
            )
        }
    }
}

/// Leaves all shared memory out of this process's core dumps, and of those that it forks, where
/// a [`Mapping`] could not be left out alone.
pub fn leave_out_of_dumps() -> std::io::Result<()> {
    const SHARED_WITHOUT_NAME: u32 = 1 << 1; // as core(5) has it
    let file = "/proc/self/coredump_filter";
    let before = std::fs::read_to_string(file)?;
    let before = u32::from_str_radix(before.trim(), 16).map_err(std::io::Error::other)?;
    std::fs::write(file, format!("{:#x}", before & !SHARED_WITHOUT_NAME))
}

/// Asks for large pages where memory of this process is that was not used yet; a hint.
pub fn advise_huge<T>(room: &mut [MaybeUninit<T>]) {
    const HUGE: usize = 2 * 1024 * 1024;
    let first = room.as_mut_ptr().cast::<u8>();
    let ahead = first.align_offset(HUGE);
    let len = size_of_val(room).saturating_sub(ahead) / HUGE * HUGE;
    if let Some(at) = NonNull::new(first.wrapping_add(ahead)).filter(|_| len > 0) {
        // SAFETY: inside of `room`; the contents, of which there are none yet, stay.
        let _ = unsafe { madvise(at.cast(), len, MmapAdvise::MADV_HUGEPAGE) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are what mmap returned; views hold an `Arc`
        // of this mapping, so none is left.
        let unmapped = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap: {unmapped:?}");
    }
}
