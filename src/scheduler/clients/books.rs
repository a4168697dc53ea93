//! What is known of one client's tasks, under its own lock.

use crate::layout::CLIENT_SLOTS;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::ring::{Damaged, steal};

/// Of so many submitted in a row it is counted how many had to be registered one by one.
const LOOKED_AT: u32 = 256;
/// So many are too many: it would have been cheaper without a client.
const TOO_MANY: u32 = LOOKED_AT / 4;
/// So many are submitted without it then; twice as many each time that it happens again, up to
/// the second number.
const REST: u32 = 16 * LOOKED_AT;
const REST_MAX: u32 = 1 << 20;
/// After so many tasks it is asked again how long they take.
const ASK_EVERY: u64 = 64;

/// What is known of the task in a slot, and of its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// There is none.
    Free,
    /// It is seen to here.
    Here,
    /// Its value was given out, and the handle is still there.
    Handed,
    /// The scheduler sees to it, by this ticket.
    Registered {
        ticket: u32,
        /// It has not given the slot back.
        is_in_slot: bool,
        /// The handle is still there.
        has_handle: bool,
    },
}

#[derive(Debug)]
struct Task {
    at: At,
    /// The generation its slot is in. In private memory, so no wild worker changes it.
    generation: Generation,
    /// What its function is called.
    name: fn() -> &'static str,
    /// Where its hint is in the ring.
    position: u64,
}

/// One client's.
#[derive(Debug)]
pub struct Books {
    first: u32,
    /// As many as were ever used.
    tasks: Vec<Task>,
    free: Vec<u32>,
    ring: steal::Producer,
    /// How many tasks that are registered have not given back their slot.
    registered: u64,
    /// Somebody sleeps until a task ends.
    has_sleeper: bool,
    /// Tasks submitted and ended, but for those that were registered.
    submitted: u64,
    completed: u64,
    /// Submitted since it was last counted how many had to be registered, and these.
    recent: u32,
    recently_registered: u32,
    /// So many more are submitted without this client.
    rest: u32,
    /// How many it will be the next time.
    next_rest: u32,
    /// How long tasks take, as it was when so many were submitted; 0: that is not known.
    task_ns: u64,
    asked_at: Option<u64>,
}

impl Books {
    /// Of a client whose slots begin with `first`.
    pub fn new(first: u32, ring: steal::Producer) -> Self {
        Books {
            first,
            tasks: Vec::new(),
            free: Vec::new(),
            ring,
            registered: 0,
            has_sleeper: false,
            submitted: 0,
            completed: 0,
            recent: 0,
            recently_registered: 0,
            rest: 0,
            next_rest: REST,
            task_ns: 0,
            asked_at: None,
        }
    }

    /// A slot for a task, which is called `name`; `None`: there is none now.
    #[inline]
    pub fn begin(&mut self, name: fn() -> &'static str) -> Option<Hint> {
        if self.recent >= LOOKED_AT {
            if self.recently_registered > TOO_MANY {
                self.rest = self.next_rest;
                self.next_rest = (2 * self.next_rest).min(REST_MAX);
            } else {
                self.next_rest = REST;
            }
            (self.recent, self.recently_registered) = (0, 0);
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None => self.grow()?,
        };
        self.recent += 1;
        self.submitted += 1;
        let task = &mut self.tasks[place as usize];
        (task.at, task.name) = (At::Here, name);
        task.position = self.ring.position();
        Some(Hint {
            slot: SlotIndex(self.first + place),
            generation: task.generation,
        })
    }

    #[cold]
    fn grow(&mut self) -> Option<u32> {
        let place = self.tasks.len();
        if place == CLIENT_SLOTS {
            return None;
        }
        self.tasks.push(Task {
            at: At::Free,
            generation: Generation::new(1),
            name: || "",
            position: 0,
        });
        Some(place as u32)
    }

    /// Shows the task to executors. False if the ring has no room: then it was never there.
    #[inline]
    pub fn offer(&mut self, hint: Hint) -> Result<bool, Damaged> {
        let has_room = self.ring.stage(hint.pack())?;
        self.ring.publish();
        Ok(has_room)
    }

    /// How many ns what is offered takes, about; no number: that is not known. Now and then it is asked how
    /// long a task takes.
    pub fn ns_offered(&mut self, task_ns: impl FnOnce() -> u64) -> Option<u64> {
        let is_due = |at: u64| self.submitted.wrapping_sub(at) >= ASK_EVERY;
        if self.asked_at.is_none_or(is_due) {
            (self.task_ns, self.asked_at) = (task_ns(), Some(self.submitted));
        }
        // What no executor writes is found by whoever looks at all rings.
        let backlog = self.ring.refresh().unwrap_or(u64::MAX);
        (self.task_ns > 0).then(|| backlog.saturating_mul(self.task_ns))
    }

    /// What was begun and not offered is gone.
    #[cold]
    pub fn take_back(&mut self, place: u32) {
        self.submitted -= 1;
        self.vacate(place, At::Free);
    }

    /// Which slot is used next.
    #[inline]
    pub fn next(&self) -> Option<u32> {
        self.free.last().map(|place| self.first + place)
    }

    /// What is known of the task in a slot.
    #[inline]
    pub fn at(&self, place: u32) -> At {
        self.tasks
            .get(place as usize)
            .map_or(At::Free, |task| task.at)
    }

    /// The generation its slot is in.
    #[inline]
    pub fn generation(&self, place: u32) -> Generation {
        self.tasks[place as usize].generation
    }

    /// What its function is called.
    #[inline]
    pub fn name(&self, place: u32) -> fn() -> &'static str {
        self.tasks[place as usize].name
    }

    /// The hint of the task in a slot.
    pub fn hint(&self, place: u32) -> Hint {
        Hint {
            slot: SlotIndex(self.first + place),
            generation: self.generation(place),
        }
    }

    /// The task has ended with a value, which was taken out of the slot; `has_handle`: and the
    /// handle is still there. How many have ended so.
    #[inline]
    pub fn completed(&mut self, place: u32, has_handle: bool) -> u64 {
        self.completed += 1;
        let at = if has_handle { At::Handed } else { At::Free };
        self.vacate(place, at);
        self.completed
    }

    #[inline]
    fn vacate(&mut self, place: u32, at: At) {
        let task = &mut self.tasks[place as usize];
        task.generation = task.generation.next();
        task.at = at;
        if at == At::Free {
            self.free.push(place);
        }
    }

    /// The task is the scheduler's from here on, by this ticket; returns how many are. `is_one`:
    /// because somebody wants something of this one.
    pub fn register(&mut self, place: u32, ticket: u32, is_one: bool) -> u64 {
        self.tasks[place as usize].at = At::Registered {
            ticket,
            is_in_slot: true,
            has_handle: true,
        };
        self.recently_registered += u32::from(is_one);
        self.submitted -= 1;
        self.registered += 1;
        self.registered
    }

    /// The scheduler gives back the slot of a task; returns how many are its still.
    pub fn give_back(&mut self, place: u32) -> u64 {
        if let At::Registered {
            ticket, has_handle, ..
        } = self.at(place)
        {
            self.registered -= 1;
            let at = At::Registered {
                ticket,
                is_in_slot: false,
                has_handle,
            };
            self.vacate(place, if has_handle { at } else { At::Free });
        }
        self.registered
    }

    /// The value was given out, and this ticket says so from here on.
    pub fn hand_on(&mut self, place: u32, ticket: u32) {
        self.tasks[place as usize].at = At::Registered {
            ticket,
            is_in_slot: false,
            has_handle: true,
        };
    }

    /// The handle is gone.
    pub fn let_go(&mut self, place: u32) {
        match self.at(place) {
            At::Handed => self.free_up(place),
            At::Registered {
                is_in_slot: false, ..
            } => self.free_up(place),
            At::Registered {
                ticket, is_in_slot, ..
            } => {
                self.tasks[place as usize].at = At::Registered {
                    ticket,
                    is_in_slot,
                    has_handle: false,
                };
            }
            At::Here | At::Free => {}
        }
    }

    fn free_up(&mut self, place: u32) {
        self.tasks[place as usize].at = At::Free;
        self.free.push(place);
    }

    /// All tasks that are seen to here.
    pub fn here(&self) -> Vec<u32> {
        let all = (0..).zip(&self.tasks);
        all.filter(|(_, task)| task.at == At::Here)
            .map(|(place, _)| place)
            .collect()
    }

    /// How many were offered after this task.
    pub fn behind(&self, place: u32) -> u64 {
        let from = self.tasks[place as usize].position;
        self.ring.position().wrapping_sub(from).wrapping_sub(1)
    }

    /// The hint of the task that was offered `count` after this one.
    pub fn ahead_of(&self, place: u32, count: u64) -> Hint {
        let from = self.tasks[place as usize].position;
        Hint::unpack(self.ring.look(from.wrapping_add(count)))
    }

    /// Somebody sleeps until a task ends; false if somebody does so already.
    pub fn lie_down(&mut self) -> bool {
        !std::mem::replace(&mut self.has_sleeper, true)
    }

    /// Nobody does any more.
    pub fn get_up(&mut self) {
        self.has_sleeper = false;
    }

    /// Whether executors may find anything in the ring, as far as is known; or what no executor
    /// writes.
    pub fn backlog(&mut self) -> Result<u64, Damaged> {
        self.ring.check()?;
        self.ring.refresh()
    }

    /// Tasks submitted and ended, but for those that were registered.
    pub fn counts(&self) -> (u64, u64) {
        (self.submitted, self.completed)
    }
}
