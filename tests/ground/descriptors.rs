//! Descriptors: standard streams that are closed, and programs that close what is not theirs.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pinfold::{Runtime, Shutdown, TaskError};

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("descriptors/standard_streams_that_are_closed", || {
            for closed in 1..8 {
                Host::new("closes_standard_streams")
                    .arg(closed)
                    .run()
                    .well();
            }
        }),
        test("descriptors/a_host_that_closes_all", || {
            for kind in ["files", "sockets", "pipes"] {
                for how in ["closes", "replaces"] {
                    let host = Host::new("closes_all").arg(kind).arg(how);
                    host.run().well();
                }
            }
        }),
        test("descriptors/a_host_that_closes_all_and_leaves", || {
            for how in ["closes", "replaces"] {
                Host::new("closes_all_and_leaves").arg(how).run().well();
            }
        }),
        test(
            "descriptors/a_host_that_closes_all_hears_no_more_logs",
            || {
                Host::new("closes_all_and_logs").run().well();
            },
        ),
        test("descriptors/none_is_left_when_a_runtime_is_gone", || {
            Host::new("starts_and_drops").run().well();
        }),
        test("descriptors/a_task_has_none_of_the_host_s_files", || {
            Host::new("keeps_files").run().well();
        }),
        test("descriptors/a_task_that_closes_all", || {
            for how in ["closes", "replaces"] {
                Host::new("task_closes_all").arg(how).run().well();
            }
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![
        ("closes_standard_streams", closes_standard_streams),
        ("closes_all", closes_all),
        ("keeps_files", keeps_files),
        ("starts_and_drops", starts_and_drops),
        ("closes_all_and_leaves", closes_all_and_leaves),
        ("closes_all_and_logs", closes_all_and_logs),
        ("task_closes_all", task_closes_all),
    ]
}

fn same(n: u64) -> u64 {
    n
}

fn start() -> Runtime {
    let builder = Runtime::builder().workers(2).memory_cap(64 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// At once, not a moment later; however the runtime is ended, and while others want the CPUs.
fn starts_and_drops(_: &[String]) {
    drop(start()); // the process's own threads stay
    let before = table().len();
    for _ in 0..4 {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    for round in 0..40 {
        let rt = start();
        assert_eq!(rt.spawn(same, round).join(), Ok(round));
        match round % 3 {
            0 => {}
            1 => rt.shutdown(Shutdown::Drain).expect("nothing runs"),
            _ => {
                let ending = rt.begin_shutdown(Shutdown::Abort);
                ending.wait().expect("nothing runs");
            }
        }
        drop(rt);
        let left = table();
        assert_eq!(left.len(), before, "round {round}: {left:?}");
    }
}

/// Where the numbers of this process's descriptors lead.
fn table() -> Vec<(RawFd, String)> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("/proc").flatten();
    let one = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_string_lossy().parse().ok()?;
        let to = std::fs::read_link(entry.path()).ok()?;
        Some((number, to.to_string_lossy().into_owned()))
    };
    // But for that by which it is read.
    let all = entries.filter_map(one);
    all.filter(|(_, to)| !to.ends_with("/fd")).collect()
}

/// Which of the three leads where, in a worker.
fn standard(_: ()) -> Vec<(RawFd, String)> {
    let mut all = table();
    all.retain(|(number, _)| *number < 3);
    all
}

fn closes_standard_streams(arguments: &[String]) {
    let closed: u32 = arguments[0].parse().expect("a number");
    // SAFETY: a copy by a high number, to say what is wrong.
    let told = unsafe { File::from_raw_fd(libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 100)) };
    std::panic::set_hook(Box::new(move |info| {
        let _ = writeln!(&told, "{info}");
    }));
    let is_closed = |number: RawFd| closed >> number & 1 == 1;
    for number in (0..3).filter(|number| is_closed(*number)) {
        // SAFETY: nobody uses it.
        unsafe { libc::close(number) };
    }
    let rt = start();
    let goes_on = || {
        for n in 0..50 {
            assert_eq!(rt.spawn(same, n).join(), Ok(n));
        }
        for (number, to) in table() {
            assert!(number > 2 || !is_closed(number), "{number} leads to {to}");
        }
        let inside = rt.spawn(standard, ()).join().expect("a value");
        for (number, to) in inside {
            let is_null = to == "/dev/null";
            assert!(is_null || !is_closed(number), "{number} leads to {to}");
        }
    };
    goes_on();
    // Into nothing, or where the test looks: in no case into the runtime.
    println!("{}", "x".repeat(5000));
    eprintln!("{}", "y".repeat(5000));
    let _ = std::io::stdin().read(&mut [0; 100]);
    goes_on();
    let died = rt
        .spawn(|(): ()| -> () { std::process::abort() }, ())
        .join();
    assert!(matches!(died, Err(TaskError::WorkerDied { .. })));
    goes_on();
    let stats = rt.stats();
    assert_eq!((stats.rebuilds, stats.restarts), (0, 1));
}

/// What a program opens, and whether anybody has touched it.
enum Opened {
    File(File),
    Socket(UnixDatagram, UnixDatagram),
    Pipe(File, File),
}

const CONTENTS: &[u8] = &[b'A'; 10_000];

impl Opened {
    fn new(kind: &str) -> Self {
        match kind {
            "files" => {
                let mut file = tempfile::tempfile().expect("a file");
                file.write_all(CONTENTS).expect("is written");
                Opened::File(file)
            }
            "sockets" => {
                let (one, other) = UnixDatagram::pair().expect("sockets");
                other.set_nonblocking(true).expect("is set");
                one.set_nonblocking(true).expect("is set");
                Opened::Socket(one, other)
            }
            _ => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
                for end in [&reader, &writer] {
                    // SAFETY: plain integers.
                    unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
                }
                Opened::Pipe(reader.into(), writer.into())
            }
        }
    }

    /// It is open, and has in it what it had.
    fn is_untouched(&mut self) -> bool {
        let nothing = std::io::ErrorKind::WouldBlock;
        match self {
            Opened::File(file) => {
                let mut contents = Vec::new();
                file.rewind().expect("is open");
                file.read_to_end(&mut contents).expect("is open");
                contents == CONTENTS
            }
            Opened::Socket(one, other) => [one, other]
                .iter()
                .all(|end| end.recv(&mut [0; 8]).is_err_and(|e| e.kind() == nothing)),
            Opened::Pipe(reader, writer) => {
                let read = reader.read(&mut [0; 8]);
                read.is_err_and(|e| e.kind() == nothing) && writer.metadata().is_ok()
            }
        }
    }

    fn numbers(&self) -> Vec<RawFd> {
        match self {
            Opened::File(file) => vec![file.as_raw_fd()],
            Opened::Socket(one, other) => vec![one.as_raw_fd(), other.as_raw_fd()],
            Opened::Pipe(reader, writer) => vec![reader.as_raw_fd(), writer.as_raw_fd()],
        }
    }
}

/// All above the standard streams are closed, or replaced in one step, and the program's own take
/// their numbers.
fn take_over(how: &str, kind: &str) -> Vec<Opened> {
    let highest = table().into_iter().map(|(number, _)| number).max();
    let highest = highest.expect("some are open");
    if how == "closes" {
        // SAFETY: this is what it is about: the program closes what it does not know.
        unsafe { libc::close_range(3, u32::MAX, 0) };
        let mut opened = vec![Opened::new(kind)];
        while opened.iter().flat_map(Opened::numbers).max() <= Some(highest) {
            opened.push(Opened::new(kind));
        }
        return opened;
    }
    let mut opened = Vec::new();
    for (number, _) in table().into_iter().filter(|(number, _)| *number > 2) {
        let file = tempfile::tempfile().expect("a file");
        (&file).write_all(CONTENTS).expect("is written");
        let high = file.into_raw_fd();
        // SAFETY: as above. What was by that number is gone, and the copy is ours.
        let copy = unsafe {
            libc::dup2(high, number);
            File::from_raw_fd(number)
        };
        opened.push(Opened::File(copy));
    }
    opened
}

fn closes_all(arguments: &[String]) {
    let [kind, how] = arguments else {
        panic!("{arguments:?}");
    };
    let rt = start();
    let mut buffer = rt.alloc(8 << 20).expect("room");
    buffer.fill(1);
    drop(buffer);
    let nap = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    let running: Vec<_> = (0..10).map(|_| rt.spawn(nap, 300)).collect();
    let mut opened = take_over(how, kind);
    // The memory is given back without a descriptor, or not at all.
    rt.trim_memory();
    for handle in running {
        let outcome = handle.join();
        let is_clear = matches!(outcome, Ok(()) | Err(TaskError::DescriptorsClosed { .. }));
        assert!(is_clear, "{outcome:?}");
    }
    let until = Instant::now() + Duration::from_secs(20);
    while rt.spawn(same, 7).join() != Ok(7) {
        assert!(Instant::now() < until, "it never goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    for n in 0..100 {
        assert_eq!(rt.spawn(same, n).join(), Ok(n));
    }
    assert!(rt.stats().memory_resident > 0);
    drop(rt);
    assert!(opened.iter_mut().all(Opened::is_untouched));
    // The zygote that was lost has ended, and is left to the program.
    // SAFETY: a plain call; nobody else waits for a child here.
    let left = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
    assert!(left > 0, "{left}");
}

/// What the host has open, before and after the start, is open in no worker, nor in a successor.
fn keeps_files(_: &[String]) {
    let folder = tempfile::tempdir().expect("a directory");
    let keep = |name: &str| {
        let file = std::fs::File::create(folder.path().join(name)).expect("a file");
        // SAFETY: a plain call. The copy is not closed by an exec, and stays open.
        assert!(unsafe { libc::dup(file.as_raw_fd()) } > 2);
    };
    keep("before");
    let rt = start();
    keep("after");
    let open = |(): ()| table().into_iter().map(|(_, path)| path).collect();
    let has_ours = |open: Vec<String>| {
        let folder = folder.path().display().to_string();
        open.iter().any(|path| path.starts_with(&folder))
    };
    assert!(has_ours(open(())), "the host");
    for handle in rt.broadcast(open, ()) {
        assert!(!has_ours(handle.join().expect("a value")), "a worker");
    }
    for handle in rt.broadcast(|(): ()| std::process::exit(0), ()) {
        let death: Result<(), _> = handle.join();
        assert!(death.is_err());
    }
    for handle in rt.broadcast(open, ()) {
        assert!(!has_ours(handle.join().expect("a value")), "a successor");
    }
}

fn closes_all_and_leaves(arguments: &[String]) {
    let rt = start();
    let running = rt.spawn(|(): ()| std::thread::sleep(Duration::from_millis(100)), ());
    let mut opened = take_over(&arguments[0], "files");
    drop(rt);
    let outcome = running.join();
    let is_clear = matches!(
        outcome,
        Ok(()) | Err(TaskError::DescriptorsClosed { .. } | TaskError::Shutdown { .. })
    );
    assert!(is_clear, "{outcome:?}");
    assert!(opened.iter_mut().all(Opened::is_untouched));
}

/// What the host's subscriber was told.
static TOLD: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());

struct Told;

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        TOLD.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn closes_all_and_logs(_: &[String]) {
    tracing_subscriber::fmt().with_writer(|| Told).init();
    let is_told =
        |words: &str| String::from_utf8_lossy(&TOLD.lock().expect("no panic")).contains(words);
    let rt = start();
    let logs = |words: String| tracing::info!("{words}");
    rt.spawn(logs, "at first".to_owned())
        .join()
        .expect("a value");
    let until = Instant::now() + Duration::from_secs(30);
    while !is_told("at first") {
        assert!(Instant::now() < until, "it is never told");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut opened = take_over("closes", "files");
    while rt.spawn(logs, "in the end".to_owned()).join().is_err() {
        assert!(Instant::now() < until, "it never goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What workers have logged by then is told before it returns.
    drop(rt);
    assert!(!is_told("in the end"));
    assert!(opened.iter_mut().all(Opened::is_untouched));
}

static OPENED: std::sync::Mutex<Vec<Opened>> = std::sync::Mutex::new(Vec::new());

fn task_closes_all(arguments: &[String]) {
    let builder = Runtime::builder().workers(1).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("starts");
    let closes = |how: String| {
        let opened = take_over(&how, "files");
        OPENED.lock().expect("alone").extend(opened);
    };
    assert_eq!(rt.spawn(closes, arguments[0].clone()).join(), Ok(()));
    for n in 0..200 {
        assert_eq!(rt.spawn(same, n).join(), Ok(n));
    }
    let panics = |(): ()| -> () { panic!("as any task may") };
    let outcome = rt.spawn(panics, ()).join();
    assert!(matches!(outcome, Err(TaskError::Panicked { .. })));
    let loan = |(): ()| {
        let mut loan = pinfold::alloc(1 << 20).expect("room");
        loan.fill(3);
        drop(loan);
        let mut opened = OPENED.lock().expect("alone");
        !opened.is_empty() && opened.iter_mut().all(Opened::is_untouched)
    };
    assert_eq!(rt.spawn(loan, ()).join(), Ok(true));
    assert_eq!(rt.stats().restarts, 0);
}
