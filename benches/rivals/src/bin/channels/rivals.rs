//! Rivals: channels between threads, and iceoryx2.

use std::ops::Range;
use std::sync::mpsc::sync_channel;

use pinfold_rivals::Race;
use pinfold_rivals::duo::{guarded, message, now, pin, sum_of, sum_of_all, unpin};

use crate::{Outcome, SLOTS, crowd, echo};

/// A bounded channel between threads.
trait Channel {
    type Sender<T: Send + 'static>: Clone + Send + Sync + 'static;
    type Receiver<T: Send + 'static>: Clone + Send + 'static;

    fn bounded<T: Send + 'static>(slots: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T);
    /// `None` when nobody sends any more.
    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T>;
}

struct Crossbeam;

impl Channel for Crossbeam {
    type Sender<T: Send + 'static> = crossbeam_channel::Sender<T>;
    type Receiver<T: Send + 'static> = crossbeam_channel::Receiver<T>;

    fn bounded<T: Send + 'static>(slots: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        crossbeam_channel::bounded(slots)
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) {
        assert!(sender.send(value).is_ok(), "a receiver");
    }

    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }
}

struct Flume;

impl Channel for Flume {
    type Sender<T: Send + 'static> = flume::Sender<T>;
    type Receiver<T: Send + 'static> = flume::Receiver<T>;

    fn bounded<T: Send + 'static>(slots: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        flume::bounded(slots)
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) {
        assert!(sender.send(value).is_ok(), "a receiver");
    }

    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }
}

pub fn one_way<const W: usize>(race: &mut Race<'_>, messages: u64) {
    let mut rival = |name, run: fn(u64) -> f64, messages| {
        race.rival(name, move || guarded(|| run(messages)));
    };
    rival("iceoryx2 publish-subscribe", iceoryx2::<W>, messages / 5);
    rival("crossbeam-channel", one_way_of::<Crossbeam, W>, messages);
    rival("flume", one_way_of::<Flume, W>, messages);
}

fn iceoryx2<const W: usize>(messages: u64) -> f64 {
    pinfold_rivals::iceoryx::one_way::<W>(messages, SLOTS, 1)
}

fn one_way_of<C: Channel, const W: usize>(messages: u64) -> f64 {
    let (sender, receiver) = C::bounded::<[u64; W]>(SLOTS);
    let (ready, is_ready) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        pin(1);
        ready.send(()).expect("the other thread");
        let mut sum = 0_u64;
        for _ in 0..messages {
            let message = C::recv(&receiver).expect("a sender");
            sum = sum.wrapping_add(sum_of(&message));
        }
        (now(), sum)
    });
    is_ready.recv().expect("a receiver");
    pin(0);
    let start = now();
    for number in 0..messages {
        C::send(&sender, message::<W>(number));
    }
    let (end, sum) = thread.join().expect("the receiver");
    unpin();
    assert_eq!(sum, sum_of_all::<W>(messages), "every message, once");
    messages as f64 * 1e3 / (end - start) as f64
}

pub fn many(race: &mut Race<'_>, numbers: u64) {
    let mut rival = |name, run: fn(u64) -> f64| {
        race.rival(name, move || guarded(|| run(numbers)));
    };
    rival("crossbeam-channel", many_of::<Crossbeam>);
    rival("flume", many_of::<Flume>);
}

fn many_of<C: Channel>(numbers: u64) -> f64 {
    let (sender, receiver) = C::bounded::<u64>(SLOTS);
    let (ready, is_ready) = sync_channel(2);
    let threads = [(); 2].map(|()| {
        let (ready, receiver) = (ready.clone(), receiver.clone());
        std::thread::spawn(move || -> Outcome {
            ready.send(()).expect("the other thread");
            let mut sum = 0_u64;
            while let Some(number) = C::recv(&receiver) {
                sum = sum.wrapping_add(number);
            }
            (now(), sum)
        })
    });
    for _ in 0..2 {
        is_ready.recv().expect("a receiver");
    }
    let send = move |part: Range<u64>| {
        for number in part {
            C::send(&sender, number);
        }
    };
    crowd::rate(numbers, send, || {
        let outcomes = threads.map(|thread| thread.join().expect("the receiver"));
        outcomes.to_vec()
    })
}

pub fn trips(race: &mut Race<'_>, count: u64) {
    let mut rival = |name, run: fn(u64) -> f64| {
        race.rival(name, move || guarded(|| run(count)));
    };
    rival("crossbeam-channel", trips_of::<Crossbeam>);
    rival("flume", trips_of::<Flume>);
}

fn trips_of<C: Channel>(count: u64) -> f64 {
    let (there, to_echo) = C::bounded::<u64>(4);
    let (echoed, back) = C::bounded::<u64>(4);
    let thread = std::thread::spawn(move || {
        pin(1);
        while let Some(number) = C::recv(&to_echo) {
            C::send(&echoed, number);
        }
    });
    let time = echo::time(count, |number| {
        C::send(&there, number);
        assert_eq!(C::recv(&back), Some(number));
    });
    drop(there);
    thread.join().expect("the other thread");
    time
}
