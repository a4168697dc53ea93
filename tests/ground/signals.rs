//! Signals of whoever started the program, and of the program itself.

use libtest_mimic::Trial;

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("a_host_in_plain_surroundings", || {
            let ended = Host::new("plain").run().well();
            assert_eq!(ended.stdout, "49\n");
        }),
        test("signals_are_no_answer_while_it_starts", || {
            let ended = Host::new("timer").arg(50).run().well();
            assert_eq!(ended.stdout, "50 started\n");
        }),
        test("signals_are_no_answer_while_a_zygote_is_replaced", || {
            Host::new("timer_zygote").run().well();
        }),
        test("the_library_s_threads_take_no_signals", || {
            Host::new("masks").run().well();
        }),
        test("a_signal_that_main_waits_for_is_main_s", || {
            Host::new("sigwait").run().well();
        }),
        test("tasks_begin_with_default_signals", || {
            Host::new("task_signals")
                .prepared(|| {
                    // SAFETY: plain system calls.
                    unsafe {
                        for signal in (1..=31).filter(|s| ![9, 19].contains(s)) {
                            libc::signal(signal, libc::SIG_IGN);
                        }
                        let mut all: libc::sigset_t = std::mem::zeroed();
                        libc::sigfillset(&raw mut all);
                        libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
                    }
                    Ok(())
                })
                .run()
                .well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("plain", plain),
        ("timer", timer),
        ("timer_zygote", timer_zygote),
        ("masks", masks),
        ("sigwait", sigwait),
        ("task_signals", task_signals),
    ]
}

fn square(n: u64) -> u64 {
    n * n
}

fn start(workers: usize) -> pinfold::Runtime {
    let builder = pinfold::Runtime::builder().workers(workers);
    builder.start().expect("starts")
}

fn plain(_: &[String]) {
    println!("{}", start(2).spawn(square, 7).join().expect("a value"));
}

extern "C" fn nothing(_: libc::c_int) {}

/// Has a handler without SA_RESTART called so often, in µs.
pub fn set_timer(every: u64) {
    // SAFETY: the handler does nothing; the values are plain.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        let every = libc::timeval {
            tv_sec: 0,
            tv_usec: every as libc::suseconds_t,
        };
        let timer = libc::itimerval {
            it_interval: every,
            it_value: every,
        };
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

fn timer(words: &[String]) {
    set_timer(500);
    let rounds: u64 = words[0].parse().expect("a number");
    for n in 0..rounds {
        let rt = start(1);
        assert_eq!(rt.spawn(square, n).join(), Ok(n * n));
    }
    println!("{rounds} started");
}

fn timer_zygote(_: &[String]) {
    set_timer(500);
    let rt = start(1);
    for n in 0..5 {
        let zygote = rt
            .spawn(|(): ()| std::os::unix::process::parent_id(), ())
            .join();
        let zygote = zygote.expect("a value") as i32;
        // SAFETY: the zygote lives, and is the task's parent.
        unsafe { libc::kill(zygote, libc::SIGKILL) };
        let again = rt.task(square).safe_to_repeat(20).spawn(n).join();
        assert_eq!(again, Ok(n * n));
    }
}

/// A line of a thread's or process's status, as a number.
fn status(path: &str, line: &str) -> u64 {
    let text = std::fs::read_to_string(path).expect("/proc is there");
    mask_in(&text, line)
}

fn mask_in(text: &str, line: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(line));
    let mask = line.expect("the line").trim_start_matches(':').trim();
    u64::from_str_radix(mask, 16).expect("a mask")
}

/// All that others may send.
const OTHERS: [i32; 9] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCHLD,
    libc::SIGPROF,
];

fn assert_blocked(mask: u64, who: &str) {
    for signal in OTHERS {
        let is_blocked = mask & (1 << (signal - 1)) != 0;
        assert!(is_blocked, "{who} does not block {signal}: {mask:x}");
    }
}

fn masks(_: &[String]) {
    tracing_subscriber::fmt().with_writer(std::io::sink).init();
    let rt = start(2);
    let (send, receive) = std::sync::mpsc::channel();
    let _ = rt.spawn(square, 1).on_complete(move |_| {
        let _ = send.send(status("/proc/thread-self/status", "SigBlk"));
    });
    assert_blocked(receive.recv().expect("it is called"), "a callback");
    // So are they in a program that a callback starts, unless that resets them.
    let (send, receive) = std::sync::mpsc::channel();
    let _ = rt.spawn(square, 1).on_complete(move |_| {
        let mut grep = std::process::Command::new("grep");
        let grep = grep.args(["SigBlk", "/proc/self/status"]).output();
        let _ = send.send(String::from_utf8(grep.expect("it runs").stdout).expect("text"));
    });
    let text = receive.recv().expect("it is called");
    assert_blocked(mask_in(&text, "SigBlk"), "a callback's program");
    let mut seen = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").expect("threads") {
        let path = thread.expect("a thread").path();
        let name = std::fs::read_to_string(path.join("comm")).expect("a name");
        let file = path.join("status").display().to_string();
        if name.starts_with("pinfold-") {
            assert_blocked(status(&file, "SigBlk"), &name);
            seen.push(name.trim_end().to_owned());
        }
    }
    seen.sort();
    seen.dedup();
    let all = ["attend", "call", "logs", "super", "watch"].map(|name| format!("pinfold-{name}"));
    assert_eq!(seen, all);
    assert_eq!(status("/proc/thread-self/status", "SigBlk"), 0, "main's");
}

fn sigwait(_: &[String]) {
    let _rt = start(1);
    // SAFETY: plain system calls on a set of this thread's.
    let got = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::kill(libc::getpid(), libc::SIGTERM);
        let mut got = 0;
        libc::sigwait(&raw const set, &raw mut got);
        got
    };
    assert_eq!(got, libc::SIGTERM);
}

/// What a task has, and what a program has that it starts, by the standard library and by
/// the C library.
fn what_a_task_has(_: ()) -> [String; 3] {
    let own = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let started = std::process::Command::new("cat")
        .arg("/proc/self/status")
        .output()
        .expect("cat");
    let file = format!("/tmp/pinfold-ground-{}", std::process::id());
    let line = std::ffi::CString::new(format!("cat /proc/self/status > {file}")).expect("text");
    // SAFETY: a valid string.
    unsafe { libc::system(line.as_ptr()) };
    let by_c = std::fs::read_to_string(&file).expect("written");
    let _ = std::fs::remove_file(&file);
    [own, String::from_utf8_lossy(&started.stdout).into(), by_c]
}

/// What a write is answered that nobody will read.
fn broken_pipe(_: ()) -> Option<i32> {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.write(b"x").expect_err("nobody reads").raw_os_error()
}

fn task_signals(_: &[String]) {
    let rt = start(1);
    let all = rt.spawn(what_a_task_has, ()).join().expect("a value");
    for (text, who) in all
        .iter()
        .zip(["a task", "a program", "a program started by C"])
    {
        for line in ["SigBlk", "SigIgn"] {
            // Two that the C library keeps are ignored in what it starts, by its own doing.
            let mask = mask_in(text, line) & !(0b11 << 31);
            assert_eq!(mask, 0, "{line} of {who}");
        }
    }
    // Broken pipes are errors; faults are looked at for an overflow of the stack, as in every Rust program.
    let caught = [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS];
    let caught = caught.iter().fold(0, |set, signal| set | 1 << (signal - 1));
    assert_eq!(mask_in(&all[0], "SigCgt") & 0x7fff_ffff, caught);
    assert_eq!(rt.spawn(broken_pipe, ()).join(), Ok(Some(libc::EPIPE)));
    let died = rt.spawn(overflow, 1 << 40).join().expect_err("no stack");
    assert!(died.to_string().contains("SIGSEGV"), "{died}");
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    overflow(n - 1) + std::hint::black_box(frame)[3]
}
