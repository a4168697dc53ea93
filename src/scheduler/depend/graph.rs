//! What the host knows of pending tasks in slots, and of the edges between them; see
//! [`super::in_slots`].

use smallvec::SmallVec;

use crate::layout::Fold;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::sys::prefetch_for_write;
use crate::task::{DEPENDENTS_MAX, FunctionId, INPUTS_MAX, Slot, TaskState};

use crate::scheduler::depend::edge::SlotEdge;
use crate::scheduler::depend::inputs::{Input, Rebuild};

/// Edges that lie beside a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Laid {
    /// Of the slot, as far as it fits.
    generation: u32,
    count: u32,
    /// So many, from the first on, have been told.
    told: u32,
    edges: [SlotEdge; DEPENDENTS_MAX],
}

impl Laid {
    /// Each of them.
    pub fn edges(&self) -> impl Iterator<Item = SlotEdge> {
        let edges = self.edges.iter().take(self.count as usize).zip(0..);
        edges.map(|(edge, seat)| edge.told_if(seat < self.told))
    }
}

/// Inputs, and which they are.
pub type Large = SmallVec<[(u8, Input); 2]>;

/// What the host knows of the task in a slot for pending ones; of one with few inputs all
/// that is looked at is in the first line.
#[repr(C, align(64))]
pub struct Vertex {
    pub generation: Generation,
    /// Inputs that are more than a few bytes.
    pub large: Option<Box<Large>>,
    pub function: FunctionId,
    /// A bit for each input that was missing when it was submitted.
    pub all: u8,
    /// Of these, those that have been collected.
    pub arrived: u8,
    pub inputs_len: u8,
    pub list_len: u8,
    pub arguments_len: u8,
    /// An edge to it lies beside a slot: executors may bring it something.
    pub is_shared: bool,
    /// What it waits for is beside its slot. Of one input that the host brings, nothing is.
    pub has_edges: bool,
    /// All has come; the attendant puts it together.
    pub is_attended: bool,
    pub has_ended: bool,
    pub rebuild: Rebuild,
    /// What those are called that it depends on.
    pub names: [fn() -> &'static str; INPUTS_MAX],
}

const _: () = assert!(size_of::<Vertex>() == 128);

impl Vertex {
    /// That of it, in this slot.
    pub fn hint(&self, slot: u32) -> Hint {
        Hint {
            slot: SlotIndex(slot),
            generation: self.generation,
        }
    }
}

/// All of them.
pub struct Graph {
    /// The first of their slots.
    first: u32,
    /// How many of these there are.
    most: usize,
    free: Vec<u32>,
    /// As many as were ever used.
    vertices: Vec<Vertex>,
    /// Edges that begin at the host's slots, as far as any ever did: at those of this kind,
    /// and at the others.
    laid: [Vec<Laid>; 2],
    /// Tasks at which edges begin that lie beside their slots.
    sources: usize,
    /// Slots of this kind whose task has not ended.
    in_flight: usize,
    /// Slots of this kind whose task has, but not all that it depended on.
    lingering: usize,
}

impl Graph {
    pub fn new(fold: &Fold) -> Self {
        let shape = &fold.plan.shape;
        Graph {
            first: shape.slots,
            most: shape.pending_slots() as usize,
            free: Vec::new(),
            vertices: Vec::new(),
            laid: [Vec::new(), Vec::new()],
            sources: 0,
            in_flight: 0,
            lingering: 0,
        }
    }

    /// Tasks at which edges begin that lie beside their slots.
    #[inline(always)]
    pub fn sources(&self) -> usize {
        self.sources
    }

    /// Slots of this kind whose task has not ended.
    #[inline(always)]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// One more task is in a slot of this kind.
    #[inline]
    pub fn begin(&mut self) {
        self.in_flight += 1;
    }

    /// Slots that are neither free, nor in use, nor linger.
    pub fn lost(&self) -> i64 {
        let used = self.vertices.len() as i64;
        used - self.free.len() as i64 - self.in_flight as i64 - self.lingering as i64
    }

    /// Slots of this kind that were ever used.
    pub fn slots(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.vertices.len() as u32
    }

    pub fn at(&mut self, slot: u32) -> Option<&mut Vertex> {
        let at = slot.checked_sub(self.first)?;
        self.vertices.get_mut(at as usize)
    }

    fn place(&self, slot: u32) -> (usize, usize) {
        match slot.checked_sub(self.first) {
            Some(at) => (0, at as usize),
            None => (1, slot as usize),
        }
    }

    /// Keeps an edge that is to lie beside the slot of `from`; says where, if there is room.
    #[inline]
    pub fn keep(&mut self, from: Hint, edge: SlotEdge) -> Option<usize> {
        let (kind, at) = self.place(from.slot.0);
        let all = &mut self.laid[kind];
        if all.len() <= at {
            all.resize(at + 1, Laid::default());
        }
        let laid = &mut all[at];
        let generation = from.generation.raw() as u32;
        if laid.generation != generation {
            (laid.generation, laid.count) = (generation, 0);
        }
        let seat = laid.count as usize;
        *laid.edges.get_mut(seat)? = edge;
        laid.count += 1;
        self.sources += usize::from(seat == 0);
        Some(seat)
    }

    /// The last edge that was kept for `from` may not be seen there.
    #[cold]
    pub fn take_back(&mut self, from: Hint) {
        let (kind, at) = self.place(from.slot.0);
        if let Some(laid) = self.laid[kind].get_mut(at) {
            laid.count -= 1;
            self.sources -= usize::from(laid.count == 0);
        }
    }

    /// Whether edges lie beside slot `slot`, whose task has not been collected.
    pub fn leads_on(&self, slot: u32, generation: Generation) -> bool {
        let (kind, at) = self.place(slot);
        self.sources > 0
            && self.laid[kind]
                .get(at)
                .is_some_and(|laid| laid.generation == generation.raw() as u32 && laid.count > 0)
    }

    /// The edges that lie beside slot `slot`, which is `cell`, when the task there has ended
    /// and is collected; there are none any more.
    #[inline]
    pub fn pick_up(&mut self, slot: u32, generation: Generation, cell: &Slot) -> Option<Laid> {
        let (kind, at) = self.place(slot);
        let laid = self.laid[kind].get_mut(at)?;
        if laid.generation != generation.raw() as u32 || laid.count == 0 {
            return None;
        }
        self.sources -= 1;
        // Of one that has not run it says something else.
        let is_done = TaskState::of(cell.word()) == Some(TaskState::Done);
        let told = if is_done { cell.edges() as u32 } else { 0 };
        let picked_up = Laid { told, ..*laid };
        laid.count = 0;
        Some(picked_up)
    }

    /// The task in `slot` has ended.
    pub fn note_ended(&mut self, slot: u32) {
        self.in_flight -= 1;
        let Some(vertex) = self.at(slot) else {
            return;
        };
        vertex.has_ended = true;
        vertex.large = None;
        if vertex.arrived == vertex.all {
            self.free.push(slot);
        } else {
            self.lingering += 1;
        }
    }

    /// Has what is known of an edge's end brought here meanwhile.
    #[inline]
    pub fn ask_for(&self, edge: SlotEdge, fold: &Fold) {
        prefetch_for_write(&self.vertices[(edge.slot() - self.first) as usize]);
        prefetch_for_write(&fold.slots[edge.slot() as usize]);
    }

    /// The same before the task in `slot` is to end, if that is one of these.
    #[inline]
    pub fn ask_for_end(&self, slot: u32) {
        let at = slot.wrapping_sub(self.first) as usize;
        if let Some(vertex) = self.vertices.get(at) {
            prefetch_for_write(vertex);
        }
    }

    /// What the edge begins at has been collected; `None`: what it leads to has ended.
    #[inline]
    pub fn arrive(&mut self, edge: SlotEdge) -> Option<&mut Vertex> {
        let first = self.first;
        let vertex = &mut self.vertices[(edge.slot() - first) as usize];
        debug_assert_eq!(
            vertex.generation.raw() as u32,
            edge.generation(),
            "a slot was used too early"
        );
        vertex.arrived |= 1 << edge.input();
        if vertex.has_ended {
            if vertex.arrived == vertex.all {
                self.lingering -= 1;
                self.free.push(edge.slot());
            }
            return None;
        }
        Some(vertex)
    }

    /// Takes note of it if an executor has told the edge, and that is all.
    #[inline]
    pub fn note_told(&mut self, edge: SlotEdge) -> bool {
        let at = edge.slot() - self.first;
        let is_simple = |vertex: &Vertex| vertex.large.is_none();
        edge.is_told() && self.vertices.get(at as usize).is_some_and(is_simple) && {
            self.arrive(edge);
            true
        }
    }

    /// Whether all that the task in `slot` depends on has been collected, and some of it is
    /// more than a few bytes.
    pub fn has_large_inputs_only(&self, slot: u32) -> bool {
        let vertex = &self.vertices[(slot - self.first) as usize];
        vertex.arrived == vertex.all && vertex.large.is_some()
    }

    /// Whether the task in `slot` waits for any other, as far as is known.
    #[inline]
    pub fn waits(&self, slot: u32) -> bool {
        let at = slot.checked_sub(self.first);
        let vertex = at.and_then(|at| self.vertices.get(at as usize));
        vertex.is_some_and(|vertex| vertex.arrived != vertex.all)
    }

    /// Whether all that the task in `slot` depends on has been collected, and nothing is
    /// left to the attendant: then it cannot be pending for long.
    pub fn is_complete(&self, slot: u32) -> bool {
        let at = slot.checked_sub(self.first);
        let vertex = at.and_then(|at| self.vertices.get(at as usize));
        vertex.is_some_and(|vertex| {
            vertex.arrived == vertex.all && vertex.large.is_none() && !vertex.is_attended
        })
    }

    /// The first slot of this kind.
    #[inline]
    pub fn first(&self) -> u32 {
        self.first
    }

    /// Whether a slot is of this kind.
    #[inline]
    pub fn owns(&self, slot: u32) -> bool {
        (slot.wrapping_sub(self.first) as usize) < self.most
    }

    /// The slot that is taken next, unless none was used before.
    #[inline]
    pub fn next_free(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// Has what is known of the task in `slot` brought here meanwhile.
    #[inline]
    pub fn ask_for_vertex(&self, slot: u32) {
        prefetch_for_write(&self.vertices[(slot - self.first) as usize]);
    }

    /// A free slot that was used before.
    #[inline]
    pub fn take_free(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// One more slot that was never used, if there is one.
    pub fn grow(&mut self) -> Option<u32> {
        if self.vertices.len() >= self.most {
            return None;
        }
        let slot = self.first + self.vertices.len() as u32;
        self.vertices.push(Vertex {
            generation: Generation::new(0),
            function: FunctionId(0),
            all: 0,
            arrived: 0,
            inputs_len: 0,
            list_len: 0,
            arguments_len: 0,
            is_shared: false,
            has_edges: false,
            is_attended: false,
            has_ended: true,
            large: None,
            rebuild: |_, _, _, _| Ok(()),
            names: [|| ""; INPUTS_MAX],
        });
        Some(slot)
    }
}
