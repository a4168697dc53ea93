//! crossbeam-channel's `Select`, between threads.

use crossbeam_channel::{Receiver, Select, Sender, bounded};
use pinfold_rivals::Race;
use pinfold_rivals::duo::{guarded, pin};

use crate::{CROSSBEAM, Shape, time};

fn echo(receivers: &[Receiver<u64>], back: &Sender<u64>) {
    pin(1);
    let mut select = Select::new();
    for receiver in receivers {
        select.recv(receiver);
    }
    loop {
        let chosen = select.select();
        let index = chosen.index();
        match chosen.recv(&receivers[index]) {
            Ok(number) => back.send(number).expect("the other thread"),
            Err(_) => return, // no more come
        }
    }
}

fn crossbeam(count: usize, shape: Shape) -> f64 {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded::<u64>(4)).unzip();
    let (echoed, back) = bounded(4);
    let thread = std::thread::spawn(move || echo(&receivers, &echoed));
    let time = time(count, shape, |at, number| {
        senders[at].send(number).expect("room");
        assert_eq!(back.recv(), Ok(number));
    });
    drop(senders);
    thread.join().expect("it ends");
    time
}

pub fn enter(race: &mut Race<'_>, count: usize, shape: Shape) {
    race.rival(CROSSBEAM, move || guarded(|| crossbeam(count, shape)));
}
