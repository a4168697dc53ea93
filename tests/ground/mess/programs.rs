//! Programs that tasks have started, when their workers end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Runtime, Shutdown};

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("mess_programs_end_with_their_worker", || {
            for how in [
                "deadline", "cancel", "abort", "crash", "drain", "zygote", "spare", "host",
            ] {
                let ended = Host::new("programs_end").arg(how).run();
                // The pipe of its output was closed long before the program would have ended by itself.
                assert!(ended.took < Duration::from_secs(50), "{how}: {ended:?}");
                let expected = if how == "host" {
                    128 + libc::SIGKILL
                } else {
                    0
                };
                assert_eq!(ended.status, expected, "{how}: {ended:#?}");
            }
        }),
        test("mess_programs_live_on_if_they_may", || {
            Host::new("programs_live").run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![("programs_end", end), ("programs_live", live)]
}

/// Starts a program that starts another, tells the numbers of both, and waits for it.
fn starts(path: PathBuf) -> u32 {
    let script = "sleep 60 & echo $$ $! > \"$0.new\" && mv \"$0.new\" \"$0\"; wait";
    let mut shell = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(path)
        .spawn()
        .expect("a shell");
    shell.wait().expect("a child");
    std::os::unix::process::parent_id()
}

/// The numbers that were told in the file at `path`.
fn told(path: &Path) -> Vec<u32> {
    let begin = Instant::now();
    while !path.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "it was not started"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    let text = std::fs::read_to_string(path).expect("there");
    text.split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect()
}

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

fn await_end(pids: &[u32]) {
    let begin = Instant::now();
    while pids.iter().any(|pid| runs(*pid)) {
        assert!(begin.elapsed() < Duration::from_secs(20), "they live on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(pid as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
}

fn worker_of(rt: &Runtime) -> u32 {
    rt.stats().workers[0].pid as u32
}

fn end(words: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("told");
    let how = &*words[0];
    let builder = Runtime::builder().workers(1).end_programs(true);
    let builder = builder.spares(usize::from(how == "spare"));
    let rt = builder.start().expect("starts");
    if how == "spare" {
        rt.spawn(|(): ()| -> () { std::process::abort() }, ())
            .join()
            .expect_err("dead");
    }
    let zygote = rt.spawn(|(): ()| std::os::unix::process::parent_id(), ());
    let zygote = zygote.join().expect("a value");
    if how == "drain" {
        let left = |path: PathBuf| {
            let script = "echo $$ > \"$0.new\" && mv \"$0.new\" \"$0\"; exec sleep 60";
            drop(
                Command::new("sh")
                    .arg("-c")
                    .arg(script)
                    .arg(path)
                    .spawn()
                    .expect("a shell"),
            );
        };
        rt.spawn(left, path.clone()).join().expect("a value");
        let pids = told(&path);
        rt.shutdown(Shutdown::Drain).expect("in order");
        return await_end(&pids);
    }
    let task = rt.task(starts);
    let task = match how {
        "deadline" => task.hard_deadline(Duration::from_secs(2)),
        _ => task,
    };
    let task = task.spawn(path.clone());
    let pids = told(&path);
    match how {
        "deadline" => drop(task.join().expect_err("late")),
        "cancel" => {
            task.cancel_within(Duration::ZERO);
        }
        "abort" => drop(rt.shutdown(Shutdown::Abort)),
        "crash" | "spare" => kill(worker_of(&rt)),
        "zygote" => kill(zygote),
        "host" => {
            // All that it has open is closed by its end, also the directory's keeper.
            let _ = std::fs::remove_dir_all(dir.path());
            kill(std::process::id());
        }
        other => panic!("{other}?"),
    }
    if how != "zygote" || has_group_signals() {
        await_end(&pids);
    } else {
        pids.iter().for_each(|pid| kill(*pid));
    }
}

/// Whether this kernel can send a signal to the group of a process that has ended (Linux 6.9).
fn has_group_signals() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("there");
    let mut numbers = release
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

fn live(_: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("told");
    let rt = Runtime::builder().workers(1).start().expect("starts");
    let task = rt.task(starts).hard_deadline(Duration::from_secs(2));
    let task = task.spawn(path.clone());
    let pids = told(&path);
    task.join().expect_err("late");
    assert!(pids.iter().all(|pid| runs(*pid)));
    pids.iter().for_each(|pid| kill(*pid));
    await_end(&pids);
}
