//! Pending tasks that are more than plain, or for which there is no slot: in the host's own
//! memory until they have all they need. Those in slots: `super::in_slots`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::prim::Hint;
use crate::task::Label;

use crate::scheduler::depend::inputs::{Build, Input, Inputs, Unfinished};
use crate::scheduler::submit::job::{Job, Prepared};

/// How far a pending task is.
pub enum Work {
    /// It waits for inputs, or for the attendant to put them behind its arguments.
    Unfinished(Unfinished),
    /// Somebody puts them there.
    InHand,
    /// They are there. For the arguments there was no memory yet.
    Finished(Job),
    /// It needs a slot, and nothing else.
    Prepared(Prepared),
}

/// A pending task, whatever it is like.
pub struct Node {
    pub ticket: u32,
    /// Inputs that are not there: as many as say so of themselves.
    pub missing: u32,
    pub inputs: Inputs,
    pub work: Work,
    /// It goes before others.
    pub is_urgent: bool,
    /// The slot that it has already.
    pub slot: Option<Hint>,
    /// What it was given to know it by.
    pub label: Option<Arc<Label>>,
}

/// Names a pending task; for none any more when it was submitted or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId {
    at: u32,
    generation: u32,
}

/// A place for a pending task.
#[derive(Default)]
struct Entry {
    generation: u32,
    node: Option<Box<Node>>,
}

/// All of them.
#[derive(Default)]
pub struct Nodes {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    count: usize,
    /// Of these, those that go before others.
    urgent: usize,
    /// Those that have all but a slot; some have ended meanwhile.
    stalled: VecDeque<NodeId>,
    /// The same of those that have all but memory and a slot.
    thirsty: VecDeque<NodeId>,
}

impl Node {
    /// What it is called, and more, if that is known at the moment.
    pub fn label(&self) -> Option<&Arc<Label>> {
        match &self.work {
            Work::Unfinished(Unfinished { job, .. }) | Work::Finished(job) => {
                job.settings.as_ref()?.label.as_ref()
            }
            Work::Prepared(prepared) => prepared.extra.as_ref()?.label.as_ref(),
            Work::InHand => None,
        }
    }
}

impl NodeId {
    /// Where it is among the nodes.
    pub fn at(self) -> u32 {
        self.at
    }
}

impl Nodes {
    /// Tasks that wait for others, or for room.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Those of them that go before others.
    pub fn urgent(&self) -> usize {
        self.urgent
    }

    /// How many wait for a slot, those that have ended meanwhile included.
    #[inline]
    pub fn stalled(&self) -> usize {
        self.stalled.len()
    }

    /// The first of them.
    pub fn first_stalled(&self) -> Option<NodeId> {
        self.stalled.front().copied()
    }

    /// It waits no more.
    pub fn pop_stalled(&mut self) {
        self.stalled.pop_front();
    }

    /// One more waits for a slot.
    pub fn stall(&mut self, id: NodeId) {
        self.stalled.push_back(id);
    }

    /// How many wait for memory, those that have ended meanwhile included.
    #[inline]
    pub fn thirsty(&self) -> usize {
        self.thirsty.len()
    }

    /// The first of them, which waits no more.
    pub fn pop_thirsty(&mut self) -> Option<NodeId> {
        self.thirsty.pop_front()
    }

    /// One more waits for memory.
    pub fn thirst(&mut self, id: NodeId) {
        self.thirsty.push_back(id);
    }

    /// None waits for anything any more.
    pub fn forget_waiting(&mut self) {
        self.stalled.clear();
        self.thirsty.clear();
    }

    /// One more.
    pub fn add(&mut self, node: Node) -> NodeId {
        self.count += 1;
        self.urgent += usize::from(node.is_urgent);
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[at as usize];
        entry.node = Some(Box::new(node));
        let generation = entry.generation;
        NodeId { at, generation }
    }

    /// It, if it is still there.
    pub fn get(&mut self, id: NodeId) -> Option<&mut Node> {
        let entry = self.entries.get_mut(id.at as usize)?;
        let node = entry.node.as_deref_mut();
        node.filter(|_| entry.generation == id.generation)
    }

    /// Which one is in place `at`, if it is that of ticket `ticket`.
    pub fn of(&self, at: u32, ticket: u32) -> Option<NodeId> {
        let entry = self.entries.get(at as usize)?;
        let generation = entry.generation;
        let is_meant = entry.node.as_ref()?.ticket == ticket;
        is_meant.then_some(NodeId { at, generation })
    }

    /// Whether it still waits for that input.
    pub fn misses(&mut self, id: NodeId, input: u32) -> bool {
        let node = self.get(id);
        node.is_some_and(|node| matches!(node.inputs[input as usize], Input::Missing(_)))
    }

    /// All, and their tickets.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, u32)> {
        (0..).zip(&self.entries).filter_map(|(at, entry)| {
            let generation = entry.generation;
            let node = entry.node.as_ref()?;
            Some((NodeId { at, generation }, node.ticket))
        })
    }

    /// Takes it out.
    pub fn remove(&mut self, id: NodeId) -> Option<Box<Node>> {
        self.get(id)?;
        let entry = &mut self.entries[id.at as usize];
        let node = entry.node.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(id.at);
        self.count -= 1;
        self.urgent -= usize::from(node.is_urgent);
        Some(node)
    }

    /// Takes it out, because it ends: returns it, and what its arguments are built by, if that
    /// is still there.
    pub fn end(&mut self, id: NodeId) -> Option<(Box<Node>, Option<Build>)> {
        let mut node = self.remove(id)?;
        let build = match std::mem::replace(&mut node.work, Work::InHand) {
            Work::Unfinished(unfinished) => Some(unfinished.build),
            Work::InHand | Work::Finished(_) | Work::Prepared(_) => None,
        };
        Some((node, build))
    }
}

impl Node {
    /// What is to be finished, if nobody has begun to.
    pub fn unfinished(&mut self) -> Option<(&mut Unfinished, &mut Inputs)> {
        match &mut self.work {
            Work::Unfinished(unfinished) => Some((unfinished, &mut self.inputs)),
            _ => None,
        }
    }
}
