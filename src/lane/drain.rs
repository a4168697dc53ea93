//! Draining: letting go of all messages when nobody will take them. The process that gives back the last
//! receiver drains the lane, and so does each sender that then still fills a place. Several may drain at once,
//! and each message is let go of by one of them.
//!
//! | a process stops at | and relies on |
//! | --- | --- |
//! | another that has the receivers' side, and is inside | that one: it looks once more when it is outside |
//! | a place that is being written | its writer, which drains when it has filled the place, or given it up |
//! | an empty place | nobody: a later message is let go of by its sender |
//!
//! *The one inside looks once more*, whatever it has stopped at. The process that found it inside had filled
//! its place before, and passed a heavy barrier before it looked. The one inside goes outside, passes the
//! light barrier, and looks: one of the two sees the other. If it finds something, and somebody else inside,
//! it relies on that one in turn.

use crate::sys::barrier;

use super::sole::Entry;
use super::{HEAD, Lane, Mine, NotNow};

impl Lane {
    /// Takes all that is there, now and while it does; `let_go` lets go of each.
    pub fn drain(&self, let_go: impl Fn(&Mine)) {
        loop {
            let grant = match self.enter(HEAD) {
                Entry::Common => None,
                Entry::Sole(grant) => Some(grant),
                Entry::Busy | Entry::Damaged(_) => return,
            };
            match self.take_among() {
                Ok((mine, _)) => {
                    let mine = Mine { grant, ..mine };
                    let_go(&mine);
                    self.empty(mine);
                    continue;
                }
                Err(why) => {
                    if let Some(grant) = grant {
                        self.leave(HEAD, grant);
                    }
                    if let NotNow::Damaged(_) = why {
                        return;
                    }
                }
            }
            // Pairs with the heavy barrier of who has found this one inside.
            barrier::light();
            if !self.has_message() {
                return;
            }
        }
    }
}
