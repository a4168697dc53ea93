//! Pending tasks, where they lie.
//!
//! Most have no settings, a few bytes of arguments, and few inputs of a few bytes each: such
//! a [`Plain`] one is written where it lies, piece by piece as the pieces come, and from
//! there into a slot. Whatever else there is makes a [`Node`] of it, in the same place.

use std::mem::offset_of;

use smallvec::SmallVec;

use crate::sys::prefetch_for_write;
use crate::task::{FunctionId, INLINE_LEN, Payload};

use super::inputs::{Build, Input, Inputs, Rebuild, Unfinished};
use super::submit::Job;
use super::value::SMALL;

/// Inputs of a plain pending task.
pub const INPUTS_MAX: usize = 3;

/// A pending task, whatever it is like.
pub struct Node {
    pub ticket: u32,
    /// Inputs that are not there: as many as say so of themselves.
    pub missing: u32,
    pub inputs: Inputs,
    pub unfinished: Unfinished,
    /// It goes before others.
    pub is_urgent: bool,
}

/// Words of an input.
const INPUT_WORDS: usize = SMALL / 8;

/// A pending task without settings, buffers and lists.
///
/// In this order all that is looked at of one with a word of arguments and one input,
/// between its submission and its slot, is in one cache line, the [`Entry`]'s head included.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Plain {
    pub ticket: u32,
    pub function: FunctionId,
    /// A bit for each input that is not there.
    missing: u8,
    inputs_len: u8,
    /// Bytes of the arguments, and of each input.
    arguments_len: u8,
    lens: [u8; INPUTS_MAX],
    pub name: fn() -> &'static str,
    /// The arguments, and behind them a few words for each input.
    words: [u64; INLINE_LEN / 8 + INPUTS_MAX * INPUT_WORDS],
    /// Puts inputs behind the arguments that are more than bytes.
    rebuild: Rebuild,
    /// What the tasks are called that it depends on.
    names: [fn() -> &'static str; INPUTS_MAX],
}

fn nameless() -> &'static str {
    ""
}

impl Plain {
    const BLANK: Plain = Plain {
        ticket: 0,
        function: FunctionId(0),
        name: nameless,
        rebuild: |_, _, _, _| Ok(()),
        missing: 0,
        inputs_len: 0,
        arguments_len: 0,
        lens: [0; INPUTS_MAX],
        words: [0; INLINE_LEN / 8 + INPUTS_MAX * INPUT_WORDS],
        names: [nameless; INPUTS_MAX],
    };

    /// One more input, which is there.
    #[inline]
    pub fn push(&mut self, len: u8, words: [u64; INPUT_WORDS]) {
        let at = usize::from(self.inputs_len);
        self.inputs_len += 1;
        self.put(at, len, words);
    }

    /// One more, which is not there yet; says which it is.
    #[inline]
    pub fn push_missing(&mut self, name: fn() -> &'static str) -> u32 {
        let at = usize::from(self.inputs_len);
        self.inputs_len += 1;
        self.names[at] = name;
        self.missing |= 1 << at;
        at as u32
    }

    /// Where the words of input `at` begin.
    #[inline]
    fn place(&self, at: usize) -> usize {
        usize::from(self.arguments_len).div_ceil(8) + at * INPUT_WORDS
    }

    #[inline]
    fn put(&mut self, at: usize, len: u8, [a, b, c]: [u64; INPUT_WORDS]) {
        self.lens[at] = len.min(SMALL as u8);
        let place = self.place(at);
        if let [to_a, to_b, to_c] = &mut self.words[place..][..INPUT_WORDS] {
            *to_a = a;
            if len > 8 {
                (*to_b, *to_c) = (b, c);
            }
        }
    }

    #[inline]
    fn input(&self, at: usize) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.words[self.place(at)..]);
        &bytes[..usize::from(self.lens[at])]
    }

    #[inline]
    fn arguments(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        &bytes[..usize::from(self.arguments_len)]
    }

    /// An input comes; says whether none is missing now.
    #[inline]
    fn arrive(&mut self, input: u32, len: u8, words: [u64; INPUT_WORDS]) -> bool {
        let at = input as usize;
        debug_assert!(self.missing & 1 << at != 0, "an input came twice");
        self.put(at, len, words);
        self.missing &= !(1 << at);
        self.missing == 0
    }

    /// Puts the arguments, and the inputs behind them, into an empty payload; false: they
    /// do not fit into a slot.
    #[inline]
    pub fn pack(&self, payload: &mut Payload) -> bool {
        let count = usize::from(self.inputs_len);
        let inputs = self.lens[..count].iter().map(|len| usize::from(*len));
        if usize::from(self.arguments_len) + inputs.sum::<usize>() > INLINE_LEN {
            return false;
        }
        payload.extend(self.arguments());
        (0..count).for_each(|at| payload.extend(self.input(at)));
        true
    }

    /// The same task, without bounds on what it may get.
    fn grown(&self) -> Node {
        let input = |at: usize| {
            if self.missing & 1 << at == 0 {
                let place = self.place(at);
                Input::small(
                    self.lens[at],
                    std::array::from_fn(|word| self.words[place + word]),
                )
            } else {
                Input::Missing(self.names[at])
            }
        };
        let inputs: SmallVec<_> = (0..usize::from(self.inputs_len)).map(input).collect();
        let mut payload = Payload::new();
        payload.extend(self.arguments());
        Node {
            ticket: self.ticket,
            missing: self.missing.count_ones(),
            inputs,
            unfinished: Unfinished {
                job: Job {
                    function: self.function,
                    payload,
                    buffers: Vec::new(),
                    name: self.name,
                    permits: Vec::new(),
                    settings: None,
                },
                args_at: 0,
                lists: Vec::new(),
                build: Build::Append(self.rebuild),
            },
            is_urgent: false,
        }
    }
}

/// Names a pending task; for none any more when it was submitted or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId {
    at: u32,
    generation: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vacant,
    Plain,
    Grown,
}

/// A place for a pending task.
#[repr(C, align(64))]
struct Entry {
    generation: u32,
    kind: Kind,
    plain: Plain,
    grown: Option<Box<Node>>,
}

impl Entry {
    const BLANK: Entry = Entry {
        generation: 0,
        kind: Kind::Vacant,
        plain: Plain::BLANK,
        grown: None,
    };
}

const _: () = assert!(size_of::<Entry>() == 192);
const _: () =
    assert!(offset_of!(Entry, plain) + offset_of!(Plain, words) + 8 * (1 + INPUT_WORDS) == 64);

/// What came of an input that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Others are missing.
    Waits,
    /// It was the last one.
    Ready,
    /// The task is none that is plain, or none any more.
    Elsewhere,
}

/// Entries that are made together. They are never moved: a million of them are copied for
/// too long, under the lock.
const CHUNK: usize = 256;

/// All pending tasks.
#[derive(Default)]
pub struct Nodes {
    chunks: Vec<Box<[Entry; CHUNK]>>,
    vacant: Vec<u32>,
    /// Pending and in transit.
    count: usize,
    /// Of these, those that go before others.
    urgent: usize,
    /// The ticket of the one in transit: the attendant has one at a time.
    pub in_transit: Option<u32>,
}

impl Nodes {
    /// Tasks that wait for others, or are about to be queued.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Those of them that go before others.
    pub fn urgent(&self) -> usize {
        self.urgent
    }

    #[inline]
    fn open(&mut self, kind: Kind) -> (NodeId, &mut Entry) {
        self.count += 1;
        let at = match self.vacant.pop() {
            Some(at) => {
                if let Some(next) = self.vacant.last() {
                    prefetch_for_write(
                        &self.chunks[*next as usize / CHUNK][*next as usize % CHUNK],
                    );
                }
                at
            }
            None => self.more(),
        };
        let entry = &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK];
        entry.kind = kind;
        let generation = entry.generation;
        (NodeId { at, generation }, entry)
    }

    /// Makes room for some more; returns the first of them.
    #[cold]
    fn more(&mut self) -> u32 {
        let first = (self.chunks.len() * CHUNK) as u32;
        let blank: Vec<Entry> = (0..CHUNK).map(|_| Entry::BLANK).collect();
        if let Ok(chunk) = blank.into_boxed_slice().try_into() {
            self.chunks.push(chunk);
        }
        self.vacant.extend((first + 1..first + CHUNK as u32).rev());
        first
    }

    fn at(&self, at: u32) -> Option<&Entry> {
        let chunk = self.chunks.get(at as usize / CHUNK)?;
        Some(&chunk[at as usize % CHUNK])
    }

    /// One more.
    pub fn add(&mut self, node: Node) -> NodeId {
        self.urgent += usize::from(node.is_urgent);
        let (id, entry) = self.open(Kind::Grown);
        entry.grown = Some(Box::new(node));
        id
    }

    /// One more, that is plain: without inputs yet.
    #[inline]
    pub fn add_plain(
        &mut self,
        ticket: u32,
        function: FunctionId,
        arguments: &Payload,
        name: fn() -> &'static str,
        rebuild: Rebuild,
    ) -> NodeId {
        let (id, entry) = self.open(Kind::Plain);
        // Where it lies: what is written elsewhere and moved here takes longer.
        let plain = &mut entry.plain;
        plain.ticket = ticket;
        plain.function = function;
        plain.name = name;
        plain.rebuild = rebuild;
        (plain.missing, plain.inputs_len) = (0, 0);
        plain.arguments_len = arguments.len().min(INLINE_LEN) as u8;
        for (to, from) in plain.words.iter_mut().zip(arguments.words()) {
            *to = *from;
        }
        id
    }

    #[inline]
    fn entry(&mut self, id: NodeId) -> Option<&mut Entry> {
        let chunk = self.chunks.get_mut(id.at as usize / CHUNK)?;
        let entry = &mut chunk[id.at as usize % CHUNK];
        (entry.generation == id.generation && entry.kind != Kind::Vacant).then_some(entry)
    }

    /// Has it brought here meanwhile.
    #[inline]
    pub fn ask_for(&self, id: NodeId) {
        if let Some(entry) = self.at(id.at) {
            prefetch_for_write(entry);
        }
    }

    /// It, if it is plain.
    #[inline]
    pub fn plain(&mut self, id: NodeId) -> Option<&mut Plain> {
        let entry = self.entry(id)?;
        (entry.kind == Kind::Plain).then_some(&mut entry.plain)
    }

    /// It; from here on it is not plain.
    pub fn get(&mut self, id: NodeId) -> Option<&mut Node> {
        let entry = self.entry(id)?;
        if entry.kind == Kind::Plain {
            entry.kind = Kind::Grown;
            entry.grown = Some(Box::new(entry.plain.grown()));
        }
        entry.grown.as_deref_mut()
    }

    /// An input of a few bytes has come.
    #[inline]
    pub fn arrive(
        &mut self,
        id: NodeId,
        input: u32,
        len: u8,
        words: [u64; INPUT_WORDS],
    ) -> Arrived {
        match self.plain(id).map(|plain| plain.arrive(input, len, words)) {
            Some(true) => Arrived::Ready,
            Some(false) => Arrived::Waits,
            None => Arrived::Elsewhere,
        }
    }

    /// Whether it still waits for that input.
    pub fn is_missing(&mut self, id: NodeId, input: u32) -> bool {
        let node = self.get(id);
        node.is_some_and(|node| matches!(node.inputs[input as usize], Input::Missing(_)))
    }

    /// All, and their tickets.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, u32)> {
        let entries = (0..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()));
        entries.filter_map(|(at, entry)| {
            let ticket = match (entry.kind, &entry.grown) {
                (Kind::Vacant, _) => return None,
                (Kind::Plain, _) => entry.plain.ticket,
                (Kind::Grown, grown) => grown.as_ref()?.ticket,
            };
            let generation = entry.generation;
            Some((NodeId { at, generation }, ticket))
        })
    }

    /// It is in a slot, or has ended.
    #[inline]
    pub fn forget(&mut self, id: NodeId) {
        let Some(entry) = self.entry(id) else {
            return;
        };
        let is_grown = entry.kind == Kind::Grown;
        entry.kind = Kind::Vacant;
        entry.generation = entry.generation.wrapping_add(1);
        if is_grown {
            let node = entry.grown.take();
            self.urgent -= usize::from(node.is_some_and(|node| node.is_urgent));
        }
        self.vacant.push(id.at);
        self.count -= 1;
    }

    /// Takes it out; it counts until [`Nodes::is_gone`].
    pub fn remove(&mut self, id: NodeId) -> Option<Node> {
        self.get(id)?;
        let node = *self.entry(id)?.grown.take()?;
        self.urgent -= usize::from(node.is_urgent);
        self.forget(id);
        self.count += 1;
        Some(node)
    }

    /// Takes it out, because it ends: returns its ticket, and what its arguments are built
    /// by if they are not only bytes.
    pub fn end(&mut self, id: NodeId) -> Option<(u32, Option<Build>)> {
        if let Some(plain) = self.plain(id) {
            let ticket = plain.ticket;
            self.forget(id);
            return Some((ticket, None));
        }
        let node = self.remove(id)?;
        self.is_gone();
        Some((node.ticket, Some(node.unfinished.build)))
    }

    /// One that was taken out is queued, or has ended.
    pub fn is_gone(&mut self) {
        self.count -= 1;
    }
}
