//! A host that forks while its threads use channels, locks and the like: the child is told, in each call, and never waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pinfold::Runtime;
use pinfold::broadcast::{Publisher, Subscriber};
use pinfold::channel::{Delivery, Options, Receiver, Router, Select, Sender};
use pinfold::sync::{Mutex, OnceLock, RwLock, Semaphore};

use super::{fork, is_well, start};

/// So long nobody who is alive lets others wait.
const LONG: Duration = Duration::from_secs(60);
/// Whoever uses something that may have nothing looks again after so long.
const SHORT: Duration = Duration::from_millis(20);

/// Everything that several threads use at once.
struct Objects {
    words: (Sender<u64>, Receiver<u64>),
    texts: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    jobs: (Sender<u64>, Receiver<Delivery<u64>>),
    router: Router<u64>,
    routed: Vec<Receiver<u64>>,
    feed: (Publisher<u64>, Subscriber<u64>),
    mutex: Mutex<u64>,
    table: RwLock<u64>,
    permits: Semaphore,
}

impl Objects {
    fn new(rt: &Runtime) -> Self {
        let (mut router, routed) = rt.router(2, 4).expect("room");
        router.set_timeout(Some(SHORT));
        let publisher = rt.broadcast_channel(4).expect("room");
        let subscriber = publisher.subscribe().expect("room");
        let bounded = Options::new(9).bytes(1000);
        Objects {
            words: rt.channel(4).expect("room"),
            texts: rt.channel_with(bounded).expect("room"),
            jobs: rt.acked_channel(Options::new(4)).expect("room"),
            router,
            routed,
            feed: (publisher, subscriber),
            mutex: Mutex::new(rt, 0).expect("room"),
            table: RwLock::new(rt, 0).expect("room"),
            permits: Semaphore::new(rt, 1).expect("room"),
        }
    }

    /// What thread `number` does again and again.
    fn uses(&self, number: usize, rt: &Runtime) {
        match number {
            0 => drop(self.words.0.send_timeout(1, SHORT)),
            1 => drop(self.words.1.recv_timeout(SHORT)),
            2 => drop(self.texts.0.send_timeout(vec![7; 300], SHORT)),
            3 => drop(self.texts.1.recv_timeout(SHORT)),
            4 => drop(self.jobs.0.send_timeout(1, SHORT)),
            5 => drop(self.jobs.1.recv_timeout(SHORT).map(Delivery::ack)),
            6 => drop(self.router.balance(1)),
            7 => drop(self.routed[0].recv_timeout(SHORT)),
            8 => drop(self.routed[1].recv_timeout(SHORT)),
            9 => drop(self.feed.0.send_timeout(1, SHORT)),
            10 => drop(self.feed.1.recv_timeout(SHORT)),
            11 | 12 => {
                *self.mutex.lock_timeout(LONG).expect("nobody keeps it") += 1;
                *self.table.write_timeout(LONG).expect("nobody keeps it") += 1;
                drop(self.table.read_timeout(LONG).expect("nobody keeps it"));
                drop(self.permits.acquire_timeout(LONG).expect("nobody keeps it"));
            }
            _ => {
                let (sender, _receiver) = rt.channel::<u64>(3).expect("room");
                let mut select = Select::new();
                select.send(&sender);
                let chosen = select.wait().expect("room");
                chosen.send(&sender, 1).expect("room");
                drop(rt.router::<u8>(1, 1).expect("room"));
                drop(rt.collective(2).expect("room"));
            }
        }
    }

    /// In a child: nothing works, and nothing hangs.
    fn are_the_parents(&self, rt: &Runtime) {
        let (sender, receiver) = &self.words;
        let selects = |recv: bool| {
            let mut select = Select::new();
            if recv {
                select.recv(receiver);
            } else {
                select.send(sender);
            }
            match select.wait() {
                Err(_) => true,
                Ok(chosen) if recv => chosen.recv(receiver).is_err(),
                Ok(chosen) => chosen.send(sender, 1).is_err(),
            }
        };
        assert!(sender.send(1).is_err() && receiver.recv().is_err());
        assert!(selects(true) && selects(false));
        assert!(self.texts.0.send(vec![1; 10]).is_err() && self.jobs.1.recv().is_err());
        assert!(self.router.balance(1).is_err() && self.router.send_by_key("key", 1).is_err());
        assert!(self.router.join().is_err() && !self.router.leave(0));
        assert!(self.feed.0.send(1).is_err() && self.feed.1.recv().is_err());
        assert!(self.feed.0.subscribe().is_err());
        assert!(self.mutex.lock().is_err());
        assert!(self.table.read().is_err() && self.table.write().is_err());
        assert!(self.permits.acquire().is_err());
        assert!(rt.channel::<u64>(1).is_err() && rt.collective(2).is_err());
        assert!(OnceLock::<u64>::new(rt).is_err());
        drop((sender.clone(), receiver.clone(), self.routed[0].clone()));
        sender.close();
    }
}

const THREADS: usize = 14;

pub fn forks_while_threads_use_objects(_: &[String]) {
    let rt = start();
    let objects = Objects::new(&rt);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let (objects, rt, is_over) = (&objects, &rt, &is_over);
        for number in 0..THREADS {
            threads.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    objects.uses(number, rt);
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            fork("fork", || objects.are_the_parents(rt));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(*objects.mutex.lock().expect("nobody keeps it") > 0);
    is_well(&rt);
}
