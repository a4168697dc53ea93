//! How many tasks somebody follows, who listens to one, and whether the attendant is needed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::prim::Hint;

use crate::scheduler::followers::news::{Listener, News};

/// A task, and who wants to hear how far it is.
struct Listening {
    place: Hint,
    /// As often as it had said something when the listener was last told.
    heard: u16,
    listener: Arc<Listener>,
}

/// Who is to be told of something without waiting for it.
#[derive(Default)]
pub struct Followers {
    /// Tasks that somebody follows, and that have not ended.
    followed: usize,
    /// Some have come since the attendant last asked.
    has_followed: bool,
    /// The attendant sleeps until there is something to attend to, or it is called.
    is_idle: bool,
    /// Nothing more will happen: the attendant may leave when it has told all.
    is_over: bool,
    /// Who wants to hear how far a task is.
    listeners: Vec<Listening>,
    /// Tickets that end as another task does, each with a number of its own.
    shadows: HashMap<u32, u64>,
    /// The last of these numbers.
    shadows_opened: u64,
}

impl Followers {
    /// There is nobody, and nothing will happen.
    pub fn over() -> Self {
        Followers {
            is_over: true,
            ..Followers::default()
        }
    }

    /// Tasks that somebody follows.
    #[inline]
    pub fn count(&self) -> usize {
        self.followed
    }

    /// One more is followed.
    #[inline]
    pub fn add(&mut self) {
        self.followed += 1;
    }

    /// One of them has ended.
    #[inline]
    pub fn remove(&mut self) {
        self.followed -= 1;
    }

    /// There is something that the attendant should know of.
    pub fn note_followed(&mut self) {
        self.has_followed = true;
    }

    /// Whether there was, since this was last asked.
    pub fn take_has_followed(&mut self) -> bool {
        std::mem::take(&mut self.has_followed)
    }

    /// Whether the attendant sleeps until it is called.
    pub fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// It does so from now on, or does not.
    pub fn set_idle(&mut self, is_idle: bool) {
        self.is_idle = is_idle;
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Nothing more will.
    pub fn finish(&mut self) {
        self.is_over = true;
    }

    /// One more wants to hear how far the task of `place` is.
    pub fn listen(&mut self, place: Hint, listener: Arc<Listener>) {
        self.listeners.push(Listening {
            place,
            heard: 0,
            listener,
        });
    }

    /// Whether anybody wants to hear that.
    pub fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Tells those whose task has said something since: how often it has, `said` knows. Forgets
    /// those whose task `has_ended`.
    pub fn hear(
        &mut self,
        said: impl Fn(Hint) -> Option<u16>,
        has_ended: impl Fn(Hint) -> bool,
        news: &mut Vec<News>,
    ) {
        let gone = self.listeners.extract_if(.., |listening| {
            if let Some(count) = said(listening.place).filter(|now| *now != listening.heard) {
                listening.heard = count;
                news.push(News::Heard(Arc::clone(&listening.listener)));
            }
            has_ended(listening.place)
        });
        let gone: Vec<_> = gone.map(|listening| listening.listener).collect();
        if !gone.is_empty() {
            news.push(News::Gone(Box::new(gone)));
        }
    }

    /// Ticket `id` ends as another task does; returns its number, which is never used again.
    pub fn open_shadow(&mut self, id: u32) -> u64 {
        self.shadows_opened += 1;
        self.shadows.insert(id, self.shadows_opened);
        self.shadows_opened
    }

    /// It ends; false if it has already.
    pub fn close_shadow(&mut self, id: u32, number: u64) -> bool {
        let is_open = self.shadows.get(&id) == Some(&number);
        if is_open {
            self.shadows.remove(&id);
        }
        is_open
    }

    /// How many tickets end as another task does, and have not.
    pub fn shadows(&self) -> usize {
        self.shadows.len()
    }

    /// Takes all of them out.
    pub fn take_shadows(&mut self) -> Vec<u32> {
        self.shadows.drain().map(|(id, _)| id).collect()
    }
}
