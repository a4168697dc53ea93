//! tokio's broadcast channel; each subscriber is a thread.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use pinfold_rivals::Race;
use tokio::sync::broadcast;

use crate::{BURST, Crowd, Message, TOKIO, burst, message, wakes};

struct Tokio {
    messages: broadcast::Sender<Message>,
    orders: Vec<Sender<usize>>,
    done: Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
}

impl Tokio {
    fn new(count: usize) -> Self {
        let (messages, _) = broadcast::channel(2 * BURST);
        let (to_host, done) = channel();
        let mut tokio = Tokio {
            messages,
            orders: Vec::new(),
            done,
            threads: Vec::new(),
        };
        for _ in 0..count {
            let (order, orders) = channel::<usize>();
            let (mut messages, done) = (tokio.messages.subscribe(), to_host.clone());
            tokio.orders.push(order);
            tokio.threads.push(std::thread::spawn(move || {
                for count in orders {
                    let read = (0..count).map(|_| messages.blocking_recv().expect("in time"));
                    let sum = read.map(|message| message[3][31] - message[0][0]).sum();
                    done.send(sum).expect("the other thread");
                }
            }));
        }
        tokio
    }
}

impl Crowd for Tokio {
    fn send(&self, message: Message) {
        assert!(self.messages.send(message).is_ok(), "subscribers");
    }

    fn read(&self, count: usize) {
        for order in &self.orders {
            order.send(count).expect("a thread");
        }
        for _ in &self.orders {
            assert_eq!(self.done.recv(), Ok(127 * count as u64));
        }
    }
}

impl Drop for Tokio {
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            thread.join().expect("it ends");
        }
    }
}

pub fn bursts(race: &mut Race<'_>, count: usize, bursts: usize) {
    race.rival(TOKIO, move || burst(&Tokio::new(count), bursts));
}

pub fn sleepers(race: &mut Race<'_>, count: usize, times: usize) {
    race.rival(TOKIO, move || {
        let (messages, _) = broadcast::channel(2 * BURST);
        let hears = |_| {
            let mut messages = messages.subscribe();
            std::thread::spawn(move || while messages.blocking_recv().is_ok() {})
        };
        let threads: Vec<_> = (0..count).map(hears).collect();
        let send = |number| assert!(messages.send(message(number)).is_ok());
        let time = wakes(send, times);
        drop(messages);
        for thread in threads {
            thread.join().expect("it ends");
        }
        time
    });
}
