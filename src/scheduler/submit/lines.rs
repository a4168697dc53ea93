//! The lines in which those stand that wait for room without a thread; see [`super::guests`].

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use crate::error::Refusal;

use crate::scheduler::followers::news::News;
use crate::scheduler::terms::limit::{Needs, Permit};

/// One line. Who is in it has a number, which is higher than those before.
struct Line<T> {
    /// A thread has no waker.
    waiting: BTreeMap<u64, Option<Waker>>,
    granted: HashMap<u64, Result<T, Refusal>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line {
            waiting: BTreeMap::new(),
            granted: HashMap::new(),
        }
    }
}

impl<T> Line<T> {
    fn grant(&mut self, number: u64, what: Result<T, Refusal>, news: &mut Vec<News>) {
        let waker = self.waiting.remove(&number);
        self.granted.insert(number, what);
        news.extend(waker.flatten().map(News::Wake));
    }

    fn refuse(&mut self, refusal: Refusal, news: &mut Vec<News>) {
        while let Some((number, _)) = self.waiting.first_key_value() {
            self.grant(*number, Err(refusal), news);
        }
    }

    fn contains(&self, number: u64) -> bool {
        self.waiting.contains_key(&number) || self.granted.contains_key(&number)
    }

    /// What was granted to who waits; else has another waker woken, and returns the former.
    fn look(&mut self, number: u64, waker: Waker) -> Looked<T> {
        if let Some(granted) = self.granted.remove(&number) {
            return Ok(granted);
        }
        match self.waiting.get_mut(&number) {
            Some(place) => Err(place.replace(waker)),
            None => Err(Some(waker)),
        }
    }
}

/// What was granted to who looks; or the waker that was to be woken before.
pub type Looked<T> = Result<Result<T, Refusal>, Option<Waker>>;

/// All lines, under the scheduler's lock.
#[derive(Default)]
pub struct Guests {
    places: Line<()>,
    /// By what they need.
    shares: Vec<(Needs, Line<Vec<Permit>>)>,
    memory: Line<()>,
    /// The last number.
    last: u64,
    /// So many wait for places or shares.
    waiting: usize,
}

impl Guests {
    /// Whether anybody waits for places or shares.
    #[inline]
    pub fn any(&self) -> bool {
        self.waiting > 0
    }

    /// Whether anybody waits for memory.
    pub fn are_thirsty(&self) -> bool {
        !self.memory.waiting.is_empty()
    }

    /// Whether anybody waits for a place.
    pub fn want_places(&self) -> bool {
        !self.places.waiting.is_empty()
    }

    /// Whether a place was granted to, or refused, who has this number.
    pub fn is_granted(&self, number: u64) -> bool {
        self.places.granted.contains_key(&number)
    }

    /// The last in the line for places from now on.
    pub fn queue_up(&mut self, waker: Option<Waker>) -> u64 {
        self.last += 1;
        self.waiting += 1;
        self.places.waiting.insert(self.last, waker);
        self.last
    }

    pub fn queue_up_for_shares(&mut self, needs: &Needs, waker: Waker) -> u64 {
        self.last += 1;
        self.waiting += 1;
        let known = self.shares.iter().position(|(known, _)| known == needs);
        let at = known.unwrap_or_else(|| {
            self.shares.push((needs.clone(), Line::default()));
            self.shares.len() - 1
        });
        self.shares[at].1.waiting.insert(self.last, Some(waker));
        self.last
    }

    fn line_of(&mut self, number: u64) -> Option<&mut Line<Vec<Permit>>> {
        let mut lines = self.shares.iter_mut().map(|(_, line)| line);
        lines.find(|line| line.contains(number))
    }

    /// Whoever waits is refused.
    pub fn refuse(&mut self, refusal: Refusal, news: &mut Vec<News>) {
        self.places.refuse(refusal, news);
        for (_, line) in &mut self.shares {
            line.refuse(refusal, news);
        }
        self.memory.refuse(refusal, news);
        self.waiting = 0;
    }

    /// Leaves the line for places; whether there is one to give back.
    pub fn leave(&mut self, number: u64) -> (Option<Result<(), Refusal>>, Option<Waker>) {
        let waker = self.places.waiting.remove(&number);
        self.waiting -= usize::from(waker.is_some());
        (self.places.granted.remove(&number), waker.flatten())
    }

    /// Hands what is free on to those that are first in line for it; `keep_place` keeps a place,
    /// if there is one. Whether anybody was granted anything.
    pub fn admit(&mut self, mut keep_place: impl FnMut() -> bool, news: &mut Vec<News>) -> bool {
        let before = self.waiting;
        for (needs, line) in &mut self.shares {
            while let Some((number, _)) = line.waiting.first_key_value()
                && let Ok(permits) = needs.try_take()
            {
                line.grant(*number, Ok(permits), news);
                self.waiting -= 1;
            }
        }
        while let Some((number, _)) = self.places.waiting.first_key_value()
            && keep_place()
        {
            self.places.grant(*number, Ok(()), news);
            self.waiting -= 1;
        }
        self.waiting < before
    }

    /// There may be memory: whoever waits for some is to look again.
    pub fn rouse(&mut self, news: &mut Vec<News>) {
        let memory = &mut self.memory;
        while let Some((number, _)) = memory.waiting.first_key_value() {
            memory.grant(*number, Ok(()), news);
        }
    }

    /// The last in the line for memory from now on.
    pub fn queue_up_for_memory(&mut self, waker: Waker) -> u64 {
        self.last += 1;
        self.memory.waiting.insert(self.last, Some(waker));
        self.last
    }

    /// What was granted of places; else has another waker woken, and returns the former.
    pub fn look_for_place(&mut self, number: u64, waker: Waker) -> Looked<()> {
        self.places.look(number, waker)
    }

    /// The same of shares.
    pub fn look_for_shares(&mut self, number: u64, waker: Waker) -> Looked<Vec<Permit>> {
        match self.line_of(number) {
            Some(shares) => shares.look(number, waker),
            None => Err(Some(waker)),
        }
    }

    /// The same of memory.
    pub fn look_for_memory(&mut self, number: u64, waker: Waker) -> Looked<()> {
        self.memory.look(number, waker)
    }

    /// Leaves the line for shares; what was granted is to be given back without the lock.
    pub fn leave_shares(&mut self, number: u64) -> (Option<Vec<Permit>>, Option<Waker>) {
        let (mut permits, mut former) = (None, None);
        if let Some(line) = self.line_of(number) {
            let waker = line.waiting.remove(&number);
            permits = line.granted.remove(&number).and_then(Result::ok);
            self.waiting -= usize::from(waker.is_some());
            former = waker.flatten();
        }
        let is_used = |line: &Line<_>| {
            let is_unused = line.waiting.is_empty() && line.granted.is_empty();
            !is_unused
        };
        self.shares.retain(|(_, line)| is_used(line));
        (permits, former)
    }

    /// Leaves the line for memory.
    pub fn leave_memory(&mut self, number: u64) -> Option<Waker> {
        self.memory.granted.remove(&number);
        self.memory.waiting.remove(&number).flatten()
    }
}
