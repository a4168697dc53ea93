//! Bytes that are handed to another process, of whatever length.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::calls::{Refused, again, refused};
use super::fds::above_standard;
use super::signals::without_sigxfsz;

/// A file of these bytes, which no file system knows.
///
/// # Errors
/// The call that was refused.
pub fn hand_over(bytes: &[u8]) -> Result<OwnedFd, Refused> {
    let file = memfd_create("pinfold-handed", MFdFlags::MFD_CLOEXEC)
        .and_then(above_standard)
        .map_err(refused("memfd_create", "to hand bytes to the zygote"))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = without_sigxfsz(|| again(|| nix::unistd::write(&file, rest)));
        match written.map_err(refused("write", "to hand bytes to the zygote"))? {
            0 => {
                return Err(refused("write", "to hand bytes to the zygote")(
                    Errno::ENOSPC,
                ));
            }
            written => rest = rest.get(written..).unwrap_or_default(),
        }
    }
    Ok(file)
}

/// What is in such a file; an error if that is not `len` bytes.
pub fn take_over(file: OwnedFd, len: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut bytes = Vec::new();
    let wanted = usize::try_from(len).map_err(std::io::Error::other)?;
    bytes.try_reserve_exact(wanted)?;
    file.take(len).read_to_end(&mut bytes)?;
    match bytes.len() == wanted {
        true => Ok(bytes),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_arrives() {
        for len in [0, 1, 100_000] {
            let bytes = vec![7u8; len];
            let file = hand_over(&bytes).expect("memory file");
            let copy = file.try_clone().expect("descriptor");
            assert_eq!(take_over(file, len as u64).expect("read"), bytes);
            assert!(take_over(copy, len as u64 + 1).is_err());
        }
    }
}
