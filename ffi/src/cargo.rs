//! What goes with the bytes of a task's argument, or of a message: buffers, ends of channels, and other objects.

use pinfold::Shared;
use pinfold::channel::{Delivery, Receiver, Sender};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::buffer::Part;
use crate::shared::thing::Thing;

/// What goes with the argument of a task.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Cargo {
    pub(crate) buffers: Vec<Part>,
    pub(crate) ends: Ends,
    pub(crate) things: Vec<Thing>,
}

impl Cargo {
    pub(crate) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
            && self.ends.senders.is_empty()
            && self.ends.receivers.is_empty()
            && self.things.is_empty()
    }
}

/// Ends of channels.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Ends {
    pub(crate) senders: Vec<Sender<Packet>>,
    pub(crate) receivers: Vec<Receives>,
}

/// What the channels of C carry. `docs/ABI.md` has the type as others may declare it: the same in
/// these five fields, and so is what is written.
#[derive(Serialize, Deserialize)]
pub(crate) struct Packet(
    pub(crate) Data,
    pub(crate) Vec<Shared>,
    pub(crate) Vec<Sender<Packet>>,
    pub(crate) Vec<Receives>,
    pub(crate) Vec<Thing>,
);

/// The receiving end of a channel whose messages are acknowledged, or not.
pub(crate) type Receives = Receiver<Delivery<Packet>>;

/// A `Vec<u8>`, as which it is written and read.
pub(crate) enum Data {
    Own(Vec<u8>),
    /// The caller's, for as long as the call lasts that sends them: written there and then, or not at
    /// all.
    Lent(*const [u8]),
}

// SAFETY: lent bytes are read only while the call lasts that was given them.
unsafe impl Send for Data {}
// SAFETY: as above.
unsafe impl Sync for Data {}

impl std::ops::Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Data::Own(bytes) => bytes,
            // SAFETY: whoever made it promised so.
            Data::Lent(bytes) => unsafe { &**bytes },
        }
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Data::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinfold::broadcast::{Publisher, Subscriber};
    use pinfold::channel::Router;
    use pinfold::sync;

    pinfold::test_setup!();

    /// As `docs/ABI.md` has it.
    #[derive(Serialize, Deserialize)]
    struct Declared(
        Vec<u8>,
        Vec<Shared>,
        Vec<Sender<Declared>>,
        Vec<Receiver<Declared>>,
        Vec<Object>,
    );

    #[derive(Serialize, Deserialize)]
    enum Object {
        Mutex(sync::Mutex<[u8]>),
        RwLock(sync::RwLock<[u8]>),
        Semaphore(sync::Semaphore),
        Once(sync::Once),
        Latch(sync::Latch),
        CountDown(sync::CountDown),
        WaitGroup(sync::WaitGroup),
        WaitGroupMember(sync::Member),
        Ticker(sync::Ticker),
        Publisher(Publisher<Declared>),
        Router(Router<Declared>),
        Subscriber(Subscriber<Declared>),
        Barrier(sync::Barrier),
        Member(pinfold::collective::Member),
        OnceLock(sync::OnceLock<[u8]>),
    }

    /// An end that arrives with another type than it was sent with.
    enum Retyped {
        C(Sender<Packet>, Receiver<Packet>),
        Rust(Sender<Declared>, Receiver<Declared>),
    }

    impl Serialize for Retyped {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Retyped::C(sender, receiver) => (sender, receiver).serialize(serializer),
                Retyped::Rust(sender, receiver) => (sender, receiver).serialize(serializer),
            }
        }
    }

    impl<'de> Deserialize<'de> for Retyped {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let (sender, receiver) = Deserialize::deserialize(deserializer)?;
            Ok(Retyped::Rust(sender, receiver))
        }
    }

    #[test]
    fn rust_reads_what_c_sends_and_the_other_way_round() -> Result<(), Box<dyn std::error::Error>> {
        let rt = pinfold::Runtime::builder().workers(1).start()?;
        let (sender, receiver) = rt.channel::<Packet>(8)?;
        let (carry, carried) = rt.channel::<Retyped>(1)?;
        carry.send(Retyped::C(sender.clone(), receiver.clone()))?;
        let Retyped::Rust(of_rust, to_rust) = carried.recv()? else {
            unreachable!("it arrives so");
        };
        let mut loan = rt.alloc(1000)?;
        loan.fill(7);
        let shared = loan.publish();
        for len in [0, 1, 8, 63, 64, 65, 300, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            for count in 0..3 {
                let buffers = vec![shared.clone(); count];
                let (senders, receivers) = (vec![sender.clone(); count], Vec::new());
                let data = Data::Lent(std::ptr::from_ref(&bytes[..]));
                sender.send(Packet(data, buffers, senders, receivers, Vec::new()))?;
                let Declared(data, buffers, senders, receivers, objects) = to_rust.recv()?;
                assert_eq!(data, bytes);
                assert!(buffers.iter().all(|buffer| buffer[..] == [7; 1000]));
                assert_eq!(
                    (buffers.len(), senders.len(), receivers.len()),
                    (count, count, 0)
                );
                of_rust.send(Declared(data, buffers, senders, receivers, objects))?;
                let Packet(data, buffers, senders, ..) = receiver.recv()?;
                assert_eq!(data[..], bytes[..]);
                assert_eq!((buffers.len(), senders.len()), (count, count));
            }
        }
        Ok(())
    }

    #[test]
    fn rust_gets_objects_of_c_and_the_other_way_round() -> Result<(), Box<dyn std::error::Error>> {
        let rt = pinfold::Runtime::builder().workers(1).start()?;
        let (sender, receiver) = rt.channel::<Packet>(1)?;
        let (carry, carried) = rt.channel::<Retyped>(1)?;
        carry.send(Retyped::C(sender.clone(), receiver.clone()))?;
        let Retyped::Rust(of_rust, to_rust) = carried.recv()? else {
            unreachable!("it arrives so");
        };
        let here = &rt;
        let (latch, countdown) = sync::Latch::new(here, 1)?;
        let (waitgroup, waits) = sync::WaitGroup::new(here)?;
        let publisher = rt.broadcast_channel::<Packet>(2)?;
        let (router, _receivers) = rt.router::<Packet>(1, 2)?;
        let period = std::time::Duration::from_secs(1);
        let all = vec![
            Thing::Mutex(sync::Mutex::from_slice(here, &[1; 5])?),
            Thing::RwLock(sync::RwLock::from_slice(here, &[2; 5])?),
            Thing::Semaphore(sync::Semaphore::new(here, 3)?),
            Thing::Once(sync::Once::new(here)?),
            Thing::Latch(latch),
            Thing::CountDown(countdown),
            Thing::WaitGroup(waitgroup),
            Thing::GroupMember(waits),
            Thing::Ticker(sync::Ticker::new(here, period)?),
            Thing::Subscriber(publisher.subscribe()?),
            Thing::Publisher(publisher),
            Thing::Router(router),
            Thing::Barrier(Box::new(sync::Barrier::new(here, 1)?.remove(0))),
            Thing::Member(Box::new(rt.collective(1)?.remove(0))),
            Thing::OnceLock(sync::OnceLock::with_len(here, 6)?),
        ];
        let kinds: Vec<_> = all.iter().map(std::mem::discriminant).collect();
        sender.send(Packet(Data::Own(vec![9]), vec![], vec![], vec![], all))?;
        let declared = to_rust.recv()?;
        assert_eq!(declared.4.len(), kinds.len());
        assert!(matches!(&declared.4[1], Object::RwLock(_)));
        let Some(Object::OnceLock(made)) = declared.4.last() else {
            return Err("it is a lock".into());
        };
        assert_eq!(made.get_or_fill(|all| all.fill(4))?, [4; 6]);
        of_rust.send(declared)?;
        let Packet(.., all) = receiver.recv()?;
        let arrived: Vec<_> = all.iter().map(std::mem::discriminant).collect();
        assert_eq!(arrived, kinds);
        let Some(Thing::OnceLock(made)) = all.last() else {
            return Err("it is a lock".into());
        };
        assert_eq!(made.get(), Some(&[4; 6][..]));
        Ok(())
    }
}
