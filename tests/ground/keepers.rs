//! What keepers cost, and what goes on without them.

use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use pinfold::{Runtime, Shutdown};

use crate::Program;
use crate::host::Host;

pub fn tests() -> Vec<Trial> {
    [
        ("where_processes_are_few_nobody_has_a_keeper", "keepers.few"),
        (
            "keepers_are_let_go_of_when_no_process_is_left",
            "keepers.full",
        ),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (test, program))| {
        crate::test(&format!("keepers/{test}"), move || {
            // Limits of processes hold for every user but root, and for all processes of one.
            let uid = 60_000 + 2 * (std::process::id() % 2_000) + number as u32;
            let is_root = nix::unistd::geteuid().is_root();
            Host::new(program)
                .prepared(move || {
                    if is_root {
                        nix::unistd::setgid(uid.into())?;
                        nix::unistd::setuid(uid.into())?;
                    }
                    Ok(())
                })
                .run()
                .well();
        })
    })
    .collect()
}

pub fn programs() -> Vec<Program> {
    vec![("keepers.few", few), ("keepers.full", full)]
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(40), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn keepers(rt: &Runtime) -> usize {
    let stats = rt.stats();
    stats.workers.iter().filter(|w| w.keeper != 0).count()
}

/// Twenty workers, and as many programs that their tasks start, are all that there is room for.
fn few(_: &[String]) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("a limit");
    setrlimit(Resource::RLIMIT_NPROC, 56, hard).expect("lower");
    let builder = Runtime::builder().workers(20).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("a runtime");
    // All have slept, or run a task.
    let is_idle = |w: &pinfold::WorkerStats| w.state == pinfold::Activity::Sleeping;
    until("all sleep", || rt.stats().workers.iter().all(is_idle));
    let starts = |_: u64| {
        let ran = Command::new("true").status().map_err(|e| e.to_string())?;
        Ok::<_, String>(ran.success())
    };
    for ran in rt.map(starts, 0..100) {
        assert_eq!(ran, Ok(Ok(true)));
    }
    assert_eq!(keepers(&rt), 0);
}

/// Processes and threads of this process's user.
fn population() -> u64 {
    let uid = nix::unistd::getuid().to_string();
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
    {
        // `self` is there once more, by its number.
        if entry.file_name().to_string_lossy().parse::<i32>().is_err() {
            continue;
        }
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let value = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_ascii_whitespace().nth(1)
        };
        if value("Uid:") == Some(&uid) {
            count += value("Threads:").and_then(|n| n.parse().ok()).unwrap_or(1);
        }
    }
    count
}

/// A worker is started in the place of its own keeper, so to speak.
fn full(_: &[String]) {
    let builder = Runtime::builder().workers(3).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("a runtime");
    until("all have keepers", || keepers(&rt) == 3);
    let worker = rt.stats().workers[0].pid;
    let zygote = rt.spawn(|(): ()| nix::unistd::getppid().as_raw(), ());
    let zygote = zygote.join().expect("it runs");
    // Without the worker that dies, and its keeper, there are as many as there may be.
    let limit = population() - 2;
    let new = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: a plain call with a limit that lives long enough.
    let set = unsafe {
        libc::prlimit(
            zygote,
            libc::RLIMIT_NPROC,
            &raw const new,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    let pid = nix::unistd::Pid::from_raw(worker);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
    until("a successor", || {
        ![0, worker].contains(&rt.stats().workers[0].pid)
    });
    assert_eq!(keepers(&rt), 0);
    assert_eq!(
        rt.map(|n: u64| n, 0..100).filter(Result::is_ok).count(),
        100
    );
}
