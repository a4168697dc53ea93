//! Submits a case, and looks whether what comes of it is what may come of it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::mem::discriminant;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use pinfold::sync::Mutex;
use pinfold::{Audit, Handle, Limit, Memo, Priority, Retry, Runtime, Shared, Task, TaskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::case::{
    Called, Case, Deadlines, Does, Dropped, Given, InFlight, Judge, Label, Level, Limits, Made,
    Memoized, Repeats, Retries, Way,
};
use crate::model::{End, ends};
use crate::objects::Objects;
use crate::task::{
    Arg, BUFFER, FILLER, LONG, Owned, Value, before, bystander, byte, combine, gate, pad_made,
    ranges, run, run_after, run_nested, runs, varint,
};

/// What a task ended in.
type Outcome = Result<Value, TaskError>;

/// Items around the one that is looked at, where there are several.
const FILLERS: usize = 12;

/// Everything that the runs of one case share.
pub struct World<'a> {
    rt: &'a Runtime,
    case: Case,
    number: u32,
    limits: [Limit; 2],
    memo: Memo,
    /// What its runs have used.
    objects: Cell<Option<Objects>>,
}

/// What callbacks were told, if there were any.
#[derive(Default)]
struct Told {
    complete: Option<Receiver<Outcome>>,
    error: Option<Receiver<TaskError>>,
}

/// The outcome of one case, and what callbacks were told of it. `None`: nobody has looked.
struct Seen {
    outcome: Option<Outcome>,
    told: Told,
}

impl From<Outcome> for Seen {
    fn from(outcome: Outcome) -> Self {
        Seen {
            outcome: Some(outcome),
            told: Told::default(),
        }
    }
}

/// Runs one case; says what was wrong.
pub fn check(rt: &Runtime, case: Case, number: u32) -> Result<(), String> {
    let world = World {
        rt,
        case,
        number,
        limits: [Limit::new(2), Limit::new(3)],
        memo: Memo::new(usize::MAX),
        objects: Cell::new(None),
    };
    let bystander = rt.spawn(bystander, number);
    let checked = world.check();
    std::fs::write(gate(number), "").map_err(|error| error.to_string())?;
    let beside = bystander.join();
    checked?;
    if beside != Ok(number) {
        return Err(format!("a bystander ended in {beside:?}"));
    }
    // What it remembers may have buffers in it.
    world.memo.clear();
    if rt.spawn(|n: u32| n + 1, 1).join() != Ok(2) {
        return Err("a task after it has no value".into());
    }
    // One that nobody has joined may wait for another, or for its next attempt.
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        is_clean(rt)?;
        let left: Vec<_> = world.limits.iter().map(|l| l.total() - l.free()).collect();
        if left == [0, 0] {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(format!("of its limits are taken: {left:?}"));
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Nothing is left, and nothing damaged.
fn is_clean(rt: &Runtime) -> Result<(), String> {
    let used = |audit: &Audit| {
        audit.slots_queued
            + audit.slots_running
            + audit.slots_done
            + audit.slots_waiting
            + audit.blocks_loaned
            + audit.blocks_shared
            + audit.blocks_carried
            + audit.blocks_lanes
    };
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let audit = rt.audit();
        let is_late = Instant::now() > give_up;
        if used(&audit) == 0 && audit.orphans.is_empty() {
            break;
        }
        if is_late {
            return Err(format!("left behind: {audit:?}"));
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    match rt.stats().tasks.damage {
        0 => Ok(()),
        damage => Err(format!("damage {damage}")),
    }
}

fn with_settings<'rt, F, A>(
    world: &World<'_>,
    task: Task<'rt, F, A, Value>,
) -> Task<'rt, F, A, Value>
where
    F: Fn(A) -> Value + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
{
    let case = &world.case;
    let ms = Duration::from_millis;
    let mut task = match case.level {
        Level::Normal => task,
        Level::Urgent => task.priority(Priority::Urgent),
        Level::Low => task.priority(Priority::Low),
        Level::Background => task.priority(Priority::Background),
    };
    if matches!(case.deadlines, Deadlines::Hard | Deadlines::Each) {
        task = task.hard_deadline(LONG);
    }
    if matches!(case.deadlines, Deadlines::Start | Deadlines::Each) {
        task = task.start_deadline(LONG);
    }
    if matches!(case.deadlines, Deadlines::Soft | Deadlines::Each) {
        task = task.soft_deadline(LONG);
    }
    if matches!(case.deadlines, Deadlines::Run | Deadlines::Each) {
        task = task.run_limit(LONG);
    }
    if case.does == Does::Late {
        task = task.hard_deadline(ms(100));
    }
    if case.does == Does::Hangs {
        task = task.run_limit(ms(100));
    }
    task = match case.retries {
        Retries::None => task,
        Retries::Two => task.retry(Retry::fixed(2, Duration::ZERO)),
        Retries::Three => task.retry(Retry::linear(3, ms(1))),
        Retries::Four => task.retry(Retry::exponential(4, ms(1), ms(2)).with_jitter()),
    };
    task = match case.judge {
        Judge::None => task,
        Judge::Errors => task.retry_if(|outcome| match outcome {
            Ok(value) => value.is_err(),
            Err(error) => matches!(error, TaskError::Panicked { .. }),
        }),
        Judge::All => task.retry_if(|outcome| !matches!(outcome, Ok(Ok(_)))),
    };
    task = match case.repeats {
        Repeats::None => task,
        Repeats::Two => task.safe_to_repeat(2),
        Repeats::Three => task.at_least_once().backoff(ms(1), ms(2)),
    };
    if case.limits != Limits::None {
        task = task.limited(&world.limits[0], 1);
    }
    if case.limits == Limits::Two {
        task = task.limited(&world.limits[1], 2);
    }
    task = match case.label {
        Label::None => task,
        Label::Name => task.named("short").profiled_as("short"),
        Label::LongName => task.named("a name of some forty-five characters, say, or so"),
        Label::Tags => task.tag("user", "7").tag("kind", "a combination"),
        Label::Trace => task
            .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .expect("as it should be"),
    };
    if case.memoized == Memoized::Yes {
        task = task.memoized(&world.memo);
    }
    match case.in_flight {
        InFlight::Default => task,
        InFlight::One => task.in_flight(1),
    }
}

impl World<'_> {
    fn shared(&self) -> Shared {
        let mut loan = self.rt.alloc(BUFFER).expect("room");
        loan.fill(byte(self.number));
        loan.publish()
    }

    fn argument(&self) -> Arg {
        let case = &self.case;
        let shared: Vec<_> = match case.given {
            Given::Ranges => ranges(byte(self.number), |len| self.rt.alloc(len).expect("room")),
            _ => (0..case.shared_given()).map(|_| self.shared()).collect(),
        };
        let loan = case.is_loan_given().then(|| {
            let mut loan = self.rt.alloc(BUFFER).expect("room");
            loan.fill(byte(self.number));
            Owned(Arc::new(loan))
        });
        let constant = case.is_constant_given().then(|| {
            let bytes = vec![byte(self.number); BUFFER];
            self.rt.constant(bytes).expect("room")
        });
        let ends = (case.given == Given::Ends).then(|| {
            let (to, from) = self.rt.channel(64).expect("room");
            let pair = Mutex::new(self.rt, [0; 2]).expect("room");
            self.objects.set(Some(Objects::new(from, pair.clone())));
            (to, pair)
        });
        // Three numbers, two lists, three options, and what the buffers add.
        let buffers = shared.len() + usize::from(loan.is_some());
        let empty = varint(self.number) + 2 + 2 + 3 + buffers * 25;
        let pad = match case.given {
            Given::Few
            | Given::Shared
            | Given::Loan
            | Given::Held
            | Given::Constant
            | Given::Ends => 1,
            Given::Filled | Given::SharedFilled | Given::ManyShared | Given::Ranges => {
                48_usize.saturating_sub(empty)
            }
            Given::PastFilled => 49_usize.saturating_sub(empty),
            Given::Long | Given::LongLoan | Given::LongHeld => 5000,
        };
        Arg {
            number: self.number,
            does: case.does as u8,
            made: case.made as u8,
            pad: vec![byte(self.number); pad],
            shared,
            loan,
            constant,
            ends,
        }
    }

    fn filler(&self) -> Arg {
        Arg {
            number: FILLER,
            does: Does::Value as u8,
            made: Made::Few as u8,
            pad: Vec::new(),
            shared: Vec::new(),
            loan: None,
            constant: None,
            ends: None,
        }
    }

    fn check(&self) -> Result<(), String> {
        let argument = self.argument();
        let held = self.case.is_held().then(|| argument.loan.clone()).flatten();
        let view = held.as_ref().map(|loan| &loan.0[..]);
        let seen = self.submit(argument)?;
        let end = self.judge(seen)?;
        if let Some(objects) = self.objects.take() {
            objects.judge(&self.case, self.number, end)?;
        }
        if view.is_some_and(|view| view != [byte(self.number); BUFFER]) {
            return Err("a slice of a loan that somebody has kept has changed".into());
        }
        let is_refused = end == Some(End::Arguments);
        if held
            .as_ref()
            .is_some_and(|loan| loan.0.is_empty() == is_refused)
        {
            return Err("a loan that was kept is not what it should be".into());
        }
        Ok(())
    }

    fn submit(&self, argument: Arg) -> Result<Seen, String> {
        let task = with_settings(self, self.rt.task(run));
        match self.case.way {
            Way::Spawn => self.spawn(task, argument),
            Way::Try => match task.try_spawn(argument) {
                Ok(handle) => self.join(handle),
                Err(refused) => Err(format!("refused: {refused}")),
            },
            Way::Timeout => match task.spawn_timeout(argument, LONG) {
                Ok(handle) => self.join(handle),
                Err(refused) => Err(format!("refused: {refused}")),
            },
            Way::Scope => {
                let (seen, errors) = self.rt.scope_collect(|scope| {
                    if self.number % 2 == 1 {
                        scope.and_descendants();
                    }
                    let handle = scope.spawn_task(&task, argument);
                    self.join(handle)
                });
                let seen = seen?;
                let is_error = matches!(&seen.outcome, Some(Err(e)) if !matches!(e, TaskError::Cancelled { .. }));
                if seen.outcome.is_some() && errors.len() != usize::from(is_error) {
                    return Err(format!("the scope's errors are {errors:?}"));
                }
                Ok(seen)
            }
            Way::After => {
                let before = self.rt.spawn(before, self.number);
                let task = with_settings(self, self.rt.task(run_after));
                self.join(task.spawn_after(&before, argument))
            }
            Way::Nested => {
                let task = with_settings(self, self.rt.task(run_nested));
                self.spawn(task, argument)
            }
            Way::Map => self.of_many(task.map(self.items(argument))),
            Way::Unordered => self.of_unordered(task.map_unordered(self.items(argument))),
            Way::All => self.of_many(
                task.execute_all(self.items(argument), |_, _| ())
                    .into_iter(),
            ),
            Way::Chunked => self.of_many(task.chunked().map(self.items(argument))),
            Way::ChunkedUnordered => {
                self.of_unordered(task.chunked().map_unordered(self.items(argument)))
            }
            Way::Reduce => match task.reduce(self.items(argument), combine) {
                Ok(Some(Ok(out))) if out.count as usize != FILLERS + 1 => {
                    Err(format!("a value of {} items", out.count))
                }
                Ok(value) => Ok(Seen::from(Ok(value.ok_or("a reduction has no value")?))),
                Err(error) => Ok(Seen::from(Err(error))),
            },
        }
    }

    fn items(&self, argument: Arg) -> Vec<Arg> {
        let mut items: Vec<_> = (0..FILLERS).map(|_| self.filler()).collect();
        items.insert(FILLERS / 2, argument);
        items
    }

    fn of_unordered(
        &self,
        outcomes: impl Iterator<Item = (usize, Outcome)>,
    ) -> Result<Seen, String> {
        let mut outcomes: Vec<_> = outcomes.collect();
        outcomes.sort_by_key(|(item, _)| *item);
        if !outcomes.iter().map(|(item, _)| *item).eq(0..=FILLERS) {
            return Err("not each item has one outcome".into());
        }
        self.of_many(outcomes.into_iter().map(|(_, outcome)| outcome))
    }

    /// The outcome of the one among the others, which must have values; but in a chunk.
    fn of_many(&self, outcomes: impl Iterator<Item = Outcome>) -> Result<Seen, String> {
        let mut outcomes: Vec<_> = outcomes.collect();
        if outcomes.len() != FILLERS + 1 {
            return Err(format!("{} outcomes", outcomes.len()));
        }
        let own = outcomes.remove(FILLERS / 2);
        let is_chunked = matches!(self.case.way, Way::Chunked | Way::ChunkedUnordered);
        for outcome in outcomes {
            match (outcome, &own) {
                (Ok(Ok(out)), _) if out.number == FILLER => {}
                // They have the same deadline, and the machine may be busy.
                (Err(TaskError::DeadlineExceeded { .. }), _) if self.case.may_be_late() => {}
                // Each says which item it is of.
                (Err(error), Err(own))
                    if is_chunked && discriminant(&error) == discriminant(own) => {}
                (outcome, _) => return Err(format!("another item ended in {outcome:?}")),
            }
        }
        Ok(Seen::from(own))
    }

    /// Spawns it; a second time if its value is to be remembered.
    fn spawn<F>(&self, task: Task<'_, F, Arg, Value>, argument: Arg) -> Result<Seen, String>
    where
        F: Fn(Arg) -> Value + Copy + Send + 'static,
    {
        let again = argument.loan.is_none().then(|| argument.clone());
        let has_shared = self.case.shared_given() > 0 || self.case.is_constant_given();
        let has_ends = self.case.given == Given::Ends;
        let has_buffers = has_shared || has_ends || self.case.is_loan_given();
        let seen = self.join(task.spawn(argument))?;
        let is_value = matches!(&seen.outcome, Some(Ok(Ok(_))));
        let is_known = self.case.memoized == Memoized::Yes
            && is_value
            && !has_buffers
            && !self.case.is_loan_made();
        if let (true, Some(again)) = (is_known, again) {
            let ran = runs(self.number);
            let second = self.judge(Seen::from(task.spawn(again).join()))?;
            if second != Some(End::Value) || runs(self.number) != ran {
                return Err(format!("it was not remembered: {second:?}"));
            }
        }
        Ok(seen)
    }

    fn join(&self, handle: Handle<Value>) -> Result<Seen, String> {
        let mut told = Told::default();
        if matches!(self.case.called, Called::Complete | Called::Both) {
            let (tell, complete) = channel();
            let set = handle.on_complete(move |outcome| {
                let _ = tell.send(outcome);
            });
            set.map_err(|error| error.to_string())?;
            told.complete = Some(complete);
        }
        if matches!(self.case.called, Called::Error | Called::Both) {
            let (tell, error) = channel();
            let set = handle.on_error(move |error| {
                let _ = tell.send(error);
            });
            set.map_err(|error| error.to_string())?;
            told.error = Some(error);
        }
        let is_refused = self.case.is_loan_given() && self.case.is_repeated();
        if self.case.does == Does::Cancelled && !is_refused {
            let give_up = Instant::now() + LONG;
            while runs(self.number) == 0 && Instant::now() < give_up {
                std::thread::sleep(Duration::from_micros(300));
            }
            if !handle.cancel() {
                return Err("it had ended before it was cancelled".into());
            }
        }
        let outcome = match self.case.dropped {
            Dropped::Plain => Some(handle.join()),
            Dropped::Aborts => Some(handle.abort_on_drop().join()),
            Dropped::Detached => {
                drop(handle);
                None
            }
        };
        Ok(Seen { outcome, told })
    }

    /// Whether this may come of it; which end it is.
    fn judge(&self, seen: Seen) -> Result<Option<End>, String> {
        let allowed = ends(&self.case);
        let told = match &seen.told.complete {
            Some(complete) => Some(complete.recv_timeout(LONG).map_err(|e| e.to_string())?),
            None => None,
        };
        // What nobody has looked at ends all the same.
        let most = allowed.iter().map(|(_, runs)| *runs).max().unwrap_or(0);
        let Some(outcome) = seen.outcome else {
            let give_up = Instant::now() + LONG;
            // One that waits for another is not in flight yet.
            let is_accepted = allowed.iter().all(|(_, runs)| *runs > 0);
            while is_accepted && runs(self.number) == 0 && Instant::now() < give_up {
                std::thread::sleep(Duration::from_micros(300));
            }
            while self.rt.stats().tasks.in_flight > 1 && Instant::now() < give_up {
                std::thread::sleep(Duration::from_micros(300));
            }
            let ran = runs(self.number);
            return match ran > most {
                true => Err(format!("{ran} runs of {most}")),
                false if allowed.iter().any(|(end, _)| *end == End::Arguments) => {
                    Ok(Some(End::Arguments))
                }
                false => Ok(None),
            };
        };
        let end = self.end_of(&outcome)?;
        let ran = runs(self.number);
        let mut allowed = allowed;
        if self.is_pair_refused() {
            // A pair of values with a loan among them cannot be put together twice.
            allowed = allowed
                .into_iter()
                .map(|(end, ran)| match end {
                    End::Value | End::Err => (End::Arguments, ran),
                    end => (end, ran),
                })
                .collect();
        }
        if !is_among(&allowed, end, ran) {
            return Err(format!("{outcome:?} after {ran} runs, of {allowed:?}"));
        }
        if let Some(told) = told {
            let is_handles_own = matches!(&outcome, Ok(Ok(out) | Err(out)) if out.loan.is_some());
            let is_well = match &told {
                Err(TaskError::Result { .. }) => is_handles_own,
                told => !is_handles_own && self.end_of(told)? == end,
            };
            if !is_well {
                return Err(format!("on_complete was told {told:?}"));
            }
        }
        if let Some(error) = seen.told.error {
            let is_well = match (error.recv_timeout(LONG), &outcome) {
                (Ok(told), Err(error)) => told == *error,
                (Err(RecvTimeoutError::Disconnected), Ok(_)) => true,
                _ => false,
            };
            if !is_well {
                return Err("on_error was told something else".into());
            }
        }
        Ok(Some(end))
    }

    fn is_pair_refused(&self) -> bool {
        self.case.way == Way::Reduce && self.case.lives() > 1 && self.case.is_loan_made()
    }

    /// Which end an outcome is, if it is made as it should be.
    fn end_of(&self, outcome: &Outcome) -> Result<End, String> {
        Ok(match outcome {
            Ok(Ok(out)) => {
                let byte = byte(self.number);
                let shared = match self.case.made {
                    Made::Shared | Made::SameShared => 1..2,
                    Made::ManyShared | Made::Ranges => 3..5,
                    _ => 0..1,
                };
                let is_well = out.number == self.number
                    && out.pad == vec![byte; pad_made(self.number, self.case.made)]
                    && shared.contains(&out.shared.len())
                    && out.shared.iter().all(|s| s[..] == [byte; BUFFER])
                    && out.loan.is_some() == self.case.is_loan_made()
                    && out.loan.iter().all(|l| l.0[..] == [byte; BUFFER]);
                if !is_well {
                    return Err(format!("a wrong value: {out:?}"));
                }
                End::Value
            }
            Ok(Err(out)) if out.number == self.number => End::Err,
            Err(TaskError::Panicked { message, .. }) if message == "as it is told" => End::Panicked,
            Err(TaskError::WorkerDied { .. }) => End::Died,
            Err(TaskError::Poison { attempts, .. }) if attempts.len() >= self.case.lives() => {
                End::Poison
            }
            // Of several items another may have been late.
            Err(TaskError::DeadlineExceeded { .. }) if self.case.may_be_late() => End::Late,
            Err(TaskError::Cancelled { .. }) => End::Cancelled,
            Err(TaskError::Arguments { message, .. }) if message.contains("Loan") => End::Arguments,
            other => return Err(format!("{other:?}")),
        })
    }
}

fn is_among(allowed: &BTreeSet<(End, usize)>, end: End, ran: usize) -> bool {
    allowed.contains(&(end, ran))
}
