//! Anonymous memory files: what the fold's segment is made of.

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::calls::{Refused, again, refused};
use super::fds::above_standard;
use super::held::Held;
use super::limits::file_size_limit;
use super::signals::without_sigxfsz;

/// An anonymous, sparse, sealed memory file.
///
/// It has no name in any file system, so nothing is left behind however its
/// last holder dies, and the size of `/dev/shm` does not matter. It is sealed
/// against growing and shrinking: no holder of the descriptor can truncate it
/// under the others, which is what would turn a memory access into SIGBUS.
#[derive(Debug)]
pub struct MemFile {
    fd: Held,
    len: usize,
}

impl MemFile {
    /// A file of `len` bytes, none of them backed by memory yet.
    ///
    /// # Errors
    /// The call that was refused. `EFBIG` also where `ulimit -f` is in the way: SIGXFSZ, which
    /// would end the process, is not raised.
    pub fn create(name: &str, len: usize) -> Result<Self, Refused> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(name, flags)
            .and_then(above_standard)
            .map_err(refused("memfd_create", "to make it"))?;
        let sized = match file_size_limit() {
            Some(limit) if limit < len as u64 => Err(Errno::EFBIG),
            // A sandbox may hide the limit.
            _ => i64::try_from(len)
                .map_err(|_| Errno::EFBIG)
                .and_then(|size| without_sigxfsz(|| again(|| nix::unistd::ftruncate(&fd, size)))),
        };
        sized.map_err(refused("ftruncate", "to give it its size"))?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))
            .map_err(refused("fcntl(F_ADD_SEALS)", "to keep its size"))?;
        let fd = Held::new(fd);
        Ok(MemFile { fd, len })
    }

    /// Takes over a descriptor received from the creator, and proves that it is
    /// what [`MemFile::create`] makes: sealed, and of exactly `len` bytes.
    pub fn adopt(fd: OwnedFd, len: usize) -> Result<Self, Errno> {
        let seals = SealFlag::from_bits_truncate(fcntl(&fd, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW) {
            return Err(Errno::EPERM);
        }
        if nix::sys::stat::fstat(&fd)?.st_size != i64::try_from(len).map_err(|_| Errno::EFBIG)? {
            return Err(Errno::EINVAL);
        }
        let fd = Held::new(fd);
        Ok(MemFile { fd, len })
    }

    /// Its size in bytes (an upper bound of what it may ever hold).
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Backs a range with memory, so that too little of it is an error. The contents stay.
    pub fn allocate(&self, offset: usize, len: usize) -> Result<(), Errno> {
        let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
        again(|| fallocate(self.fd.get()?, flags, offset as i64, len as i64))
    }

    /// Bytes of memory that back the file now.
    pub fn resident(&self) -> Result<u64, Errno> {
        Ok(nix::sys::stat::fstat(self.fd.get()?)?.st_blocks as u64 * 512)
    }
}

impl MemFile {
    /// The descriptor, if it is still that of this file.
    ///
    /// # Errors
    /// `EBADF`: the program has closed it.
    pub fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.fd.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_sealed_and_punched() {
        let file = MemFile::create("pinfold-test", 1 << 30).expect("memfd");
        assert_eq!(file.resident().expect("stat"), 0, "a new file is sparse");
        assert_eq!(
            nix::unistd::ftruncate(file.fd().expect("ours"), 4096),
            Err(Errno::EPERM),
            "nobody can shrink it"
        );
        let map = super::super::Mapping::new(&file).expect("map");
        map.populate(0, 8192).expect("populate");
        assert_eq!(file.resident().expect("stat"), 8192);
        map.punch(0, 8192).expect("punch");
        assert_eq!(file.resident().expect("stat"), 0);
        file.allocate(4096, 8192).expect("allocate");
        assert_eq!(file.resident().expect("stat"), 8192);
    }

    #[test]
    fn adopt_refuses_what_is_not_sealed() {
        let fd = memfd_create("pinfold-test", MFdFlags::MFD_CLOEXEC).expect("memfd");
        assert!(MemFile::adopt(fd, 0).is_err());
    }
}
