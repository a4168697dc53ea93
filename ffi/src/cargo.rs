//! What goes with the bytes of a task's argument, or of a message: buffers, ends of channels, and other objects.

use pinfold::Shared;
use pinfold::channel::{Receiver, Sender};
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
    pub(crate) receivers: Vec<Receiver<Packet>>,
}

/// What the channels of C carry. `docs/ABI.md` has the type as others may declare it: the same in
/// these four fields, and so is what is written.
#[derive(Serialize, Deserialize)]
pub(crate) struct Packet(
    pub(crate) Data,
    pub(crate) Vec<Shared>,
    pub(crate) Vec<Sender<Packet>>,
    pub(crate) Vec<Receiver<Packet>>,
);

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

    pinfold::test_setup!();

    /// As `docs/ABI.md` has it.
    #[derive(Serialize, Deserialize)]
    struct Declared(
        Vec<u8>,
        Vec<Shared>,
        Vec<Sender<Declared>>,
        Vec<Receiver<Declared>>,
    );

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
                sender.send(Packet(data, buffers, senders, receivers))?;
                let Declared(data, buffers, senders, receivers) = to_rust.recv()?;
                assert_eq!(data, bytes);
                assert!(buffers.iter().all(|buffer| buffer[..] == [7; 1000]));
                assert_eq!(
                    (buffers.len(), senders.len(), receivers.len()),
                    (count, count, 0)
                );
                of_rust.send(Declared(data, buffers, senders, receivers))?;
                let Packet(data, buffers, senders, _) = receiver.recv()?;
                assert_eq!(data[..], bytes[..]);
                assert_eq!((buffers.len(), senders.len()), (count, count));
            }
        }
        Ok(())
    }
}
