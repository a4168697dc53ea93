//! Letting go of all messages, when nobody will take them: by whoever gives the last receiver back, and by whoever
//! then puts something there. Several may do so at once, and each message is let go of by one of them.
//!
//! | who stops at | relies on |
//! | --- | --- |
//! | another that has the receivers' side, and is inside | that one: it looks once more when it is outside |
//! | a place that is being written | who writes it: it lets go of all when it has filled the place, or given it up |
//! | an empty place | nobody: what comes later is let go of by who puts it there |
//!
//! *That one looks once more*, whatever it has stopped at. Who found it inside had filled its place before, and passed
//! a heavy barrier before it looked. The other one is outside, passes the light barrier, and looks: one of the two sees the
//! other. If it finds something, and somebody else inside, it relies on that one in turn.

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
