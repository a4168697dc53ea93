//! A task with settings of its own.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pool::Transfer;
use crate::scheduler::Ticket;
use crate::task::{Erased, FunctionId, Payload, Room, encode_with_buffers, entry_of};

use super::core::Core;
use super::held::Held;
use super::order::Order;
use super::submitted::{Encoded, Submitted};
use super::{Handle, Memo};

pub(super) const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A function to be run, with settings; made by
/// [`Runtime::task`](crate::Runtime::task).
///
/// A setting holds in every way to submit the task, but for these:
///
/// | setting | where it differs |
/// | --- | --- |
/// | [`retry`](Task::retry), [`retry_if`](Task::retry_if) | [`chunked`](Task::chunked) and [`reduce`](Task::reduce) run each item by itself then; what combines is not tried again |
/// | [`run_limit`](Task::run_limit), deadlines, [`safe_to_repeat`](Task::safe_to_repeat), [`limited`](Task::limited) | in `chunked` and `reduce` they are said of a chunk of items; in `reduce` of what combines, too |
/// | deadlines | after [`spawn_after`](Task::spawn_after) they count from when the task is queued |
/// | [`memoized`](Task::memoized) | [`spawn`](Task::spawn) alone, without buffers among the arguments |
/// | [`in_flight`](Task::in_flight) | `map` and what is made of it |
///
/// What a task spawns itself ([`spawn`](crate::spawn)) has no settings of its own: it is
/// cancelled, and sees the deadline, as part of that task.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let fetch = rt.task(|page: u32| page * 10).safe_to_repeat(5);
/// assert_eq!(fetch.spawn(3).join()?, 30);
/// assert_eq!(fetch.map(0..3).collect::<Result<Vec<_>, _>>()?, [0, 10, 20]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `spawn` or `map`"]
pub struct Task<'rt, F, A, R> {
    pub(super) order: Order<'rt>,
    /// Of no size; what is made of it names it by its type.
    pub(super) call: F,
    pub(super) types: PhantomData<fn(A) -> R>,
}

impl<F: Copy, A, R> Clone for Task<'_, F, A, R> {
    fn clone(&self) -> Self {
        Task {
            order: self.order.clone(),
            ..*self
        }
    }
}

impl<F, A, R> std::fmt::Debug for Task<'_, F, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("function", &std::any::type_name::<F>())
            .field("settings", &self.order.settings)
            .field("in_flight", &self.order.in_flight)
            .finish()
    }
}

impl<'rt, F, A, R> Task<'rt, F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    #[inline]
    pub(super) fn new(core: &'rt Arc<Core>, call: F) -> Self {
        let entry = entry_of::<F, A, R>();
        Task {
            order: Order {
                core,
                function: core.function(entry),
                name: std::any::type_name::<F>,
                settings: None,
                memo: None,
                in_flight: None,
            },
            call,
            types: PhantomData,
        }
    }

    /// Submits it: see [`Runtime::spawn`](crate::Runtime::spawn).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// assert_eq!(rt.task(|n: u32| n + 1).spawn(1).join()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn spawn(&self, args: A) -> Handle<R> {
        if let Some(memo) = &self.order.memo
            && !self.order.core.is_elsewhere()
        {
            return self.spawn_memoized(memo, args);
        }
        self.spawn_plain(args)
    }

    #[cold]
    fn spawn_memoized(&self, memo: &Memo, args: A) -> Handle<R> {
        match self
            .order
            .recall(self.order.core.sound(), memo, Erased::of(&args))
        {
            Ok((scheduler, ticket)) => Handle::new(scheduler, ticket),
            Err(call) => {
                let first = self.spawn_plain(args);
                if let Some(call) = call {
                    first.remember(call);
                }
                first
            }
        }
    }

    #[inline]
    fn spawn_plain(&self, args: A) -> Handle<R> {
        let order = &self.order;
        if order.settings.is_some() {
            return self.spawn_slowly(args, None);
        }
        match spawn_quickly(order.core, order.function, order.name, &args) {
            Ok(handle) => handle,
            Err(encoded) => self.spawn_slowly(args, encoded),
        }
    }

    /// For what `spawn_quickly` could not do.
    #[cold]
    pub(super) fn spawn_slowly(&self, args: A, encoded: Option<Encoded>) -> Handle<R> {
        self.order.submit(&mut Some(args), encoded).handle()
    }

    /// Submits it; says what came of it.
    pub(super) fn submit(&self, args: A) -> Submitted {
        self.order.submit(&mut Some(args), None)
    }

    /// The function.
    pub(super) fn call(&self) -> F {
        self.call
    }

    /// Another function with the settings of this one, and its name; but for those that
    /// speak of this one's values: when it is tried again.
    pub(super) fn with<G, B, S>(&self, call: G) -> Task<'rt, G, B, S>
    where
        G: Fn(B) -> S + Copy + Send + 'static,
        B: Serialize + DeserializeOwned,
        S: Serialize + DeserializeOwned,
    {
        let another = Task::new(self.order.core, call);
        Task {
            order: Order {
                name: self.order.name,
                settings: self.order.settings_of_another(),
                in_flight: self.order.in_flight,
                ..another.order
            },
            ..another
        }
    }

    pub(super) fn core(&self) -> &'rt Arc<Core> {
        self.order.core
    }
}

/// Submits a task without settings, if that takes little; else gives back what is encoded.
#[inline(always)]
pub(super) fn spawn_quickly<A: Serialize + DeserializeOwned, R: DeserializeOwned>(
    core: &Core,
    function: Option<FunctionId>,
    name: fn() -> &'static str,
    args: &A,
) -> Result<Handle<R>, Option<Encoded>> {
    spawn_encoded(core, function, args, |scheduler, function, payload| {
        scheduler.submit_from_anywhere(function, payload, name)
    })
}

/// Encodes `args`; if that is short and without buffers, has it submitted, which may be
/// refused. Else gives back what is encoded.
#[inline(always)]
pub(super) fn spawn_encoded<A: Serialize + DeserializeOwned, R: DeserializeOwned>(
    core: &Core,
    function: Option<FunctionId>,
    args: &A,
    submit: impl FnOnce(&Held, FunctionId, &mut Payload) -> Option<Ticket>,
) -> Result<Handle<R>, Option<Encoded>> {
    let function = function.ok_or(None)?;
    let mut payload = Payload::new();
    let (encoded, buffers) = encode_with_buffers(args, &mut payload, Room::None);
    if encoded.is_err() {
        drop(buffers);
        return Err(None); // the long way tells why
    }
    let len = payload.len();
    if buffers.is_empty() && payload.is_plain() {
        let submitted = core.with_present(|scheduler| {
            // Counted first: a locked instruction behind the stores to lines that travel waits for these.
            let owned = scheduler.clone();
            let ticket = submit(scheduler, function, &mut payload)?;
            Some(Handle::new(owned, ticket))
        });
        if let Some(handle) = submitted {
            return Ok(handle);
        }
    }
    Err(Some(give_back(payload, len, buffers)))
}

/// Apart: what was just written in pieces is not moved in whole on the way of those that are
/// submitted.
#[cold]
#[inline(never)]
fn give_back(mut payload: Payload, len: usize, buffers: Vec<Transfer>) -> Encoded {
    if payload.len() > len {
        payload.truncate(len); // which is for plain ones: it forgets that one is marked
    }
    (payload, buffers)
}
