//! Tasks that fork.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{AllocError, Handle, Loan, Runtime, Shared, Shutdown, TaskError};

use super::{is_well, leave, nap, same, start, status_of};
use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("what_a_task_forks_does_not_run_the_worker_twice", || {
            Host::new("tasks_fork").run().well();
        }),
        test("what_a_task_forks_may_stay", || {
            Host::new("tasks_leave_what_they_fork").run().well();
        }),
        test("worker_init_may_fork", || {
            Host::new("worker_init_forks").run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("tasks_fork", tasks_fork),
        ("tasks_leave_what_they_fork", tasks_leave_what_they_fork),
        ("worker_init_forks", worker_init_forks),
    ]
}

/// What the child does, and how it ends then, as waitpid(2) says it.
const ENDS: [(&str, i32); 7] = [
    ("returns", 0),
    ("panics", 101 << 8),
    ("exits", 7 << 8),
    ("dies", libc::SIGKILL),
    ("becomes another program", 0),
    ("calls everything", 0),
    ("returns from a thread", 0),
];

/// Forks; how the child has ended.
fn forks((what, mut loan, shared): (String, Loan, Shared)) -> i32 {
    let before = pinfold::spawn(same, 5);
    let dropped = pinfold::spawn(same, 6);
    if what == "returns from a thread" {
        let thread = std::thread::spawn(split);
        return thread.join().map_or(-1, status_of);
    }
    let pid = split();
    if pid != 0 {
        let status = status_of(pid);
        assert_eq!((before.join(), dropped.join()), (Ok(5), Ok(6)));
        assert_eq!((loan.len(), shared.len()), (3, 4));
        return status;
    }
    match &*what {
        "panics" => panic!("in what a task has forked"),
        "exits" => std::process::exit(7),
        // SAFETY: plain integers.
        "dies" => unsafe {
            libc::kill(libc::getpid(), libc::SIGKILL);
        },
        "becomes another program" => {
            use std::os::unix::process::CommandExt;
            panic!("{}", std::process::Command::new("true").exec());
        }
        "calls everything" => {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert_eq!(before.join(), Err(TaskError::Forked));
                drop(dropped);
                assert_eq!(pinfold::spawn(same, 7).join(), Err(TaskError::Forked));
                drop(pinfold::spawn(same, 8));
                assert_eq!(pinfold::alloc(100).err(), Some(AllocError::Forked));
                let context = pinfold::context();
                assert_eq!(context.report_progress(0.5, "half"), Ok(()));
                assert!(!context.is_cancelled() && context.task().is_none());
                assert!(context.deadline().is_none() && pinfold::task_info().is_none());
                let refused = Runtime::builder().workers(1).start();
                assert!(refused.is_err());
                assert!(shared.iter().chain(loan.iter()).all(|byte| *byte == 1));
                loan.truncate(1);
                drop((loan.publish(), shared));
            }));
            leave(if ran.is_ok() { 0 } else { 1 });
        }
        _ => {}
    }
    0
}

fn split() -> i32 {
    // SAFETY: the child goes on as the only thread of its process.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: plain integers. Whoever hangs is killed by it.
        unsafe { libc::alarm(30) };
    }
    pid
}

fn buffers(rt: &Runtime) -> (Loan, Shared) {
    let (mut loan, mut shared) = (rt.alloc(3).expect("room"), rt.alloc(4).expect("room"));
    loan.fill(1);
    shared.fill(1);
    (loan, shared.publish())
}

fn tasks_fork(_: &[String]) {
    for threads in [1, 2] {
        let builder = Runtime::builder().workers(2).threads_per_worker(threads);
        let rt = builder.on_drop(Shutdown::Abort).start().expect("starts");
        let bystanders: Vec<_> = (0..50).map(|_| rt.spawn(nap, 10)).collect();
        let forking = ENDS.map(|(what, _)| {
            let (loan, shared) = buffers(&rt);
            rt.spawn(forks, (what.to_owned(), loan, shared))
        });
        for ((what, status), handle) in ENDS.into_iter().zip(forking) {
            assert_eq!(handle.join(), Ok(status), "{what}");
        }
        for bystander in bystanders {
            assert_eq!(bystander.join(), Ok(10));
        }
        is_well(&rt);
    }
}

/// Leaves a child that does nothing; its number, and the worker's.
fn leaves_a_child(_: ()) -> (i32, i32) {
    let pid = split();
    if pid == 0 {
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    (pid, std::process::id() as i32)
}

fn kill(pid: i32) {
    // SAFETY: plain integers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Ends the worker that runs it, which has forked; the child's number is in `told` then.
fn leaves_a_child_and_dies(told: std::path::PathBuf) {
    let (child, _) = leaves_a_child(());
    std::fs::write(told, child.to_string()).expect("is written");
    std::process::abort();
}

/// Nobody waits for what stays: neither a shutdown, nor a zygote's successor, nor who is to
/// hear of the worker's death. (A few rounds: this machine may be busy.)
fn tasks_leave_what_they_fork(_: &[String]) {
    const QUICK: Duration = Duration::from_millis(1500);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        let rt = start();
        let one = |handle: Handle<(i32, i32)>| handle.join().expect("a value");
        let stays = one(rt.spawn(leaves_a_child, ()));
        let zygote = parent_of(stays.1);
        let before = Instant::now();
        kill(zygote);
        while rt.spawn(parent, ()).join().is_ok_and(|now| now == zygote) {}
        while rt.spawn(same, 3).join() != Ok(3) {}
        times[0].push(before.elapsed());
        let stays_too = one(rt.spawn(leaves_a_child, ()));
        let before = Instant::now();
        assert_eq!(rt.shutdown(Shutdown::Abort), Ok(()));
        times[1].push(before.elapsed());
        kill(stays.0);
        kill(stays_too.0);
        if times.iter().all(|all| all.iter().any(|took| *took < QUICK)) {
            break;
        }
    }
    let is_quick = |all: &Vec<Duration>| all.iter().any(|took| *took < QUICK);
    assert!(times.iter().all(is_quick), "{times:?}");
    let rt = start();
    let scratch = tempfile::tempdir().expect("a directory");
    let told = scratch.path().join("child");
    let died = rt.spawn(leaves_a_child_and_dies, told.clone()).join();
    let was_told = matches!(died, Err(TaskError::WorkerDied { .. }));
    assert!(was_told, "{died:?}");
    assert_eq!(rt.spawn(same, 4).join(), Ok(4));
    let child = std::fs::read_to_string(told).expect("was written");
    kill(child.parse().expect("a number"));
}

fn parent(_: ()) -> i32 {
    nix::unistd::getppid().as_raw()
}

fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|number| number.trim().parse().ok())
        .expect("a number")
}

fn worker_init_forks(_: &[String]) {
    fn init() -> Result<i32, String> {
        let pid = split();
        // The child returns, too.
        Ok(if pid == 0 { -1 } else { status_of(pid) })
    }
    let builder = Runtime::builder().workers(2).worker_init(init);
    let rt = builder.on_drop(Shutdown::Abort).start().expect("starts");
    for _ in 0..20 {
        let status = rt.spawn(|(): ()| pinfold::worker_state::<i32>().copied(), ());
        assert_eq!(status.join(), Ok(Some(0)));
    }
    is_well(&rt);
}
