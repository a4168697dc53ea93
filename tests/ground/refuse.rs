//! Filters that refuse system calls: what a sandbox or an old kernel does.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog,
};

/// One call that is refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Its number.
    pub call: libc::c_long,
    /// And all calls with a higher number: those that are newer.
    pub is_since: bool,
    /// Only if this argument has this value.
    pub only: Option<(u32, u32)>,
    /// What it answers instead.
    pub errno: i32,
}

/// Of the call as such.
pub fn refusal(call: libc::c_long, errno: i32) -> Refusal {
    Refusal {
        call,
        is_since: false,
        only: None,
        errno,
    }
}

/// A filter, ready to be put on.
#[derive(Clone)]
pub struct Filter(Vec<sock_filter>);

impl Filter {
    pub fn new(refusals: &[Refusal]) -> Self {
        let op = |code: u32, jt, jf, k| sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let load = |offset| op(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
        let equal = |value, else_skip| op(BPF_JMP | BPF_JEQ | BPF_K, 0, else_skip, value);
        let answer = |what| op(BPF_RET | BPF_K, 0, 0, what);
        let mut all = Vec::new();
        for refusal in refusals {
            let refuse = answer(libc::SECCOMP_RET_ERRNO | refusal.errno as u32);
            all.push(load(0));
            match refusal.only {
                None if refusal.is_since => {
                    let since = op(BPF_JMP | BPF_JGE | BPF_K, 0, 1, refusal.call as u32);
                    all.extend([since, refuse]);
                }
                None => all.extend([equal(refusal.call as u32, 1), refuse]),
                Some((argument, value)) => all.extend([
                    equal(refusal.call as u32, 3),
                    // The lower half of the argument, on a little-endian machine.
                    load(16 + 8 * argument),
                    equal(value, 1),
                    refuse,
                ]),
            }
        }
        all.push(answer(libc::SECCOMP_RET_ALLOW));
        Filter(all)
    }

    /// Puts it on this thread, for good; or, as a whole, on all threads of the process.
    pub fn put_on(&self, on_all_threads: bool) -> std::io::Result<()> {
        let program = sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_ptr().cast_mut(),
        };
        let flags = if on_all_threads {
            libc::SECCOMP_FILTER_FLAG_TSYNC
        } else {
            0
        };
        // SAFETY: the program is a valid one that outlives the call.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER,
                    flags,
                    &raw const program,
                ) == 0
        };
        done.then_some(()).ok_or_else(std::io::Error::last_os_error)
    }
}
