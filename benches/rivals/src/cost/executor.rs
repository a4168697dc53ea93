//! An executor: looks for hints as `src/worker/find.rs` does, takes a batch, runs it, and looks again.

use super::memory::LineId;
use super::world::{HINTS, PAUSE_NS, State, Stores, WORTH_WAKING_NS, Way, World};

/// The most hints that are taken at once, and for how many ns at most.
const BATCH: (u64, u64) = (32, 8_000);
/// How many slots ahead lines are asked for.
const AHEAD: usize = 16;
/// Who has taken fewer than so many leaves the submitter alone for so many pauses.
const FEW: (usize, u64) = (4, 12);
/// The same after a single one.
const PAUSES_OF_ONE: u64 = 4;
/// ns after which who finds nothing sleeps.
const SPIN_NS: u64 = 50_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Looks at the rings from this place of its order on; it has the lines of the first one if that is said.
    Walk(usize, bool),
    /// It has the head of the ring at this place, which it has seen at this position.
    Take(usize, u64),
    /// There is nothing in any ring: looks at what others have taken.
    Announced(usize, bool),
    /// Is in the set of those that search: looks whether there is anything, as `Walk`.
    Glimpse(usize, bool),
    Run(usize),
    End(usize),
}

/// One of them.
#[derive(Debug)]
pub struct Executor {
    cpu: usize,
    number: usize,
    step: Step,
    /// The client whose turn is next.
    next: usize,
    was_client: bool,
    is_searching: bool,
    since: u64,
    task_ns: u64,
    started: u64,
    /// When the slots of its batch have come.
    arrived: Vec<u64>,
    ran: u64,
    was_hosts: bool,
    stores: Stores,
}

impl Executor {
    pub fn new(world: &World, number: usize, cpu: usize) -> Self {
        Executor {
            cpu,
            number,
            step: Step::Walk(0, false),
            next: 0,
            was_client: false,
            is_searching: false,
            since: 0,
            task_ns: world.setup.run_ns,
            started: 0,
            arrived: Vec::new(),
            ran: 0,
            was_hosts: false,
            stores: Stores::default(),
        }
    }

    /// It was asleep, and somebody has marked it as searching.
    pub fn wake(&mut self) {
        self.is_searching = true;
        self.step = Step::Walk(0, false);
    }

    /// Does what comes next; when it goes on, if it does not sleep.
    pub fn step(&mut self, world: &mut World, now: u64) -> Option<u64> {
        Some(match self.step {
            Step::Walk(place, has_lines) => self.walk(world, place, has_lines, now),
            Step::Take(place, head) => self.take(world, place, head, now),
            Step::Announced(place, has_line) => self.look_at_batches(world, place, has_line, now),
            Step::Glimpse(place, has_lines) => return self.glimpse(world, place, has_lines, now),
            Step::Run(place) => self.run(world, place, now),
            Step::End(place) => self.end(world, place, now),
        })
    }

    /// The ring at a place of its order: the clients' and its inbox by turns, then the others' inboxes.
    fn ring_at(&self, world: &World, place: usize) -> usize {
        let clients = world.clients;
        let executors = world.setup.executors;
        let inbox = |distance: usize| clients + (self.number + distance) % executors;
        let client = |place: usize| (self.next + place) % clients;
        match place {
            0 if self.was_client => inbox(0),
            _ if self.was_client && place <= clients => client(place - 1),
            _ if !self.was_client && place < clients => client(place),
            _ => inbox(place - clients),
        }
    }

    fn places(world: &World) -> usize {
        world.clients + world.setup.executors
    }

    fn look_at(&self, world: &mut World, ring: usize, now: u64) -> u64 {
        world.tally.looks += 1;
        let (head, tail) = (world.rings[ring].head_line, world.rings[ring].tail_line);
        let head = world.memory.read(self.cpu, head, now);
        world.memory.read(self.cpu, tail, now).max(head)
    }

    /// Looks at rings until one has something, or a line has to come; the place, when, and whether
    /// it has the lines.
    fn look_at_rings(
        &self,
        world: &mut World,
        place: usize,
        has_lines: bool,
        now: u64,
    ) -> (usize, u64, bool) {
        let hit = world.setup.distances.hit;
        let (mut at, mut has_lines) = (now, has_lines);
        for place in place..Self::places(world) {
            let ring = self.ring_at(world, place);
            if !has_lines {
                let there = self.look_at(world, ring, at);
                if there > at + hit {
                    return (place, there, false);
                }
                at = there;
            }
            if world.rings[ring].backlog(at) > 0 {
                return (place, at, true);
            }
            has_lines = false;
        }
        (Self::places(world), at, true)
    }

    fn walk(&mut self, world: &mut World, place: usize, has_lines: bool, now: u64) -> u64 {
        let (place, at, is_there) = self.look_at_rings(world, place, has_lines, now);
        if !is_there {
            self.step = Step::Walk(place, true);
            return at;
        }
        if place < Self::places(world) {
            return self.copy(world, place, at);
        }
        self.step = Step::Announced(1, false);
        at + self.other_rings(world)
    }

    /// ns to look at the rings that the model has nothing in: those for tasks that tasks have spawned or made ready.
    fn other_rings(&self, world: &World) -> u64 {
        4 * world.setup.executors as u64 * world.setup.distances.hit
    }

    fn batch_size(&self) -> u64 {
        (BATCH.1 / self.task_ns.max(1)).clamp(1, BATCH.0)
    }

    /// How much of a ring it would take: of another's inbox half.
    fn share(&self, world: &World, ring: usize, now: u64) -> usize {
        let there = world.rings[ring].backlog(now);
        let is_anothers = ring >= world.clients && ring != world.clients + self.number;
        let there = if is_anothers {
            there.div_ceil(2)
        } else {
            there
        };
        there.min(self.batch_size() as usize)
    }

    /// Copies hints and announces them; then the head is to move.
    fn copy(&mut self, world: &mut World, place: usize, now: u64) -> u64 {
        let at = self.ring_at(world, place);
        let count = self.share(world, at, now) as u64;
        let ring = &world.rings[at];
        let mut there = now;
        for line in ring.head / HINTS..=(ring.head + count - 1) / HINTS {
            there = world
                .memory
                .read(self.cpu, ring.word(line * HINTS), now)
                .max(there);
        }
        self.announce(world, count, now);
        self.step = Step::Take(place, world.rings[at].head);
        world
            .memory
            .write(self.cpu, world.rings[at].head_line, there)
    }

    /// Whether the next hints of a ring are in its cache: then it takes them before the head leaves it.
    fn has_hints(&self, world: &World, ring: usize, count: u64) -> bool {
        let ring = &world.rings[ring];
        let lines = [ring.head, ring.head + count - 1].map(|position| ring.word(position));
        lines
            .into_iter()
            .all(|line| world.memory.has(self.cpu, line))
    }

    fn announce(&mut self, world: &mut World, count: u64, now: u64) {
        let record = &world.records[self.number];
        let lines = (record.batch..).take(count.div_ceil(HINTS) as usize);
        let lines: Vec<LineId> = lines.chain([record.status]).collect();
        for line in lines {
            self.stores.put(&mut world.memory, self.cpu, line, now);
        }
    }

    fn take(&mut self, world: &mut World, place: usize, head: u64, now: u64) -> u64 {
        let at = self.ring_at(world, place);
        let count = self.share(world, at, now);
        if count == 0 {
            // Others were quicker.
            self.step = Step::Walk(place + 1, false);
            return now;
        }
        let is_client = at < world.clients;
        if world.rings[at].head != head {
            if is_client && world.setup.way == Way::Apart {
                self.step = Step::Walk(place + 1, false);
                return now;
            }
            if !self.has_hints(world, at, count as u64) {
                // Until they have come the head has gone on.
                return self.copy(world, place, now);
            }
        }
        let ring = &mut world.rings[at];
        ring.head += count as u64;
        let hints: Vec<usize> = ring.hints.drain(..count).map(|(slot, _)| slot).collect();
        let left = ring.backlog(now) as u64;
        if !is_client && at != world.clients + self.number {
            world.tally.stolen += count as u64;
        }
        self.was_client = is_client;
        if is_client {
            let is_apart = world.setup.way == Way::Apart;
            let stride = if is_apart { 2 * self.number + 1 } else { 1 };
            self.next = (at + stride) % world.clients;
        }
        let mut end = self.begin(world, hints, now);
        if left * self.task_ns >= WORTH_WAKING_NS && world.wake_one(now) {
            end += super::world::WAKE_NS[0];
        }
        end
    }

    /// It has hints: leaves the search, and asks for the first slots.
    fn begin(&mut self, world: &mut World, hints: Vec<usize>, now: u64) -> u64 {
        world.tally.batches += 1;
        world.tally.taken += hints.len() as u64;
        (self.started, self.ran) = (now, 0);
        self.arrived.clear();
        for slot in hints.iter().take(AHEAD) {
            self.arrived
                .push(world.memory.write(self.cpu, world.slots[*slot].line, now));
        }
        world.records[self.number].hints = hints;
        self.step = Step::Run(0);
        let mut end = now;
        if std::mem::take(&mut self.is_searching) {
            world.searching.1 -= 1;
            end = world.memory.write(self.cpu, world.searching.0, now);
        }
        end.max(self.arrived[0])
    }

    fn run(&mut self, world: &mut World, place: usize, now: u64) -> u64 {
        let slot = &mut world.slots[world.records[self.number].hints[place]];
        self.step = Step::End(place);
        if slot.state != State::Queued {
            return now; // somebody has stolen it
        }
        slot.state = State::Running;
        let line = slot.line;
        self.ran += 1;
        let ns = world.about(world.setup.run_ns);
        world.memory.write(self.cpu, line, now) + ns
    }

    fn end(&mut self, world: &mut World, place: usize, now: u64) -> u64 {
        let hints = &world.records[self.number].hints;
        let (count, slot) = (hints.len(), hints[place]);
        if let Some(later) = hints.get(place + AHEAD) {
            let line = world.slots[*later].line;
            self.arrived.push(world.memory.write(self.cpu, line, now));
        }
        let is_own = world.slots[slot].state == State::Running;
        if is_own {
            let line = world.slots[slot].line;
            let done_at = self.stores.put(&mut world.memory, self.cpu, line, now);
            let slot_state = &mut world.slots[slot];
            (slot_state.state, slot_state.done_at) = (State::Done, done_at);
            if slot_state.is_hosts {
                self.was_hosts = true;
                let ended = &world.records[self.number].ended;
                let word = ended.word(ended.tail());
                self.stores.put(&mut world.memory, self.cpu, word, now);
                // Seen when the batch has ended.
                world.records[self.number]
                    .ended
                    .hints
                    .push_back((slot, u64::MAX));
            }
        }
        if place + 1 < count {
            self.step = Step::Run(place + 1);
            return self.stores.room(now).max(self.arrived[place + 1]);
        }
        self.tell(world, count, now)
    }

    /// The batch has ended: a fence, and whoever wants to know is told.
    fn tell(&mut self, world: &mut World, count: usize, now: u64) -> u64 {
        let mut end = self.stores.all(now);
        if std::mem::take(&mut self.was_hosts) {
            let tail = world.records[self.number].ended.tail_line;
            let seen_from = self.stores.put(&mut world.memory, self.cpu, tail, end);
            let unseen = world.records[self.number].ended.hints.iter_mut().rev();
            unseen
                .take_while(|(_, from)| *from == u64::MAX)
                .for_each(|(_, from)| *from = seen_from);
        }
        if let Some(grain) = (end - self.started).checked_div(self.ran) {
            self.task_ns = if grain > self.task_ns {
                self.task_ns.midpoint(grain)
            } else {
                (3 * self.task_ns + grain) / 4
            };
        }
        world.records[self.number].hints.clear();
        let status = world.records[self.number].status;
        self.stores.put(&mut world.memory, self.cpu, status, end);
        if count < FEW.0 {
            end += PAUSE_NS * if count == 1 { PAUSES_OF_ONE } else { FEW.1 };
        }
        self.step = Step::Walk(0, false);
        end
    }

    /// Looks for a hint that another one has announced and not begun, the last one first.
    fn look_at_batches(&mut self, world: &mut World, from: usize, has_line: bool, now: u64) -> u64 {
        let executors = world.setup.executors;
        let (mut at, mut has_line) = (now, has_line);
        for distance in from..executors {
            let victim = (self.number + distance) % executors;
            if !has_line {
                let there = world
                    .memory
                    .read(self.cpu, world.records[victim].status, at);
                if there > at + world.setup.distances.hit {
                    self.step = Step::Announced(distance, true);
                    return there;
                }
                at = there;
            }
            has_line = false;
            let record = &world.records[victim];
            for place in (0..record.hints.len()).rev() {
                let batch = record.batch + place as LineId / HINTS as LineId;
                at = world.memory.read(self.cpu, batch, at);
                let slot = record.hints[place];
                at = world.memory.read(self.cpu, world.slots[slot].line, at);
                if world.slots[slot].state == State::Queued {
                    world.tally.stolen += 1;
                    self.announce(world, 1, at);
                    return self.begin(world, vec![slot], at);
                }
            }
        }
        self.since = at;
        self.step = Step::Glimpse(0, false);
        if !std::mem::replace(&mut self.is_searching, true) {
            world.searching.1 += 1;
            at = world.memory.write(self.cpu, world.searching.0, at);
        }
        at
    }

    fn glimpse(
        &mut self,
        world: &mut World,
        place: usize,
        has_lines: bool,
        now: u64,
    ) -> Option<u64> {
        let (place, at, is_there) = self.look_at_rings(world, place, has_lines, now);
        if !is_there {
            self.step = Step::Glimpse(place, true);
            return Some(at);
        }
        if place < Self::places(world) {
            self.step = Step::Walk(0, false);
            return Some(at);
        }
        self.step = Step::Glimpse(0, false);
        let at = at + self.other_rings(world) + PAUSE_NS;
        let is_all_empty = || world.rings.iter().all(|ring| ring.hints.is_empty());
        if at - self.since < SPIN_NS || !is_all_empty() {
            return Some(at);
        }
        self.is_searching = false;
        world.searching.1 -= 1;
        world.memory.write(self.cpu, world.searching.0, at);
        world.memory.write(self.cpu, world.sleeping.0, at);
        world.sleeping.1.push(self.number);
        None
    }
}
