//! One process's side of a member: how it meets the others.

use std::cell::Cell;
use std::fmt::{Debug, Formatter};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::notify::Gate;
use crate::object::{GaveUp, Patience, wait};
use crate::pool::{LaneBlock, Pool, Token, is_read_back};
use crate::prim::atomic::fence;
use crate::prim::{ProcessId, Word};
use crate::sys::affinity;

use super::call::{self, Call, NO_VALUE};
use super::circle::{self, Absent, Circle, Lines, MEMBERS_MAX, Round, Seat, Taking};
use super::error::{CollectiveError, GroupError};
use super::recover::{circle_of, make_group, make_seat, seat_of};
use super::value::{self, Read, Value};

/// So often it is looked without giving up the CPU, if there is one for each member.
const SPINS: u32 = 1000;
/// So often of these without any pause: others that come at the same time are there by then.
const AT_ONCE: u32 = 100;
/// So often the CPU is given to others before it is slept.
const YIELDS: u32 = 40;

/// So often it is looked whether who has a seat still writes, which takes less, unless something stops it in the middle …
const WRITING_LOOK: Duration = Duration::from_micros(50);
/// … for so long: then who would have taken the seat has it not.
const WRITING_MAX: Duration = Duration::from_secs(1);

/// Makes a group in this pool: its members, in the order of ranks.
pub(crate) fn make(pool: &Pool, members: usize) -> Result<Vec<Member>, GroupError> {
    let most = MEMBERS_MAX;
    let words = Circle::words_for(members).ok_or(GroupError::Size { members, most })?;
    let group = make_group(pool, members, words)?;
    let gone = || GroupError::Alloc(pool.exhausted(words * 8));
    let block = group.lane().ok_or_else(gone)?;
    let member = |line| {
        let token = make_seat(pool, block, line)?;
        Member::of(token, group.clone(), 0, None).ok_or_else(gone)
    };
    (0..members).map(member).collect()
}

/// A member of a group; made by [`Runtime::spawn_group`](crate::Runtime::spawn_group) and
/// [`Runtime::collective`](crate::Runtime::collective), in a task by [`collective`](fn@crate::collective).
///
/// It is nobody else's: there is no clone of it. It may be passed to a task or sent in a message, and
/// goes on there where it was. Dropping it is leaving the group. See the [module](super).
pub struct Member {
    // In this order: who still has a seat has the group.
    token: Token,
    group: Token,
    circle: Circle,
    pool: Pool,
    line: usize,
    /// By which this side has the seat; `None` if it never had.
    word: Option<Word>,
    rank: usize,
    /// The lines of those that are left, in the order of ranks; `None`: all.
    survivors: Option<Vec<u16>>,
    /// The last round that has ended.
    round: Round,
    /// It has arrived in the next one, and has not seen all others.
    pending: Option<Call>,
    timeout: Option<Duration>,
    /// It was encoded: dropping it is not leaving, then.
    is_passed_on: AtomicBool,
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(word) = self.word
            && self.pool.is_here()
        {
            let is_passed_on = *self.is_passed_on.get_mut();
            self.circle.leave(self.line, word, is_passed_on);
        }
    }
}

impl Debug for Member {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("rank", &self.rank())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Relaxed: whoever drops it has it alone.
        self.is_passed_on.store(true, Ordering::Relaxed);
        (&self.token, &self.group, self.round, &self.survivors).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (token, group, round, survivors) = Deserialize::deserialize(deserializer)?;
        let member = Member::of(token, group, round, survivors);
        member.ok_or_else(|| D::Error::custom("it is no member of a group, or its group is gone"))
    }
}

impl Member {
    /// Takes a seat; `None` if the tokens are of none. If it is gone, each call says so.
    fn of(token: Token, group: Token, round: Round, survivors: Option<Vec<u16>>) -> Option<Self> {
        let pool = token.pool().clone();
        let (block, line) = seat_of(&pool, token.lane()?)?;
        if group.lane()? != block || !group.pool().is_same(&pool) {
            return None;
        }
        let circle = circle_of(&pool, block)?;
        let lines = survivors.iter().flatten().map(|line| usize::from(*line));
        if line >= circle.members() || lines.max().is_some_and(|line| line >= circle.members()) {
            return None;
        }
        let is_it = |other: &u16| usize::from(*other) == line;
        let rank = match &survivors {
            None => line,
            Some(lines) => lines.iter().position(is_it)?,
        };
        let mut member = Member {
            word: None,
            token,
            group,
            pool,
            line,
            rank,
            survivors,
            round,
            pending: None,
            timeout: None,
            is_passed_on: AtomicBool::new(false),
            circle,
        };
        if !is_read_back() {
            member.sit_down();
        }
        Some(member)
    }

    /// Takes the seat, unless this is an old picture of it: a task that is tried again has not seen
    /// what the attempt before has done.
    fn sit_down(&mut self) {
        let take = || {
            self.circle
                .take(self.line, self.pool.process(), self.next_round())
        };
        let mut taking = take();
        let until = Instant::now() + WRITING_MAX;
        while taking == Taking::Writing && Instant::now() < until {
            std::thread::sleep(WRITING_LOOK);
            taking = take();
        }
        let Taking::Taken(word, last) = taking else {
            return;
        };
        self.word = Some(word);
        if last > self.round {
            let call = self.circle.call(self.line, last);
            self.pending = call::unpack(call).map(|(call, _)| call);
        }
    }

    /// Which group it is of.
    pub(crate) fn group(&self) -> Option<LaneBlock> {
        self.group.lane()
    }

    /// Which member it is: 0 to [`size`](Member::size) - 1.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many members the group has; fewer after it has [shrunk](Member::shrink).
    pub fn size(&self) -> usize {
        self.survivors
            .as_ref()
            .map_or(self.circle.members(), Vec::len)
    }

    /// How long each call of this member waits for the others; `None`, as it is at first: as long as
    /// they live.
    ///
    /// A call that ends with [`CollectiveError::TimedOut`] has not ended for the others: this member has
    /// arrived there, with its value. So it is to call the same again, and goes on to wait; the value
    /// is the first one's. Other calls are refused until then ([`CollectiveError::Unfinished`]).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// use pinfold::collective::CollectiveError;
    /// use std::time::Duration;
    ///
    /// let mut members = rt.collective(2)?;
    /// let mut other = members.pop().unwrap();
    /// let mut member = members.pop().unwrap();
    /// member.set_timeout(Some(Duration::from_millis(10)));
    /// let error = member.all_gather('a').unwrap_err();
    /// assert!(matches!(error, CollectiveError::TimedOut { missing: 1, .. }));
    /// assert_eq!(other.all_gather('b')?, ['a', 'b']); // it had arrived
    /// assert_eq!(member.all_gather('c')?, ['a', 'b']);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// Goes on without the members that are gone: waits until all others have called it, too, or are
    /// gone themselves. Those that have are the group from then on, with new ranks in the
    /// order of the old ones. What was begun before has ended.
    ///
    /// It is for all that were told of a death, or that somebody shrinks
    /// ([`CollectiveError::Shrinking`]). Whoever dies afterwards is again told of by the next call.
    ///
    /// # Errors
    /// As of all operations, but for those of other members that are gone. After
    /// [`CollectiveError::TimedOut`] call it again: the others may go on with this member, so its other calls
    /// end with [`CollectiveError::Shrinking`] of its own rank until it has shrunk, too.
    /// [`CollectiveError::MemberDied`] that names the
    /// caller's own [`rank`](Member::rank) says that it is no member any more, as every call does: its
    /// task is tried again, and the attempt before had begun.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn sum((mut member, value): (Member, u64)) -> Result<(u64, usize), CollectiveError> {
    ///     if value == 0 {
    ///         std::process::abort();
    ///     }
    ///     let add = |a, b| a + b;
    ///     let sum = match member.all_reduce(value, add) {
    ///         Err(CollectiveError::MemberDied { .. } | CollectiveError::Shrinking { .. }) => {
    ///             member.shrink()?;
    ///             member.all_reduce(value, add)?
    ///         }
    ///         other => other?,
    ///     };
    ///     Ok((sum, member.size()))
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(3).start()?;
    /// let sums = pinfold::join_all(rt.spawn_group(sum, [1, 0, 5])?);
    /// assert_eq!((&sums[0], &sums[2]), (&Ok(Ok((6, 2))), &Ok(Ok((6, 2)))));
    /// assert!(sums[1].is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn shrink(&mut self) -> Result<(), CollectiveError> {
        self.check()?;
        let epoch = circle::epoch(self.round) + 1;
        let wish = |word: &mut Word| self.circle.shrink(self.line, word, epoch);
        if !self.word.as_mut().is_some_and(wish) {
            return Err(self.not_mine());
        }
        let missing = Cell::new(0);
        let look = || {
            let lines = (0..self.size()).map(|rank| self.line_of(rank));
            match self.circle.survivors(lines, epoch) {
                Ok(survivors) => return Ok(Some(survivors)),
                Err(line) => missing.set(self.rank_of(line)),
            }
            self.check_process().map(|()| None)
        };
        let survivors = self.wait_at(self.circle.shrink_gate(), look, &missing)?;
        let is_it = |line: &u16| usize::from(*line) == self.line;
        self.rank = survivors
            .iter()
            .position(is_it)
            .ok_or(CollectiveError::Gone)?;
        self.survivors = Some(survivors);
        self.round = circle::first_round(epoch) - 1;
        self.pending = None;
        Ok(())
    }

    fn next_round(&self) -> Round {
        self.round + 1
    }

    #[inline]
    pub(super) fn line_of(&self, rank: usize) -> usize {
        match &self.survivors {
            None => rank,
            Some(lines) => usize::from(lines[rank]),
        }
    }

    fn rank_of(&self, line: usize) -> usize {
        let rank = (0..self.size()).find(|rank| self.line_of(*rank) == line);
        rank.unwrap_or(line)
    }

    pub(super) fn check_rank(&self, rank: usize) -> Result<(), CollectiveError> {
        let size = self.size();
        if rank < size {
            return Ok(());
        }
        Err(CollectiveError::NoSuchRank { rank, size })
    }

    /// Whether this side may call anything.
    fn check(&self) -> Result<(), CollectiveError> {
        self.check_process()?;
        let seat = self.circle.seat(self.line);
        if Some(seat) == self.word {
            // Relaxed: a private mark. It was not passed on, after all.
            self.is_passed_on.store(false, Ordering::Relaxed);
            return Ok(());
        }
        let rank = self.rank;
        Err(match self.circle.state(self.line) {
            Seat::Dead => died(rank, ProcessId(seat.owner)),
            Seat::Left => CollectiveError::MemberLeft { rank },
            _ => CollectiveError::PassedOn { rank },
        })
    }

    /// Why it could not write: another has its seat, or had it and has said that it shrinks.
    #[cold]
    fn not_mine(&self) -> CollectiveError {
        let passed_on = CollectiveError::PassedOn { rank: self.rank };
        self.check_round().err().unwrap_or(passed_on)
    }

    /// Whether it may arrive in its next round, too: not if it has said that it shrinks.
    fn check_round(&self) -> Result<(), CollectiveError> {
        self.check()?;
        if self.circle.shrunk(self.line) > circle::epoch(self.round) {
            return Err(CollectiveError::Shrinking { rank: self.rank });
        }
        Ok(())
    }

    #[inline]
    fn check_process(&self) -> Result<(), CollectiveError> {
        if !self.pool.is_here() {
            return Err(CollectiveError::Forked);
        }
        if self.pool.is_over() {
            return Err(CollectiveError::Gone);
        }
        Ok(())
    }

    /// One round: all have called, and the same. Which round it was.
    pub(super) fn meet(
        &mut self,
        call: Call,
        bring: impl FnOnce(&Pool) -> Result<Value<'_>, CollectiveError>,
    ) -> Result<Round, CollectiveError> {
        self.check_round()?;
        let round = self.next_round();
        let mut own_error = None;
        match self.pending {
            None => {
                let value = bring(&self.pool).unwrap_or_else(|error| {
                    own_error = Some(error);
                    Value::missing(&self.pool)
                });
                let write = |word: &mut Word| {
                    let arrive = |lines: &Lines<'_>| value.arrive(lines, round, &call);
                    self.circle.write(self.line, word, arrive)
                };
                if self.word.as_mut().and_then(write) != Some(true) {
                    return Err(self.not_mine());
                }
                self.pending = Some(call);
            }
            Some(pending) if pending != call => {
                // What is worse is told.
                self.look(round, &Cell::new(0))?;
                return Err(CollectiveError::Unfinished { call: pending });
            }
            Some(_) => {}
        }
        self.wait_for_all(round)?;
        self.pending = None;
        self.round = round;
        if let Some(error) = own_error {
            return Err(error);
        }
        let compared = self.compare(call, round);
        self.if_still_mine(compared)?;
        Ok(round)
    }

    /// What has come of looking at the places of a round, if this is still the member that has arrived
    /// there. If not, the one that has its seat now may have gone on, and so may the others: what was read
    /// may be of a later round. All that was read was read before this.
    pub(super) fn if_still_mine<T>(
        &self,
        read: Result<T, CollectiveError>,
    ) -> Result<T, CollectiveError> {
        // ordering: Acquire: whoever has read what was written two rounds later sees that the seat was
        // taken before the round in between.
        fence(Ordering::Acquire);
        self.check()?;
        read
    }

    /// Whether there is a call that has timed out.
    pub(super) fn is_pending(&self, call: Call) -> bool {
        self.pending == Some(call)
    }

    fn look(&self, round: Round, from: &Cell<usize>) -> Result<Option<()>, CollectiveError> {
        let mut first = from.get();
        let line_of = |rank| self.line_of(rank);
        let looked = self
            .circle
            .have_all_arrived(self.size(), line_of, round, &mut first);
        from.set(first);
        match looked {
            Ok(true) => Ok(Some(())),
            Ok(false) => {
                self.check_process()?;
                if !self.circle.has_arrived(self.line, round) {
                    // It has, by its own word.
                    return Err(self.damaged(self.line, round, "is not where it was"));
                }
                Ok(None)
            }
            Err(Absent::Died { line, process }) => Err(died(self.rank_of(line), process)),
            Err(Absent::Left { line }) => Err(CollectiveError::MemberLeft {
                rank: self.rank_of(line),
            }),
            Err(Absent::Shrinks { line }) => Err(CollectiveError::Shrinking {
                rank: self.rank_of(line),
            }),
            Err(Absent::Damaged { line }) => {
                Err(self.damaged(line, round, "is where it cannot be"))
            }
        }
    }

    fn wait_for_all(&self, round: Round) -> Result<(), CollectiveError> {
        let from = Cell::new(0);
        let gate = self.circle.gate(round);
        self.wait_at(gate, || self.look(round, &from), &from)?;
        // Those that have slept before this one saw it: it may be the only one awake.
        gate.open_all();
        Ok(())
    }

    /// Waits until `look` finds something, which is looked for often if it is to be soon.
    fn wait_at<T>(
        &self,
        gate: &Gate,
        look: impl Fn() -> Result<Option<T>, CollectiveError>,
        missing: &Cell<usize>,
    ) -> Result<T, CollectiveError> {
        let spins = if self.size() <= cpus() { SPINS } else { 0 };
        for turn in 0..spins + YIELDS {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if turn >= spins {
                std::thread::yield_now();
            } else if turn >= AT_ONCE {
                std::hint::spin_loop();
            }
        }
        let patience = self.timeout.map_or(Patience::Forever, Patience::For);
        let missing = || missing.get();
        wait(gate, patience, look, |why| match why {
            GaveUp::Told => CollectiveError::Cancelled,
            GaveUp::AtOnce => late(Duration::ZERO, missing()),
            GaveUp::Late(waited) => late(waited, missing()),
        })
    }

    /// Whether all have called the same, and have brought what they should.
    fn compare(&self, ours: Call, round: Round) -> Result<(), CollectiveError> {
        let mut without = None;
        for rank in 0..self.size() {
            let words = self.circle.call(self.line_of(rank), round);
            let Some((theirs, size)) = call::unpack(words) else {
                let line = self.line_of(rank);
                return Err(self.damaged(line, round, "has called what there is not"));
            };
            if theirs != ours {
                return Err(CollectiveError::Mismatch { ours, rank, theirs });
            }
            if size.marks & NO_VALUE != 0 {
                without = without.or(Some(rank));
            }
        }
        without.map_or(Ok(()), |rank| Err(CollectiveError::NoValue { rank }))
    }

    /// What a member has brought, not decoded.
    pub(super) fn read_raw(&self, rank: usize, round: Round) -> Result<Read, CollectiveError> {
        let read = Read::of(&self.circle, &self.pool, self.line_of(rank), round);
        let what = "has brought what is not there";
        read.ok_or_else(|| self.damaged(self.line_of(rank), round, what))
    }

    pub(super) fn read<T: DeserializeOwned>(
        &self,
        rank: usize,
        round: Round,
    ) -> Result<T, CollectiveError> {
        let decoded = match value::read_short(&self.circle, self.line_of(rank), round) {
            Some(decoded) => decoded,
            None => self.read_raw(rank, round)?.decode(),
        };
        decoded.map_err(|message| CollectiveError::Decode { rank, message })
    }

    /// The line of a member says in a round of this one's what no correct process writes there. Unless
    /// this one is no member any more, or has done with that round: then the others may have gone on.
    #[cold]
    pub(super) fn damaged(&self, line: usize, round: Round, what: &str) -> CollectiveError {
        if let Err(error) = self.check_round() {
            return error;
        }
        if let Some(group) = self.group() {
            let (seat, rounds) = (self.circle.seat(line), self.circle.rounds(line));
            let shrunk = self.circle.shrunk(line);
            let what = format!(
                "line {line} {what}, says line {} in round {round}: {seat:?}, rounds {rounds:?}, shrunk {shrunk}",
                self.line
            );
            self.pool.report_lane(group, &what);
        }
        CollectiveError::Gone
    }
}

fn late(waited: Duration, missing: usize) -> CollectiveError {
    CollectiveError::TimedOut { waited, missing }
}

fn died(rank: usize, process: ProcessId) -> CollectiveError {
    CollectiveError::MemberDied {
        rank,
        worker: process.worker().unwrap_or_default() as usize,
    }
}

/// Which of `len` elements are the part of member `rank`, of `size`.
pub(super) fn part(len: usize, rank: usize, size: usize) -> std::ops::Range<usize> {
    let at = |rank: usize| (len as u128 * rank as u128 / size as u128) as usize;
    at(rank)..at(rank + 1)
}

/// How many CPUs there are for all members. A worker is asked before its threads are on one each.
pub(crate) fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| affinity::allowed().map_or(1, |cpus| cpus.len()))
}
