//! What errors, logs and process lists say.

use libtest_mimic::Trial;

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("processes_are_called_what_they_are", || {
            Host::new("names").run().well();
        }),
        test("the_host_of_an_idle_fold_sleeps", || {
            Host::new("idle").run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![("names", names), ("idle", idle)]
}

/// What `ps` shows of a process: its name, and its command line.
fn shown(pid: u32) -> (String, String) {
    let read = |file: &str| {
        let text = std::fs::read(format!("/proc/{pid}/{file}")).expect("it lives");
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        text.trim_end().to_owned()
    };
    (read("comm"), read("cmdline"))
}

/// Who runs this, who has started it, and its first argument.
fn myself(_: ()) -> (u32, u32, String) {
    // The workers take turns.
    std::thread::sleep(std::time::Duration::from_millis(2));
    let argument = std::env::args().next().unwrap_or_default();
    (
        std::process::id(),
        std::os::unix::process::parent_id(),
        argument,
    )
}

fn names(_: &[String]) {
    let builder = pinfold::Runtime::builder().workers(2).spares(1);
    let rt = builder.start().expect("starts");
    let program = std::env::args().next().expect("a name");
    let program = program.rsplit('/').next().expect("a name");
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < 2 {
        let handles: Vec<_> = (0..10).map(|_| rt.spawn(myself, ())).collect();
        for handle in handles {
            let (worker, zygote, argument) = handle.join().expect("a value");
            seen.insert(worker, argument);
            let zygotes = (
                "pinfold-zygote".into(),
                format!("{program}: pinfold zygote"),
            );
            assert_eq!(shown(zygote), zygotes);
        }
    }
    let mut numbers: Vec<u32> = Vec::new();
    for (worker, argument) in seen {
        let (name, line) = shown(worker);
        let number = name.strip_prefix("pinfold-wk-").expect("a worker's name");
        numbers.push(number.parse().expect("a number"));
        assert_eq!(line, format!("{program}: pinfold worker {number}"));
        // A task sees it too.
        assert_eq!(argument, line);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1]);
}

/// How often each thread of the library in this process has gone to sleep.
fn sleeps() -> Vec<(String, String)> {
    let mut threads = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").expect("this process") {
        let thread = thread.expect("an entry").path();
        // It may have ended meanwhile.
        let read = |file| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
        let status = read("status");
        let sleeps = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"));
        if read("comm").starts_with("pinfold") {
            threads.push((read("comm"), sleeps.unwrap_or_default().to_owned()));
        }
    }
    threads.sort();
    threads
}

/// When all work has been done, no thread of the library wakes for a second. A callback, a future's
/// waker and a limit were used, so all that may wait in the host has waited.
fn idle(_: &[String]) {
    let rt = pinfold::Runtime::builder()
        .workers(2)
        .start()
        .expect("starts");
    let second = std::time::Duration::from_secs(1);
    let limited = rt.task(|n: u64| n + 1).run_limit(60 * second);
    assert_eq!(limited.map(0..1000).count(), 1000);
    let (tell, told) = std::sync::mpsc::channel();
    let handle = rt.spawn(|n: u64| n, 7);
    let call = move |outcome: Result<u64, _>| drop(tell.send(outcome));
    handle.on_complete(call).expect("in time");
    assert_eq!(told.recv().expect("called"), Ok(7));
    // They need a moment until all of them sleep for good.
    for _ in 0..20 {
        let before = sleeps();
        assert!(!before.is_empty(), "the supervisor at least");
        std::thread::sleep(second);
        if sleeps() == before {
            return;
        }
    }
    panic!("{:?}", sleeps());
}
