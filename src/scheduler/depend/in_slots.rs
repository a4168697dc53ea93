//! Pending tasks in slots: executors bring them what they wait for.
//!
//! A plain task that waits for others which are in slots gets a slot itself, one of its own
//! kind, so that it takes no place from any other, and what lies beside it
//! ([`Edges`](crate::task::Edges)). Whoever has run one of the others brings it the value,
//! and queues it if that was the last one ([`crate::worker`], `tell.rs`). The host has
//! nothing to do with it until it collects.
//!
//! It follows all the same, in its own memory, which no worker reaches: it keeps each edge
//! that it lays beside a slot, and looks at them when the task is collected that they begin
//! at. Then the slot says how many of them its executor has told; what those beyond it
//! lead to is told here, in the same way. So an executor may leave any of them to the host,
//! and does: the value is too long, there is no room in its ring, the edge came too late, it
//! has died. To tell twice does nothing. Edges for which there is no room beside a slot are
//! entries of the ticket ([`Dependent::Slot`]), as those that lead to tasks without a slot.
//!
//! | what ends | what becomes of those that depend on it |
//! | --- | --- |
//! | with a few bytes | told, by its executor or here |
//! | with anything longer, or with buffers | the input is kept here, and its bit stays set; when all others have come, the attendant puts all together |
//! | without a value | they end here: `Pending` → `Free`, which nobody else does, and their bit is still set, so nobody has queued them |
//!
//! A slot of this kind is used again only when its task has ended **and** all those that it
//! depends on have been collected: until then an executor may have an edge in its hands that
//! leads there.

use smallvec::SmallVec;

use crate::error::TaskError;
use crate::prim::{ExecutorId, Hint, SlotIndex};
use crate::task::{Arrived, Edge, FunctionId, Head, INLINE_LEN, Payload, TaskState, put_words};

use crate::scheduler::depend::after::{PENDING_MAX, unmet};
use crate::scheduler::depend::dependent::Dependent;
use crate::scheduler::depend::edge::SlotEdge;
use crate::scheduler::depend::graph::Laid;
use crate::scheduler::depend::inputs::{Build, Input, List, Rebuild, Unfinished};
use crate::scheduler::depend::nodes::{Node, Work};
use crate::scheduler::followers::news::News;
use crate::scheduler::outcomes::ticket::Ticket;
use crate::scheduler::outcomes::value::{Outcome, SMALL, Value};
use crate::scheduler::shared::Scheduler;
use crate::scheduler::state::State;
use crate::scheduler::submit::job::Job;

/// A plain task that is to be submitted.
pub struct Plain<'a> {
    pub function: FunctionId,
    pub arguments: &'a Payload,
    pub name: fn() -> &'static str,
    /// So many inputs, from the first on, form a list: its length is behind the arguments.
    pub list_len: usize,
    pub rebuild: Rebuild,
}

/// What has become of an edge that was to lie beside a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum IsLaid {
    /// It does not lie there.
    No,
    /// It does, but may not be seen.
    Late,
    /// It does.
    InTime,
}

impl Scheduler {
    /// Puts a plain task into a slot, to wait for those of `after` that have not ended; the
    /// others have. `None`: there is no slot, or it is not so simple.
    #[inline]
    pub(in crate::scheduler) fn pend(
        &self,
        state: &mut State,
        task: &Plain<'_>,
        after: &[&Ticket],
    ) -> Option<Ticket> {
        if !state.door.is_open()
            || state.profiling.is_some()
            || state.nodes.count() >= PENDING_MAX
            || !task.arguments.is_plain()
        {
            return None;
        }
        let (inputs, mut missing) = (after.len(), 0);
        // Whether an executor may have to do with it.
        let mut has_edges = inputs > 1;
        let room = Edge::room_of(inputs);
        for (at, ticket) in after.iter().enumerate() {
            let id = state.number(ticket);
            if state.tickets.is_open(id) {
                let place = self.locations.hint(id);
                let inflight = state.slots.get(place.slot.at())?;
                (inflight.ticket() == Some(id)).then_some(())?;
                missing |= 1 << at;
                has_edges |= state.graph.waits(place.slot.0);
            } else {
                let (.., len) = state.tickets.small(id)?;
                (usize::from(len) <= room).then_some(())?;
            }
        }
        let slot = state.pending_slot()?;
        let id = state.tickets.open(task.name);
        let head = Head::of_arguments(task.function.0, task.arguments.len());
        let hint = self.fill(state, slot, head, task.arguments.words(), id, task.name);
        state.graph.begin();
        if let Some(vertex) = state.graph.at(slot) {
            vertex.generation = hint.generation;
            vertex.function = task.function;
            (vertex.all, vertex.arrived) = (missing, 0);
            vertex.inputs_len = inputs as u8;
            vertex.list_len = task.list_len as u8;
            vertex.arguments_len = task.arguments.len() as u8;
            (vertex.is_shared, vertex.has_edges) = (false, has_edges);
            (vertex.is_attended, vertex.has_ended) = (false, false);
            vertex.rebuild = task.rebuild;
            for (to, ticket) in vertex.names.iter_mut().zip(after) {
                *to = state.tickets.name(state.clients.number(ticket));
            }
        }
        let cell = &self.fold.slots[slot as usize];
        if has_edges {
            let edges = &self.fold.edges[slot as usize];
            let mut lengths = 0;
            for (at, ticket) in after.iter().enumerate() {
                if let Some((a, b, c, len)) = state.tickets.small(state.number(ticket)) {
                    lengths |= edges.put(at, inputs, len, &[a, b, c]);
                }
            }
            cell.set_edges(inputs);
            edges.open(hint.generation, missing, lengths);
        }
        cell.pend(hint.generation);
        for (at, ticket) in after.iter().enumerate() {
            if missing & 1 << at == 0 {
                continue;
            }
            let edge = SlotEdge::new(hint, at);
            let id = state.number(ticket);
            let from = self.locations.hint(id);
            let laid = self.lay(state, from, edge, Edge::new(hint, at, inputs));
            if laid > IsLaid::No
                && let Some(vertex) = state.graph.at(slot)
            {
                vertex.is_shared = true;
            }
            if laid == IsLaid::InTime {
                continue;
            }
            // It has not ended: this is still under the lock that it was seen under.
            if state.tickets.lead_to(id, edge) {
                state.followers.add();
                self.add_followed(state);
            }
        }
        self.reap_meanwhile(state);
        state.ask_for_next_pending(&self.fold);
        Some(Ticket::new(id))
    }

    /// Lays an edge beside the slot that it begins at, for whoever runs that task; unless
    /// there is no room, or it is too late.
    #[inline]
    fn lay(&self, state: &mut State, from: Hint, edge: SlotEdge, shared: Edge) -> IsLaid {
        let at = from.slot.at();
        // What does not wait itself is an executor's by now: to look at its slot would take
        // the line from there.
        if !state.graph.waits(from.slot.0) || state.slots[from.slot.0].extra().is_some() {
            return IsLaid::No;
        }
        let cell = &self.fold.slots[at];
        if TaskState::of(cell.word()) != Some(TaskState::Pending) {
            return IsLaid::No;
        }
        let Some(seat) = state.graph.keep(from, edge) else {
            return IsLaid::No;
        };
        self.fold.edges[at].add(seat, shared);
        if seat == 0 {
            cell.follow();
        }
        if !cell.stays(from.generation) {
            // Whoever runs it may have looked before that: then nobody would call the host.
            state.graph.take_back(from);
            return IsLaid::Late;
        }
        if seat == 0 {
            self.add_followed(state);
        }
        IsLaid::InTime
    }

    /// A task ends: what follows from that by edges that lay beside its slot. If it has no
    /// value of a few bytes, its ticket sees to that; else it is to be released.
    #[cold]
    pub(in crate::scheduler) fn hand_over(
        &self,
        state: &mut State,
        laid: &Laid,
        ticket: u32,
        outcome: &Outcome,
    ) -> bool {
        let small = match outcome {
            Ok(Value::Small {
                len,
                is_err: false,
                words,
            }) => Some((*len, *words)),
            _ => None,
        };
        for edge in laid.edges() {
            let dependent = Dependent::Slot(edge);
            match small {
                Some((len, words)) => {
                    let input = Input::small(len, words);
                    state.tickets.arrivals.push((dependent, Ok(input)));
                }
                None => {
                    if state.tickets.depend(ticket, dependent) == Some(true) {
                        state.followers.add();
                    }
                }
            }
        }
        small.is_some()
    }

    /// What a pending task in a slot depends on has ended, and was collected.
    pub(in crate::scheduler) fn arrived_in_slot(
        &self,
        state: &mut State,
        edge: SlotEdge,
        arrival: Result<Input, TaskError>,
    ) {
        let cause = match arrival {
            Ok(Input::Small { len, words }) => return self.bring(state, edge, len, &words),
            Ok(input) => {
                let Some(vertex) = state.graph.arrive(edge) else {
                    return;
                };
                let large = vertex.large.get_or_insert_default();
                large.push((edge.input() as u8, input));
                if vertex.arrived == vertex.all {
                    self.put_together(state, edge.slot());
                }
                return;
            }
            Err(cause) => cause,
        };
        if let Some(vertex) = state.graph.arrive(edge) {
            let name = vertex.names[edge.input()];
            let hint = vertex.hint(edge.slot());
            self.end_in_slot(state, hint, unmet(name, cause));
        }
    }

    /// What a task leads to by edges that lay beside its slot, which has ended with a few bytes.
    #[inline(never)]
    pub(in crate::scheduler) fn bring_all(
        &self,
        state: &mut State,
        laid: &Laid,
        len: u8,
        words: &[u64; SMALL / 8],
    ) {
        for edge in laid.edges() {
            if !state.graph.note_told(edge) {
                self.bring(state, edge, len, words);
            }
        }
    }

    /// A few bytes have come for a task in a slot, perhaps by way of an executor.
    #[inline(never)]
    pub(in crate::scheduler) fn bring(
        &self,
        state: &mut State,
        edge: SlotEdge,
        len: u8,
        words: &[u64; SMALL / 8],
    ) {
        let Some(vertex) = state.graph.arrive(edge) else {
            return;
        };
        let (at, inputs) = (edge.input(), usize::from(vertex.inputs_len));
        let hint = vertex.hint(edge.slot());
        let shared = Edge::new(hint, at, inputs);
        let edges = &self.fold.edges[edge.slot() as usize];
        if edge.is_told() {
            // Nothing to do.
        } else if usize::from(len) > shared.room() {
            let large = vertex.large.get_or_insert_default();
            large.push((edge.input() as u8, Input::small(len, *words)));
        } else if vertex.is_shared {
            let cell = &self.fold.slots[edge.slot() as usize];
            match edges.arrive(shared, len.into(), words) {
                Arrived::Waits => {}
                Arrived::Complete => {
                    if cell.make_ready(hint.generation) {
                        self.place(state, hint.pack());
                    }
                }
                Arrived::Elsewhere => {
                    let what = format!("what slot {} waits for makes no sense", edge.slot());
                    self.condemn(state, &what);
                }
            }
        } else if !vertex.has_edges {
            self.queue_with(state, edge, len, words);
            return;
        } else if edges.bring(at, inputs, len, words) {
            self.queue_whole(state, hint);
            return;
        }
        if state.graph.has_large_inputs_only(edge.slot()) {
            self.put_together(state, edge.slot());
        }
    }

    /// Queues a task that nobody but the host brings anything, with its inputs behind its
    /// arguments, if they fit there.
    fn queue_whole(&self, state: &mut State, hint: Hint) {
        let cell = &self.fold.slots[hint.slot.at()];
        let edges = &self.fold.edges[hint.slot.at()];
        if let Some(vertex) = state.graph.at(hint.slot.0) {
            let inputs = usize::from(vertex.inputs_len);
            let mut whole = Payload::from_words(cell.first_words(), vertex.arguments_len.into());
            edges.append(inputs, &mut whole);
            if whole.is_inline() {
                let head = Head::of_arguments(vertex.function.0, whole.len());
                self.write_again(hint, head, whole.words());
            }
        }
        self.queue_pending(state, hint);
    }

    /// All that a task in a slot waited for is there.
    #[inline]
    fn queue_pending(&self, state: &mut State, hint: Hint) {
        self.fold.slots[hint.slot.at()].queue(hint.generation);
        self.place_normal(state, hint.pack());
    }

    /// The same for its only input.
    #[inline]
    fn queue_with(&self, state: &mut State, edge: SlotEdge, len: u8, input: &[u64; SMALL / 8]) {
        let Some(vertex) = state.graph.at(edge.slot()) else {
            return;
        };
        let hint = vertex.hint(edge.slot());
        let cell = &self.fold.slots[hint.slot.at()];
        let (at, len) = (usize::from(vertex.arguments_len), usize::from(len));
        if at + len <= INLINE_LEN {
            let mut words = cell.first_words();
            put_words(&mut words, at, input, len);
            let head = Head::of_arguments(vertex.function.0, at + len);
            self.write_again(hint, head, &words[..(at + len).div_ceil(8)]);
        } else {
            let inputs = usize::from(vertex.inputs_len);
            let edges = &self.fold.edges[hint.slot.at()];
            cell.set_edges(inputs);
            edges.open(hint.generation, 0, edges.put(0, inputs, len as u8, input));
        }
        self.queue_pending(state, hint);
    }

    /// Writes into the slot of a task that is pending what it is to be run with: nobody else
    /// writes there.
    pub(in crate::scheduler) fn write_again(&self, hint: Hint, head: Head, words: &[u64]) {
        let cell = &self.fold.slots[hint.slot.at()];
        let (is_followed, is_awaited) = cell.wishes();
        cell.write(head, words);
        if is_followed {
            cell.follow();
        }
        if is_awaited {
            cell.awaits(hint.generation);
        }
    }

    /// Nothing is missing any more of the task in a slot: if some of its inputs are more than
    /// a few bytes, the attendant sees to it.
    fn put_together(&self, state: &mut State, slot: u32) {
        let ticket = state.slots[slot].ticket();
        let (Some(vertex), Some(ticket)) = (state.graph.at(slot), ticket) else {
            return;
        };
        let (hint, slot) = (vertex.hint(slot), slot as usize);
        let Some(large) = vertex.large.take() else {
            return;
        };
        vertex.is_attended = true;
        let inputs = usize::from(vertex.inputs_len);
        let edges = &self.fold.edges[slot];
        let mut all: SmallVec<_> = (0..inputs)
            .map(|at| {
                let (len, words) = edges.input(at, inputs);
                Input::small(len, words)
            })
            .collect();
        for (at, input) in *large {
            all[usize::from(at)] = input;
        }
        let (function, rebuild, list_len) = (vertex.function, vertex.rebuild, vertex.list_len);
        let len = usize::from(vertex.arguments_len);
        let mut payload = Payload::from_words(self.fold.slots[slot].first_words(), len);
        let mut lists = Vec::new();
        if list_len > 0 {
            // The list's length is put there again.
            payload.truncate(len.saturating_sub(1));
            let len = list_len.into();
            lists.push(List { at: 0, len });
        }
        let job = Job {
            function,
            payload,
            buffers: Vec::new(),
            name: state.slots[slot as u32].name(),
            permits: Vec::new(),
            settings: None,
        };
        let node = state.nodes.add(Node {
            ticket,
            missing: 0,
            inputs: all,
            work: Work::Unfinished(Unfinished {
                job,
                args_at: 0,
                lists,
                build: Build::Append(rebuild),
            }),
            is_urgent: false,
            slot: Some(hint),
            label: None,
        });
        self.send_attendant(state, News::Ready(node));
    }

    /// Ends a task that waits in its slot, if it still does.
    pub(in crate::scheduler) fn end_in_slot(
        &self,
        state: &mut State,
        hint: Hint,
        error: TaskError,
    ) {
        let slot = hint.slot.0;
        let inflight = &state.slots[slot];
        if !inflight.is_of(hint.generation) {
            return;
        }
        let cell = &self.fold.slots[slot as usize];
        if !cell.withdraw(hint.generation) {
            if state.door.failed().is_some() {
                return; // it was told before all was to end, and ends with all others
            }
            let what = format!("slot {slot}, which waits, says {:?}", cell.word());
            self.condemn(state, &what);
            return;
        }
        self.end_withdrawn(state, slot, error);
    }

    /// The task in `slot` was withdrawn.
    fn end_withdrawn(&self, state: &mut State, slot: u32, error: TaskError) {
        state.tally.note_unrun(&error);
        self.settle(state, slot, Err(Box::new(error)));
    }

    /// Ends all that wait in slots and are meant; returns how many.
    pub(in crate::scheduler) fn end_all_in_slots(
        &self,
        state: &mut State,
        error: &TaskError,
        is_meant: impl Fn(&State, u32) -> bool,
    ) -> usize {
        let mut ended = 0;
        // All of them before any that is told that another one has ended.
        let is_inner = state.tickets.arrivals.hold();
        for slot in state.graph.slots() {
            let inflight = &state.slots[slot];
            let generation = inflight.generation();
            let is_meant = inflight.ticket().is_some_and(|id| is_meant(state, id));
            let cell = &self.fold.slots[slot as usize];
            let is_pending = || TaskState::of(cell.word()) == Some(TaskState::Pending);
            // An executor may be about to queue it: then it is one like any other.
            if is_meant && is_pending() && cell.withdraw(generation) {
                ended += 1;
                self.end_withdrawn(state, slot, error.clone());
            }
        }
        state.tickets.arrivals.let_go(is_inner);
        self.release(state);
        ended
    }

    /// After a death: what the dead had begun to tell, they have; the rest is told when it is
    /// collected. May be done twice.
    pub(in crate::scheduler) fn finish_for_the_dead(
        &self,
        state: &State,
        is_dead: impl Fn(u32) -> bool,
    ) {
        for slot in state.slots() {
            let inflight = &state.slots[slot];
            let cell = &self.fold.slots[slot as usize];
            let word = cell.word();
            let is_left = inflight.ticket().is_some()
                && word.generation == inflight.generation()
                && TaskState::of(word) == Some(TaskState::Finishing)
                && is_dead(word.owner);
            if is_left {
                cell.finish(ExecutorId(word.owner), word.generation);
            }
        }
    }

    /// After a death: whatever is queued of those that were pending gets a hint, for the dead
    /// may have had the only one. May be done twice.
    pub(in crate::scheduler) fn issue_again(&self, state: &mut State) {
        for slot in state.graph.slots() {
            let inflight = &state.slots[slot];
            let hint = Hint {
                slot: SlotIndex(slot),
                generation: inflight.generation(),
            };
            if inflight.ticket().is_some() && self.is_queued(hint) {
                self.place(state, hint.pack());
            }
        }
    }
}
