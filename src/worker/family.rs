//! The children of a scope: which have not ended, and the errors of those that failed. The operations on them
//! are in [`super::watch`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::error::TaskError;
use crate::prim::Hint;

/// The children of one scope.
#[derive(Debug)]
pub(super) struct Family {
    /// Whether the first error cancels the rest.
    stops: bool,
    is_cancelled: Cell<bool>,
    /// Whether it waits for what its tasks have spawned, too.
    pub awaits_kin: Cell<bool>,
    /// So many were spawned.
    spawned: Cell<usize>,
    /// Those whose end was not seen yet.
    open: RefCell<Vec<Hint>>,
    /// Of which child, and what.
    errors: RefCell<Vec<(usize, TaskError)>>,
}

/// A child of a scope.
#[derive(Debug)]
pub(super) struct Watched {
    family: Rc<Family>,
    number: usize,
    /// Nobody wants its value.
    is_dropped: bool,
}

impl Family {
    /// Of nobody yet.
    pub fn new(stops: bool) -> Rc<Self> {
        Rc::new(Family {
            stops,
            is_cancelled: Cell::new(false),
            awaits_kin: Cell::new(false),
            spawned: Cell::new(0),
            open: RefCell::default(),
            errors: RefCell::default(),
        })
    }

    /// Whether no more are accepted.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    /// Whether one has failed, so that the rest is to be cancelled.
    pub fn is_to_stop(&self) -> bool {
        self.stops && !self.is_cancelled() && !self.errors.borrow().is_empty()
    }

    /// Accepts no more. Returns what is left.
    pub fn close(&self) -> Vec<Hint> {
        self.is_cancelled.set(true);
        self.open()
    }

    /// This child is one of it from now on.
    pub fn watch(self: &Rc<Self>, child: Hint) -> Watched {
        let watched = Watched {
            family: Rc::clone(self),
            number: self.next(),
            is_dropped: false,
        };
        self.open.borrow_mut().push(child);
        watched
    }

    /// Those whose end was not seen yet.
    pub fn open(&self) -> Vec<Hint> {
        self.open.borrow().clone()
    }

    /// Of those, the ones that are not open: their end is seen.
    pub fn take_over(&self, is_open: impl Fn(Hint) -> bool) -> Vec<Hint> {
        let (open, over): (Vec<Hint>, Vec<Hint>) =
            (self.open.take().into_iter()).partition(|child| is_open(*child));
        *self.open.borrow_mut() = open;
        over
    }

    /// The end of this one is seen, too.
    pub fn forget(&self, child: Hint) {
        self.open.borrow_mut().retain(|open| *open != child);
    }

    /// The number of the next child.
    pub fn next(&self) -> usize {
        self.spawned.replace(self.spawned.get() + 1)
    }

    /// Notes why a child has no value. That it was cancelled somebody wanted.
    pub fn fail(&self, number: usize, error: TaskError) {
        if !matches!(error, TaskError::Cancelled { .. }) {
            self.errors.borrow_mut().push((number, error));
        }
    }

    /// All that was noted.
    pub fn take_errors(&self) -> Vec<(usize, TaskError)> {
        self.errors.take()
    }
}

impl Watched {
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// Nobody wants its value.
    pub fn drop_value(&mut self) {
        self.is_dropped = true;
    }

    /// Whether somebody may want its value.
    pub fn is_wanted(&self) -> bool {
        !self.is_dropped
    }

    /// It has no value.
    pub fn fail(&self, error: TaskError) {
        self.family.fail(self.number, error);
    }
}
