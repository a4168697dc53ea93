//! Who ran how often: one counter per task, in a file that all processes map. What was
//! counted stays counted, however the process ends that counted it.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The counters, as this process sees them.
#[derive(Debug)]
pub struct Record {
    base: *mut AtomicU16,
    tasks: usize,
}

// SAFETY: only atomics are reached through the pointer.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Record {
    /// Of the file at `path`, which is never made shorter while it is mapped.
    pub fn open(path: &str) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.expect("the record");
        let len = file.metadata().expect("the record's length").len() as usize;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping where the kernel finds room; nothing of ours is there.
        let base = unsafe { mmap(std::ptr::null_mut(), len, protection, flags, &file, 0) };
        Record {
            base: base.expect("room for the record").cast(),
            tasks: len / size_of::<AtomicU16>(),
        }
    }

    /// The file's length for so many tasks. It is sparse: what nobody counts costs nothing.
    pub fn len_for(tasks: u64) -> u64 {
        tasks * size_of::<AtomicU16>() as u64
    }

    fn counters(&self) -> &[AtomicU16] {
        // SAFETY: the mapping has room for so many, all bit patterns are counters, and
        // it lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base, self.tasks) }
    }

    /// Task `id` begins, in this process.
    pub fn count(&self, id: u64) {
        self.counters()[id as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// How often task `id` has begun.
    pub fn runs(&self, id: u64) -> u16 {
        self.counters()[id as usize].load(Ordering::SeqCst)
    }

    /// Tasks there is room for.
    pub fn tasks(&self) -> u64 {
        self.tasks as u64
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let len = self.tasks * size_of::<AtomicU16>();
        // SAFETY: our own mapping, and `self` was the way to it.
        let unmapped = unsafe { munmap(self.base.cast(), len) };
        unmapped.expect("mapped");
    }
}

/// Inside a task: task `id` begins. The file is mapped once per process.
pub fn begins(path: &str, id: u64) {
    static MAPPED: OnceLock<(String, Record)> = OnceLock::new();
    let (of, record) = MAPPED.get_or_init(|| (path.to_owned(), Record::open(path)));
    assert_eq!(of, path, "one record per fold");
    record.count(id);
}
