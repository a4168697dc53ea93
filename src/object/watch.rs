//! Waiting without a thread of one's own: futures.
//!
//! ```text
//!   poll      looks; `prepare`; looks again; registers (gate, key, waker); Pending
//!   watcher   collects what is registered ──▶ asleep at all gates, and its own ──▶ looks which
//!               ▲                                                                   have opened:
//!               └──────────────── wakes their wakers ◀──────────────────────────────┘ strikes them off
//!   drop      strikes off; the watcher leaves its sleep; the gate has opened since: `pass_on`
//! ```
//!
//! A watcher is a thread of the process, for up to 60 futures; more of them have more. It is
//! started by the first one, and ends a second after the last.
//!
//! *No wake is lost.* The key is older than the last look of `poll`, and the watcher asks whether the
//! gate has opened since. Others that come to the gate change its word, not its epoch: then the
//! watcher takes a new key, and asks the old one.
//!
//! *No wake is kept.* Where the kernel has chosen the watcher, all futures at that gate are woken, and look. One that
//! goes without taking anything passes on what it was chosen for. It is struck off first, and waits
//! until the watcher does not sleep there any more: else it could be chosen for nobody. So the
//! watcher touches no gate whose object may be gone, either.

#[cfg(all(test, loom))]
mod model;

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use smallvec::{SmallVec, smallvec};

use crate::notify::{Gate, Key, wait_any};
use crate::prim::sync::{Condvar, Mutex, MutexGuard};
use crate::shm::View;
use crate::sys::{Home, barrier, start_thread};

use super::waiting::{AGAIN, is_told_here, told_gate};

/// Futures of one watcher; each may be at two gates, of 127 that a thread can sleep at.
const MOST: usize = 60;
/// How long a watcher stays without futures.
const LINGER: Duration = Duration::from_secs(1);

#[cfg(not(loom))]
static WATCHERS: Mutex<Vec<Arc<Watcher>>> = Mutex::new(Vec::new());
#[cfg(loom)]
loom::lazy_static! {
    static ref WATCHERS: Mutex<Vec<Arc<Watcher>>> = Mutex::new(Vec::new());
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is changed in single steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
enum At {
    Object(View<Gate>),
    Told(&'static Gate),
}

impl Deref for At {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        match self {
            At::Object(gate) => gate,
            At::Told(gate) => gate,
        }
    }
}

/// A future that waits.
struct Entry {
    id: u64,
    gates: SmallVec<[(At, Key); 2]>,
    waker: Waker,
}

impl Entry {
    /// Whether one of its gates has opened; if not, its keys are those of now.
    fn refresh(&mut self) -> bool {
        self.gates.iter_mut().any(|(gate, key)| {
            let now = gate.prepare();
            let has_opened = gate.has_opened(*key);
            if !has_opened {
                *key = now;
            }
            has_opened
        })
    }
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Of the next future.
    next: u64,
    /// There is a thread.
    is_running: bool,
    is_over: bool,
    /// The thread sleeps, or is about to, where the entries say, or said.
    is_asleep: bool,
    /// How often it has left its sleep.
    rounds: u64,
}

struct Watcher {
    /// A forked child has its memory, and no thread.
    home: Home,
    /// Opened when it is to look at what is registered.
    control: Gate,
    state: Mutex<State>,
    has_left: Condvar,
}

impl Watcher {
    fn new() -> Self {
        Watcher {
            home: Home::here(),
            control: Gate::default(),
            state: Mutex::default(),
            has_left: Condvar::new(),
        }
    }

    fn call(&self) {
        barrier::light();
        self.control.open_all();
    }

    fn run(&self) {
        loop {
            let control = self.control.prepare();
            let mut woken = Vec::new();
            let mut keys: Vec<(At, Key)> = Vec::new();
            let is_over = {
                let mut state = lock(&self.state);
                state.rounds += 1;
                self.has_left.notify_all();
                let opened = state.entries.extract_if(.., Entry::refresh);
                woken.extend(opened.map(|entry| entry.waker));
                let all = state.entries.iter().flat_map(|entry| entry.gates.iter());
                keys.extend(all.cloned());
                state.is_asleep = woken.is_empty();
                state.is_over
            };
            if !woken.is_empty() {
                for waker in woken {
                    // The user's: if it panics the others are woken all the same.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                }
                continue;
            }
            if !keys.is_empty() {
                let gates = keys.iter().map(|(gate, key)| (&**gate, *key));
                let gates: Vec<_> = gates.chain([(&self.control, control)]).collect();
                // As `wait` does, not for ever.
                wait_any(&gates, Instant::now().checked_add(AGAIN));
                continue;
            }
            let was_called =
                !is_over && (self.control).wait(control, Some(Instant::now() + LINGER));
            let mut state = lock(&self.state);
            if !was_called && state.entries.is_empty() {
                state.is_running = false;
                state.is_asleep = false;
                self.has_left.notify_all();
                return;
            }
        }
    }

    /// Registers it, if there is room; its number.
    fn add(self: &Arc<Self>, entry: &mut Option<Entry>) -> Option<u64> {
        if !self.home.is_here() {
            return None;
        }
        let mut state = lock(&self.state);
        if state.entries.len() >= MOST || state.is_over {
            return None;
        }
        if !state.is_running {
            let watcher = Arc::clone(self);
            start_thread("pinfold-futures", move || watcher.run()).ok()?;
            state.is_running = true;
        }
        let mut entry = entry.take()?;
        let id = state.next;
        state.next += 1;
        entry.id = id;
        state.entries.push(entry);
        let is_asleep = state.is_asleep;
        drop(state);
        if is_asleep {
            self.call();
        }
        Some(id)
    }
}

/// Ends the watchers: nobody waits any more.
pub fn end_watchers() {
    for watcher in lock(&WATCHERS).iter().filter(|w| w.home.is_here()) {
        let mut state = lock(&watcher.state);
        state.is_over = true;
        watcher.call();
        while state.is_running && state.entries.is_empty() {
            let left = watcher.has_left.wait(state);
            state = left.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Where a future is registered.
struct Registered {
    watcher: Arc<Watcher>,
    id: u64,
    gate: View<Gate>,
    key: Key,
    home: Home,
}

impl Registered {
    /// Gives its watcher another waker; false if it was woken meanwhile.
    fn renew(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = lock(&self.watcher.state);
        let entry = state.entries.iter_mut().find(|entry| entry.id == self.id);
        let old = entry.map(|entry| std::mem::replace(&mut entry.waker, waker));
        drop(state);
        old.is_some()
    }

    /// Strikes it off. The watcher does not sleep at its gate any more then.
    fn strike_off(&self) {
        let mut state = lock(&self.watcher.state);
        let Some(at) = state.entries.iter().position(|entry| entry.id == self.id) else {
            return;
        };
        let entry = state.entries.swap_remove(at);
        let round = state.rounds;
        if state.is_asleep {
            self.watcher.call();
        }
        while state.is_asleep && state.rounds == round {
            let left = self.watcher.has_left.wait(state);
            state = left.unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // Its waker is the user's.
        drop(entry);
    }
}

/// How a future waits at a gate. Dropped, it takes nothing.
#[derive(Default)]
pub struct Waits(Option<Registered>);

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waits").field(&self.0.is_some()).finish()
    }
}

impl Waits {
    /// As [`wait`](super::wait), for a future. `told` is the error of a task that is told to end.
    pub fn poll<T, E>(
        &mut self,
        gate: &View<Gate>,
        context: &Context<'_>,
        mut look: impl FnMut() -> Result<Option<T>, E>,
        told: impl Fn() -> E,
    ) -> Poll<Result<T, E>> {
        let mut ask = || match look() {
            Ok(None) if is_told_here() => Some(Err(told())),
            Ok(None) => None,
            Ok(Some(found)) => Some(Ok(found)),
            Err(error) => Some(Err(error)),
        };
        if let Some(found) = ask() {
            return Poll::Ready(self.leave(found));
        }
        if let Some(here) = &self.0 {
            if here.renew(context.waker()) {
                return Poll::Pending;
            }
            // It was woken, in vain: it stays, with a new key.
            self.0 = None;
        }
        let key = gate.prepare();
        let mut gates: SmallVec<[(At, Key); 2]> = smallvec![(At::Object(gate.clone()), key)];
        if let Some(told) = told_gate() {
            gates.push((At::Told(told), told.prepare()));
        }
        if let Some(found) = ask() {
            if found.is_err() {
                gate.pass_on(key);
            }
            return Poll::Ready(found);
        }
        let mut entry = Some(Entry {
            id: 0,
            gates,
            waker: context.waker().clone(),
        });
        let registered = register(&mut entry);
        match registered {
            Some((watcher, id)) => {
                self.0 = Some(Registered {
                    watcher,
                    id,
                    gate: gate.clone(),
                    key,
                    home: Home::here(),
                });
            }
            // There is no thread to be had: it is asked again soon.
            None => {
                std::thread::sleep(Duration::from_millis(1));
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    /// It has come to an end.
    fn leave<T, E>(&mut self, found: Result<T, E>) -> Result<T, E> {
        if let Some(here) = self.0.take()
            && here.home.is_here()
        {
            here.strike_off();
            if found.is_err() {
                here.gate.pass_on(here.key);
            }
        }
        found
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let _ = self.leave::<(), ()>(Err(()));
    }
}

/// Registers it at one of the watchers.
fn register(entry: &mut Option<Entry>) -> Option<(Arc<Watcher>, u64)> {
    let mut watchers = lock(&WATCHERS);
    for watcher in watchers.iter() {
        if let Some(id) = watcher.add(entry) {
            return Some((Arc::clone(watcher), id));
        }
    }
    let watcher = Arc::new(Watcher::new());
    let id = watcher.add(entry)?;
    watchers.push(Arc::clone(&watcher));
    Some((watcher, id))
}
