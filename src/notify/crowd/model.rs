//! Waking and falling asleep, in every order of steps. Run by `scripts/models`.
//!
//! Work is a number here: how much of it waits, in place of the inboxes. Nobody's
//! sleep ends by itself, so work that is left while all sleep is a deadlock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Counter, Ordering::SeqCst};

use loom::thread;

use super::{Crowd, Doorbell};
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::mortal::{explore, explore_deaths, newest, run_mortal, step};
use crate::shm::Segment;
use crate::sys::barrier;

struct World {
    crowd: Crowd,
    bells: [Doorbell; 2],
    host_bell: Doorbell,
    waiting: AtomicU64,
    done: AtomicU64,
    stopping: AtomicU64,
    /// Who has taken something and not finished it; what a slot's word says.
    running: [Counter; 2],
}

impl World {
    fn new() -> Arc<Self> {
        let segment = Segment::empty();
        Arc::new(World {
            crowd: Crowd::new(segment.views(0, 1), segment.views(64, 2), 2),
            bells: Default::default(),
            host_bell: Doorbell::default(),
            waiting: AtomicU64::new(0),
            done: AtomicU64::new(0),
            stopping: AtomicU64::new(0),
            running: Default::default(),
        })
    }

    fn bell(&self, executor: u32) -> &Doorbell {
        &self.bells[executor as usize]
    }

    fn wake_one(&self, preferred: u32) {
        self.crowd.wake_one(preferred, |e| self.bell(e));
    }

    /// As `Scheduler::publish`.
    fn submit(&self, preferred: u32) {
        // Relaxed, as everywhere here: all order that is needed is to come from the
        // barriers.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        barrier::light();
        self.wake_one(preferred);
    }

    /// As `Executor::find`, with what is left.
    fn take(&self, me: u32) -> Option<u64> {
        let mut waiting = self.waiting.load(Ordering::Relaxed);
        while waiting > 0 {
            let (left, relaxed) = (waiting - 1, Ordering::Relaxed);
            match self
                .waiting
                .compare_exchange(waiting, left, relaxed, relaxed)
            {
                Ok(_) => {
                    self.running[me as usize].store(1, SeqCst);
                    return Some(left);
                }
                Err(now) => waiting = now,
            }
        }
        None
    }

    fn look(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.stopping.load(Ordering::Relaxed) > 0
    }

    /// As `Executor::live`.
    fn execute(&self, me: u32) {
        self.crowd.searching.insert(me);
        loop {
            if let Some(left) = self.take(me) {
                self.leave_search(me, left);
                self.done.fetch_add(1, Ordering::Relaxed);
                self.running[me as usize].store(0, SeqCst);
                barrier::light();
                self.host_bell.ring();
            } else if self.stopping.load(Ordering::Relaxed) > 0 {
                break;
            } else {
                self.crowd.seek(me);
                self.sleep(me);
            }
        }
        self.crowd.searching.remove(me);
    }

    /// As `Executor::leave_search`.
    fn leave_search(&self, me: u32, left: u64) {
        self.crowd.found(me);
        barrier::light();
        let came_since = || self.waiting.load(Ordering::Relaxed) > 0;
        if left > 0 || (!self.crowd.searching.any() && came_since()) {
            self.wake_one(me);
        }
    }

    /// Takes one task, which takes until all is to stop.
    fn run_long(&self, me: u32) {
        self.crowd.searching.insert(me);
        let is_stopping = || self.stopping.load(Ordering::Relaxed) > 0;
        while !is_stopping() {
            if let Some(left) = self.take(me) {
                self.leave_search(me, left);
                while !is_stopping() {
                    let key = self.bell(me).prepare();
                    if is_stopping() {
                        self.bell(me).cancel();
                    } else {
                        self.bell(me).wait(key, None);
                    }
                }
                return;
            }
            self.crowd.seek(me);
            self.sleep(me);
        }
        self.crowd.searching.remove(me);
    }

    /// As `Executor::sleep`.
    fn sleep(&self, me: u32) {
        let key = self.crowd.lie_down(me, self.bell(me));
        if !self.look() {
            self.bell(me).wait(key, None);
        }
        self.bell(me).cancel();
        self.crowd.get_up(me);
    }

    /// As the host does that joins: until `count` tasks are done. Then stops.
    fn wait_and_stop(&self, count: u64) {
        while self.done.load(Ordering::Relaxed) < count {
            let key = self.host_bell.prepare();
            if self.done.load(Ordering::Relaxed) >= count {
                self.host_bell.cancel();
            } else {
                self.host_bell.wait(key, None);
            }
        }
        self.stopping.store(1, Ordering::Relaxed);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.bells.iter().for_each(Doorbell::force);
        self.host_bell.force();
    }

    /// As `Scheduler::rescue`: what the dead was running waits again.
    fn rescue(&self, dead: u32) {
        let again = self.running[dead as usize].swap(0, SeqCst);
        self.waiting.fetch_add(again, Ordering::Relaxed);
        self.crowd.forget([dead]);
        barrier::light();
        self.wake_all();
    }
}

fn spawn(world: &Arc<World>, body: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || body(&world))
}

/// One executor, one submission.
#[test]
fn no_work_is_left() {
    explore("crowd: one executor", Some(2), || {
        let world = World::new();
        let executor = spawn(&world, |world| world.execute(0));
        world.submit(0);
        world.wait_and_stop(1);
        executor.join().expect("ends");
    });
}

/// Two executors, two submissions.
#[test]
fn no_work_is_left_by_two() {
    newest(|| {
        explore("crowd: two executors", Some(2), || {
            let world = World::new();
            let executors = [0, 1].map(|me| spawn(&world, move |world| world.execute(me)));
            world.submit(0);
            world.submit(1);
            world.wait_and_stop(2);
            for executor in executors {
                executor.join().expect("ends");
            }
        });
    });
}

/// One of two executors takes something that takes long, just when something else comes and
/// it is marked as searching: the other one, asleep, is woken for that.
#[test]
fn nothing_waits_behind_what_takes_long() {
    newest(|| {
        explore("crowd: a long task", Some(2), || {
            let world = World::new();
            world.waiting.fetch_add(1, Ordering::Relaxed);
            let long = spawn(&world, |world| world.run_long(0));
            let other = spawn(&world, |world| world.execute(1));
            world.submit(0);
            world.wait_and_stop(1);
            long.join().expect("ends");
            other.join().expect("ends");
        });
    });
}

/// Two wakers want the same sleeper, although one that is stopped is marked. One of
/// them may be late, its work done, when the sleeper lies down again.
#[test]
fn two_wake_the_same() {
    explore("crowd: two wakers", Some(2), || {
        let world = World::new();
        world.crowd.searching.insert(1);
        let executor = spawn(&world, |world| world.execute(0));
        let other = spawn(&world, |world| {
            world.waiting.fetch_add(1, Ordering::Relaxed);
            barrier::light();
            world.crowd.wake_sleeper(0, |e| world.bell(e));
        });
        world.waiting.fetch_add(1, Ordering::Relaxed);
        barrier::light();
        world.crowd.wake_sleeper(1, |e| world.bell(e));
        world.wait_and_stop(2);
        executor.join().expect("ends");
        other.join().expect("ends");
    });
}

/// An executor dies at each point: looking, falling asleep, waking another, with a
/// task. The other does what there is to do.
#[test]
fn member_dies() {
    newest(|| {
        explore_deaths("crowd: executor dies", Some(1), |death, has_died| {
            let world = World::new();
            world.waiting.fetch_add(1, Ordering::Relaxed);
            let dying = Arc::clone(&world);
            let mortal = thread::spawn(move || {
                run_mortal(death, || {
                    dying.crowd.searching.insert(0);
                    if dying.take(0).is_some_and(|left| left > 0) {
                        dying.crowd.found(0);
                        barrier::light();
                        dying.wake_one(0);
                    }
                    let key = dying.crowd.lie_down(0, dying.bell(0));
                    if dying.look() {
                        dying.bell(0).cancel();
                        dying.crowd.get_up(0);
                    }
                    let _ = (key, step());
                })
            });
            let other = spawn(&world, |world| world.execute(1));
            world.submit(0);
            has_died.fetch_or(mortal.join().expect("ends").is_none(), SeqCst);
            world.rescue(0);
            world.submit(0);
            world.wait_and_stop(3);
            other.join().expect("ends");
        });
    });
}

/// What tasks have spawned, beside the work of the host; and the tasks that wait for theirs.
struct Nested {
    world: Arc<World>,
    offered: AtomicU64,
    /// What those wait for, in the middle of their tasks, that are helping.
    has_ended: [AtomicU64; 2],
}

impl Nested {
    fn new() -> Arc<Self> {
        Arc::new(Nested {
            world: World::new(),
            offered: AtomicU64::new(0),
            has_ended: Default::default(),
        })
    }

    /// As `Nest::offer`.
    fn offer(&self, me: u32) {
        // Relaxed, as everywhere here.
        self.offered.fetch_add(1, Ordering::Relaxed);
        barrier::light();
        let bell = |executor| self.world.bell(executor);
        self.world.crowd.wake_for_spawned(me, bell);
    }

    fn take(&self) -> bool {
        let relaxed = Ordering::Relaxed;
        let mut offered = self.offered.load(relaxed);
        while offered > 0 {
            match (self.offered).compare_exchange(offered, offered - 1, relaxed, relaxed) {
                Ok(_) => return true,
                Err(now) => offered = now,
            }
        }
        false
    }

    fn is_help_wanted(&self) -> bool {
        self.offered.load(Ordering::Relaxed) > 0
    }

    /// As the end of a spawned task that another waits for.
    fn end(&self, of: u32) {
        self.has_ended[of as usize].store(1, Ordering::Relaxed);
        barrier::light();
        self.world.bell(of).ring();
    }

    /// As `Nest::wait_for`; what is offered ends the wait of `ends` when it is run.
    fn wait_for(&self, me: u32, ends: u32) {
        let (crowd, bell) = (&self.world.crowd, self.world.bell(me));
        let is_over = || self.has_ended[me as usize].load(Ordering::Relaxed) > 0;
        let mut was_called = false;
        while !is_over() {
            if self.take() {
                was_called = false;
                self.end(ends);
                continue;
            }
            let key = crowd.lie_down_to_help(me, bell);
            if !is_over() && !self.is_help_wanted() {
                bell.wait(key, None);
            }
            was_called |= crowd.get_up_from_help(me);
        }
        bell.cancel();
        if was_called && self.is_help_wanted() {
            barrier::light();
            let bell = |executor| self.world.bell(executor);
            crowd.wake_for_spawned(me, bell);
        }
    }
}

fn spawn_nested(
    nested: &Arc<Nested>,
    body: impl FnOnce(&Nested) + 'static,
) -> thread::JoinHandle<()> {
    let nested = Arc::clone(nested);
    thread::spawn(move || body(&nested))
}

/// A task sleeps until what it has spawned ends; that depends on what is offered meanwhile,
/// and nobody else can run.
#[test]
fn who_waits_for_its_child_is_woken_to_help() {
    explore("crowd: a helper", Some(2), || {
        let nested = Nested::new();
        let helper = spawn_nested(&nested, |nested| nested.wait_for(0, 0));
        nested.offer(1);
        helper.join().expect("ends");
    });
}

/// The one that is called may have no time, for its child has ended: then it calls another.
#[test]
fn who_is_called_in_vain_calls_another() {
    newest(|| {
        explore("crowd: two helpers", Some(2), || {
            let nested = Nested::new();
            // The first one's child ends by itself, the second one's by what is offered.
            let helpers = [0, 1].map(|me| spawn_nested(&nested, move |n| n.wait_for(me, 1)));
            nested.offer(0);
            nested.end(0);
            for helper in helpers {
                helper.join().expect("ends");
            }
        });
    });
}

/// Who offers relies on one that searches; that one finds something else, and passes it on.
#[test]
fn who_searches_and_finds_something_else_calls_a_helper() {
    explore("crowd: a search that is left", Some(2), || {
        let nested = Nested::new();
        nested.world.crowd.searching.insert(1);
        let helper = spawn_nested(&nested, |nested| nested.wait_for(0, 0));
        let other = spawn_nested(&nested, |nested| {
            // As `Executor::leave_search`, with work of the host's in hand.
            let crowd = &nested.world.crowd;
            let was_searching = crowd.found(1);
            barrier::light();
            if was_searching && crowd.helping.any() {
                barrier::heavy();
                if nested.is_help_wanted() && !crowd.searching.any() {
                    crowd.wake_helper(1, |executor| nested.world.bell(executor));
                }
            }
        });
        nested.offer(1);
        helper.join().expect("ends");
        other.join().expect("ends");
    });
}
