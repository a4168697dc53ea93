//! Joining what was submitted through a client, and letting go of it.

use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::prim::{Hint, TaskId};
use crate::sys::affinity;
use crate::task::TaskState;

use crate::scheduler::clients::Clients;
use crate::scheduler::clients::books::{At, Books};
use crate::scheduler::followers::attend::about_to_wait;
use crate::scheduler::outcomes::value::{Outcome, SMALL, Taken, Value};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::waiting::patience::{is_past, patience};
use crate::scheduler::waiting::policy;

/// Who has waited for so long for a task of a client's has it registered, and waits as for any
/// other: with all that is looked after there.
const REGISTER_AFTER: Duration = Duration::from_millis(10);
/// Whoever has joined so many is at work.
const MANY: u64 = 16;
/// So often it looks at the word before it looks at the books, and at the time.
const LOOKS: u32 = 64;

/// What has come of looking for the end of a client's task.
pub(in crate::scheduler) enum Looked {
    /// It has ended, and this is its value.
    Ended(Outcome),
    /// It has not ended.
    Open,
    /// It is to be registered, or is.
    Elsewhere,
}

impl Scheduler {
    fn hint_at(&self, at: u32, books: &Books) -> Hint {
        books.hint(Clients::place(at).1)
    }

    /// Whether the task at `at` is done, as its slot says; what is in the slot is not checked.
    #[inline]
    pub(in crate::scheduler) fn is_done_at(&self, at: u32) -> bool {
        let slot = self.fold.plan.shape.client_slots() + at;
        let word = self.fold.slots[slot as usize].word();
        TaskState::of(word) == Some(TaskState::Done)
    }

    /// As [`Scheduler::take_small`], of a client's task.
    #[inline(never)]
    pub(in crate::scheduler) fn take_small_at(
        &self,
        at: u32,
        to: &mut [u64; SMALL / 8],
    ) -> Option<Taken> {
        if self.is_elsewhere() {
            return None;
        }
        let (seat, place) = Clients::place(at);
        if self.is_done_at(at) {
            let mut books = self.clients.open(seat)?;
            if books.at(place) == At::Here {
                return self.take_out(&mut books, at, to, false, |_| true);
            }
        }
        let id = self.clients.registered_as(at)?;
        let taken = self.state.lock_at_home()?.tickets.take_small(id, to);
        if taken.is_some() {
            self.clients.open(seat)?.let_go(place);
        }
        taken
    }

    /// As [`Scheduler::take_small_if`], of a client's task.
    #[inline(never)]
    pub(in crate::scheduler) fn take_small_at_if(
        &self,
        at: u32,
        accepts: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        if self.is_elsewhere() || !self.is_done_at(at) {
            return false;
        }
        let (seat, place) = Clients::place(at);
        let Some(mut books) = self.clients.open(seat) else {
            return false;
        };
        books.at(place) == At::Here
            && self
                .take_out(&mut books, at, &mut [0; SMALL / 8], false, accepts)
                .is_some()
    }

    /// The value of a client's task that is `Here`, if it is done and that is of a few bytes, which
    /// `accepts` says yes to.
    #[inline]
    fn take_out(
        &self,
        books: &mut Books,
        at: u32,
        to: &mut [u64; SMALL / 8],
        has_handle: bool,
        accepts: impl FnOnce(&[u8]) -> bool,
    ) -> Option<Taken> {
        let place = Clients::place(at).1;
        let hint = self.hint_at(at, books);
        let cell = &self.fold.slots[hint.slot.at()];
        let word = cell.word();
        let is_done = TaskState::of(word) == Some(TaskState::Done);
        if !is_done || word.generation != hint.generation {
            return None;
        }
        let len = cell.value_of_at_most(SMALL)?;
        *to = cell.first_words();
        if !accepts(&bytemuck::cast_slice(to)[..len]) {
            return None;
        }
        cell.release(hint.generation);
        let name = books.name(place);
        if books.completed(place, has_handle).is_multiple_of(MANY) {
            self.works_here();
        }
        Some((len as u8, false, name))
    }

    /// Tells the executors that a thread on this CPU is at work, if they need it.
    fn works_here(&self) {
        if self.is_scarce() {
            let (_, times) = self.fold.header.works_on();
            let cpu = affinity::current();
            self.fold.header.set_works_on(cpu, times.wrapping_add(1));
        }
    }

    /// Whether a client's task has ended, and its value, if that is of a few bytes; the handle has
    /// it then.
    pub(in crate::scheduler) fn look_at_client(&self, at: u32) -> Looked {
        let (seat, place) = Clients::place(at);
        let Some(mut books) = self.clients.open(seat) else {
            return Looked::Elsewhere;
        };
        if books.at(place) != At::Here {
            return Looked::Elsewhere;
        }
        let mut words = [0; SMALL / 8];
        if let Some((len, is_err, _)) = self.take_out(&mut books, at, &mut words, true, |_| true) {
            return Looked::Ended(Ok(Value::Small { len, is_err, words }));
        }
        if self.fold.has_ended(self.hint_at(at, &books)) {
            return Looked::Elsewhere;
        }
        Looked::Open
    }

    /// Waits for the end of a client's task, until `deadline`; or until it is better waited for
    /// elsewhere.
    pub(in crate::scheduler) fn wait_at(&self, at: u32, deadline: Option<Instant>) -> Looked {
        if self.is_elsewhere() {
            return Looked::Elsewhere;
        }
        let mut has_said_so = false;
        let looked = self.wait_and_say_so_at(at, deadline, &mut has_said_so);
        if has_said_so {
            self.fold.header.set_spins_on(None);
        }
        looked
    }

    fn wait_and_say_so_at(
        &self,
        at: u32,
        deadline: Option<Instant>,
        has_said_so: &mut bool,
    ) -> Looked {
        let begin = Instant::now();
        let is_scarce = self.is_scarce();
        let looks_until = begin + patience();
        let mut is_first = true;
        loop {
            for _ in 0..LOOKS {
                if self.is_done_at(at) {
                    break;
                }
                std::hint::spin_loop();
            }
            match self.look_at_client(at) {
                Looked::Open => {}
                looked => return looked,
            }
            if is_past(deadline) {
                return Looked::Open;
            }
            let now = Instant::now();
            if now < looks_until {
                if is_scarce {
                    *has_said_so = true;
                    self.fold.header.set_spins_on(affinity::current());
                    std::thread::yield_now();
                }
                continue;
            }
            if now > begin + REGISTER_AFTER || !self.sleep_at(at, is_first, deadline) {
                return Looked::Elsewhere;
            }
            is_first = false;
        }
    }

    /// Sleeps until the task at `at` has ended; if it is one of many, until those have that come
    /// soon after it. False if another thread sleeps here.
    fn sleep_at(&self, at: u32, is_first: bool, deadline: Option<Instant>) -> bool {
        about_to_wait();
        let (seat, place) = Clients::place(at);
        let Some(mut books) = self.clients.open(seat) else {
            return false;
        };
        if books.at(place) != At::Here {
            return true; // it is looked at again
        }
        if !books.lie_down() {
            return false;
        }
        let own = books.hint(place);
        let line = &self.fold.clients[seat as usize];
        // With the books open: whoever registers the task afterwards rings.
        let key = line.key();
        let shortest = self.grains().min();
        let most = if is_first {
            policy::together(shortest, books.behind(place))
        } else {
            0
        };
        let awaited = books.ahead_of(place, most);
        drop(books);
        let longest = if most > 0 {
            policy::LATE_MAX
        } else {
            REGISTER_AFTER
        };
        let until = Instant::now() + longest;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        line.sleep(key, awaited, Some(until), || {
            self.fold.has_ended(awaited) || self.fold.has_ended(own)
        });
        if let Some(mut books) = self.clients.open(seat) {
            books.get_up();
        }
        true
    }

    /// Nobody will ask for the outcome of a client's task; false: the scheduler is to be told.
    pub(in crate::scheduler) fn let_go_at(&self, at: u32) -> bool {
        let (seat, place) = Clients::place(at);
        let Some(mut books) = self.clients.open(seat) else {
            return true;
        };
        match books.at(place) {
            At::Handed | At::Free => {
                books.let_go(place);
                true
            }
            At::Here => self
                .take_out(&mut books, at, &mut [0; SMALL / 8], false, |_| true)
                .is_some(),
            At::Registered { .. } => false,
        }
    }

    /// What the function of a client's task is called.
    pub(in crate::scheduler) fn name_at(&self, at: u32) -> fn() -> &'static str {
        let (seat, place) = Clients::place(at);
        (self.clients.open(seat)).map_or(|| "", |books| books.name(place))
    }

    /// Which task it is, if it is in a slot still.
    pub(in crate::scheduler) fn task_id_at(&self, at: u32) -> Option<TaskId> {
        let (seat, place) = Clients::place(at);
        let books = self.clients.open(seat)?;
        (books.at(place) == At::Here).then(|| TaskId::of(books.hint(place)))
    }

    /// An error that was made of the value of a client's task says which that was.
    pub(in crate::scheduler) fn tell_of_at(&self, at: u32, error: &mut TaskError) {
        error.tell_of(self.name_at(at)(), None, None);
    }
}
