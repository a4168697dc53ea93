//! Doing nothing costs nothing.

use std::time::Duration;

use crate::api::runtime;

/// CPU ticks and voluntary context switches of every thread of a process.
fn cost(pid: u32) -> (u64, u64) {
    let (mut ticks, mut switches) = (0, 0);
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("alive") {
        let path = task.expect("entry").path();
        let stat = std::fs::read_to_string(path.join("stat")).expect("stat");
        let after_name = stat.rsplit(')').next().expect("fields");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        ticks +=
            fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        let status = std::fs::read_to_string(path.join("status")).expect("status");
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        switches += line
            .expect("switches")
            .trim()
            .parse::<u64>()
            .expect("number");
    }
    (ticks, switches)
}

/// After work has come to an end, 5 seconds pass without a tick of CPU and without
/// one wake-up in any worker or the zygote.
#[test]
fn an_idle_fold_sleeps() {
    let rt = runtime(2);
    rt.map(|n: u64| n + 1, 0..10_000).for_each(drop);
    let mut pids: Vec<u32> = rt.stats().workers.iter().map(|w| w.pid as u32).collect();
    let zygote = rt.spawn(|(): ()| nix::unistd::getppid().as_raw() as u32, ());
    pids.push(zygote.join().expect("runs"));
    let all = || pids.iter().map(|pid| cost(*pid)).collect::<Vec<_>>();
    // The last executors need a moment until all of them sleep for good.
    let mut before = all();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = all();
        if now == before {
            break;
        }
        before = now;
    }
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(all(), before, "(CPU ticks, voluntary switches) per process");
}
