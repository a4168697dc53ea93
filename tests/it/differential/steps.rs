//! One step after the other: both must say the same, each time.

use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel as theirs_of;
use pinfold::channel::{Receiver, Select, SelectError, Sender};
use pinfold::{Runtime, Shutdown};

use super::{CAPACITIES, Out, for_seeds, got, sent, theirs};
use crate::rng::Rng;

/// Long enough for both to see that nothing comes.
const BRIEF: Duration = Duration::from_micros(200);
const STEPS: u64 = 120;
/// Of each sort, of each channel.
const ENDS_MAX: usize = 3;

/// A channel of ours and one of theirs, which have the same past.
struct Pair {
    capacity: usize,
    to: Vec<(Sender<u64>, theirs_of::Sender<u64>)>,
    from: Vec<(Receiver<u64>, theirs_of::Receiver<u64>)>,
}

fn same<T: PartialEq + Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    match ours == theirs {
        true => Ok(()),
        false => Err(format!("{what}: ours {ours:?}, theirs {theirs:?}")),
    }
}

fn send_in_task((to, value, how): (Sender<u64>, u64, u8)) -> Out {
    match how {
        0 => sent(to.try_send(value)),
        1 => sent(to.send_timeout(value, BRIEF)),
        _ => sent(to.send(value)),
    }
}

fn receive_in_task((from, how): (Receiver<u64>, u8)) -> Out {
    match how {
        0 => got(from.try_recv()),
        1 => got(from.recv_timeout(BRIEF)),
        _ => got(from.recv()),
    }
}

fn come_back<T>(end: T) -> T {
    end
}

/// One look of a future; `None` if it waits.
fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Pair {
    fn new(rt: &Runtime, capacity: usize) -> Self {
        let ours = rt.channel(capacity).expect("room");
        let theirs = theirs_of::bounded(capacity);
        Pair {
            capacity,
            to: vec![(ours.0, theirs.0)],
            from: vec![(ours.1, theirs.1)],
        }
    }

    fn is_full(&self) -> bool {
        let both = self.to.iter().map(|to| to.1.len()).next();
        both.is_some_and(|len| len >= self.capacity)
    }

    fn send(&self, rt: &Runtime, rng: &mut Rng, value: u64) -> Result<(), String> {
        let Some((ours, theirs)) = self.to.get(rng.below(ENDS_MAX as u64) as usize) else {
            return Ok(());
        };
        let in_task = rng.once_in(4);
        // One that would wait for ever is tried only.
        let how = match rng.below(4) as u8 {
            2.. if self.is_full() && !self.from.is_empty() => 0,
            how => how,
        };
        let expected = match how {
            0 => theirs::try_sent(theirs.try_send(value)),
            1 => theirs::sent_in_time(theirs.send_timeout(value, BRIEF)),
            _ => theirs::sent(theirs.send(value)),
        };
        let out = match how {
            3 if !in_task => match once(ours.send_async(value)) {
                Some(result) => sent(result),
                None => Out::Else("it waits".to_owned()),
            },
            _ if in_task => {
                let task = rt.spawn(send_in_task, (ours.clone(), value, how));
                task.join().expect("runs")
            }
            _ => send_in_task((ours.clone(), value, how)),
        };
        same(&format!("send {how}, in a task: {in_task}"), out, expected)
    }

    fn receive(&self, rt: &Runtime, rng: &mut Rng) -> Result<(), String> {
        let Some((ours, theirs)) = self.from.get(rng.below(ENDS_MAX as u64) as usize) else {
            return Ok(());
        };
        let in_task = rng.once_in(4);
        let how = match rng.below(4) as u8 {
            2.. if theirs.is_empty() && !self.to.is_empty() => 0,
            how => how,
        };
        let expected = match how {
            0 => theirs::try_got(theirs.try_recv()),
            1 => theirs::got_in_time(theirs.recv_timeout(BRIEF)),
            _ => theirs::got(theirs.recv()),
        };
        let out = match how {
            3 if !in_task => match once(ours.recv_async()) {
                Some(result) => got(result),
                None => Out::Else("it waits".to_owned()),
            },
            _ if in_task => {
                let task = rt.spawn(receive_in_task, (ours.clone(), how));
                task.join().expect("runs")
            }
            _ => receive_in_task((ours.clone(), how)),
        };
        same(&format!("recv {how}, in a task: {in_task}"), out, expected)
    }

    /// Several at once.
    fn many(&self, rng: &mut Rng, value: u64) -> Result<(), String> {
        let count = rng.below(4);
        if rng.once_in(2) {
            let Some((ours, theirs)) = self.from.last() else {
                return Ok(());
            };
            if count > 0 && !theirs.is_empty() && rng.once_in(2) {
                let ours = ours.recv_many(count as usize).map_err(|e| e.to_string())?;
                let theirs: Vec<u64> = theirs.try_iter().take(count as usize).collect();
                return same("recv_many", ours, theirs);
            }
            let ours: Vec<u64> = ours.try_iter().take(count as usize).collect();
            let theirs: Vec<u64> = theirs.try_iter().take(count as usize).collect();
            return same("try_iter", ours, theirs);
        }
        let Some((ours, theirs)) = self.to.last() else {
            return Ok(());
        };
        let room = self.capacity - theirs.len().min(self.capacity);
        let fits = count as usize <= room || self.from.is_empty();
        if !fits {
            return Ok(());
        }
        let values = value << 8..(value << 8) + count;
        let expected = values.clone().try_for_each(|value| theirs.send(value));
        let expected = expected
            .map_err(|error| Some(error.0))
            .map(|()| count as usize);
        let ours = ours.send_all(values).map_err(|error| error.into_value());
        same("send_all", ours, expected)
    }

    /// Ends come, go, and travel.
    fn ends(&mut self, rt: &Runtime, rng: &mut Rng) {
        match rng.below(5) {
            0 if !self.to.is_empty() && self.to.len() < ENDS_MAX => {
                self.to.push(self.to[0].clone())
            }
            1 if !self.from.is_empty() && self.from.len() < ENDS_MAX => {
                self.from.push(self.from[0].clone());
            }
            2 => drop(self.to.pop()),
            3 => drop(self.from.pop()),
            // There and back: another end, and the first one may be gone before it is there.
            _ => {
                if let Some((ours, theirs)) = self.to.pop() {
                    let ours = rt.spawn(come_back, ours).join().expect("runs");
                    self.to.push((ours, theirs));
                }
                if let Some((ours, theirs)) = self.from.pop() {
                    let ours = rt.spawn(come_back, ours).join().expect("runs");
                    self.from.push((ours, theirs));
                }
            }
        }
    }

    fn look(&self) -> Result<(), String> {
        for (ours, theirs) in &self.to {
            // What nobody can receive any more they still count.
            let len = if self.from.is_empty() {
                0
            } else {
                theirs.len()
            };
            same("senders' len", ours.len(), len)?;
            same("capacity", Some(ours.capacity()), theirs.capacity())?;
            same("is_empty", ours.is_empty(), len == 0)?;
            same("over", ours.is_disconnected(), self.from.is_empty())?;
        }
        for (ours, theirs) in &self.from {
            same("receivers' len", ours.len(), theirs.len())?;
        }
        Ok(())
    }
}

/// Whether anything is ready, of all ends; what is chosen is done on both sides.
fn select(pairs: &[Pair], value: u64) -> Result<(), String> {
    let (mut ours, mut theirs) = (Select::new(), theirs_of::Select::new());
    let mut cases = Vec::new();
    for pair in pairs {
        for (from, their_from) in &pair.from {
            same("number", ours.recv(from), theirs.recv(their_from))?;
            cases.push((Some((from, their_from)), None));
        }
        for (to, their_to) in &pair.to {
            same("number", ours.send(to), theirs.send(their_to))?;
            cases.push((None, Some((to, their_to))));
        }
    }
    if cases.is_empty() {
        return Ok(());
    }
    let is_ready = theirs.try_ready().is_ok();
    let chosen = match ours.try_wait() {
        Err(SelectError::NotReady) => return same("ready", false, is_ready),
        Err(error) => return Err(error.to_string()),
        Ok(chosen) => chosen,
    };
    match cases[chosen.index()] {
        // Somebody has waited there once: it is tried, and comes back.
        (_, Some((ours, _))) if !is_ready && ours.capacity() == 0 => {
            return same(
                "nobody waits",
                sent(chosen.send(ours, value)),
                Out::Full(value),
            );
        }
        _ => same("ready", true, is_ready)?,
    }
    match cases[chosen.index()] {
        (Some((ours, theirs)), _) => {
            let out = got(chosen.recv(ours));
            same("selected recv", out, theirs::try_got(theirs.try_recv()))
        }
        (_, Some((ours, theirs))) => {
            let out = sent(chosen.send(ours, value));
            same(
                "selected send",
                out,
                theirs::try_sent(theirs.try_send(value)),
            )
        }
        _ => Ok(()),
    }
}

fn program(rt: &Runtime, mut rng: Rng) -> Result<(), String> {
    let mut pairs: Vec<Pair> = (0..1 + rng.below(2))
        .map(|_| Pair::new(rt, *rng.choose(&CAPACITIES)))
        .collect();
    let capacities: Vec<usize> = pairs.iter().map(|pair| pair.capacity).collect();
    for step in 0..STEPS {
        let at = rng.below(pairs.len() as u64) as usize;
        let pair = &mut pairs[at];
        let done = match rng.below(16) {
            0..6 => pair.send(rt, &mut rng, step),
            6..11 => pair.receive(rt, &mut rng),
            11..13 => pair.many(&mut rng, step),
            13 => select(&pairs, step),
            // Now and then, so that there is something to go.
            14 if rng.once_in(3) => {
                pair.ends(rt, &mut rng);
                Ok(())
            }
            _ => pair.look(),
        };
        done.map_err(|what| format!("capacities {capacities:?}, step {step}: {what}"))?;
    }
    Ok(())
}

#[test]
fn each_step_says_what_crossbeam_says() {
    let builder = Runtime::builder().workers(1).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("starts");
    for_seeds(150, |rng| program(&rt, rng));
}

/// When a task has ended, what it was given is given back.
#[test]
fn ends_of_a_task_are_gone_when_it_has_ended() {
    let builder = Runtime::builder().workers(1).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("starts");
    let mut late = [0; 3];
    for n in 0..3_000 {
        let (to, from) = rt.channel::<u64>(4).expect("room");
        to.send(1).expect("room");
        let (to, from) = match n % 3 {
            0 => {
                let out = rt.spawn(receive_in_task, (from.clone(), 0)).join();
                assert_eq!(out, Ok(Out::Got(1)));
                (to, from)
            }
            1 => (to, rt.spawn(come_back, from).join().expect("runs")),
            _ => {
                let out = rt.spawn(send_in_task, (to.clone(), 5, 0)).join();
                assert_eq!(out, Ok(Out::Sent));
                (to, from)
            }
        };
        if n % 3 == 2 {
            drop(to);
            assert_eq!(from.try_iter().count(), 2);
            late[2] += usize::from(got(from.try_recv()) != Out::Over);
        } else {
            drop(from);
            late[n % 3] += usize::from(!to.is_disconnected());
        }
    }
    assert_eq!(late, [0; 3], "these were too late");
}
