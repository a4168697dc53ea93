//! What errors, logs and process lists say.

use libtest_mimic::Trial;

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![test("processes_are_called_what_they_are", || {
        Host::new("names").run().well();
    })]
}

pub fn programs() -> Vec<Program> {
    vec![("names", names)]
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
