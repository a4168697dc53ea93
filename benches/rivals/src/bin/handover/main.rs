//! A large buffer goes to another process and comes back: does its size matter?
//!
//! Serves the decision whether large data may be passed at all. The buffer is made once;
//! the other side reads its first and last byte. 1 KiB and 64 MiB take turns. And: does it
//! matter how many tasks have the same value? And: what does plain data cost, which is copied?

mod values;

use std::os::fd::OwnedFd;
use std::time::Duration;

use pinfold_rivals::duo::{Peer, now, pipe, read_exact, write_all};
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race, median};

const SMALL: usize = 1 << 10;
const LARGE: usize = 64 << 20;
const SIZES: [usize; 2] = [SMALL, LARGE];
/// Longer than the whole benchmark.
const LIMIT: Duration = Duration::from_secs(180);

/// In a worker: looks at both ends, and hands the buffer back.
fn look(buffer: pinfold::Loan) -> (pinfold::Loan, u8) {
    let seen = ends(&buffer);
    (buffer, seen)
}

/// The same for a buffer that only is read.
fn look_at(buffer: pinfold::Shared) -> u8 {
    ends(&buffer)
}

fn look_at_constant(constant: pinfold::Constant<Vec<u8>>) -> u8 {
    ends(&constant)
}

fn ends(bytes: &[u8]) -> u8 {
    bytes[0].wrapping_add(bytes[bytes.len() - 1])
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("handover", Options::parse_alone());
    // The peers are forked before anything starts a thread.
    let mut stream = Stream::start();
    #[cfg(feature = "rivals")]
    let mut servo = rivals::Servo::start();

    let times = bench.pick(200, 50);
    let (few, fewer) = bench.pick((10, 3), (3, 1));
    let rt = pinfold::Runtime::builder()
        .workers(1)
        .memory_cap(512 << 20)
        .start()
        .expect("pinfold starts");
    let mut loans = SIZES.map(|size| {
        let mut loan = rt.alloc(size).expect("room");
        loan.fill(3);
        Some(loan)
    });
    let mut race = Race::new(questions("loan", "hand over"));
    race.ours("Loan through a task, and back", || {
        both(&SIZES.map(|_| times), |which| {
            let loan = loans[which].take().expect("it came back");
            let (loan, seen) = rt.spawn(look, loan).join().expect("a value");
            assert_eq!(seen, 6);
            loans[which] = Some(loan);
        })
    });
    race.rival("pipe, both ways copied", || {
        both(&[times, fewer], |which| stream.trip(which))
    });
    #[cfg(feature = "rivals")]
    race.rival("ipc-channel shared memory", || {
        both(&[times, few], |which| servo.trip(which))
    });
    #[cfg(not(feature = "rivals"))]
    race.missing(
        "ipc-channel shared memory",
        "built without the feature `rivals`",
    );
    let mut python = Program::python("Python put and get", PUT_AND_GET, &[]);
    race.rival(
        "put and get by copy, as Ray's store (Python shared_memory)",
        move || {
            let answer = python.ask(&format!("{SMALL} {times} {LARGE} {few}"))?;
            let [small, large] = answer[..] else {
                return Err("two numbers were expected".to_owned());
            };
            Ok([small, large, large / small])
        },
    );
    let rounds = bench.rounds(7, 3);
    bench.run(race, rounds);

    let shared = SIZES.map(|size| {
        let mut loan = rt.alloc(size).expect("room");
        loan.fill(3);
        loan.publish()
    });
    let mut race = Race::new(questions("shared", "lend"));
    race.ours("Shared to a task, and its answer", || {
        both(&SIZES.map(|_| times), |which| {
            let seen = rt.spawn(look_at, shared[which].clone()).join();
            assert_eq!(seen, Ok(6));
        })
    });
    bench.run(race, rounds);

    drop((loans, shared));
    let value = vec![3u8; LARGE];
    let text = "a constant of 64 MiB for 1,000 tasks: how many times as long as for one";
    let mut race = Race::new([
        Question::lower(
            "handover.constant.1",
            "a constant of 64 MiB for one task",
            "ms",
        ),
        Question::lower("handover.constant.1000", "the same for 1,000 tasks", "ms"),
        Question::lower("handover.constant.ratio", text, "×").bar(Against::Value("once", 1.0), 2.0),
    ]);
    race.ours("Constant", || {
        let [one, many] = [1, 1000].map(|tasks| {
            let value = value.clone();
            let start = now();
            let constant = rt.constant(value).expect("room");
            let looks: Vec<_> = (0..tasks)
                .map(|_| rt.spawn(look_at_constant, constant.clone()))
                .collect();
            for look in looks {
                assert_eq!(look.join(), Ok(6));
            }
            (now() - start) as f64 / 1e6
        });
        [one, many, many / one]
    });
    bench.run(race, bench.rounds(5, 3));
    values::run(&mut bench, &rt);
    bench.finish();
}

fn questions(id: &str, what: &str) -> [Question; 3] {
    let question = |size: &str, text: String, unit: &str| {
        Question::lower(&format!("handover.{id}.{size}"), &text, unit)
    };
    let text = format!("{what} 64 MiB: how many times as long as 1 KiB");
    [
        question("1kib", format!("{what} 1 KiB, and back"), "µs"),
        question("64mib", format!("{what} 64 MiB, and back"), "µs"),
        question("ratio", text, "×").bar(Against::Value("1 KiB", 1.0), 1.2),
    ]
}

/// Median microseconds of a trip of each size, and their ratio.
fn both(times: &[u64; 2], mut trip: impl FnMut(usize)) -> [f64; 3] {
    let [small, large] = [0, 1].map(|which| {
        // The first maps pages that were not.
        trip(which);
        let once = |_| {
            let start = now();
            trip(which);
            (now() - start) as f64 / 1e3
        };
        median(&(0..times[which]).map(once).collect::<Vec<_>>())
    });
    [small, large, large / small]
}

/// A peer that reads a buffer of either size from a pipe, and writes it back to another.
struct Stream {
    there: OwnedFd,
    back: OwnedFd,
    buffer: Vec<u8>,
    _peer: Peer,
}

impl Stream {
    fn start() -> Self {
        let (read, there) = pipe();
        let (back, write) = pipe();
        let peer = Peer::fork_for(LIMIT, || {
            let mut buffer = vec![0; LARGE];
            let mut which = [0];
            while read_exact(&read, &mut which) {
                let bytes = &mut buffer[..SIZES[usize::from(which[0])]];
                assert!(read_exact(&read, bytes), "all of it");
                write_all(&write, bytes);
            }
        });
        Stream {
            there,
            back,
            buffer: vec![3; LARGE],
            _peer: peer,
        }
    }

    fn trip(&mut self, which: usize) {
        let bytes = &mut self.buffer[..SIZES[which]];
        write_all(&self.there, &[which as u8]);
        // The peer begins to answer when it has all, so neither waits for the other.
        write_all(&self.there, bytes);
        assert!(read_exact(&self.back, bytes), "all of it");
        assert_eq!(ends(bytes), 6);
    }
}

/// One side copies the bytes into a new segment and names it; the other copies them out,
/// and drops it.
const PUT_AND_GET: &str = r#"
import multiprocessing as mp, sys, time
from multiprocessing import resource_tracker, shared_memory as sm

def serve(pipe):
    while True:
        name, size = pipe.recv()
        segment = sm.SharedMemory(name)
        data = bytes(segment.buf[:size])
        segment.close()
        pipe.send((data[0] + data[-1]) % 256)

def trip(pipe, data):
    segment = sm.SharedMemory(create=True, size=len(data))
    segment.buf[:len(data)] = data
    pipe.send((segment.name, len(data)))
    assert pipe.recv() == 6
    segment.close()
    segment.unlink()

# One for both, or the other side's would look for segments that are gone.
resource_tracker.ensure_running()
here, there = mp.Pipe()
mp.get_context("fork").Process(target=serve, args=(there,), daemon=True).start()
for line in sys.stdin:
    words = [int(word) for word in line.split()]
    medians = []
    for size, times in zip(words[::2], words[1::2]):
        data = b"\3" * size
        trip(here, data)
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            trip(here, data)
            taken.append((time.perf_counter() - start) * 1e6)
        medians.append(sorted(taken)[len(taken) // 2])
    print(*medians, flush=True)
"#;

#[cfg(feature = "rivals")]
mod rivals {
    use ipc_channel::ipc::{self, IpcReceiver, IpcSender, IpcSharedMemory};
    use pinfold_rivals::duo::Peer;

    use super::{LIMIT, SIZES, ends};

    /// A peer that maps what it is sent, and sends it back.
    pub struct Servo {
        there: IpcSender<IpcSharedMemory>,
        back: IpcReceiver<IpcSharedMemory>,
        buffers: [IpcSharedMemory; 2],
        _peer: Peer,
    }

    impl Servo {
        pub fn start() -> Self {
            let (there, receive) = ipc::channel::<IpcSharedMemory>().expect("a channel");
            let (send, back) = ipc::channel::<IpcSharedMemory>().expect("a channel");
            let peer = Peer::fork_for(LIMIT, || {
                while let Ok(buffer) = receive.recv() {
                    assert_eq!(ends(&buffer), 6);
                    if send.send(buffer).is_err() {
                        return;
                    }
                }
            });
            Servo {
                there,
                back,
                buffers: SIZES.map(|size| IpcSharedMemory::from_byte(3, size)),
                _peer: peer,
            }
        }

        pub fn trip(&mut self, which: usize) {
            let buffer = self.buffers[which].clone();
            self.there.send(buffer).expect("send");
            let back = self.back.recv().expect("the same");
            assert_eq!(ends(&back), 6);
        }
    }
}
