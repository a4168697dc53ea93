//! Many at once: what either may do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pinfold::channel::{Receiver, Sender};
use pinfold::{Runtime, Shutdown};
use serde::{Deserialize, Serialize};

use super::{CAPACITIES, Out, for_seeds, got, sent, theirs};
use crate::rng::{Rng, mix};

const BRIEF: Duration = Duration::from_micros(300);
const LONG: Duration = Duration::from_secs(60);

/// What one thread or task does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Part {
    /// Decides how each is sent or received.
    seed: u64,
    /// How many it sends; after how many messages a receiver leaves.
    count: u64,
    /// It is a task.
    in_task: bool,
    /// Two that only try never meet in a channel of capacity 0: one of the sides waits, if briefly.
    waits: bool,
}

trait Sends {
    fn send(&self, value: u64, how: u64) -> Out;
}

trait Receives {
    fn receive(&self, how: u64) -> Out;
}

impl Sends for Sender<u64> {
    fn send(&self, value: u64, how: u64) -> Out {
        sent(match how {
            0 => self.try_send(value),
            1 => self.send_timeout(value, BRIEF),
            2 => crate::asynchronous::block_on(self.send_async(value)),
            _ => Sender::send(self, value),
        })
    }
}

impl Receives for Receiver<u64> {
    fn receive(&self, how: u64) -> Out {
        got(match how {
            0 => self.try_recv(),
            1 => self.recv_timeout(BRIEF),
            2 => crate::asynchronous::block_on(self.recv_async()),
            _ => self.recv(),
        })
    }
}

impl Sends for crossbeam_channel::Sender<u64> {
    fn send(&self, value: u64, how: u64) -> Out {
        match how {
            0 => theirs::try_sent(self.try_send(value)),
            1 => theirs::sent_in_time(self.send_timeout(value, BRIEF)),
            _ => theirs::sent(crossbeam_channel::Sender::send(self, value)),
        }
    }
}

impl Receives for crossbeam_channel::Receiver<u64> {
    fn receive(&self, how: u64) -> Out {
        match how {
            0 => theirs::try_got(self.try_recv()),
            1 => theirs::got_in_time(self.recv_timeout(BRIEF)),
            _ => theirs::got(self.recv()),
        }
    }
}

/// How many were accepted; or what must not be.
fn sends(to: &impl Sends, part: Part) -> Result<u64, String> {
    let give_up = Instant::now() + LONG;
    for n in 0..part.count {
        let value = part.seed << 16 | n;
        for turn in 0_u64.. {
            let how = match mix(part.seed ^ n ^ turn << 32) % 4 {
                0 if part.waits => 1,
                how => how,
            };
            match to.send(value, how) {
                Out::Sent => break,
                Out::Refused(back) if back == value => return Ok(n),
                Out::Full(back) | Out::Late(back) if back == value && how < 2 => {
                    std::thread::yield_now();
                }
                out => return Err(format!("to send {value} by {how}: {out:?}")),
            }
            if Instant::now() > give_up {
                return Err("to send takes too long".to_owned());
            }
        }
    }
    Ok(part.count)
}

fn receives(from: &impl Receives, part: Part) -> Result<Vec<u64>, String> {
    let give_up = Instant::now() + LONG;
    let mut all = Vec::new();
    while (all.len() as u64) < part.count {
        let turn = all.len() as u64;
        let how = match mix(part.seed ^ turn) % 4 {
            0 => 1,
            how => how,
        };
        match from.receive(how) {
            Out::Got(value) => all.push(value),
            Out::Over => break,
            Out::Empty | Out::LateToReceive if how < 2 => std::thread::yield_now(),
            out => return Err(format!("to receive by {how}: {out:?}")),
        }
        if Instant::now() > give_up {
            return Err("to receive takes too long".to_owned());
        }
    }
    Ok(all)
}

fn sends_in_task((to, part): (Sender<u64>, Part)) -> Result<u64, String> {
    sends(&to, part)
}

fn receives_in_task((from, part): (Receiver<u64>, Part)) -> Result<Vec<u64>, String> {
    receives(&from, part)
}

struct Program {
    capacity: usize,
    senders: Vec<Part>,
    receivers: Vec<Part>,
}

type Outcome = (Vec<u64>, Vec<Vec<u64>>);

impl Program {
    fn new(rng: &mut Rng) -> Self {
        let capacity = *rng.choose(&CAPACITIES);
        let all_leave = rng.once_in(4);
        let parts = |rng: &mut Rng, is_sender: bool| -> Vec<Part> {
            let some = 1 + rng.below(3);
            let part = |n| Part {
                seed: rng.next() >> 20,
                count: match is_sender {
                    true => rng.below(200),
                    false if n == 0 && !all_leave => u64::MAX,
                    false if rng.once_in(2) && !all_leave => u64::MAX,
                    false => rng.below(60),
                },
                in_task: rng.once_in(2),
                waits: capacity == 0,
            };
            (0..some).map(part).collect()
        };
        let senders = parts(rng, true);
        let receivers = parts(rng, false);
        Program {
            capacity,
            senders,
            receivers,
        }
    }

    /// With threads alone.
    fn theirs(&self) -> Result<Outcome, String> {
        let (to, from) = crossbeam_channel::bounded(self.capacity);
        std::thread::scope(|scope| {
            let senders: Vec<_> = (self.senders.iter())
                .map(|part| {
                    let to = to.clone();
                    scope.spawn(move || sends(&to, *part))
                })
                .collect();
            let receivers: Vec<_> = (self.receivers.iter())
                .map(|part| {
                    let from = from.clone();
                    scope.spawn(move || receives(&from, *part))
                })
                .collect();
            drop((to, from));
            let sent = senders.into_iter().map(|one| one.join().expect("ends"));
            let sent = sent.collect::<Result<_, _>>()?;
            let received = receivers.into_iter().map(|one| one.join().expect("ends"));
            Ok((sent, received.collect::<Result<_, _>>()?))
        })
    }

    /// With threads, and tasks in workers.
    fn ours(&self, rt: &Runtime) -> Result<Outcome, String> {
        let (to, from) = rt.channel(self.capacity).expect("room");
        std::thread::scope(|scope| {
            let senders: Vec<_> = (self.senders.iter())
                .map(|part| {
                    let (to, part) = (to.clone(), *part);
                    let task = part
                        .in_task
                        .then(|| rt.spawn(sends_in_task, (to.clone(), part)));
                    scope.spawn(move || match task {
                        Some(task) => {
                            drop(to);
                            task.join().map_err(|error| error.to_string())?
                        }
                        None => sends(&to, part),
                    })
                })
                .collect();
            let receivers: Vec<_> = (self.receivers.iter())
                .map(|part| {
                    let (from, part) = (from.clone(), *part);
                    let ends = (from.clone(), part);
                    let task = part.in_task.then(|| rt.spawn(receives_in_task, ends));
                    scope.spawn(move || match task {
                        Some(task) => {
                            drop(from);
                            task.join().map_err(|error| error.to_string())?
                        }
                        None => receives(&from, part),
                    })
                })
                .collect();
            drop((to, from));
            let sent = senders.into_iter().map(|one| one.join().expect("ends"));
            let sent = sent.collect::<Result<_, _>>()?;
            let received = receivers.into_iter().map(|one| one.join().expect("ends"));
            Ok((sent, received.collect::<Result<_, _>>()?))
        })
    }

    fn check(&self, (sent, received): Outcome) -> Result<(), String> {
        let accepted: BTreeMap<u64, u64> = (self.senders.iter())
            .zip(&sent)
            .map(|(part, sent)| (part.seed, *sent))
            .collect();
        let mut seen = BTreeSet::new();
        for (number, all) in received.iter().enumerate() {
            let mut last = BTreeMap::new();
            for value in all {
                let (from, n) = (value >> 16, value & 0xffff);
                if accepted.get(&from).is_none_or(|sent| n >= *sent) {
                    return Err(format!(
                        "receiver {number} has {n} of {from}, which was not sent"
                    ));
                }
                if last.insert(from, n).is_some_and(|before| before >= n) {
                    return Err(format!("receiver {number} has {n} of {from} too late"));
                }
                if !seen.insert(*value) {
                    return Err(format!("{n} of {from} comes twice"));
                }
            }
        }
        let total: u64 = sent.iter().sum();
        let lost = total - seen.len() as u64;
        let one_stays = self.receivers.iter().any(|part| part.count == u64::MAX);
        let wanted: u64 = self.senders.iter().map(|part| part.count).sum();
        if one_stays && (lost > 0 || total < wanted) {
            return Err(format!(
                "of {wanted}, {total} were accepted and {lost} are lost"
            ));
        }
        // What nobody took of what was accepted; and what was accepted while the last one left.
        let most = match self.capacity {
            0 => 0,
            capacity => capacity + self.senders.len(),
        };
        match lost <= most as u64 {
            true => Ok(()),
            false => Err(format!(
                "{lost} are lost, with a capacity of {}",
                self.capacity
            )),
        }
    }
}

#[test]
fn many_at_once_do_what_is_allowed_as_with_crossbeam() {
    let builder = Runtime::builder().workers(6).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("starts");
    for_seeds(60, |mut rng| {
        let program = Program::new(&mut rng);
        let (capacity, senders, receivers) =
            (program.capacity, &program.senders, &program.receivers);
        let what = format!("capacity {capacity}, {senders:?}, {receivers:?}");
        let theirs = program.theirs().and_then(|outcome| program.check(outcome));
        theirs.map_err(|error| format!("theirs: {error}; {what}"))?;
        let ours = program.ours(&rt).and_then(|outcome| program.check(outcome));
        ours.map_err(|error| format!("ours: {error}; {what}"))
    });
}
