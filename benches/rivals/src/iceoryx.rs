//! iceoryx2, set up as this crate's benchmarks use it.

use std::sync::atomic::{AtomicU64, Ordering};

use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{BackpressureStrategy, LogLevel, ServiceName, ipc, set_log_level};
use iceoryx2::service::port_factory::{event, publish_subscribe};

use crate::duo::{Patience, one_way_after, sum_of};

/// A name that no other topic has.
pub fn topic() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: a counter.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("pinfold-bench/{}/{number}", std::process::id())
}

fn node() -> Node<ipc::Service> {
    set_log_level(LogLevel::Fatal);
    NodeBuilder::new()
        .create::<ipc::Service>()
        .expect("a node of iceoryx2")
}

fn name(topic: &str) -> ServiceName {
    topic.try_into().expect("a name")
}

/// One process's part in a topic of samples, which are slices of words. Nothing is lost:
/// a publisher waits for room.
#[derive(Debug)]
pub struct Subscription {
    service: publish_subscribe::PortFactory<ipc::Service, [u64], ()>,
    words: usize,
    _node: Node<ipc::Service>,
}

impl Subscription {
    /// Opens or creates it: room for `slots` samples of `words` words.
    pub fn new(topic: &str, slots: usize, words: usize) -> Self {
        let node = node();
        let service = node
            .service_builder(&name(topic))
            .publish_subscribe::<[u64]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .subscriber_max_buffer_size(slots)
            .max_publishers(2)
            .max_subscribers(2)
            .open_or_create()
            .expect("a topic of iceoryx2");
        Subscription {
            service,
            words,
            _node: node,
        }
    }

    /// The sending side.
    pub fn publisher(&self) -> Publisher<ipc::Service, [u64], ()> {
        self.publisher_of(2)
    }

    /// The sending side, for who has up to `loans` samples that are not yet sent.
    pub fn publisher_of(&self, loans: usize) -> Publisher<ipc::Service, [u64], ()> {
        self.service
            .publisher_builder()
            .max_loaned_samples(loans)
            .initial_max_slice_len(self.words)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher")
    }

    /// The receiving side.
    pub fn subscriber(&self) -> Subscriber<ipc::Service, [u64], ()> {
        self.service
            .subscriber_builder()
            .create()
            .expect("a subscriber")
    }
}

/// Millions of messages of `W` words per second, from this process to another; a sample has `batch`
/// of them, and there is room for `slots` samples.
pub fn one_way<const W: usize>(messages: u64, slots: usize, batch: usize) -> f64 {
    let words = batch * W;
    let topic = topic();
    one_way_after::<W, _>(
        messages,
        |gate| {
            let subscription = Subscription::new(&topic, slots, words);
            let subscriber = subscription.subscriber();
            gate.ready();
            let (mut got, mut sum) = (0, 0_u64);
            let mut patience = Patience::default();
            while got < messages {
                match subscriber.receive().expect("receive") {
                    Some(sample) => {
                        sum = sum.wrapping_add(sum_of(sample.payload()));
                        got += batch as u64;
                        patience = Patience::default();
                    }
                    None => patience.spin(),
                }
            }
            sum
        },
        || {
            let subscription = Subscription::new(&topic, slots, words);
            let publisher = subscription.publisher();
            (subscription, publisher)
        },
        |(_subscription, publisher)| {
            let mut number = 0;
            while number < messages {
                let sample = publisher.loan_slice_uninit(words).expect("a loan");
                let sample = sample
                    .write_from_fn(|at| (number + (at / W) as u64).wrapping_add((at % W) as u64));
                // Now and then nobody gets one, although a publisher is to wait for room:
                // such a sample is sent again.
                if sample.send().expect("send") == 1 {
                    number += batch as u64;
                }
            }
        },
    )
}

/// One process's part in events.
#[derive(Debug)]
pub struct Events {
    service: event::PortFactory<ipc::Service>,
    _node: Node<ipc::Service>,
}

impl Events {
    /// Opens or creates them.
    pub fn new(topic: &str) -> Self {
        let node = node();
        let service = node.service_builder(&name(topic)).event().open_or_create();
        Events {
            service: service.expect("events of iceoryx2"),
            _node: node,
        }
    }

    /// The side that notifies.
    pub fn notifier(&self) -> Notifier<ipc::Service> {
        self.service
            .notifier_builder()
            .create()
            .expect("a notifier")
    }

    /// The side that waits.
    pub fn listener(&self) -> Listener<ipc::Service> {
        self.service
            .listener_builder()
            .create()
            .expect("a listener")
    }
}
