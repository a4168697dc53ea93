//! The rivals that are crates.
#![allow(unsafe_code)]

use ::iceoryx2::port::listener::Listener;
use ::iceoryx2::port::notifier::Notifier;
use ::iceoryx2::prelude::ipc;
use pinfold_rivals::Race;
use pinfold_rivals::duo::{Gate, Patience, Peer, SharedMemory, guarded, now, pin, unpin};
use pinfold_rivals::iceoryx::{Events, Subscription, topic};
use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use ringfire::spmc::RingProducerBuilder;
use ringfire::{RingConsumer, RingProducer};
use shmem_ipc::sharedring::{Receiver, Sender};

use crate::asleep::{Signal, measure};
use crate::awake::trips;

pub fn awake(race: &mut Race<'_>, count: u64) {
    let mut rival = |name, count: u64, run: fn(u64) -> f64| {
        race.rival(name, move || guarded(|| run(count)));
    };
    rival("iceoryx2", count / 4, iceoryx2);
    rival("ringfire", count, ringfire);
    rival("shmem-ipc", count, shmem_ipc);
}

/// Looks until there is something.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut patience = Patience::default();
    loop {
        if let Some(found) = look() {
            return found;
        }
        patience.spin();
    }
}

fn iceoryx2(count: u64) -> f64 {
    let (there, back) = (topic(), topic());
    let (there_too, back_too) = (there.clone(), back.clone());
    let open = |name: &str| Subscription::new(name, 16, 1);
    trips(
        count,
        move || {
            let (there, back) = (open(&there_too), open(&back_too));
            let (subscriber, publisher) = (there.subscriber(), back.publisher());
            move || {
                let _open = (&there, &back);
                let sample = until(|| subscriber.receive().expect("receive"));
                let loan = publisher.loan_slice_uninit(1).expect("a loan");
                let answer = loan.write_from_slice(sample.payload());
                answer.send().expect("send");
            }
        },
        move || {
            let (there, back) = (open(&there), open(&back));
            let (publisher, subscriber) = (there.publisher(), back.subscriber());
            Box::new(move |number| {
                let _open = (&there, &back);
                let loan = publisher.loan_slice_uninit(1).expect("a loan");
                loan.write_from_slice(&[number]).send().expect("send");
                let sample = until(|| subscriber.receive().expect("receive"));
                assert_eq!(sample.payload(), [number]);
            })
        },
    )
}

fn ringfire(count: u64) -> f64 {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    let ring = |path| RingProducerBuilder::new(64).build(path).expect("a ring");
    let mut send: RingProducer<u64> = ring(&there);
    let mut answer: RingProducer<u64> = ring(&back);
    let mut answers = RingConsumer::<u64>::attach(&back).expect("the ring");
    trips(
        count,
        move || {
            let mut receive = RingConsumer::<u64>::attach(&there).expect("the ring");
            move || {
                let number = until(|| receive.try_recv());
                answer.push(&number);
            }
        },
        move || {
            Box::new(move |number| {
                send.push(&number);
                assert_eq!(until(|| answers.try_recv()), number);
            })
        },
    )
}

fn shmem_ipc(count: u64) -> f64 {
    fn pair() -> (Sender<u64>, Receiver<u64>) {
        let sender = Sender::<u64>::new(64).expect("a ring");
        let file = |f: &std::fs::File| f.try_clone().expect("a descriptor");
        let memory = file(sender.memfd().as_file());
        let (empty, full) = (file(sender.empty_signal()), file(sender.full_signal()));
        let receiver = Receiver::open(64, memory, empty, full).expect("the ring");
        (sender, receiver)
    }
    fn send(sender: &mut Sender<u64>, number: u64) {
        let outcome = sender.sender_mut().send(|at, _| {
            // SAFETY: the ring says that there is room for one at least.
            unsafe { at.write(number) };
            1
        });
        outcome.expect("a whole ring");
    }
    fn receive(receiver: &mut Receiver<u64>) -> u64 {
        until(|| {
            let mut got = None;
            let outcome = receiver.receiver_mut().recv(|at, _| {
                // SAFETY: the ring says that there is one at least.
                got = Some(unsafe { at.read() });
                1
            });
            outcome.expect("a whole ring");
            got
        })
    }
    let (mut there, mut there_end) = pair();
    let (mut back, mut back_end) = pair();
    trips(
        count,
        move || {
            move || {
                let number = receive(&mut there_end);
                send(&mut back, number);
            }
        },
        move || {
            Box::new(move |number| {
                send(&mut there, number);
                assert_eq!(receive(&mut back_end), number);
            })
        },
    )
}

pub fn asleep(race: &mut Race<'_>, count: u64, idle: u64) {
    race.rival("raw_sync Event", move || {
        pair_guarded(|| measure(count, idle, || (event(), event())))
    });
    race.rival("iceoryx2 event", move || {
        pair_guarded(|| [events_round_trip(count), events_wake(idle)])
    });
}

fn pair_guarded(run: impl FnOnce() -> [f64; 2]) -> Result<Vec<f64>, String> {
    let mut second = f64::NAN;
    let first = guarded(|| {
        let both = run();
        second = both[1];
        both[0]
    })?;
    Ok(vec![first, second])
}

struct RawEvent {
    event: Box<dyn EventImpl>,
    _memory: SharedMemory,
}

fn event() -> RawEvent {
    let memory = SharedMemory::new(4096);
    // SAFETY: the memory is larger than such an event, zero, and lives as long as it does.
    let event = unsafe { Event::new(memory.at(0, 4096), true) };
    RawEvent {
        event: event.expect("an event").0,
        _memory: memory,
    }
}

impl Signal for RawEvent {
    fn notify(&self, _number: u64) {
        self.event.set(EventState::Signaled).expect("set");
    }

    fn wait(&self, _number: u64) {
        self.event.wait(Timeout::Infinite).expect("wait");
    }
}

struct Ends {
    _there: Events,
    _back: Events,
    notifier: Notifier<ipc::Service>,
    listener: Listener<ipc::Service>,
}

impl Ends {
    fn new(to: &str, from: &str) -> Self {
        let (there, back) = (Events::new(to), Events::new(from));
        Ends {
            listener: back.listener(),
            notifier: there.notifier(),
            _there: there,
            _back: back,
        }
    }

    fn notify(&self) {
        self.notifier.notify().expect("notify");
    }

    /// Once, even if it woke for no reason.
    fn wait(&self) {
        while self.listener.blocking_wait(|_| ()).expect("wait") == 0 {}
    }
}

fn events_round_trip(count: u64) -> f64 {
    let (there, back) = (topic(), topic());
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        let ends = Ends::new(&back, &there);
        gate.ready();
        for _ in 0..count {
            ends.wait();
            ends.notify();
        }
    });
    pin(0);
    gate.wait_ready();
    let ends = Ends::new(&there, &back);
    let start = now();
    for _ in 0..count {
        ends.notify();
        ends.wait();
    }
    let time = now() - start;
    peer.join();
    unpin();
    time as f64 / count as f64 / 1e3
}

fn events_wake(times: u64) -> f64 {
    let (there, back) = (topic(), topic());
    let memory = SharedMemory::new(4096);
    let gate = Gate::default();
    let peer = Peer::fork(|| {
        let ends = Ends::new(&back, &there);
        gate.ready();
        for number in 1..=times {
            ends.wait();
            // ordering: Release pairs with the Acquire below.
            memory
                .word(0)
                .store(now(), std::sync::atomic::Ordering::Relaxed);
            memory
                .word(8)
                .store(number, std::sync::atomic::Ordering::Release);
        }
    });
    pin(0);
    gate.wait_ready();
    let ends = Ends::new(&there, &back);
    let once = |number| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        let start = now();
        ends.notify();
        // ordering: Acquire pairs with the Release above.
        until(|| {
            std::thread::yield_now();
            let seen = memory.word(8).load(std::sync::atomic::Ordering::Acquire);
            (seen == number).then_some(())
        });
        let awake = memory.word(0).load(std::sync::atomic::Ordering::Relaxed);
        (awake - start) as f64 / 1e3
    };
    let delays: Vec<f64> = (1..=times).map(once).collect();
    peer.join();
    unpin();
    pinfold_rivals::median(&delays)
}
