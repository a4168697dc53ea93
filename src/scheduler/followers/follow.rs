//! Followers: whoever wants to know of a task's end without waiting for it. Futures,
//! callbacks and dependent tasks are all of this kind.
//!
//! They are called by one thread of the host, the *attendant* (`super::attend`). It waits like
//! everybody else, as long as there is a task that somebody follows, and sleeps without end
//! when there is none. Whoever collects such a task puts the news on a list, under the lock;
//! the attendant takes the list, and calls the followers without the lock.

use std::sync::Arc;
use std::task::Waker;

use crate::error::TaskError;
use crate::prim::{Hint, TaskId};
use crate::task::Reported;

use crate::scheduler::followers::news::{Follower, Listener, News};
use crate::scheduler::outcomes::locations::Location;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::tickets::Tickets;
use crate::scheduler::outcomes::value::{Outcome, forked};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;

impl Scheduler {
    /// Has `follower` called by the attendant when the task of `ticket` has ended. If
    /// it has ended already, gives it back, with the outcome.
    pub fn follow(
        &self,
        ticket: &Ticket,
        follower: Follower,
    ) -> Result<(), (Follower, Arc<Outcome>)> {
        if self.is_elsewhere() {
            return Err((follower, Arc::new(forked())));
        }
        let mut state = self.lock();
        let id = self.number_of(&mut state, ticket);
        self.collect_this(&mut state, id);
        match state.tickets.follow(id, follower) {
            Ok(is_first) => {
                self.add_follower(&mut state, is_first);
                Ok(())
            }
            Err(follower) => match state.tickets.share(id) {
                Some(outcome) => Err((follower, outcome)),
                None => Err((
                    follower,
                    Arc::new(Err(Box::new(TaskError::already_joined()))),
                )),
            },
        }
    }

    /// Has `waker` woken by the attendant when the task of `ticket` has ended, instead of
    /// the one before; false if it has.
    pub fn wake_at_end(&self, ticket: &Ticket, waker: &Waker) -> bool {
        if self.is_elsewhere() {
            return false;
        }
        let mut state = self.lock();
        let id = self.number_of(&mut state, ticket);
        self.collect_this(&mut state, id);
        if state.tickets.wakes(id, waker) {
            return true;
        }
        drop(state);
        // What wakers do is the user's own: without the lock.
        let mut waker = Some(waker.clone());
        let mut state = self.lock();
        self.collect_this(&mut state, id);
        let is_first = state.tickets.wake(id, &mut waker);
        if let (Some(is_first), None) = (is_first, &waker) {
            self.add_follower(&mut state, is_first);
        }
        drop(state);
        is_first.is_some()
    }

    /// The task of ticket `id` has ends of channels among its arguments, which the host holds until it
    /// has collected the task: it does so at once, though nobody waits.
    #[cold]
    pub(in crate::scheduler) fn see_to_its_end(&self, state: &mut State, id: u32) {
        if let Some(is_first) = state.tickets.see_to(id) {
            self.add_follower(state, is_first);
        }
    }

    fn add_follower(&self, state: &mut State, is_first: bool) {
        if is_first {
            state.followers.add();
            self.add_followed(state);
        }
        state.waiting.call_napper();
        self.check_patience(state);
    }

    /// Whether the outcome of `ticket` was taken from its handle.
    pub fn is_taken(&self, ticket: &Ticket) -> bool {
        if let Some(at) = ticket.at_client()
            && self.task_id_at(at).is_some()
        {
            return false;
        }
        let Some(mut state) = self.state.lock_at_home() else {
            return false;
        };
        let id = self.number_of(&mut state, ticket);
        state.tickets.is_taken(id)
    }

    /// A ticket of a task, called `name`, that has ended already.
    #[cold]
    pub fn ended(&self, name: fn() -> &'static str, outcome: Arc<Outcome>) -> Ticket {
        let mut state = self.lock();
        let id = state.tickets.open_ended(name, outcome);
        self.locations.set(id, Location::Nowhere);
        Ticket::new(id)
    }

    /// What the function of the task of `ticket` is called.
    pub fn name_of(&self, ticket: &Ticket) -> fn() -> &'static str {
        if let Some(at) = ticket.at_client() {
            return self.name_at(at);
        }
        let state = self.state.lock_at_home();
        state.map_or(|| "", |state| state.tickets.name(ticket.id()))
    }

    /// What the function of the host's task in a slot is called; `None` if that task is not there.
    pub fn name_in(&self, task: Hint) -> Option<&'static str> {
        let state = self.state.lock_at_home()?;
        let inflight = state.slots.get(task.slot.at())?;
        let is_there = inflight.generation() == task.generation;
        let ticket = inflight.ticket().filter(|_| is_there)?;
        Some(state.tickets.name(ticket)())
    }

    /// An error is that of the task of `ticket`.
    #[cold]
    pub fn tell_of(&self, ticket: &Ticket, error: &mut TaskError) {
        if let Some(at) = ticket.at_client()
            && self.clients.registered_as(at).is_none()
        {
            return self.tell_of_at(at, error);
        }
        if let Some(state) = self.state.lock_at_home() {
            state.tickets.tell_of(state.number(ticket), error);
        }
    }

    /// Which task it is; `None` while it waits for others without a slot, if it never was in
    /// one, and once the outcome was taken.
    pub fn task_id(&self, ticket: &Ticket) -> Option<TaskId> {
        match self.location_of(ticket) {
            Location::Slot(hint) => Some(TaskId::of(hint)),
            _ => None,
        }
    }

    /// How far the task has last said it is.
    pub fn reported(&self, task: TaskId) -> Option<Reported> {
        let Hint { slot, generation } = task.hint();
        self.fold.notes.get(slot.at())?.reported(generation)
    }

    /// Has `listener` called when the task of `ticket`, which somebody follows, has said
    /// how far it is; several times may be one.
    pub fn listen(&self, ticket: &Ticket, listener: Arc<Listener>) {
        let Some(mut state) = self.state.lock_at_home() else {
            return;
        };
        let id = self.number_of(&mut state, ticket);
        let place = self.locations.hint(id);
        let Hint { slot, generation } = place;
        let is_here = state.slots.is_at(slot.at(), id);
        if !is_here {
            return; // it has ended
        }
        self.fold.notes[slot.at()].listen(generation);
        state.followers.listen(place, listener);
    }

    /// Looks whether tasks have said how far they are; puts that on the list of news.
    pub(in crate::scheduler) fn listen_around(&self, state: &mut State) -> bool {
        let State {
            followers,
            slots,
            tickets: Tickets { news, .. },
            ..
        } = state;
        if !followers.has_listeners() {
            return false;
        }
        let said = |Hint { slot, generation }| {
            let reported = self.fold.notes[slot.at()].reported(generation);
            reported.map(|now| now.count)
        };
        let has_ended = |place: Hint| !slots.is_live(place);
        followers.hear(said, has_ended, news);
        !news.is_empty()
    }

    /// One more task is followed.
    pub(in crate::scheduler) fn add_followed(&self, state: &mut State) {
        state.followers.note_followed();
        if state.followers.count() + state.graph.sources() == 1 && state.followers.is_idle() {
            self.pool.call_attendant();
        }
        if state.followers.count() == 1 {
            // Who sleeps until it is called may not go on.
            self.check_patience(state);
        }
    }

    /// Wakes the attendant if it sleeps until there is something to attend to.
    pub(in crate::scheduler) fn call_attendant(&self, state: &mut State) {
        state.waiting.call_napper();
        if state.followers.is_idle() {
            self.pool.call_attendant();
        }
    }

    /// There is something for the attendant to see to now.
    pub(in crate::scheduler) fn send_attendant(&self, state: &mut State, news: News) {
        state.tickets.news.push(news);
        state.waiting.wake_attendant();
        self.call_attendant(state);
        // It may lead, and sleep.
        self.fold.host_bell.force();
    }

    /// A task has ended that somebody follows.
    #[cold]
    pub(in crate::scheduler) fn tell(&self, state: &mut State) {
        state.followers.remove();
        if !state.tickets.arrivals.is_empty() {
            self.release(state);
        }
    }

    /// Nothing will be submitted any more, and everything has ended.
    pub fn finish(&self) {
        let mut state = self.lock();
        state.followers.finish();
        self.call_attendant(&mut state);
        drop(state);
        crate::object::end_all(&self.pool);
    }
}
