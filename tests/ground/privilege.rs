//! Privileges, secrets, and what other users may see.

use libtest_mimic::Trial;

use crate::host::Host;
use crate::limits::as_root;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        as_root("workers_of_another_user_end_with_their_host", || {
            // That none is left is seen to by whoever runs it.
            for when in ["init", "task"] {
                let ended = Host::new("other_user").arg(when).run();
                assert_eq!(ended.status, 128 + libc::SIGKILL, "{ended:#?}");
            }
        }),
        as_root("a_set_uid_program_that_drops_root_stays_without", || {
            let copy = Copied::new(0o4755);
            let id = nobody();
            let ended = as_nobody(copy.host("drops_root")).run().well();
            assert_eq!(
                ended.stdout,
                format!("[{id}, {id}, {id}] [{id}, {id}, {id}] false\n")
            );
            // What it has not dropped it has.
            let ended = as_nobody(copy.host("drops_root").arg("not")).run().well();
            assert_eq!(
                ended.stdout,
                format!("[{id}, 0, 0] [{id}, {id}, {id}] true\n")
            );
        }),
        as_root("capabilities_of_a_file_do_not_come_back", || {
            let copy = Copied::new(0o755);
            copy.give_capabilities();
            as_nobody(copy.host("drops_capabilities")).run().well();
        }),
        as_root(
            "root_without_some_capabilities_has_workers_without_them",
            || {
                Host::new("drops_capabilities").run().well();
            },
        ),
        as_root("who_is_not_the_parent_is_not_served", || {
            let copy = Copied::new(0o4755);
            let host = copy.host("false_host").arg(copy.path.display());
            let ended = as_nobody(host).run().well();
            assert_eq!(ended.stdout, "refused\n");
        }),
        test("each_process_has_hash_keys_of_its_own", || {
            Host::new("hash_keys").run().well();
        }),
    ]
}

/// This program, in a file with other rights.
struct Copied {
    _directory: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Copied {
    fn new(mode: u32) -> Self {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ground");
        std::fs::copy(std::env::current_exe().expect("a path"), &path).expect("a copy");
        set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("rights");
        set_permissions(&path, Permissions::from_mode(mode)).expect("rights");
        Copied {
            _directory: directory,
            path,
        }
    }

    fn host(&self, name: &str) -> Host {
        Host::of(&self.path).arg("host").arg(name)
    }

    /// `setcap cap_setuid,cap_sys_admin+ep`.
    fn give_capabilities(&self) {
        const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
        let words = [REVISION_2_EFFECTIVE, 1 << 7 | 1 << 21, 0, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let path = std::ffi::CString::new(self.path.to_str().expect("text")).expect("text");
        // SAFETY: strings and bytes that outlive the call.
        let done = unsafe {
            libc::setxattr(
                path.as_ptr(),
                c"security.capability".as_ptr(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
            )
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

pub fn programs() -> Vec<Program> {
    vec![
        ("other_user", other_user),
        ("drops_root", drops_root),
        ("drops_capabilities", drops_capabilities),
        ("hash_keys", hash_keys),
        ("false_host", false_host),
    ]
}

fn start(workers: usize) -> pinfold::Runtime {
    let builder = pinfold::Runtime::builder().workers(workers);
    builder.start().expect("starts")
}

/// Users, groups, and whether it may read what only root may.
fn who(_: ()) -> ([u32; 3], [u32; 3], bool) {
    let (mut users, mut groups) = ([0; 3], [0; 3]);
    // SAFETY: each pointer is to a number of this function's.
    unsafe {
        libc::getresuid(&raw mut users[0], &raw mut users[1], &raw mut users[2]);
        libc::getresgid(&raw mut groups[0], &raw mut groups[1], &raw mut groups[2]);
    }
    (users, groups, std::fs::File::open("/etc/shadow").is_ok())
}

fn drops_root(words: &[String]) {
    let (users, _, _) = who(());
    assert_eq!(
        users[1], 0,
        "is the directory for temporary files `nosuid`?"
    );
    if words.is_empty() {
        // SAFETY: a plain system call.
        assert_eq!(unsafe { libc::setresuid(users[0], users[0], users[0]) }, 0);
    }
    let rt = start(1);
    let first = rt.spawn(who, ()).join().expect("a value");
    let (users, groups, may_read) = first;
    println!("{users:?} {groups:?} {may_read}");
    // Nor do those of a zygote that is started later.
    let zygote = rt.spawn(|(): ()| std::os::unix::process::parent_id(), ());
    let zygote = zygote.join().expect("a value");
    // SAFETY: a signal to this process's own zygote.
    unsafe { libc::kill(zygote as i32, libc::SIGKILL) };
    let again = rt.task(who).safe_to_repeat(10).spawn(()).join();
    assert_eq!(again, Ok(first));
}

/// Effective and permitted ones.
fn capabilities(_: ()) -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc");
    ["CapEff:", "CapPrm:"].map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.expect("a line").trim(), 16).expect("a number")
    })
}

fn drops_capabilities(_: &[String]) {
    const SYS_ADMIN: u64 = 1 << 21;
    let [_, had] = capabilities(());
    assert_ne!(had & SYS_ADMIN, 0, "there is something to drop");
    let kept = had & !SYS_ADMIN;
    let (low, high) = (kept as u32, (kept >> 32) as u32);
    let header = [0x2008_0522_u32, 0];
    let sets = [low, low, 0, high, high, 0];
    // SAFETY: as the kernel wants them, in version 3.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(done, 0);
    let rt = start(1);
    assert_eq!(rt.spawn(capabilities, ()).join(), Ok(capabilities(())));
}

/// Poses as the host of a set-uid program which somebody else has started.
fn false_host(words: &[String]) {
    use std::io::Read;
    use std::os::fd::{FromRawFd, OwnedFd};
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: two numbers of this function's.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
    assert_eq!(made, 0);
    // SAFETY: just made, and nobody else's.
    let [ours, theirs] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    // The one between is the parent, and has not made the socket.
    let mut shell = std::process::Command::new("sh")
        .args(["-c", "\"$0\"; :", &words[0]])
        .env("PINFOLD_ZYGOTE", env!("CARGO_PKG_VERSION"))
        .stdin(theirs)
        .spawn()
        .expect("a shell");
    let (mut said, mut message) = (Vec::new(), [0; 1024]);
    let mut ours = std::fs::File::from(ours);
    while let Ok(len @ 1..) = ours.read(&mut message) {
        said.extend_from_slice(&message[..len]);
    }
    shell.wait().expect("it ends");
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("is not who has started it"), "{said}");
    println!("refused");
}

/// The first keys that a map takes on this thread, as what they make of nothing.
fn first_hash(_: ()) -> (u32, u64) {
    use std::hash::{BuildHasher, RandomState};
    (std::process::id(), RandomState::new().hash_one(()))
}

/// Of the processes of two workers, and of those that follow them.
fn hash_keys(_: &[String]) {
    let rt = start(2);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..100 {
        let handles: Vec<_> = (0..50)
            .map(|_| rt.task(first_hash).safe_to_repeat(100).spawn(()))
            .collect();
        for handle in handles {
            let (process, hash) = handle.join().expect("a value");
            // Later ones of a process have other keys.
            seen.entry(process).or_insert(hash);
        }
        if seen.len() >= 4 {
            break;
        }
        let die = |(): ()| -> () { std::process::exit(3) };
        rt.spawn(die, ()).join().expect_err("it dies");
    }
    let different: std::collections::BTreeSet<_> = seen.values().collect();
    assert!(seen.len() >= 4, "{seen:?}");
    assert_eq!(different.len(), seen.len(), "{seen:?}");
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
