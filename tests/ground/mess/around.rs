//! What a task sees around it, and what it may do to its process.

use std::collections::BTreeMap;
use std::os::unix::process::parent_id;
use std::time::Duration;

use libtest_mimic::Trial;
use pinfold::{Runtime, TaskError};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("mess_surroundings_are_those_of_the_start", || {
            let mut host = Host::new("around_same");
            host.command.env("FIRST", "as it was").current_dir("/tmp");
            host.run().well();
        }),
        test("mess_what_a_task_changes_ends_with_its_worker", || {
            Host::new("around_changed").run().well();
        }),
        test("mess_a_task_may_take_its_process_apart", || {
            Host::new("around_apart").run().well();
        }),
        test("mess_threads_of_pinned_tasks_have_one_cpu", || {
            Host::new("around_pinned").run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("around_same", same),
        ("around_changed", changed),
        ("around_apart", apart),
        ("around_pinned", pinned),
    ]
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    environment: BTreeMap<String, String>,
    directory: String,
    umask: u32,
    limits: Vec<u64>,
    affinity: String,
}

fn look(_: ()) -> Seen {
    let status = std::fs::read_to_string("/proc/self/status").expect("there");
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let limits = [libc::RLIMIT_NOFILE, libc::RLIMIT_CORE, libc::RLIMIT_STACK];
    Seen {
        environment: std::env::vars().collect(),
        directory: std::env::current_dir()
            .expect("there")
            .display()
            .to_string(),
        umask: u32::from_str_radix(line("Umask:").expect("told").trim(), 8).expect("octal"),
        limits: limits.map(soft_limit).to_vec(),
        affinity: line("Cpus_allowed_list:").expect("told").trim().to_owned(),
    }
}

fn soft_limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to it.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    limit.rlim_cur
}

fn lower(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to it, and reads it.
    unsafe {
        libc::getrlimit(resource, &raw mut limit);
        limit.rlim_cur = soft;
        libc::setrlimit(resource, &raw const limit);
    }
}

fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(pid as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
}

/// Kills the worker, or its zygote; runs the task again if that is too early.
fn end_the(rt: &Runtime, which: impl Fn(()) -> u32 + Copy + Send + 'static) {
    kill(
        rt.task(which)
            .safe_to_repeat(3)
            .spawn(())
            .join()
            .expect("a value"),
    );
}

fn looked(rt: &Runtime) -> Seen {
    let look = rt.task(look).safe_to_repeat(5);
    look.spawn(()).join().expect("a value")
}

fn same(_: &[String]) {
    let rt = Runtime::builder()
        .workers(1)
        .pin(false)
        .start()
        .expect("starts");
    let at_start = looked(&rt);
    assert_eq!(
        at_start.environment.get("FIRST").map(String::as_str),
        Some("as it was")
    );
    // SAFETY: the other threads of this program do not look at the environment now.
    unsafe {
        std::env::set_var("FIRST", "changed");
        std::env::set_var("SECOND", "new");
    }
    std::env::set_current_dir("/").expect("there");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
    lower(libc::RLIMIT_NOFILE, 200);
    lower(libc::RLIMIT_CORE, 4096);
    assert_eq!(looked(&rt), at_start);
    let restarts = rt.stats().restarts;
    end_the(&rt, |()| std::process::id());
    while rt.stats().restarts == restarts {
        std::thread::yield_now();
    }
    assert_eq!(looked(&rt), at_start);
    let restarts = rt.stats().restarts;
    end_the(&rt, |()| parent_id());
    while rt.stats().restarts == restarts {
        std::thread::yield_now();
    }
    assert_eq!(looked(&rt), at_start);
}

fn changed(_: &[String]) {
    let rt = Runtime::builder().workers(1).start().expect("starts");
    let at_start = looked(&rt);
    let change = |(): ()| {
        // SAFETY: the worker's only thread.
        unsafe { std::env::set_var("BY_A_TASK", "yes") };
        std::env::set_current_dir("/usr").expect("there");
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o77));
        lower(libc::RLIMIT_NOFILE, 100);
    };
    rt.spawn(change, ()).join().expect("a value");
    // The next task of the worker sees it,
    let now = looked(&rt);
    assert_eq!(
        (&*now.directory, now.umask, now.limits[0]),
        ("/usr", 0o77, 100)
    );
    assert!(now.environment.contains_key("BY_A_TASK"));
    // and none of its successor's.
    rt.spawn(|(): ()| -> () { std::process::abort() }, ())
        .join()
        .expect_err("it has died");
    assert_eq!(looked(&rt), at_start);
}

fn apart(_: &[String]) {
    let rt = Runtime::builder().workers(1).start().expect("starts");
    let apart = |(): ()| {
        // SAFETY: plain system calls, which harm the worker alone.
        unsafe {
            libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
            for signal in 1..65 {
                libc::signal(signal, libc::SIG_IGN);
            }
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
            libc::nice(5);
            libc::umask(0o777);
            libc::alarm(1);
        }
        std::env::set_current_dir("/proc").expect("there");
    };
    rt.spawn(apart, ()).join().expect("a value");
    let long = |n: u32| vec![n; 10_000];
    assert!(
        rt.map(long, 0..200)
            .all(|value| value.is_ok_and(|v| v.len() == 10_000))
    );
    let panics = rt.spawn(|(): ()| -> () { panic!("as ever") }, ()).join();
    assert!(matches!(panics, Err(TaskError::Panicked { .. })));
    assert_eq!(rt.stats().restarts, 0);
    let hangs = |(): ()| std::thread::sleep(Duration::from_secs(1000));
    let late = rt.task(hangs).hard_deadline(Duration::from_millis(300));
    let late = late.spawn(()).join();
    assert!(
        matches!(late, Err(TaskError::DeadlineExceeded { .. })),
        "{late:?}"
    );
    rt.spawn(|(): ()| (), ()).join().expect("a successor");
    rt.spawn(apart, ()).join().expect("a value");
    rt.shutdown(pinfold::Shutdown::Drain).expect("in order");
}

fn pinned(_: &[String]) {
    for (pin, expected) in [(true, true), (false, false)] {
        let rt = Runtime::builder()
            .workers(1)
            .pin(pin)
            .start()
            .expect("starts");
        let cpus = rt
            .spawn(
                |(): ()| {
                    std::thread::spawn(|| look(()).affinity)
                        .join()
                        .expect("no panic")
                },
                (),
            )
            .join()
            .expect("a value");
        let all = look(()).affinity;
        let is_one = cpus.parse::<u32>().is_ok();
        assert!(
            is_one == expected || cpus == all,
            "pin {pin}: {cpus} of {all}"
        );
    }
}
