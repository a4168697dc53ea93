//! Privileges, secrets, and what other users may see.

use libtest_mimic::Trial;

use crate::Program;
use crate::host::Host;
use crate::limits::as_root;

pub fn tests() -> Vec<Trial> {
    vec![as_root(
        "workers_of_another_user_end_with_their_host",
        || {
            // That none is left is seen to by whoever runs it.
            let ended = Host::new("other_user").arg("init").run();
            assert_eq!(ended.status, 128 + libc::SIGKILL, "{ended:#?}");
            let ended = Host::new("other_user").arg("task").run();
            assert_eq!(ended.status, 128 + libc::SIGKILL, "{ended:#?}");
        },
    )]
}

pub fn programs() -> Vec<Program> {
    vec![("other_user", other_user)]
}

fn become_nobody() -> Result<(), std::io::Error> {
    // SAFETY: a plain system call.
    match unsafe { libc::setuid(nobody()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Its workers become another user's, in their init or in a task; then it ends by a signal
/// that comes to its zygote as well, at a time when that cannot do anything.
fn other_user(words: &[String]) {
    let mut builder = pinfold::Runtime::builder().workers(2);
    if words[0] == "init" {
        builder = builder.worker_init(become_nobody);
    }
    let rt = builder.start().expect("starts");
    let zygote = rt
        .spawn(|(): ()| std::os::unix::process::parent_id(), ())
        .join();
    let zygote = zygote.expect("a value") as i32;
    if words[0] == "task" {
        let done = rt.spawn(|(): ()| become_nobody().is_ok(), ()).join();
        assert_eq!(done, Ok(true));
    }
    // Else it is seen only while they sleep.
    let _busy = rt.spawn(
        |(): ()| std::thread::sleep(std::time::Duration::from_secs(100)),
        (),
    );
    // SAFETY: signals to this process and to a child of it.
    unsafe {
        libc::kill(zygote, libc::SIGSTOP);
        libc::kill(zygote, libc::SIGKILL);
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
}

/// A user that nobody else is; another one for each run of the tests.
pub fn nobody() -> u32 {
    60_000 + std::process::id() % 5_000
}

/// The host runs as that user, and in its group only.
pub fn as_nobody(host: Host) -> Host {
    let id = nobody();
    host.prepared(move || {
        // SAFETY: plain system calls.
        let done = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0
                && libc::setgid(id) == 0
                && libc::setuid(id) == 0
        };
        done.then_some(()).ok_or_else(std::io::Error::last_os_error)
    })
}
