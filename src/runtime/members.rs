//! Handles in the order in which their tasks end.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Ended, Reach};

use super::Handle;
use super::ends::Ends;

/// Several tasks, of which whichever has ended is next. Each has a number; the first is 0.
///
/// A task is watched under a tag, which is used again when it has ended; so what this takes
/// grows with those that are in it, not with all that ever were.
#[derive(Debug)]
pub(super) struct Members<R> {
    /// By tag, each with its number.
    handles: Vec<Option<(Handle<R>, usize)>>,
    vacant: Vec<u32>,
    ends: Ends,
    /// Of tasks that have ended, and are still here.
    ended: VecDeque<u32>,
    /// The number of the next one.
    next: usize,
    len: usize,
}

impl<R> Default for Members<R> {
    fn default() -> Self {
        Members {
            handles: Vec::new(),
            vacant: Vec::new(),
            ends: Ends::default(),
            ended: VecDeque::new(),
            next: 0,
            len: 0,
        }
    }
}

impl<R> Members<R> {
    pub fn of(handles: impl IntoIterator<Item = Handle<R>>) -> Self {
        let mut members = Members::default();
        for handle in handles {
            members.insert(handle);
        }
        members
    }

    /// One more; its number.
    pub fn insert(&mut self, handle: Handle<R>) -> usize {
        let tag = self.vacant.pop().unwrap_or_else(|| {
            self.handles.push(None);
            (self.handles.len() - 1) as u32
        });
        let ticket = handle.ticket().into_iter().map(|ticket| (tag, ticket));
        self.ends.watch(handle.scheduler(), ticket);
        let number = self.next;
        self.handles[tag as usize] = Some((handle, number));
        self.next += 1;
        self.len += 1;
        number
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many there ever were.
    pub fn numbers(&self) -> usize {
        self.next
    }

    /// Cancels those that have not ended, as far as `reach` goes.
    pub fn cancel(&self, reach: Reach) {
        self.ends.cancel(reach);
    }

    /// Nobody is to be woken any more.
    pub fn wake_nobody(&self) {
        self.ends.wake_nobody();
    }

    fn take(&mut self, tag: u32) -> Option<(Handle<R>, usize)> {
        let member = self.handles[tag as usize].take()?;
        self.vacant.push(tag);
        self.len -= 1;
        Some(member)
    }

    fn note(&mut self, ended: Vec<Ended>) {
        self.ended.extend(ended.iter().map(|ended| ended.tag));
    }

    /// Takes all out.
    pub fn drain(&mut self) -> impl Iterator<Item = Handle<R>> {
        let members = std::mem::take(self);
        self.next = members.next;
        let handles = members.handles.into_iter();
        handles.flatten().map(|(handle, _)| handle)
    }
}

impl<R: DeserializeOwned> Members<R> {
    fn pop(&mut self) -> Option<(usize, Result<R, TaskError>)> {
        let tag = self.ended.pop_front()?;
        let (handle, number) = self.take(tag)?;
        Some((number, handle.join()))
    }

    /// Of a process that was forked off there is no end to wait for.
    fn pop_elsewhere(&mut self) -> Option<(usize, Result<R, TaskError>)> {
        let tag = self.handles.iter().position(Option::is_some)?;
        let (handle, number) = self.take(tag as u32)?;
        Some((number, handle.join()))
    }

    /// Which one has ended, and how; waits until `deadline` for one. `None`: there is none, or
    /// none has ended by then.
    pub fn next(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R, TaskError>)> {
        if self.ends.are_elsewhere() {
            return self.pop_elsewhere();
        }
        if self.ended.is_empty() {
            let mut ended = Vec::new();
            self.ends.wait_until(&mut ended, deadline);
            self.note(ended);
        }
        self.pop()
    }

    /// The same without waiting.
    pub fn try_next(&mut self) -> Option<(usize, Result<R, TaskError>)> {
        if self.ends.are_elsewhere() {
            return self.pop_elsewhere();
        }
        if self.ended.is_empty() {
            let mut ended = Vec::new();
            self.ends.poll(&mut ended);
            self.note(ended);
        }
        self.pop()
    }

    /// The same; the waker of `context` is woken when one has ended.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<(usize, Result<R, TaskError>)>> {
        if self.ends.are_elsewhere() {
            return Poll::Ready(self.pop_elsewhere());
        }
        if self.ended.is_empty() {
            let mut ended = Vec::new();
            self.ends.poll_ended(&mut ended, context.waker());
            self.note(ended);
        }
        match self.pop() {
            None if self.ends.open() > 0 => Poll::Pending,
            next => Poll::Ready(next),
        }
    }
}
