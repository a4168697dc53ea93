//! Values of a few bytes, which most tickets have: taken in a few steps.

use crate::scheduler::outcomes::entry::Entry;
use crate::scheduler::outcomes::value::{SMALL, Small, Taken, Value};

use super::Tickets;

impl Tickets {
    /// The value's length, if it is there and of a few bytes, which go to `to`, and what its
    /// function is called; the ticket is gone then.
    #[inline(always)]
    pub fn take_small(&mut self, id: u32, to: &mut [u64; SMALL / 8]) -> Option<Taken> {
        let entry = &mut self.entries[id as usize];
        let Entry::Settled(Ok(Value::Small { len, is_err, words })) = entry else {
            return None;
        };
        let (len, is_err) = (*len, *is_err);
        (to[0], to[1], to[2]) = (words[0], words[1], words[2]);
        // Nothing to drop.
        std::mem::forget(std::mem::replace(entry, Entry::Vacant));
        self.vacant.push(id);
        Some((len, is_err, self.names[id as usize]))
    }

    /// The value, if it is there and of a few bytes, and no `Err`; it stays.
    #[inline]
    pub fn small(&self, id: u32) -> Option<Small> {
        match &self.entries[id as usize] {
            Entry::Settled(Ok(Value::Small {
                len,
                is_err: false,
                words: [a, b, c],
            })) => Some((*a, *b, *c, *len)),
            _ => None,
        }
    }

    /// Takes the value, if it is there, of a few bytes and no `Err`, and `accepts` these; the ticket
    /// is gone then. Else nothing has happened.
    #[inline(always)]
    pub fn take_small_if(&mut self, id: u32, accepts: impl FnOnce(&[u8]) -> bool) -> bool {
        let entry = &mut self.entries[id as usize];
        let Entry::Settled(Ok(Value::Small {
            len,
            is_err: false,
            words,
        })) = entry
        else {
            return false;
        };
        let bytes: &[u8] = bytemuck::cast_slice(words);
        if !accepts(&bytes[..usize::from(*len).min(SMALL)]) {
            return false;
        }
        // Nothing to drop.
        std::mem::forget(std::mem::replace(entry, Entry::Vacant));
        self.vacant.push(id);
        true
    }
}
