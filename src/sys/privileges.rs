//! Privileges that the start of a program gives back to who had given them up.
//!
//! A zygote is the host's program, started again. If the file has a set-uid bit or capabilities,
//! or the host is root without all that root may do, the new process has what the host dropped.
//! So it first looks what its parent has, and keeps no more than that.
//!
//! Whoever can start such a file can also pass it a socket, and be its host. What it claims is not
//! believed: what its parent has says the kernel, and that it was that parent that made the socket.

use std::os::fd::BorrowedFd;

use super::text::read_text;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Gid, ResGid, ResUid, Uid, getresgid, getresuid, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What a process may do.
#[derive(Debug, PartialEq, Eq)]
struct Privileges {
    /// Real, effective, saved.
    users: [u32; 3],
    groups: [u32; 3],
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

/// Has this process keep what its parent, process `parent`, has too, and nothing else; `socket`
/// is what the parent has passed.
///
/// # Errors
/// Why that cannot be done: then it must not do anything for that parent.
pub fn keep_those_of(parent: i32, socket: BorrowedFd<'_>) -> Result<(), String> {
    // SAFETY: a plain number out of what the kernel has told the process.
    let is_raised = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let own = getresuid().map_err(|e| format!("getresuid: {e}"))?;
    if !is_raised && ![own.real, own.effective, own.saved].contains(&Uid::from_raw(0)) {
        return Ok(()); // the start has given nothing
    }
    let status = read_text(format!("/proc/{parent}/status")).ok();
    let theirs = match status.as_deref().and_then(read) {
        Some(theirs) => theirs,
        None if !is_raised => return Ok(()),
        None => {
            return Err(format!(
                "this program is set-uid or has capabilities, and /proc/{parent}/status does not \
                 say which of them its host has"
            ));
        }
    };
    if is_raised {
        let maker = getsockopt(&socket, sockopt::PeerCredentials)
            .map_err(|e| format!("getsockopt(SO_PEERCRED), to know whom to serve: {e}"))?;
        let is_theirs = maker.pid() == parent
            && maker.uid() == theirs.users[1]
            && maker.gid() == theirs.groups[1];
        if !is_theirs {
            return Err(
                "this program is set-uid or has capabilities, and who wants to be served \
                        is not who has started it"
                    .into(),
            );
        }
    }
    take_ids(&theirs)?;
    drop_capabilities(&theirs)
}

/// Users and groups of `theirs`. The saved one may be another: it may be gone already.
fn take_ids(theirs: &Privileges) -> Result<(), String> {
    let [real, effective, saved] = theirs.groups.map(Gid::from_raw);
    let is = |own: ResGid, saved| (own.real, own.effective, own.saved) == (real, effective, saved);
    let own = getresgid().map_err(|e| format!("getresgid: {e}"))?;
    if !is(own, saved) && setresgid(real, effective, saved).is_err() {
        setresgid(real, effective, effective)
            .map_err(|e| format!("setresgid, to be of the host's groups: {e}"))?;
    }
    let [real, effective, saved] = theirs.users.map(Uid::from_raw);
    let is = |own: ResUid, saved| (own.real, own.effective, own.saved) == (real, effective, saved);
    let own = getresuid().map_err(|e| format!("getresuid: {e}"))?;
    if !is(own, saved) && setresuid(real, effective, saved).is_err() {
        setresuid(real, effective, effective)
            .map_err(|e| format!("setresuid, to be the host's user: {e}"))?;
    }
    Ok(())
}

fn drop_capabilities(theirs: &Privileges) -> Result<(), String> {
    let own = capabilities(None).map_err(|e| format!("capget: {e}"))?;
    let both =
        |own: CapabilitySet, theirs: u64| CapabilitySet::from_bits_retain(own.bits() & theirs);
    let kept = CapabilitySets {
        effective: both(own.effective, theirs.effective),
        permitted: both(own.permitted, theirs.permitted),
        inheritable: both(own.inheritable, theirs.inheritable),
    };
    if kept == own {
        return Ok(());
    }
    set_capabilities(None, kept)
        .map_err(|e| format!("capset, to have no more capabilities than the host: {e}"))
}

/// What a `/proc/PID/status` says.
fn read(status: &str) -> Option<Privileges> {
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        found.map(|line| line.trim_start_matches(':').trim())
    };
    let ids = |name| {
        let mut ids = line(name)?.split_whitespace().map(str::parse::<u32>);
        Some([ids.next()?.ok()?, ids.next()?.ok()?, ids.next()?.ok()?])
    };
    let set = |name| u64::from_str_radix(line(name)?, 16).ok();
    Some(Privileges {
        users: ids("Uid")?,
        groups: ids("Gid")?,
        effective: set("CapEff")?,
        permitted: set("CapPrm")?,
        inheritable: set("CapInh")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood() {
        let own = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let own = read(&own).expect("it is understood");
        let ids = getresuid().expect("ids");
        assert_eq!(own.users[1], ids.effective.as_raw());
        let caps = capabilities(None).expect("capabilities");
        assert_eq!(own.permitted, caps.permitted.bits());
        assert_eq!(read("Uid:\t1\t2\t3\t4\n"), None, "not all of it");
    }
}
