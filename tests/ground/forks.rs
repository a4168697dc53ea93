//! Processes that fork: the host, a task, a daemonizer.

mod child;
mod objects;
mod tasks;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Runtime, Shutdown, TaskError};

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    let mut all = vec![
        test("what_a_forked_child_does_is_not_noticed", || {
            for how in ["fork", "clone", "twice"] {
                Host::new("forks_and_calls_everything")
                    .arg(how)
                    .run()
                    .well();
            }
        }),
        test("a_child_of_a_busy_host_never_hangs", || {
            Host::new("forks_while_threads_submit").run().well();
        }),
        test("a_child_of_a_host_that_uses_objects_never_hangs", || {
            Host::new("forks_while_threads_use_objects").run().well();
        }),
        test("a_child_writes_into_the_buffers_of_its_parent", || {
            Host::new("forks_and_writes").run().well();
        }),
        test("a_child_that_leaves_by_exit_runs_its_handlers", || {
            Host::new("forks_and_exits").run().well();
        }),
        test("a_child_has_a_runtime_of_its_own", || {
            Host::new("forks_and_starts").run().well();
        }),
        test(
            "a_daemon_whose_parent_leaves_has_errors_and_no_workers",
            || {
                for way in ["exit", "_exit"] {
                    Host::new("becomes_a_daemon").arg(way).run().well();
                }
            },
        ),
        test("programs_that_the_host_starts_change_nothing", || {
            Host::new("starts_programs").run().well();
        }),
    ];
    all.extend(tasks::tests());
    all
}

pub fn programs() -> Vec<Program> {
    let mut all: Vec<Program> = vec![
        ("forks_and_calls_everything", forks_and_calls_everything),
        ("forks_while_threads_submit", forks_while_threads_submit),
        (
            "forks_while_threads_use_objects",
            objects::forks_while_threads_use_objects,
        ),
        ("forks_and_writes", forks_and_writes),
        ("forks_and_exits", forks_and_exits),
        ("forks_and_starts", forks_and_starts),
        ("becomes_a_daemon", becomes_a_daemon),
        ("starts_programs", starts_programs),
    ];
    all.extend(tasks::programs());
    all
}

pub fn nap(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

pub fn same(n: u64) -> u64 {
    n
}

/// Runs `child` in a process that `how` makes, which must end well within a minute.
pub fn fork(how: &str, child: impl FnOnce()) {
    let pid = split(how);
    if pid == 0 {
        // SAFETY: plain integers. Whoever hangs is killed by it.
        unsafe { libc::alarm(40) };
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        leave(if ran.is_ok() { 0 } else { 1 });
    }
    assert_eq!(status_of(pid), 0, "the child of {how}");
}

pub fn leave(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// How child `pid` has ended, as waitpid(2) says it.
pub fn status_of(pid: i32) -> i32 {
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid, "{}", std::io::Error::last_os_error());
    status
}

fn split(how: &str) -> i32 {
    match how {
        // SAFETY: the child goes on as the only thread of its process.
        "fork" => unsafe { libc::fork() },
        // SAFETY: without a new stack it is a fork that calls no handlers.
        "clone" => unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 },
        "twice" => match split("fork") {
            0 => match split("fork") {
                0 => 0,
                grandchild => leave(if status_of(grandchild) == 0 { 0 } else { 1 }),
            },
            child => child,
        },
        _ => panic!("{how}?"),
    }
}

fn start() -> Runtime {
    let builder = Runtime::builder().workers(2).memory_cap(64 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// Nothing is amiss with the parent's runtime.
fn is_well(rt: &Runtime) {
    for n in 0..200 {
        assert_eq!(rt.spawn(same, n).join(), Ok(n));
    }
    let (stats, audit) = (rt.stats(), rt.audit());
    assert_eq!((stats.rebuilds, stats.restarts), (0, 0), "{stats:#?}");
    assert_eq!(stats.tasks.damage, 0);
    assert!(audit.orphans.is_empty(), "{audit:#?}");
}

fn forks_and_calls_everything(arguments: &[String]) {
    let rt = start();
    let values: Result<Vec<u64>, _> = rt.map(same, 0..1000).collect();
    assert_eq!(values.expect("values").len(), 1000);
    let things = child::Things::new(&rt);
    // No thread is at work here when it forks: a raw clone leaves the C library's locks held.
    things.have_ended();
    let running: Vec<_> = (0..100).map(|_| rt.spawn(nap, 10)).collect();
    // What the child takes out of it, the parent has still.
    let mut all = Some((rt, things, running));
    fork(&arguments[0], || {
        let (rt, things, running) = all.take().expect("there");
        things.are_the_parents(&rt, running);
        drop(rt);
    });
    let (rt, things, running) = all.take().expect("there");
    for handle in running {
        assert_eq!(handle.join(), Ok(10));
    }
    things.are_mine();
    is_well(&rt);
}

/// The bytes of buffers are shared, as all memory of the fold is.
fn forks_and_writes(_: &[String]) {
    let rt = start();
    let mut loan = rt.alloc(100_000).expect("room");
    loan.fill(7);
    fork("fork", || loan.fill(8));
    assert!(loan.iter().all(|byte| *byte == 8));
    drop(loan);
    is_well(&rt);
}

/// Locks of all kinds are held at the moment of a fork, by threads that the child has not.
fn forks_while_threads_submit(_: &[String]) {
    let rt = start();
    let until = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|threads| {
        let busy = || {
            let memo = pinfold::Memo::new(100);
            for n in (0..).take_while(|_| Instant::now() < until) {
                assert_eq!(rt.spawn(same, n).join(), Ok(n));
                let followed = rt.task(same).memoized(&memo).spawn(n % 200);
                followed.on_complete(|_| ()).expect("is set");
                drop((followed, rt.alloc(1 << 10), rt.stats()));
            }
        };
        for _ in 0..3 {
            threads.spawn(busy);
        }
        let mut all = Some(child::Things::new(&rt));
        // Not by a raw clone: the C library's own locks would stay held in such a child.
        while Instant::now() < until {
            fork("fork", || {
                let things = all.take().expect("there");
                things.are_the_parents(&rt, Vec::new());
                assert_eq!(rt.shutdown(Shutdown::Drain), Ok(()));
            });
        }
    });
    is_well(&rt);
}

fn forks_and_exits(_: &[String]) {
    extern "C" fn at_exit() {
        // SAFETY: writes a constant.
        unsafe { libc::write(1, c"handler\n".as_ptr().cast(), 8) };
    }
    // SAFETY: the handler may be called at any exit.
    unsafe { libc::atexit(at_exit) };
    let rt = start();
    let running: Vec<_> = (0..20).map(|_| rt.spawn(nap, 10)).collect();
    // SAFETY: this process's only threads but this one are the library's.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        std::process::exit(7);
    }
    assert_eq!(status_of(pid), 7 << 8);
    for handle in running {
        assert_eq!(handle.join(), Ok(10));
    }
    is_well(&rt);
}

fn forks_and_starts(_: &[String]) {
    let rt = start();
    let running: Vec<_> = (0..20).map(|_| rt.spawn(nap, 10)).collect();
    let own = || {
        let own = start();
        assert_eq!(rt.spawn(same, 1).join(), Err(TaskError::Forked));
        assert_eq!(own.spawn(same, 2).join(), Ok(2));
        let both = own.spawn_after((&own.spawn(nap, 5),), |((), (n,)): ((), (u64,))| n + 1, ());
        assert_eq!(both.join(), Ok(6));
        fork("fork", || {
            assert_eq!(own.spawn(same, 3).join(), Err(TaskError::Forked));
            assert_eq!(rt.spawn(same, 3).join(), Err(TaskError::Forked));
        });
        is_well(&own);
        drop(own);
    };
    fork("fork", own);
    for handle in running {
        assert_eq!(handle.join(), Ok(10));
    }
    is_well(&rt);
}

/// The parent leaves with the runtime started; the daemon is told, and the workers end (the
/// test looks for what is left).
fn becomes_a_daemon(arguments: &[String]) {
    let rt = start();
    let before = rt.spawn(nap, 5_000);
    assert_eq!(rt.spawn(same, 1).join(), Ok(1));
    let parent = std::process::id() as i32;
    // SAFETY: this process's only threads but this one are the library's.
    if unsafe { libc::fork() } != 0 {
        std::mem::forget(before);
        if arguments[0] == "exit" {
            std::process::exit(0);
        }
        leave(0);
    }
    // SAFETY: plain integers.
    unsafe {
        libc::alarm(20);
        libc::setsid();
        while libc::getppid() == parent {
            libc::usleep(1000);
        }
    }
    let outcomes = [before.join(), rt.spawn(same, 2).join()];
    let is_told = outcomes == [Err(TaskError::Forked), Err(TaskError::Forked)];
    drop(rt);
    leave(if is_told { 0 } else { 1 })
}

fn starts_programs(_: &[String]) {
    use std::os::unix::process::CommandExt;
    let rt = start();
    let running: Vec<_> = (0..100).map(|_| rt.spawn(nap, 10)).collect();
    let mut outcomes = BTreeMap::<Option<i32>, u32>::new();
    for n in 0..40 {
        // By posix_spawn, and by fork and exec.
        let mut command = std::process::Command::new("true");
        if n % 2 == 0 {
            // SAFETY: it does nothing.
            unsafe { command.pre_exec(|| Ok(())) };
        }
        *outcomes
            .entry(command.status().expect("runs").code())
            .or_default() += 1;
    }
    assert_eq!(outcomes, BTreeMap::from([(Some(0), 40)]));
    fork_and_exec_nothing();
    for handle in running {
        assert_eq!(handle.join(), Ok(10));
    }
    is_well(&rt);
}

/// A child that shares its parent's memory until it ends, as vfork makes it.
fn fork_and_exec_nothing() {
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        3
    }
    let mut stack = vec![0u128; 4096];
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: its stack outlives it, for the parent waits until it has ended.
    let pid = unsafe { libc::clone(child, top.cast(), flags, std::ptr::null_mut()) };
    assert_eq!(status_of(pid), 3 << 8);
}
