//! The tool `pinfold` in odd surroundings.
//!
//! A case is a line of shell, run in a scratch directory, with `$P` for the tool; `tree` there holds three files.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::host::{Ended, Host, Running};
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "tool_stdout_by_its_name_is_written_where_it_stands",
            stdout_by_its_name,
        ),
        test("tool_out_keeps_mode_owner_and_links", keeps_what_it_has),
        test(
            "tool_out_is_written_where_only_the_file_may_be",
            only_the_file,
        ),
        test("tool_out_to_a_mounted_file", mounted_file),
        test(
            "tool_what_cannot_be_written_is_told_before_the_work",
            told_before,
        ),
        test("tool_a_limit_on_file_sizes_is_an_error", file_size_limit),
        test("tool_closed_pipes_end_it_quietly", closed_pipes),
        test("tool_full_or_closed_streams_give_the_status", full_streams),
        test("tool_ignored_signals_stay_ignored", ignored_signals),
        test("tool_a_signal_at_any_moment", a_signal_at_any_moment),
        test("tool_its_own_output_is_not_indexed", own_output),
        test("tool_only_changed_contents_count_as_changed", only_contents),
        test("tool_without_workers_the_host_goes_on", without_workers),
        test("tool_long_chunks_are_not_read_again", long_chunks),
        test("tool_a_renamed_directory_is_the_same", renamed_directory),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![("hog", hog)]
}

/// Takes all processes that a user of its own may have, again and again, until it is ended.
fn hog(_: &[String]) {
    let limit = rustix::process::Rlimit {
        current: Some(60),
        maximum: Some(60),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nproc, limit).expect("a limit");
    nix::unistd::setresgid(54399.into(), 54399.into(), 54399.into()).expect("a group");
    nix::unistd::setresuid(54399.into(), 54399.into(), 54399.into()).expect("a user");
    let me = nix::unistd::getpid();
    let mut has_said = false;
    loop {
        // SAFETY: this program has one thread.
        match unsafe { nix::unistd::fork() } {
            Ok(nix::unistd::ForkResult::Child) => {
                while nix::unistd::getppid() == me {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                return;
            }
            Ok(nix::unistd::ForkResult::Parent { .. }) => {}
            Err(_) => {
                if !std::mem::replace(&mut has_said, true) {
                    println!("all taken");
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

/// Runs `script` in `at`.
fn shell(at: &Path, script: &str) -> Ended {
    started(at, script).end()
}

/// Starts `script` in `at`.
fn started(at: &Path, script: &str) -> Running {
    let mut host = Host::of("/bin/bash").arg("-c").arg(script);
    host.command
        .current_dir(at)
        .env("P", env!("CARGO_BIN_EXE_pinfold"));
    host.start()
}

/// A scratch directory with a small tree.
fn scratch() -> tempfile::TempDir {
    let at = tempfile::tempdir().expect("a scratch directory");
    fs::create_dir(at.path().join("tree")).expect("a directory");
    for name in ["a", "b", "c"] {
        let text = format!("{name}\n").repeat(120);
        fs::write(at.path().join("tree").join(name), text).expect("a file");
    }
    at
}

/// The records that three files of 120 lines give.
const RECORDS: usize = 9;

fn lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).expect("readable");
    text.lines().filter(|line| line.starts_with('{')).count()
}

fn stdout_by_its_name() {
    let at = scratch();
    let log = at.path().join("log");
    for name in ["/dev/stdout", "/proc/self/fd/1", "-", "/dev/fd/1"] {
        fs::write(&log, "precious\n").expect("a file");
        let ended = shell(at.path(), &format!("$P index tree --out {name} >> log")).well();
        let text = fs::read_to_string(&log).expect("readable");
        assert!(text.starts_with("precious\n"), "{name}: {text}");
        assert_eq!(lines(&log), RECORDS, "{name}");
        assert!(ended.stderr.contains("3 files"), "{name}: {ended:?}");
    }
    // A descriptor that is not stdout.
    fs::write(&log, "precious\n").expect("a file");
    let ended = shell(at.path(), "$P index tree --out /dev/fd/7 7>> log").well();
    assert_eq!(lines(&log), RECORDS);
    assert!(ended.stdout.contains("3 files"), "{ended:?}");
    // Both want stdout, whatever it is called.
    let ended = shell(at.path(), "$P index tree --json --out /dev/stdout > log");
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.stderr.contains("both want stdout"), "{ended:?}");
}

fn keeps_what_it_has() {
    let at = scratch();
    let out = at.path().join("out");
    fs::write(&out, "old").expect("a file");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o600)).expect("a mode");
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&out, Some(12345), Some(54321)).expect("an owner");
    }
    let before = fs::metadata(&out).expect("there");
    shell(at.path(), "$P index tree --out out").well();
    let after = fs::metadata(&out).expect("there");
    let shown = |it: &fs::Metadata| (it.mode(), it.uid(), it.gid());
    assert_eq!(shown(&after), shown(&before));
    assert_eq!(lines(&out), RECORDS);
    // A hard link leads to the new contents.
    fs::hard_link(&out, at.path().join("other")).expect("a link");
    shell(at.path(), "echo d > tree/d; $P index tree --out out").well();
    assert_eq!(lines(&at.path().join("other")), RECORDS + 1);
}

fn only_the_file() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root, to become somebody else");
        return;
    }
    let at = scratch();
    fs::set_permissions(at.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let out = at.path().join("out");
    fs::write(&out, "old").expect("a file");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).expect("a mode");
    // The tool itself may lie where nobody else may look.
    fs::copy(env!("CARGO_BIN_EXE_pinfold"), at.path().join("tool")).expect("a copy");
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    shell(at.path(), &format!("{nobody} ./tool index tree --out out")).well();
    assert_eq!(lines(&out), RECORDS);
    // And where not even that, it is said before the work.
    fs::set_permissions(&out, fs::Permissions::from_mode(0o644)).expect("a mode");
    let ended = shell(at.path(), &format!("{nobody} ./tool index tree --out out"));
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(
        ended.stderr.contains("cannot write out: Permission denied"),
        "{ended:?}"
    );
}

fn mounted_file() {
    let at = scratch();
    let script = "unshare -m bash -c 'touch a b && mount --bind a b && $P index tree --out b'";
    if shell(at.path(), "unshare -m true").status != 0 {
        println!("skipped: needs root, to mount a file");
        return;
    }
    shell(at.path(), script).well();
    assert_eq!(lines(&at.path().join("a")), RECORDS);
}

fn told_before() {
    let at = scratch();
    for (out, why) in [
        ("missing/out", "No such file"),
        ("tree", "directory"),
        ("tree/", "directory"),
        ("new/", "directory"),
    ] {
        let ended = shell(at.path(), &format!("$P index tree --out {out}"));
        assert_eq!(ended.status, 2, "{out}: {ended:?}");
        assert!(ended.stderr.contains(why), "{out}: {ended:?}");
    }
    assert!(!at.path().join("new").exists());
}

fn file_size_limit() {
    let at = scratch();
    fs::write(at.path().join("out"), "old").expect("a file");
    let ended = shell(
        at.path(),
        "ulimit -f 8; $P index tree --workers 0 --lines 1 --out out",
    );
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.stderr.contains("File too large"), "{ended:?}");
    let text = fs::read_to_string(at.path().join("out"));
    assert_eq!(text.expect("readable"), "old");
}

fn closed_pipes() {
    let at = scratch();
    for command in [
        "$P index tree --out -",
        "$P index tree",
        "$P index tree --json",
        "$P index /usr/include --lines 1 --out -",
    ] {
        let ended = shell(
            at.path(),
            &format!("{command} 2>err | true; echo ${{PIPESTATUS[0]}}; cat err >&2"),
        );
        // Who is quicker is not known: it may all have fitted into the pipe.
        let status = ended.stdout.trim();
        assert!(["0", "1", "141"].contains(&status), "{command}: {ended:?}");
        assert!(!ended.stderr.contains("cannot"), "{command}: {ended:?}");
        assert!(!ended.stderr.contains("panic"), "{command}: {ended:?}");
    }
}

fn full_streams() {
    let at = scratch();
    for (script, status) in [
        ("$P index missing 2>/dev/full", 2),
        ("$P index missing 2>&-", 2),
        ("$P index tree >/dev/full", 2),
        ("$P index tree >/dev/full 2>/dev/full", 2),
        ("$P index tree --json >/dev/full", 2),
        ("$P index tree --out - >/dev/full", 2),
        ("$P index tree --out - 2>/dev/full", 2),
        ("$P index tree 2>/dev/full", 0),
        ("$P topology >/dev/full 2>/dev/full", 2),
        ("$P man >/dev/full 2>/dev/full", 2),
        ("$P completions bash >/dev/full 2>/dev/full", 2),
    ] {
        let ended = shell(at.path(), script);
        assert_eq!(ended.status, status, "{script}: {ended:?}");
    }
    // A run that hangs (nobody reads its output) ends by a signal, whatever stderr is.
    fs::write(at.path().join("tree/long"), "\n".repeat(20_000)).expect("a file");
    let _fifo = fifo(at.path());
    let running = started(
        at.path(),
        "exec $P index tree --lines 1 --out fifo 2>/dev/full",
    );
    running.until("signals are caught", |pid| catches(pid, 15));
    send(running.pid(), Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.status, 143, "{ended:?}");
}

fn ignored_signals() {
    let at = scratch();
    nix::unistd::mkfifo(&at.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let running = started(
        at.path(),
        "trap '' HUP INT; exec $P index tree --lines 1 --out fifo",
    );
    // It cannot go on before somebody opens the pipe to read.
    running.until("signals are caught", |pid| catches(pid, 15));
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        send(running.pid(), signal);
    }
    let records = fs::read_to_string(at.path().join("fifo")).expect("readable");
    assert_eq!(records.lines().count(), 360);
    running.end().well();
}

fn a_signal_at_any_moment() {
    let at = scratch();
    // A terminal's Ctrl-C reaches the whole process group.
    let ended = shell(
        at.path(),
        "set -m
         for delay in 0.000 0.002 0.004 0.006 0.008 0.010 0.012 0.015 0.020 0.030 0.050; do
             $P index /usr/include --lines 1 2>err & run=$!
             sleep $delay; kill -INT -- -$run; wait $run; status=$?
             # It may have been through already.
             [ $status = 130 ] || [ $status = 0 ] || [ $status = 1 ] || { echo $status; cat err; exit 1; }
         done >/dev/null",
    );
    assert_eq!(ended.status, 0, "{ended:?}");
}

fn own_output() {
    let at = scratch();
    for script in [
        "$P index tree --lines 1 --json --out tree/z.jsonl",
        "$P index tree --lines 1 --json --out tree/z.jsonl",
        "$P index tree --lines 1 --out - > tree/y.jsonl",
        "$P index tree --json > tree/x.json; cat tree/x.json; rm tree/x.json",
    ] {
        let ended = shell(at.path(), script).well();
        let all = ended.stdout + &ended.stderr;
        // The output of an earlier run is a file as any other, the run's own is not.
        let before = if script.contains("x.json") { 5 } else { 3 };
        let before = if script.contains("y.jsonl") {
            4
        } else {
            before
        };
        let is_right = all.contains(&format!("\"files\":{before},"))
            || all.contains(&format!("{before} files"));
        assert!(is_right, "{script}: {all}");
    }
}

fn only_contents() {
    let at = scratch();
    fs::write(at.path().join("tree/large"), "line\n".repeat(400_000)).expect("a file");
    // What changes names and mode only, all the time.
    shell(
        at.path(),
        "(while :; do ln tree/large other; chmod 600 tree/large; rm other; chmod 644 tree/large; done) & other=$!
         for i in 1 2 3; do $P index tree --json > report || { cat report; kill $other; exit 1; }; done
         kill $other",
    )
    .well();
}

fn without_workers() {
    let at = scratch();
    for number in 0..3000 {
        fs::write(at.path().join(format!("tree/{number}")), "line\n").expect("a file");
    }
    let here = shell(at.path(), "$P index tree --workers 0 --json").well();
    // No process can be made by this user any more once the run has begun, and the workers die.
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root, to become somebody whose processes are counted");
        return;
    }
    fs::set_permissions(at.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::copy(env!("CARGO_BIN_EXE_pinfold"), at.path().join("tool")).expect("a copy");
    let mut fifo = fifo(at.path());
    let running = started(
        at.path(),
        "ulimit -u 60; exec setpriv --reuid 54399 --regid 54399 --clear-groups ./tool index tree --json --out fifo",
    );
    let workers = |host| {
        children(host)
            .into_iter()
            .flat_map(children)
            .collect::<Vec<_>>()
    };
    running.until("workers", |pid| workers(pid).len() >= 2);
    // Nobody reads yet, so the run is in the middle of its work.
    fifo.read_exact(&mut [0; 1000]).expect("records");
    let mut hog = Host::new("hog").start();
    hog.line();
    // A place that a dead worker leaves is taken by the one or the other; until it is the other.
    let mut looks = 0;
    running.until("no worker can be started", |pid| {
        let workers = workers(pid);
        workers.iter().for_each(|&pid| send(pid, Signal::SIGKILL));
        looks = if workers.is_empty() { looks + 1 } else { 0 };
        looks > 50
    });
    std::thread::spawn(move || std::io::copy(&mut fifo, &mut std::io::sink()));
    let ended = running.end().well();
    send(hog.pid(), Signal::SIGTERM);
    assert_eq!(hog.end().status, 128 + Signal::SIGTERM as i32);
    assert_eq!(digest(&ended), digest(&here), "{ended:?}");
    assert!(ended.stderr.contains("without workers"), "{ended:?}");
}

fn long_chunks() {
    let at = scratch();
    // 5 MB of short lines, then one line of holes: one chunk that begins in the second part.
    shell(
        at.path(),
        "yes 'normal line of text' | head -c 5000000 > tree/long; truncate -s 160000000 tree/long",
    )
    .well();
    // The kernel adds what a process has read to its parent's count when that waits for it.
    let read = |workers: u32| {
        let script = format!("$P index tree --json --workers {workers}; grep ^rchar /proc/$$/io");
        let ended = shell(at.path(), &script).well();
        let count = ended
            .stdout
            .lines()
            .last()
            .and_then(|line| line.split_once(": "));
        count.and_then(|(_, count)| count.parse::<u64>().ok())
    };
    let (Some(one), Some(two)) = (read(1), read(2)) else {
        println!("skipped: this kernel does not count what a process reads");
        return;
    };
    assert!(one >= 160_000_000, "{one} bytes read");
    // The first stride of 16 MiB is counted before it shows that there is nothing to divide; of the chunk, no unit is
    // read twice.
    assert!(
        two < one + (24 << 20),
        "{two} bytes with two workers, {one} with one"
    );
}

fn renamed_directory() {
    let at = scratch();
    for number in 0..2000 {
        fs::write(at.path().join(format!("tree/{number}")), "old\n").expect("a file");
    }
    let all = shell(at.path(), "$P index tree --workers 0 --lines 1 --json").well();
    shell(at.path(), "cp -r tree other; sed -i 's/old/new/' other/*").well();
    let mut fifo = fifo(at.path());
    let running = started(at.path(), "exec $P index tree --lines 1 --json --out fifo");
    let workers = |host| {
        children(host)
            .into_iter()
            .flat_map(children)
            .collect::<Vec<_>>()
    };
    running.until("workers", |pid| workers(pid).len() >= 2);
    // Another directory takes the name in the middle, and all workers are killed.
    fifo.read_exact(&mut [0; 1000]).expect("records");
    shell(at.path(), "mv tree moved; mv other tree").well();
    for pid in workers(running.pid()) {
        send(pid, Signal::SIGKILL);
    }
    std::thread::spawn(move || std::io::copy(&mut fifo, &mut std::io::sink()));
    let ended = running.end().well();
    assert_eq!(digest(&ended), digest(&all), "only the old directory");
}

/// A pipe with a name in `at`, open on this side: nobody waits to open it, and a writer waits when it is full.
fn fifo(at: &Path) -> fs::File {
    let path = at.join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a pipe");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    let options = fs::OpenOptions::new().read(true).write(true).open(path);
    options.expect("it can be opened")
}

fn digest(ended: &Ended) -> String {
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a report");
    report["digest"].to_string()
}

fn send(pid: i32, signal: Signal) {
    // Whoever has ended already needs none.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Whether the process catches this signal.
fn catches(pid: i32, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.unwrap_or(0) >> (signal - 1) & 1 == 1
}

/// The children of a process.
fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    found
}
