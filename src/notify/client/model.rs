//! A client's line, in every order of steps. Run by `scripts/models`.
//!
//! A task is a word here, which its executor sets when it has run it, and a completion a number. Nobody's
//! sleep ends by itself, so a sleeper that nobody tells is a deadlock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Counter, Ordering::SeqCst};

use loom::thread;

use super::ClientLine;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::mortal::{explore, explore_deaths, run_mortal};
use crate::prim::sync::Mutex;
use crate::prim::{Generation, Hint, SlotIndex};
use crate::sys::barrier;

struct World {
    line: ClientLine,
    /// Whether each of two tasks is done.
    words: [AtomicU64; 2],
    /// What was told of each by a completion.
    completions: [Counter; 2],
    /// Whether each is registered: the books.
    books: Mutex<[bool; 2]>,
}

fn hint(at: u32) -> Hint {
    Hint {
        slot: SlotIndex(at),
        generation: Generation::new(1),
    }
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            line: ClientLine::default(),
            words: Default::default(),
            completions: Default::default(),
            books: Mutex::new([false; 2]),
        })
    }

    fn has_ended(&self, hint: Hint) -> bool {
        // Relaxed: all order that is needed is to come from the fences.
        self.words[hint.slot.at()].load(Ordering::Relaxed) == 1
    }

    /// As `Executor::tell_all_clients`, after a batch of these.
    fn run(&self, tasks: &[u32]) {
        for at in tasks {
            // Relaxed: as above.
            self.words[*at as usize].store(1, Ordering::Relaxed);
        }
        ClientLine::ended();
        self.line.tell(|awaited| self.has_ended(awaited));
        if self.line.is_any_registered() {
            for at in tasks {
                self.completions[*at as usize].store(1, SeqCst);
            }
        }
    }

    /// As `Scheduler::wait_at`: until the task has ended (true) or is registered. Sleeps until
    /// another one has ended, at first.
    fn wait(&self, at: u32, mut awaited: u32) -> bool {
        loop {
            let books = self.books.lock().expect("no panic");
            if self.has_ended(hint(at)) {
                return true;
            }
            if books[at as usize] {
                return false;
            }
            let key = self.line.key();
            drop(books);
            let (own, first) = (hint(at), hint(awaited));
            self.line.sleep(key, first, None, || {
                self.has_ended(first) || self.has_ended(own)
            });
            awaited = at;
        }
    }

    /// As `Scheduler::register_if`; which of them had ended by then.
    fn register(&self) -> [bool; 2] {
        let mut books = self.books.lock().expect("no panic");
        *books = [true; 2];
        self.line.register(2);
        drop(books);
        barrier::heavy();
        let have_ended = [0, 1].map(|at| self.has_ended(hint(at)));
        self.line.force();
        have_ended
    }
}

fn spawn<T: 'static>(
    world: &Arc<World>,
    body: impl FnOnce(&World) -> T + 'static,
) -> thread::JoinHandle<T> {
    let world = Arc::clone(world);
    thread::spawn(move || body(&world))
}

#[test]
fn who_sleeps_for_a_task_hears_of_its_end() {
    explore("client's line: a sleeper", Some(3), || {
        let world = World::new();
        let executor = spawn(&world, |world| world.run(&[0]));
        assert!(world.wait(0, 0));
        executor.join().expect("ends");
    });
}

/// Two executors end one each. Who waits for the first sleeps until the second has ended, which is behind it.
#[test]
fn who_sleeps_for_one_behind_its_own_hears_of_it() {
    explore("client's line: one behind", Some(2), || {
        let world = World::new();
        let executors = [0, 1].map(|at| spawn(&world, move |world| world.run(&[at])));
        assert!(world.wait(0, 1));
        for executor in executors {
            executor.join().expect("ends");
        }
    });
}

/// What has not ended when it is registered is told by a completion.
#[test]
fn no_end_of_what_is_registered_is_missed() {
    explore("client's line: registering", Some(3), || {
        let world = World::new();
        let executor = spawn(&world, |world| world.run(&[0, 1]));
        let have_ended = world.register();
        executor.join().expect("ends");
        for (at, has_ended) in have_ended.into_iter().enumerate() {
            assert!(has_ended || world.completions[at].load(SeqCst) == 1);
        }
    });
}

/// Somebody sleeps while the task is registered, which never ends: he waits elsewhere then.
#[test]
fn who_sleeps_for_what_is_registered_is_called() {
    explore("client's line: called away", Some(3), || {
        let world = World::new();
        let sleeper = spawn(&world, |world| world.wait(0, 0));
        world.register();
        assert!(!sleeper.join().expect("ends"));
    });
}

/// The executor dies at each point. The host registers all tasks then, and looks at their words.
#[test]
fn executor_dies() {
    explore_deaths(
        "client's line: executor dies",
        Some(2),
        |death, has_died| {
            let world = World::new();
            let sleeper = spawn(&world, |world| world.wait(0, 0));
            let mortal = spawn(&world, move |world| {
                run_mortal(death, || world.run(&[0])).is_none()
            });
            has_died.fetch_or(mortal.join().expect("ends"), SeqCst);
            let [has_ended, _] = world.register();
            // Either the value is there, or it is seen that there is none.
            assert!(sleeper.join().expect("ends") <= has_ended);
        },
    );
}
