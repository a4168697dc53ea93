//! A whole memory file, mapped.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use crate::sys::calls::{Refused, refused};
use crate::sys::{Mapping, MemFile, leave_out_of_dumps};

use super::{Bytes, Header, ShmSafe, View, Views};

/// A mapped segment.
#[derive(Debug)]
pub struct Segment {
    /// Not kept by whoever attaches: there, nothing needs it any more.
    file: Option<MemFile>,
    map: Arc<Mapping>,
}

/// Why a segment could not be made or attached.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The system refused memory file or mapping.
    #[error("cannot {0} a segment of {1} bytes (the memory cap and its tables): {2}")]
    System(&'static str, usize, Refused),
    /// The header is not what this build writes.
    #[error("the segment is not of this build and configuration: {0}")]
    Mismatch(&'static str),
}

/// Whether the call as such is refused, rather than what was asked for.
fn is_unknown(error: Errno) -> bool {
    matches!(
        error,
        Errno::EINVAL | Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::EOPNOTSUPP
    )
}

impl Segment {
    /// A new segment of `len` bytes, sparse and zero; the header is not yet
    /// [ready](Header::publish).
    pub fn create(len: usize) -> Result<Self, SegmentError> {
        let file =
            MemFile::create("pinfold", len).map_err(|e| SegmentError::System("create", len, e))?;
        Self::of(file)
    }

    /// Attaches to a segment received from its creator.
    pub fn attach(fd: OwnedFd, len: usize, plan_hash: u64) -> Result<Self, SegmentError> {
        let file = MemFile::adopt(fd, len)
            .map_err(refused("fcntl and fstat", "to see what it is"))
            .map_err(|e| SegmentError::System("attach to", len, e))?;
        let mut segment = Self::of(file)?;
        segment
            .header()
            .check(len as u64, plan_hash)
            .map_err(SegmentError::Mismatch)?;
        segment.file = None;
        Ok(segment)
    }

    fn of(file: MemFile) -> Result<Self, SegmentError> {
        let map = Mapping::new(&file)
            .map_err(refused("mmap", "to see it"))
            .map_err(|e| SegmentError::System("map", file.len(), e))?;
        Ok(Segment {
            file: Some(file),
            map: Arc::new(map),
        })
    }

    /// Its first page.
    pub fn header(&self) -> View<Header> {
        self.view(0)
    }

    /// The `T` at `offset`.
    ///
    /// # Panics
    /// If the range does not lie in the segment or is not aligned for `T`:
    /// offsets come from this process's own plan, so that is a bug of ours.
    pub fn view<T: ShmSafe>(&self, offset: usize) -> View<T> {
        View::new(&self.map, offset)
    }

    /// The `count` values of `T` from `offset` on.
    ///
    /// # Panics
    /// As [`Segment::view`].
    pub fn views<T: ShmSafe>(&self, offset: usize, count: usize) -> Views<T> {
        Views::new(&self.map, offset, count)
    }

    /// The bytes of a zone that holds user data.
    ///
    /// # Panics
    /// As [`Segment::view`].
    pub fn bytes(&self, offset: usize, len: usize) -> Bytes {
        Bytes::new(&self.map, offset, len)
    }

    /// Backs a range with memory now. Where the kernel cannot do so at all, memory comes when
    /// it is touched.
    pub fn populate(&self, offset: usize, len: usize) -> Result<(), Refused> {
        // Linux 5.14 knows it; a sandbox may not.
        let populated = match self.map.populate(offset, len) {
            Err(error) if is_unknown(error) => {
                self.file().and_then(|file| file.allocate(offset, len))
            }
            done => done,
        };
        match populated {
            Err(error) if is_unknown(error) => Ok(()),
            done => done.map_err(refused("madvise(MADV_POPULATE_WRITE)", "to have memory")),
        }
    }

    /// Gives the pages of a range back to the system.
    pub fn punch(&self, offset: usize, len: usize) -> Result<(), Errno> {
        self.map.punch(offset, len)
    }

    /// Leaves it in this process's core dumps, or out of them, as its header says.
    pub fn set_dumped(&self) {
        let done = self.map.dump(self.header().is_dumped());
        if done.is_err() {
            crate::background::log(|| {
                tracing::debug!("the segment cannot be chosen for core dumps by itself");
            });
        }
    }

    /// The same in a process all of whose shared memory is this: there is another way.
    pub fn set_dumped_alone(&self) {
        let is_wanted = self.header().is_dumped();
        if self.map.dump(is_wanted).is_err() && !is_wanted {
            // Without /proc there is no third: then a core has it.
            let _ = leave_out_of_dumps();
        }
    }

    /// Bytes of memory that back the segment now.
    pub fn resident(&self) -> Result<u64, Errno> {
        self.file()?.resident()
    }

    fn file(&self) -> Result<&MemFile, Errno> {
        self.file.as_ref().ok_or(Errno::EBADF)
    }

    /// The descriptor, to be sent to the zygote.
    ///
    /// # Errors
    /// `EBADF`: the program has closed it.
    pub fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.file()?.fd()
    }
}
