//! Plain data as argument and as result: how many times as long as to copy it.

use std::hint::black_box;

use pinfold::Runtime;
use pinfold_rivals::duo::now;
use pinfold_rivals::{Against, Bench, Program, Question, Race};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::LARGE;

#[derive(Clone, Serialize, Deserialize)]
struct Both {
    bytes: Vec<u8>,
    numbers: Vec<f64>,
}

fn same<T>(value: T) -> T {
    value
}

/// Milliseconds there and back, at best: whatever else the machine does is not its cost.
fn round<T>(rt: &Runtime, times: u64, value: &T) -> f64
where
    T: Serialize + DeserializeOwned + Clone + Send + 'static,
{
    let once = |_| {
        let value = value.clone();
        let start = now();
        let back = rt.spawn(same::<T>, value).join().expect("a value");
        let taken = (now() - start) as f64 / 1e6;
        drop(back);
        taken
    };
    (0..times).map(once).fold(f64::INFINITY, f64::min)
}

/// Milliseconds to copy the bytes twice, into memory that was used before.
fn copied_twice(times: u64) -> f64 {
    let (from, mut to) = (vec![3_u8; LARGE], vec![1_u8; LARGE]);
    let once = |_| {
        let start = now();
        to.copy_from_slice(black_box(&from));
        black_box(&mut to).copy_from_slice(black_box(&from));
        black_box(&to);
        (now() - start) as f64 / 1e6
    };
    (0..times).map(once).fold(f64::INFINITY, f64::min)
}

pub fn run(bench: &mut Bench, rt: &Runtime) {
    let times = bench.pick(8, 4);
    let rounds = bench.rounds(7, 3);
    let bytes = vec![3_u8; LARGE];
    let mut race = Race::new([Question::lower(
        "handover.values.ms",
        "a list of 64 MiB of bytes as argument and as result",
        "ms",
    )]);
    race.ours("Vec<u8>", || [round(rt, times, &bytes)]);
    let mut python = Program::python("Python pickle", PICKLE, &[]);
    race.rival(
        "pickle through Python's multiprocessing",
        move || match python.ask(&format!("{LARGE} {times}"))?[..] {
            [taken] => Ok([taken]),
            _ => Err("one number was expected".to_owned()),
        },
    );
    bench.run(race, rounds);

    let question = |id: &str, what: &str| {
        let text =
            format!("{what}, 64 MiB there and back: how many times as long as to copy it twice");
        let question = Question::lower(&format!("handover.values.{id}"), &text, "×");
        question.bar(Against::Value("a copy", 1.0), 3.0)
    };
    let numbers = vec![0.5_f64; LARGE / 8];
    let both = Both {
        bytes: bytes[..LARGE / 2].to_vec(),
        numbers: numbers[..LARGE / 16].to_vec(),
    };
    let text = "x".repeat(LARGE);
    let mut race = Race::new([
        question("u8", "`Vec<u8>`"),
        question("f64", "`Vec<f64>`"),
        question("both", "a struct with both"),
        question("text", "`String`"),
    ]);
    race.ours("plain data", || {
        let copy = copied_twice(times);
        [
            round(rt, times, &bytes) / copy,
            round(rt, times, &numbers) / copy,
            round(rt, times, &both) / copy,
            round(rt, times, &text) / copy,
        ]
    });
    bench.run(race, rounds);
}

/// A list of bytes through a pipe, and back, as `multiprocessing` sends what it is given.
const PICKLE: &str = r#"
import multiprocessing as mp, sys, time

def serve(pipe):
    while True:
        pipe.send(pipe.recv())

here, there = mp.Pipe()
mp.get_context("fork").Process(target=serve, args=(there,), daemon=True).start()
for line in sys.stdin:
    size, times = (int(word) for word in line.split())
    data = b"\3" * size
    best = 1e9
    for _ in range(times):
        start = time.perf_counter()
        here.send(data)
        back = here.recv()
        best = min(best, (time.perf_counter() - start) * 1e3)
        assert len(back) == size
    print(best, flush=True)
"#;
