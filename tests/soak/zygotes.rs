//! The zygote dies while it starts workers: those of whom the host has not heard yet may
//! have begun to work. Nothing else dies afterwards that would mend what was missed.

use std::time::{Duration, Instant};

use pinfold::{Runtime, Shutdown};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::faults::Watch;
use crate::host::{Process, SOON, children};
use crate::rng::{Rng, mix};

const TASKS: u64 = 200;

fn spread(n: u64) -> u64 {
    // Long enough for a worker to die in it.
    let end = Instant::now() + Duration::from_micros(50);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    mix(n)
}

/// Kills a worker and, a moment later, its zygote, `rounds` times.
pub fn zygotes(rounds: u64, spares: usize, seed: u64) -> Value {
    println!("{rounds} zygotes with {spares} spares: seed {seed}");
    let watch = Watch::default();
    let begin = Instant::now();
    let rt = Runtime::builder()
        .workers(2)
        .spares(spares)
        .start_attempts(1000)
        .start()
        .expect("starts");
    let what = format!("{rounds} zygotes with {spares} spares: seed {seed}");
    let (mut killed, mut longest) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| watch.guard(&rt, &what));
        let mut rng = Rng::new(seed, 100);
        for round in 0..rounds {
            let task = rt.task(spread).safe_to_repeat(1000);
            let backoff = Duration::from_millis(1);
            let task = task.backoff(backoff, backoff);
            let start = Instant::now();
            let handles: Vec<_> = (0..TASKS).map(|n| task.spawn(n)).collect();
            let pause = Duration::from_micros(rng.below(3000));
            killed += u64::from(kill(&rt, &mut rng, pause));
            for (n, mut handle) in (0..TASKS).zip(handles) {
                let value = handle.join_timeout(SOON);
                watch.check(value == Some(Ok(mix(n))), || {
                    let (stats, audit) = (rt.stats(), rt.audit());
                    format!("round {round}, task {n}: {value:?}\n{stats:?}\n{audit:?}")
                });
            }
            longest = longest.max(start.elapsed());
            watch.moved();
            if watch.is_closing() {
                break;
            }
        }
        let orphans = rt.audit().orphans;
        watch.check(orphans.is_empty(), || format!("orphans: {orphans:?}"));
        let stopping = Instant::now();
        let _ = rt.shutdown(Shutdown::DrainFor(SOON));
        longest = longest.max(stopping.elapsed());
        watch.done();
    });
    let left = children();
    watch.check(left.is_empty(), || format!("processes left: {left:?}"));
    json!({
        "seed": seed, "rounds": rounds, "spares": spares, "killed": killed,
        "seconds": begin.elapsed().as_secs_f64(), "longest": longest.as_secs_f64(),
        "faults": watch.faults(),
    })
}

/// A worker first, so that another is being started when the zygote dies.
fn kill(rt: &Runtime, rng: &mut Rng, pause: Duration) -> bool {
    let workers = rt.stats().workers;
    let pid = workers[rng.below(workers.len() as u64) as usize].pid;
    let Some((worker, zygote)) = Process::worker(pid) else {
        return false;
    };
    let Some(zygote) = Process::zygote(zygote) else {
        return false;
    };
    worker.send(Signal::KILL);
    std::thread::sleep(pause);
    zygote.send(Signal::KILL)
}
