//! Rivals between two processes, and the table of all.
#![allow(unsafe_code)]

use ipc_channel::ipc;
use pinfold_rivals::Race;
use pinfold_rivals::duo::{Patience, guarded, message, one_way, sum_of};
use ringfire::spmc::{FlowControl, RingProducerBuilder};
use ringfire::{RingConsumer, RingProducer};
use shmem_ipc::sharedring;

use crate::bare::in_batches;
use crate::{Load, SLOTS, inside};

/// Adds all of them.
pub fn enter<const W: usize>(race: &mut Race<'_>, load: Load) {
    let mut rival = |name, run: fn(Load) -> f64| {
        race.rival(name, move || guarded(|| run(load)));
    };
    rival("iceoryx2 publish-subscribe", iceoryx2_each::<W>);
    if load.batch > 1 {
        rival("iceoryx2, a batch as one sample", iceoryx2::<W>);
    }
    rival("ringfire", ringfire::<W>);
    rival("shmem-ipc", shmem_ipc::<W>);
    rival("ipc-channel", ipc_channel::<W>);
    rival("rtrb (one process)", inside::rtrb::<W>);
    rival(
        "crossbeam ArrayQueue (one process)",
        inside::array_queue::<W>,
    );
}

/// A message is a sample; there is no call for several.
fn iceoryx2_each<const W: usize>(load: Load) -> f64 {
    iceoryx2::<W>(Load { batch: 1, ..load })
}

/// A batch is one sample, a slice of its words: the receiver must know how to part them.
pub fn iceoryx2<const W: usize>(load: Load) -> f64 {
    let Load { batch, .. } = load;
    let messages = load.messages(if batch > 4 && W < 16 { 20.0 } else { 2.0 });
    pinfold_rivals::iceoryx::one_way::<W>(messages, SLOTS, batch)
}

pub fn ringfire<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if W > 16 { 2.0 } else { 20.0 });
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("ring");
    let builder = RingProducerBuilder::new(SLOTS as u64);
    let builder = builder.flow_control(FlowControl::LosslessBackpressure);
    let mut producer: RingProducer<[u64; W]> = builder.build(&path).expect("a ring");
    one_way::<W>(
        messages,
        |gate| {
            let mut consumer = RingConsumer::<[u64; W]>::attach(&path).expect("the ring");
            gate.ready();
            let mut some = vec![[0; W]; load.batch];
            let (mut got, mut sum) = (0, 0_u64);
            let mut patience = Patience::default();
            while got < messages {
                let count = consumer.recv_batch(&mut some);
                if count == 0 {
                    patience.spin();
                    continue;
                }
                patience = Patience::default();
                for message in &some[..count] {
                    sum = sum.wrapping_add(sum_of(message));
                }
                got += count as u64;
            }
            sum
        },
        || {
            if load.batch == 1 {
                for number in 0..messages {
                    producer.push(&message(number));
                }
                return;
            }
            let mut some = Vec::with_capacity(load.batch);
            in_batches::<W, _>(
                &mut some,
                messages,
                load.batch,
                |some: &mut Vec<[u64; W]>, message| some.push(message),
                |some| {
                    producer.push_batch(some);
                    some.clear();
                },
            );
        },
    )
}

/// Both sides spin, so no signals are sent. An item is one word, because its items must be
/// of a type for which an old `zerocopy` vouches; a message is written whole.
pub fn shmem_ipc<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if W > 16 { 1.0 } else { 10.0 });
    let mut sender = sharedring::Sender::<u64>::new(SLOTS * W).expect("a ring");
    let file = |f: &std::fs::File| f.try_clone().expect("a descriptor");
    let memory = file(sender.memfd().as_file());
    let (empty, full) = (file(sender.empty_signal()), file(sender.full_signal()));
    one_way::<W>(
        messages,
        |gate| {
            let receiver = sharedring::Receiver::<u64>::open(SLOTS * W, memory, empty, full);
            let mut receiver = receiver.expect("the ring");
            gate.ready();
            let (mut got, mut sum) = (0, 0_u64);
            let mut patience = Patience::default();
            while got < messages * W as u64 {
                let mut count = 0;
                let outcome = receiver.receiver_mut().recv(|at, there| {
                    for word in 0..there {
                        // SAFETY: the ring says that so many items are there.
                        sum = sum.wrapping_add(unsafe { at.add(word).read() });
                    }
                    count = there;
                    there
                });
                outcome.expect("a ring that is whole");
                got += count as u64;
                match count {
                    0 => patience.spin(),
                    _ => patience = Patience::default(),
                }
            }
            sum
        },
        || {
            let mut words = Vec::with_capacity(load.batch * W);
            in_batches::<W, _>(
                &mut words,
                messages,
                load.batch,
                |words: &mut Vec<u64>, message| words.extend_from_slice(&message),
                |words| {
                    let mut sent = 0;
                    let mut patience = Patience::default();
                    while sent < words.len() {
                        let before = sent;
                        let outcome = sender.sender_mut().send(|at, room| {
                            let some = room.min(words.len() - before);
                            // SAFETY: the ring says that there is so much room.
                            unsafe { at.copy_from_nonoverlapping(words[before..].as_ptr(), some) };
                            sent += some;
                            some
                        });
                        outcome.expect("a ring that is whole");
                        if sent == before {
                            patience.spin();
                        }
                    }
                    words.clear();
                },
            );
        },
    )
}

/// By its channel of bytes, which encodes nothing. A batch is one send.
pub fn ipc_channel<const W: usize>(load: Load) -> f64 {
    let messages = load.messages(if load.batch > 4 && W < 16 { 4.0 } else { 0.3 });
    let (sender, receiver) = ipc::bytes_channel().expect("a channel");
    one_way::<W>(
        messages,
        |gate| {
            gate.ready();
            let (mut got, mut sum) = (0, 0_u64);
            while got < messages {
                let bytes = receiver.recv().expect("a message");
                for word in bytes.as_chunks::<8>().0 {
                    sum = sum.wrapping_add(u64::from_ne_bytes(*word));
                }
                got += (bytes.len() / 8 / W) as u64;
            }
            sum
        },
        || {
            in_batches::<W, _>(
                &mut Vec::with_capacity(load.batch * W * 8),
                messages,
                load.batch,
                |bytes: &mut Vec<u8>, message| {
                    for word in message {
                        bytes.extend_from_slice(&word.to_ne_bytes());
                    }
                },
                |bytes| {
                    sender.send(bytes).expect("send");
                    bytes.clear();
                },
            );
        },
    )
}
