//! Which of several tasks ends next, whatever fold they are of.
//!
//! Usually all are of one fold, and the calling thread waits there. When the fold was
//! built anew some are of its predecessor; those have ended. Only with tasks of several
//! runtimes is there more than one place to wait at: then a thread waits at each.

use std::task::Waker;
use std::time::{Duration, Instant};

use crate::scheduler::{Ended, Group, Reach, Scheduler, Ticket, about_to_wait};
use crate::sys::signals::blocked;

use super::held::Held;

/// How long to wait at one place when no thread can be had for another.
const TURN: Duration = Duration::from_millis(10);

/// Tasks that were submitted, and which of them have ended.
#[derive(Debug, Default)]
pub(super) struct Ends {
    sources: Vec<Source>,
}

/// Those of one fold.
#[derive(Debug)]
struct Source {
    scheduler: Held,
    /// Open until this is dropped.
    group: Option<Group>,
    /// Tasks whose end was not told yet.
    open: usize,
}

impl Source {
    fn group<T>(&self, act: impl FnOnce(&Scheduler, &Group) -> T) -> Option<T> {
        self.group.as_ref().map(|group| act(&self.scheduler, group))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.scheduler.close_group(group);
        }
    }
}

impl Ends {
    /// Adds tasks of one fold, each under a tag. False if others watch one of them so that there
    /// is no place: then this is of no use. It does not happen to whoever owns the handles.
    pub fn watch<'a>(
        &mut self,
        scheduler: &Held,
        tickets: impl Iterator<Item = (u32, &'a Ticket)>,
    ) -> bool {
        let known = self
            .sources
            .iter()
            .position(|s| Held::is_same(&s.scheduler, scheduler));
        let at = known.unwrap_or_else(|| {
            // A damaged fold of which everything was told need not stay mapped.
            self.sources
                .retain(|s| s.open > 0 || !s.scheduler.is_condemned());
            self.sources.push(Source {
                scheduler: scheduler.clone(),
                group: Some(scheduler.open_group()),
                open: 0,
            });
            self.sources.len() - 1
        });
        let source = &mut self.sources[at];
        let mut added = 0;
        let all = tickets.inspect(|_| added += 1);
        let has_all = source.group(|scheduler, group| scheduler.enrol(group, all));
        source.open += added;
        has_all != Some(false)
    }

    /// Whether this process was forked off the one whose tasks they are: there is no end to
    /// wait for.
    pub fn are_elsewhere(&self) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.open > 0 && source.scheduler.is_elsewhere())
    }

    /// Tasks whose end was not told yet.
    pub fn open(&self) -> usize {
        self.sources.iter().map(|source| source.open).sum()
    }

    /// Adds what has ended since the last call to `ended`; never waits.
    pub fn poll(&mut self, ended: &mut Vec<Ended>) {
        for source in &mut self.sources {
            let before = ended.len();
            source.group(|scheduler, group| scheduler.take_ended(group, ended));
            source.open -= ended.len() - before;
        }
    }

    /// The same, and waits until something has ended, unless all has been told.
    pub fn wait(&mut self, ended: &mut Vec<Ended>) {
        self.wait_until(ended, None);
    }

    /// The same, until `deadline`.
    pub fn wait_until(&mut self, ended: &mut Vec<Ended>, deadline: Option<Instant>) {
        let before = ended.len();
        loop {
            self.poll(ended);
            let waiting: Vec<&Source> = self.sources.iter().filter(|s| s.open > 0).collect();
            if ended.len() > before || waiting.is_empty() || self.are_elsewhere() {
                return;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return;
            }
            wait_at_all(&waiting, deadline);
        }
    }

    /// Adds what has ended since the last call to `ended`. If nothing has, `waker` is woken
    /// when something does.
    pub fn poll_ended(&mut self, ended: &mut Vec<Ended>, waker: &Waker) {
        let before = ended.len();
        loop {
            self.poll(ended);
            if ended.len() > before || self.are_elsewhere() {
                return;
            }
            let mut open = self.sources.iter().filter(|source| source.open > 0);
            let waits = |source: &Source| {
                source.group(|scheduler, group| scheduler.wake_for_group(group, waker))
            };
            if open.all(|source| waits(source) == Some(true)) {
                return;
            }
        }
    }

    /// Nobody is to be woken any more.
    pub fn wake_nobody(&self) {
        for source in &self.sources {
            source.group(Scheduler::wake_nobody);
        }
    }

    /// Cancels those that have not ended, as far as `reach` goes.
    pub fn cancel(&self, reach: Reach) {
        for source in self.sources.iter().filter(|source| source.open > 0) {
            source.group(|scheduler, group| scheduler.cancel_group(group, reach));
        }
    }
}

/// Waits until something has ended in one of `sources`.
fn wait_at_all(sources: &[&Source], deadline: Option<Instant>) {
    let Some((first, others)) = sources.split_first() else {
        return;
    };
    if others.is_empty() {
        first.group(|scheduler, group| scheduler.wait_for_group(group, deadline));
        return;
    }
    about_to_wait();
    // Whoever is the first lets the others go.
    let wait = |source: &Source, deadline| {
        source.group(|scheduler, group| scheduler.wait_for_group(group, deadline));
        for source in sources {
            source.group(Scheduler::poke);
        }
    };
    std::thread::scope(|threads| {
        let mut has_all = true;
        for source in others {
            let builder = std::thread::Builder::new();
            let spawned = blocked(|| builder.spawn_scoped(threads, || wait(source, deadline)));
            has_all &= spawned.is_ok();
        }
        let turn = (!has_all).then(|| Instant::now() + TURN);
        wait(first, turn.into_iter().chain(deadline).min());
    });
}
