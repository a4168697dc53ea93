//! What sort of channel it is: one word that lies in its lane.

use serde::{Deserialize, Serialize};

/// What becomes of a message for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Overflow {
    /// Who sends it waits.
    #[default]
    Block,
    /// It is refused: [`SendFault::Full`](super::SendFault::Full).
    Reject,
    /// The oldest one is dropped instead, and counted ([`Receiver::dropped`](super::Receiver::dropped)).
    DropOldest,
}

/// What a lane is told of the channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kind {
    pub is_rendezvous: bool,
    /// Messages stay when the last receiver is gone: somebody hands them on.
    pub is_kept: bool,
    /// What was received is received again unless it is acknowledged.
    pub acks: bool,
    pub overflow: Overflow,
    /// Messages of so many bytes are compressed; 0: none.
    pub pack_from: u32,
}

impl Kind {
    pub fn pack(self) -> u64 {
        let overflow = match self.overflow {
            Overflow::Block => 0,
            Overflow::Reject => 1,
            Overflow::DropOldest => 2,
        };
        let flags = [(self.is_rendezvous, 0), (self.is_kept, 3), (self.acks, 4)];
        let flags = flags.map(|(is_set, bit)| u64::from(is_set) << bit);
        u64::from(self.pack_from) << 32 | flags.into_iter().sum::<u64>() | overflow << 1
    }

    pub fn unpack(packed: u64) -> Self {
        Kind {
            is_rendezvous: packed & 1 != 0,
            is_kept: packed & 8 != 0,
            acks: packed & 16 != 0,
            pack_from: (packed >> 32) as u32,
            overflow: match packed >> 1 & 3 {
                1 => Overflow::Reject,
                2 => Overflow::DropOldest,
                _ => Overflow::Block,
            },
        }
    }

    /// From how many bytes on messages are compressed.
    pub fn pack_from(self) -> Option<usize> {
        (self.pack_from > 0).then_some(self.pack_from as usize)
    }

    /// Whether messages are sent and received, and nothing else: not taken back, not handed on, not
    /// dropped, not acknowledged; and their headers say no more than what they are.
    pub fn is_simple(self) -> bool {
        !self.keeps_messages()
            && self.overflow != Overflow::DropOldest
            && !self.acks
            && self.pack_from == 0
    }

    /// Whether messages stay when the last receiver is gone: who sends takes them back, or hands
    /// them on.
    pub fn keeps_messages(self) -> bool {
        self.is_rendezvous || self.is_kept
    }
}
