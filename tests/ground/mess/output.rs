//! What tasks have written and not passed on, and what `worker_init` has made, when workers end.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Builder, Runtime, Shutdown};

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("mess_what_tasks_print_arrives", || {
            for how in ["drain", "drain_for", "graceful", "drop", "threads", "beats"] {
                let mut host = Host::new("output_printed").arg(how);
                host.command.env("SPEAKS_EARLY", "1");
                let out = host.run().well().stdout;
                for text in ["line of Rust", "part of Rust", "line of C", "before init"] {
                    assert_eq!(out.matches(text).count(), 1, "{how}: {out:?}");
                }
            }
        }),
        test("mess_worker_state_is_dropped", || {
            Host::new("output_state").run().well();
        }),
        test("mess_worker_state_that_others_may_use_is_not", || {
            Host::new("output_state_used").run().well();
        }),
        test("mess_worker_state_that_hangs_is_killed", || {
            let ended = Host::new("output_state_hangs").run().well();
            assert!(ended.took < Duration::from_secs(40), "{ended:?}");
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("output_printed", printed),
        ("output_state", state),
        ("output_state_used", state_used),
        ("output_state_hangs", state_hangs),
    ]
}

fn c_print(text: &std::ffi::CStr) {
    // SAFETY: a string, and a stream of the C library's.
    unsafe { libc::printf(c"%s".as_ptr(), text.as_ptr()) };
}

/// Before `main`, in the host and in its zygote: it stays in a buffer, of which the workers get copies.
extern "C" fn early() {
    if std::env::var_os("SPEAKS_EARLY").is_some() {
        c_print(c"before init");
    }
}

#[used]
// SAFETY: the loader calls it once, before `main`.
#[unsafe(link_section = ".init_array")]
static EARLY: extern "C" fn() = early;

fn printed(words: &[String]) {
    let mut builder = Runtime::builder().workers(2);
    match &*words[0] {
        "threads" => builder = builder.workers(1).threads_per_worker(2),
        "beats" => builder = builder.heartbeat(Duration::from_secs(10)),
        _ => {}
    }
    let rt = builder.start().expect("starts");
    rt.spawn(
        |(): ()| {
            println!("a line of Rust");
            print!("a part of Rust");
            c_print(c"a line of C\n");
        },
        (),
    )
    .join()
    .expect("a value");
    let (drain, grace) = (Duration::from_secs(30), Duration::from_secs(1));
    match &*words[0] {
        "drop" => drop(rt),
        "drain_for" => rt.shutdown(Shutdown::DrainFor(drain)).expect("in time"),
        "graceful" => rt
            .shutdown(Shutdown::Graceful { drain, grace })
            .expect("in time"),
        _ => rt.shutdown(Shutdown::Drain).expect("in order"),
    }
}

/// Where a worker's state writes when it is dropped.
fn path() -> std::path::PathBuf {
    std::env::var_os("STATE_FILE")
        .expect("the test has said where")
        .into()
}

struct Written(Mutex<BufWriter<std::fs::File>>);

impl Drop for Written {
    fn drop(&mut self) {
        let _ = self.0.lock().map(|mut file| file.write_all(b"dropped\n"));
        if std::env::var_os("STATE_HANGS").is_some() {
            loop {
                std::thread::park();
            }
        }
    }
}

fn with_state(path: &std::path::Path) -> Builder {
    // SAFETY: this program has one thread so far.
    unsafe { std::env::set_var("STATE_FILE", path) };
    Runtime::builder().workers(2).worker_init(|| {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self::path());
        file.map(|file| Written(Mutex::new(BufWriter::new(file))))
    })
}

fn write_line(n: u32) {
    let state = pinfold::worker_state::<Written>().expect("a state");
    let mut file = state.0.lock().expect("no panic");
    writeln!(file, "line {n}").expect("room");
}

/// What was written, when the runtime is gone.
fn written(rt: Runtime, path: &std::path::Path) -> (usize, usize) {
    assert!(rt.map(write_line, 0..20).all(|done| done.is_ok()));
    rt.shutdown(Shutdown::Drain).expect("in order");
    let text = std::fs::read_to_string(path).expect("there");
    (
        text.matches("line").count(),
        text.matches("dropped").count(),
    )
}

fn state(_: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    let rt = with_state(&path).start().expect("starts");
    assert_eq!(written(rt, &path), (20, 2));
    std::fs::remove_file(&path).expect("there");
    let rt = with_state(&path).heartbeat(Duration::from_secs(10));
    let rt = rt.threads_per_worker(2).start().expect("starts");
    // Threads that have ended do not count.
    rt.spawn(|(): ()| std::thread::spawn(|| ()).join().is_ok(), ())
        .join()
        .expect("a value");
    assert_eq!(written(rt, &path), (20, 2));
}

fn state_used(_: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    let rt = with_state(&path).workers(1).start().expect("starts");
    rt.spawn(
        |(): ()| {
            std::thread::spawn(|| {
                let state = pinfold::worker_state::<Written>();
                loop {
                    std::hint::black_box(state.map(|state| state.0.is_poisoned()));
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        },
        (),
    )
    .join()
    .expect("a value");
    assert_eq!(written(rt, &path), (0, 0));
}

fn state_hangs(_: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    // SAFETY: this program has one thread so far.
    unsafe { std::env::set_var("STATE_HANGS", "1") };
    let rt = with_state(&dir.path().join("state")).start();
    let rt = rt.expect("starts");
    rt.map(write_line, 0..4).for_each(drop);
    let begin = Instant::now();
    rt.shutdown(Shutdown::Drain).expect("nothing was in flight");
    assert!(begin.elapsed() < Duration::from_secs(30));
}
