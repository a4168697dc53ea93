//! The control socket: small messages and descriptors, never task data.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socketpair,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::calls::again;
use super::fds::above_standard;

/// The longest message, in bytes.
pub const MESSAGE_MAX: usize = 16 * 1024;
/// The most descriptors one message carries.
pub const FDS_MAX: usize = 7;

/// Two connected ends that keep message boundaries, both close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    pair_of(SockType::SeqPacket)
}

/// Whether `fd` is an end of such a pair, as far as it can be seen.
pub fn is_control(fd: BorrowedFd<'_>) -> bool {
    match nix::sys::socket::getsockopt(&fd, nix::sys::socket::sockopt::SockType) {
        Ok(kind) => kind == SockType::SeqPacket,
        // It is none, or a sandbox does not let us ask.
        Err(_) => nix::sys::stat::fstat(fd).is_ok_and(|stat| {
            let kind = nix::sys::stat::SFlag::from_bits_truncate(stat.st_mode);
            kind & nix::sys::stat::SFlag::S_IFMT == nix::sys::stat::SFlag::S_IFSOCK
        }),
    }
}

/// Two connected ends of datagrams, both close-on-exec.
pub fn datagrams() -> Result<(OwnedFd, OwnedFd), Errno> {
    pair_of(SockType::Datagram)
}

fn pair_of(kind: SockType) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (one, other) = socketpair(AddressFamily::Unix, kind, None, flags)?;
    Ok((above_standard(one)?, above_standard(other)?))
}

/// Sends one datagram if there is room for it now. Does not raise SIGPIPE.
pub fn send_now(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match again(|| nix::sys::socket::send(socket.as_raw_fd(), bytes, flags)) {
        // A sandbox may let us call the other one.
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => {
            let data = [IoSlice::new(bytes)];
            again(|| sendmsg::<UnixAddr>(socket.as_raw_fd(), &data, &[], flags, None)).map(drop)
        }
        sent => sent.map(drop),
    }
}

/// Receives one datagram if there is one now; says how long it was, which may be more
/// than has room in `buffer`. Descriptors that came with it are closed.
pub fn receive_now(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    match again(|| nix::sys::socket::recv(socket.as_raw_fd(), buffer, flags)) {
        // As in `send_now`.
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => again(|| {
            let mut data = [IoSliceMut::new(buffer)];
            nix::sys::socket::recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut data, None, flags)
                .map(|message| message.bytes)
        }),
        received => received,
    }
}

/// Sends one byte if there is room for it now, by the call that orders are sent by: a sandbox
/// that forbids it has no runtime anyway. Does not raise SIGPIPE.
pub fn ring(socket: BorrowedFd<'_>) {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    // Full, it is readable already.
    let _ =
        again(|| sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(&[1])], &[], flags, None));
}

/// Takes all that was rung; never waits.
pub fn hush(socket: BorrowedFd<'_>) {
    loop {
        let mut byte = [0];
        let mut data = [IoSliceMut::new(&mut byte)];
        let mut control = RecvAncillaryBuffer::default();
        match recvmsg(socket, &mut data, &mut control, RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(message) if message.bytes > 0 => {}
            _ => return,
        }
    }
}

/// Sends one message with `fds`. Does not raise SIGPIPE.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    debug_assert!(bytes.len() <= MESSAGE_MAX && fds.len() <= FDS_MAX);
    let numbers: Vec<i32> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control: &[ControlMessage<'_>] = if numbers.is_empty() { &[] } else { &rights };
    let data = [IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let sent = again(|| sendmsg::<UnixAddr>(socket.as_raw_fd(), &data, control, flags, None));
    match sent {
        // A sandbox does not let us; without descriptors there is another call for it.
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) if fds.is_empty() => {
            again(|| nix::sys::socket::send(socket.as_raw_fd(), bytes, flags)).map(drop)
        }
        sent => sent.map(drop),
    }
}

/// Receives one message; an empty one means that the other end is closed. Descriptors for which
/// there is no room in this process are missing from the list.
pub fn receive(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, Vec<OwnedFd>), Errno> {
    let mut bytes = vec![0; MESSAGE_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut was_reset = false;
    loop {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut data = [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            // The other end was closed before it had read everything. That is told
            // first, once; what it had sent before it can be read all the same.
            Err(rustix::io::Errno::CONNRESET) if !was_reset => was_reset = true,
            Err(rustix::io::Errno::CONNRESET) => return Ok((Vec::new(), Vec::new())),
            Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
            Ok(message) => {
                let mut fds: Vec<OwnedFd> = Vec::new();
                for one in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = one {
                        fds.extend(rights);
                    }
                }
                bytes.truncate(message.bytes);
                let fds = fds.into_iter().filter_map(|fd| above_standard(fd).ok());
                return Ok((bytes, fds.collect()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn message_and_descriptor_travel_together() {
        let (a, b) = pair().expect("pair");
        send(a.as_fd(), b"hello", &[a.as_fd()]).expect("send");
        let (bytes, fds) = receive(b.as_fd()).expect("receive");
        assert_eq!((bytes.as_slice(), fds.len()), (&b"hello"[..], 1));
        drop((a, fds));
        assert_eq!(receive(b.as_fd()).expect("closed").0.len(), 0);
    }

    #[test]
    fn the_last_words_of_who_did_not_listen_are_heard() {
        let (a, b) = pair().expect("pair");
        send(b.as_fd(), b"never read", &[]).expect("send");
        send(a.as_fd(), b"last", &[]).expect("send");
        send(a.as_fd(), b"words", &[]).expect("send");
        drop(a);
        for expected in [&b"last"[..], b"words", b"", b""] {
            assert_eq!(receive(b.as_fd()).expect("receive").0, expected);
        }
    }
}
