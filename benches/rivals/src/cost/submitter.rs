//! A thread that submits one task after the other, and joins its oldest when it has enough in flight.

use std::collections::VecDeque;

use super::memory::Kind;
use super::world::{PAUSE_NS, SEATS, Slot, State, Stores, WAKE_NS, WORTH_WAKING_NS, Way, World};

/// Completions of one executor that are collected in a row.
const PORTION: usize = 256;
/// How many slots ahead lines are asked for.
const AHEAD: usize = 16;
/// Hints that go to the same executor in a row.
const TOGETHER: u32 = 8;
/// ns between two looks of one that leaves waiting to another.
const TURN_NS: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    /// Its slot is filled: shows it.
    Show(usize),
    /// It has the line of the oldest one's slot.
    Look,
}

/// One of them.
#[derive(Debug)]
pub struct Submitter {
    cpu: usize,
    /// `None`: it goes through the scheduler.
    client: Option<usize>,
    free: Vec<usize>,
    handles: VecDeque<usize>,
    stores: Stores,
    step: Step,
    joined: u64,
}

impl Submitter {
    pub fn new(world: &mut World, number: usize, cpu: usize) -> Self {
        let seat = number.checked_sub(1).map(|number| number % SEATS);
        let client = seat.filter(|_| world.setup.way != Way::Lock);
        match client {
            Some(client) => world.books[client].users += 1,
            None => world.scheduler.users += 1,
        }
        let first = world.slots.len();
        for _ in 0..world.setup.window {
            let line = world.memory.add(Kind::Slot, cpu, 1);
            world.slots.push(Slot {
                line,
                state: State::Free,
                done_at: 0,
                is_collected: false,
                is_hosts: client.is_none(),
            });
        }
        Submitter {
            cpu,
            client,
            free: (first..world.slots.len()).collect(),
            handles: VecDeque::new(),
            stores: Stores::default(),
            step: Step::Begin,
            joined: 0,
        }
    }

    /// Whether it has joined a task yet.
    pub fn has_joined(&self) -> bool {
        self.joined > 0
    }

    /// Does what comes next; when it goes on.
    pub fn step(&mut self, world: &mut World, now: u64) -> u64 {
        match self.step {
            Step::Begin => match self.free.pop() {
                Some(slot) => self.fill(world, slot, now),
                None if self.client.is_some() => self.fetch(world, now),
                None => self.collect(world, now),
            },
            Step::Show(slot) => self.show(world, slot, now),
            Step::Look => self.look(world, now),
        }
    }

    /// Half of what a task takes is for submitting it; under the lock.
    fn fill(&mut self, world: &mut World, slot: usize, now: u64) -> u64 {
        let ns = world.about(world.setup.submit_ns / 2);
        self.step = Step::Show(slot);
        self.locked(world, now, ns)
    }

    fn locked(&mut self, world: &mut World, now: u64, ns: u64) -> u64 {
        let lock = match self.client {
            Some(client) => &mut world.books[client],
            None => &mut world.scheduler,
        };
        let end = lock.enter(&mut world.memory, self.cpu, now) + ns;
        lock.leave(end);
        end
    }

    fn show(&mut self, world: &mut World, slot: usize, now: u64) -> u64 {
        let at = self.client.unwrap_or_else(|| choose(world));
        let ring = &world.rings[at];
        let lines = [
            world.slots[slot].line,
            ring.word(ring.tail()),
            ring.tail_line,
        ];
        let mut seen_from = now;
        for line in lines {
            seen_from = self.stores.put(&mut world.memory, self.cpu, line, now);
        }
        let task = &mut world.slots[slot];
        (task.state, task.is_collected) = (State::Queued, false);
        world.rings[at].hints.push_back((slot, seen_from));
        self.handles.push_back(slot);
        self.step = Step::Begin;
        // Whether anybody sleeps.
        let mut end = world.memory.read(self.cpu, world.sleeping.0, now);
        let asleep = world.sleeping.1.len();
        if asleep > 0 {
            let waits = world.rings[at].hints.len() as u64 * world.setup.run_ns;
            let is_worth = asleep == world.setup.executors || waits >= WORTH_WAKING_NS;
            if is_worth && world.wake_one(now) {
                end += WAKE_NS[0];
            }
        }
        self.stores.room(end)
    }

    /// Looks at the oldest one's slot.
    fn fetch(&mut self, world: &mut World, now: u64) -> u64 {
        self.step = Step::Look;
        world
            .memory
            .read(self.cpu, world.slots[self.handles[0]].line, now)
    }

    fn look(&mut self, world: &mut World, now: u64) -> u64 {
        let slot = self.handles[0];
        let task = &mut world.slots[slot];
        self.step = Step::Begin;
        if task.state != State::Done || task.done_at > now {
            return now + PAUSE_NS;
        }
        task.state = State::Free;
        self.stores.put(&mut world.memory, self.cpu, task.line, now);
        self.joined(world);
        let ns = world.about(world.setup.submit_ns / 2);
        let end = self.locked(world, now, ns);
        self.stores.room(end)
    }

    fn joined(&mut self, world: &mut World) {
        self.free.extend(self.handles.pop_front());
        world.tally.joined += 1;
        self.joined += 1;
    }

    /// Under the scheduler's lock: if the oldest one is not collected yet, collects all there is. While one of
    /// several waits for completions the others leave that to it.
    fn collect(&mut self, world: &mut World, now: u64) -> u64 {
        let is_there = world.slots[self.handles[0]].is_collected;
        if !is_there && world.leader.is_some_and(|leader| leader != self.cpu) {
            return now + TURN_NS;
        }
        let quarter = world.setup.submit_ns / 4;
        let mut at = world.scheduler.enter(&mut world.memory, self.cpu, now);
        if !is_there {
            world.leader = Some(self.cpu);
            for executor in 0..world.records.len() {
                at = self.reap(world, executor, at, quarter);
            }
        }
        if world.slots[self.handles[0]].is_collected {
            at += world.about(quarter);
            self.joined(world);
            world.leader = world.leader.filter(|leader| *leader != self.cpu);
            world.scheduler.leave(at);
            return self.stores.room(at);
        }
        world.scheduler.leave(at);
        at + PAUSE_NS
    }

    fn reap(&mut self, world: &mut World, executor: usize, now: u64, ns: u64) -> u64 {
        let mut at = world
            .memory
            .read(self.cpu, world.records[executor].ended.tail_line, now);
        let ring = &mut world.records[executor].ended;
        let count = ring.backlog(at).min(PORTION);
        let mut line = None;
        for position in ring.head..ring.head + count as u64 {
            let word = ring.word(position);
            if line.replace(word) != Some(word) {
                at = world.memory.read(self.cpu, word, at);
            }
        }
        ring.head += count as u64;
        let due: Vec<usize> = ring.hints.drain(..count).map(|(slot, _)| slot).collect();
        let mut arrived = Vec::with_capacity(due.len());
        for place in 0..due.len() {
            while arrived.len() < (place + AHEAD).min(due.len()) {
                arrived.push(world.memory.write(
                    self.cpu,
                    world.slots[due[arrived.len()]].line,
                    at,
                ));
            }
            at = at.max(arrived[place]) + world.about(ns);
            let task = &mut world.slots[due[place]];
            (task.state, task.is_collected) = (State::Free, true);
        }
        at
    }
}

/// The inbox of the one of two with less to do; some hints in a row go there.
fn choose(world: &mut World) -> usize {
    let (chosen, stays) = &mut world.choice;
    let inboxes = &world.rings[world.clients..];
    if *stays > 0 {
        *stays -= 1;
    } else {
        let count = inboxes.len();
        let first = (*chosen + 1) % count;
        let second = if count > 2 {
            (first + 1 + first * 7 % (count - 1)) % count
        } else {
            count - 1 - first
        };
        let load = |executor: usize| {
            let is_asleep = world.sleeping.1.contains(&executor);
            (is_asleep, inboxes[executor].hints.len())
        };
        *chosen = if load(second) < load(first) {
            second
        } else {
            first
        };
        *stays = TOGETHER - 1;
    }
    world.clients + *chosen
}
