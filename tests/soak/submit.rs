//! The load: tasks of all kinds, joined in all ways, as a seed decides.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pinfold::{Handle, Loan, Priority, Runtime, Shared, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::faults::Watch;
use crate::pending::{Also, Expected, Fate, Patience, Pending, Waiting, judge};
use crate::record::Record;
use crate::rng::{Rng, mix};
use crate::tasks::{self, Me, answer, fill, is_filled};

/// More than random kills ever need.
const ATTEMPTS: u32 = 1000;
/// A deadline that never comes.
const NEVER: Duration = Duration::from_secs(3600);
const BUFFER_MAX: u64 = 200_000;

/// What a submitter found, by task: its `n`th task has the id `first + n * step`.
pub struct Submitted {
    pub first: u64,
    pub step: u64,
    pub fates: Vec<Fate>,
}

impl Submitted {
    pub fn all(&self) -> impl Iterator<Item = (u64, Fate)> {
        let fates = self.fates.iter().enumerate();
        fates.map(|(n, fate)| (self.first + n as u64 * self.step, *fate))
    }
}

pub struct Submitter<'a> {
    rt: &'a Runtime,
    watch: &'a Watch,
    record: &'a Record,
    path: &'a str,
    rng: Rng,
    to: Submitted,
    pending: VecDeque<Box<dyn Pending>>,
    /// Buffers that several tasks are given, and whose bytes they are.
    shared: VecDeque<(u64, Shared)>,
    until: Instant,
}

impl<'a> Submitter<'a> {
    /// The `number`th of `of` submitters.
    #[expect(clippy::too_many_arguments, reason = "made at one place")]
    pub fn new(
        rt: &'a Runtime,
        watch: &'a Watch,
        record: &'a Record,
        path: &'a str,
        rng: Rng,
        number: u64,
        of: u64,
        until: Instant,
    ) -> Self {
        Submitter {
            rt,
            watch,
            record,
            path,
            rng,
            to: Submitted {
                first: number,
                step: of,
                fates: Vec::new(),
            },
            pending: VecDeque::new(),
            shared: VecDeque::new(),
            until,
        }
    }

    /// Submits until it is time, and ends every handle.
    pub fn run(mut self) -> Submitted {
        let mut window = 1;
        while Instant::now() < self.until && !self.watch.is_closing() {
            if self.rng.once_in(100) {
                window = *self.rng.choose(&[1, 8, 50, 200]);
            }
            let is_repeated = self.rng.once_in(2);
            self.submit_one(is_repeated);
            while self.pending.len() > window {
                self.end_one();
            }
        }
        self.watch.close();
        while !self.pending.is_empty() {
            self.end_one();
        }
        self.to
    }

    fn submit_one(&mut self, is_repeated: bool) {
        let is_answer: fn(u64, &Loan) -> bool = |id, loan| is_filled(loan, answer(id));
        let is_shared: fn(u64, &Shared) -> bool = |id, shared| is_filled(shared, answer(id));
        match self.rng.below(100) {
            0..3 => self.dependent(is_repeated),
            3 => self.layers(),
            4..34 => self.send(tasks::quick, |me, _| me, is_repeated, IS_MIX),
            34..37 => self.send(tasks::forks, |me, _| me, is_repeated, IS_MIX),
            37..40 => self.send(tasks::forks_shared, with_shared, is_repeated, IS_MIX),
            40..48 => self.send(tasks::busy, |me, _| me, is_repeated, IS_MIX),
            48..50 => self.send(tasks::nap, |me, _| me, is_repeated, IS_MIX),
            50..52 => self.send_expecting(tasks::panics, |me, _| me, false, Expected::Panic),
            52..54 => self.send(
                tasks::fails,
                |me, _| me,
                is_repeated,
                |id, result| *result == Err(mix(id)),
            ),
            54..57 => self.send(
                tasks::large_result,
                |me, _| me,
                is_repeated,
                |id, text| *text == tasks::text(id),
            ),
            57..62 => self.send(tasks::large_argument, with_bytes, is_repeated, IS_MIX),
            // A loan is the worker's alone: it cannot be given twice.
            62..66 => self.send(tasks::loan_back, with_loan, false, is_answer),
            66..69 => self.send(tasks::loan_published, with_loan, false, is_shared),
            69..72 => self.send(tasks::loan_kept, with_loan, false, IS_MIX),
            72..76 => self.send(tasks::shared_read, with_shared, is_repeated, IS_MIX),
            76..79 => self.send(tasks::shared_kept, with_shared, is_repeated, IS_MIX),
            79..83 => self.send(
                tasks::shared_back,
                with_shared,
                is_repeated,
                |_, (of, shared)| is_filled(shared, *of),
            ),
            83..86 => self.send(tasks::makes_loan, with_length, is_repeated, is_answer),
            86..90 => self.send(tasks::makes_shared, with_length, is_repeated, is_shared),
            90..94 => self.send(tasks::churns, with_lengths, is_repeated, IS_MIX),
            94..98 => self.batch(tasks::quick, is_repeated, IS_MIX),
            98 => self.batch(tasks::busy, is_repeated, IS_MIX),
            _ => self.batch(tasks::large_result, is_repeated, |id, text| {
                *text == tasks::text(id)
            }),
        }
    }

    /// The next task.
    fn next(&mut self) -> Me {
        let id = self.to.first + self.to.fates.len() as u64 * self.to.step;
        assert!(id < self.record.tasks(), "the record is too short");
        self.to.fates.push(Fate::Open);
        Me {
            record: self.path.to_owned(),
            id,
        }
    }

    fn set(&mut self, id: u64, fate: Fate) {
        let n = (id - self.to.first) / self.to.step;
        self.to.fates[n as usize] = fate;
    }

    fn send<F, A, R>(
        &mut self,
        f: F,
        args: impl FnOnce(Me, &mut Self) -> A,
        is_repeated: bool,
        is_right: fn(u64, &R) -> bool,
    ) where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.send_expecting(f, args, is_repeated, Expected::Value(is_right));
    }

    fn send_expecting<F, A, R>(
        &mut self,
        f: F,
        args: impl FnOnce(Me, &mut Self) -> A,
        is_repeated: bool,
        expected: Expected<R>,
    ) where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + 'static,
    {
        let me = self.next();
        let id = me.id;
        let args = args(me, self);
        let task = self.task(f, is_repeated);
        let handle = if self.rng.once_in(20) {
            match task.try_spawn(args) {
                Ok(handle) => handle,
                Err(_) => return self.set(id, Fate::Refused),
            }
        } else {
            task.spawn(args)
        };
        self.keep(
            handle,
            id,
            std::any::type_name::<F>(),
            is_repeated,
            expected,
            false,
        );
    }

    /// Keeps a handle, or drops it; now and then its task is cancelled before.
    fn keep<R: Serialize + DeserializeOwned + 'static>(
        &mut self,
        handle: Handle<R>,
        id: u64,
        name: &'static str,
        is_repeated: bool,
        expected: Expected<R>,
        unmet: bool,
    ) {
        let cancelled = self.rng.once_in(25);
        if cancelled && self.rng.once_in(4) {
            handle.cancel_within(Duration::from_micros(self.rng.below(2000)));
        } else if cancelled {
            handle.cancel();
        }
        if self.rng.once_in(10) {
            drop(handle);
            let fate = match (cancelled || unmet, is_repeated) {
                (false, _) => detached(is_repeated),
                (true, false) => Fate::OnceCancelled,
                (true, true) => Fate::RepeatedCancelled,
            };
            return self.set(id, fate);
        }
        self.pending.push_back(Box::new(Waiting {
            handle: Some(handle),
            id,
            name,
            is_repeated,
            expected,
            also: Also { cancelled, unmet },
        }));
    }

    /// Some tasks, and one that depends on all of them.
    fn dependent(&mut self, is_repeated: bool) {
        let count = self.rng.below(4);
        let ids: Vec<Me> = (0..=count).map(|_| self.next()).collect();
        let task = self.task(tasks::quick, is_repeated);
        let (last, first) = ids.split_last().expect("at least one");
        let before: Vec<_> = first.iter().map(|me| task.spawn(me.clone())).collect();
        let after = self.task(tasks::after, is_repeated);
        let handle = after.spawn_after(before.iter().collect::<Vec<_>>(), last.clone());
        let name = "a task that others depend on";
        for (me, handle) in first.iter().zip(before) {
            self.keep(
                handle,
                me.id,
                name,
                is_repeated,
                Expected::Value(IS_MIX),
                false,
            );
        }
        let name = "a task that depends on others";
        self.keep(
            handle,
            last.id,
            name,
            is_repeated,
            Expected::Value(IS_MIX),
            true,
        );
    }

    /// Layers of plain tasks, each of which depends on some of the layer before: executors
    /// bring them what they wait for.
    fn layers(&mut self) {
        let (width, layers) = (1 + self.rng.below(3), 1 + self.rng.below(5));
        let ids: Vec<Me> = (0..width).map(|_| self.next()).collect();
        let spawn = |me: Me| (me.id, self.rt.spawn(tasks::quick, me));
        let mut before: Vec<(u64, Handle<u64>)> = ids.into_iter().map(spawn).collect();
        for layer in 0..layers {
            let mut now = Vec::new();
            for at in 0..width {
                let me = self.next();
                let count = 1 + self.rng.below(width);
                let inputs = (0..count).map(|n| &before[((at + n) % width) as usize].1);
                let inputs: Vec<_> = inputs.collect();
                now.push((me.id, self.rt.spawn_after(inputs, tasks::after, me)));
            }
            self.keep_layer(std::mem::replace(&mut before, now), layer > 0);
        }
        self.keep_layer(before, true);
    }

    fn keep_layer(&mut self, layer: Vec<(u64, Handle<u64>)>, unmet: bool) {
        for (id, handle) in layer {
            let name = "a task of a layer";
            self.keep(handle, id, name, false, Expected::Value(IS_MIX), unmet);
        }
    }

    fn task<F, A, R>(&mut self, f: F, is_repeated: bool) -> Task<'a, F, A, R>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let mut task = self.rt.task(f);
        if is_repeated {
            let (first, longest) = (Duration::from_millis(1), Duration::from_millis(5));
            task = task.safe_to_repeat(ATTEMPTS).backoff(first, longest);
        }
        if self.rng.once_in(10) {
            task = task.hard_deadline(NEVER);
        }
        if self.rng.once_in(10) {
            task = task.run_limit(NEVER);
        }
        if self.rng.once_in(3) {
            let level = self.rng.below(4) as u8;
            task = task.priority(Priority::from_level(level).expect("a level"));
        }
        task
    }

    /// Ends one handle, or tries to: the oldest, or any.
    fn end_one(&mut self) {
        let at = match self.rng.below(4) {
            0 => self.rng.below(self.pending.len() as u64) as usize,
            _ => 0,
        };
        let patience = match self.rng.below(8) {
            0 => Patience::None,
            1 => Patience::Some(Duration::from_micros(self.rng.below(2000))),
            _ => Patience::Endless,
        };
        let Some(told) = self.pending[at].end(patience, self.record) else {
            return;
        };
        let Some(ended) = self.pending.remove(at) else {
            return;
        };
        self.watch.moved();
        match told {
            Ok(fate) => self.set(ended.id(), fate),
            Err(fault) => self.watch.fault(fault),
        }
    }

    /// Many at once, in order; now and then the rest is left alone half-way.
    fn batch<F, R>(&mut self, f: F, is_repeated: bool, is_right: fn(u64, &R) -> bool)
    where
        F: Fn(Me) -> R + Copy + Send + 'static,
        R: Serialize + DeserializeOwned,
    {
        let mut task = self.task(f, is_repeated);
        if self.rng.once_in(2) {
            task = task.in_flight(self.rng.between(1, 100) as usize);
        }
        let len = self.rng.between(1, 300);
        let taken = match self.rng.below(4) {
            0 => self.rng.below(len) as usize,
            _ => len as usize,
        };
        let first = self.to.fates.len() as u64;
        let pulled = Cell::new(0);
        let (begin, step) = (self.to.first, self.to.step);
        let items = (first..first + len).map(|n| {
            pulled.set(pulled.get() + 1);
            let id = begin + n * step;
            assert!(id < self.record.tasks(), "the record is too short");
            Me {
                record: self.path.to_owned(),
                id,
            }
        });
        let mut outcomes = task.map(items);
        let mut fates = Vec::new();
        for outcome in outcomes.by_ref().take(taken) {
            let id = begin + (first + fates.len() as u64) * step;
            let expected = Expected::Value(is_right);
            let also = Also::default();
            let told = judge(id, is_repeated, &expected, also, outcome, self.record);
            self.watch.moved();
            fates.push(told.unwrap_or_else(|fault| {
                let name = std::any::type_name::<F>();
                self.watch.fault(format!("{name} in a batch: {fault}"));
                Fate::Open
            }));
        }
        drop(outcomes);
        // Every item that was pulled was submitted; what had not begun was cancelled just now.
        let submitted = pulled.get();
        self.watch.check(fates.len() >= taken, || {
            format!("a batch of {len} ended after {}", fates.len())
        });
        let left = match is_repeated {
            true => Fate::RepeatedCancelled,
            false => Fate::OnceCancelled,
        };
        fates.resize(submitted as usize, left);
        self.to.fates.append(&mut fates);
    }

    fn alloc(&mut self, id: u64) -> Loan {
        let len = match self.rng.below(4) {
            0 => self.rng.between(1, 64),
            1 | 2 => self.rng.between(65, 8192),
            _ => self.rng.between(8193, BUFFER_MAX),
        };
        let mut loan = self.rt.alloc(len as usize).expect("room");
        fill(&mut loan, id);
        loan
    }
}

const IS_MIX: fn(u64, &u64) -> bool = |id, value| *value == mix(id);

fn detached(is_repeated: bool) -> Fate {
    if is_repeated {
        Fate::RepeatedDetached
    } else {
        Fate::OnceDetached
    }
}

fn with_bytes(me: Me, by: &mut Submitter<'_>) -> (Me, Vec<u8>) {
    let mut bytes = vec![0; by.rng.between(1, 20_000) as usize];
    fill(&mut bytes, me.id);
    (me, bytes)
}

fn with_loan(me: Me, by: &mut Submitter<'_>) -> (Me, Loan) {
    let loan = by.alloc(me.id);
    (me, loan)
}

/// A new buffer, or one that other tasks were given too.
fn with_shared(me: Me, by: &mut Submitter<'_>) -> (Me, u64, Shared) {
    if by.shared.is_empty() || by.rng.once_in(3) {
        let shared = by.alloc(me.id).publish();
        by.shared.push_back((me.id, shared));
        if by.shared.len() > 10 {
            by.shared.pop_front();
        }
    }
    let at = by.rng.below(by.shared.len() as u64) as usize;
    let (of, shared) = by.shared[at].clone();
    (me, of, shared)
}

fn with_length(me: Me, by: &mut Submitter<'_>) -> (Me, u32) {
    (me, by.rng.between(1, BUFFER_MAX) as u32)
}

fn with_lengths(me: Me, by: &mut Submitter<'_>) -> (Me, Vec<u32>) {
    let count = by.rng.between(1, 6);
    let lens = (0..count).map(|_| by.rng.between(1, BUFFER_MAX) as u32);
    (me, lens.collect())
}
