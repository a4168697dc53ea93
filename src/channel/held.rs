//! Messages that keep their place until they are acknowledged. What a death between two steps leaves
//! is at the top of `src/lane/again.rs`.

use std::sync::Arc;

use crate::lane::{Mine, NotNow};

use super::RecvError;
use super::ends::Endpoint;
use super::keeping::{Held, Keeper};
use super::message::{self, Received};

impl Endpoint {
    /// The oldest message, which its place keeps: one that was given back, if there is any.
    pub(super) fn try_receive_held(
        self: &Arc<Self>,
        is_over: bool,
    ) -> Result<Option<Received>, RecvError> {
        let lane = self.lane();
        let mine = match lane.take_returned() {
            Some(mine) => mine,
            None => match lane.take() {
                Ok((mine, _)) => mine,
                Err(NotNow::Wait) if is_over && lane.may_come_back() => return Ok(None),
                Err(why) => return self.nothing(why, is_over).map(|()| None),
            },
        };
        self.tell_room();
        lane.pass_messages_on();
        match message::peek(lane, &mine, self.pool()) {
            Some(received) => {
                let attempt = lane.returns(&mine).saturating_add(1);
                let keeper = Arc::clone(self) as Arc<dyn Keeper>;
                Ok(Some(received.held_by(Held::new(keeper, mine, attempt))))
            }
            None => {
                self.acknowledge(mine);
                Err(self.damaged(&"a message that nobody has sent"))
            }
        }
    }

    /// Lets go of a message that nobody takes any more.
    pub(super) fn discard(&self, mine: Mine) {
        if self.kind().acks {
            self.lane().acknowledge(&mine);
        }
        message::let_go(self.lane(), &mine, self.pool());
        self.lane().empty(mine);
    }
}

impl Keeper for Endpoint {
    fn acknowledge(&self, mine: Mine) {
        if !self.pool().is_here() {
            return;
        }
        self.discard(mine);
        self.tell_room();
        // Others may wait to see whether the last messages come back.
        if self.is_ended() {
            self.lane().for_message().open_all();
        }
    }

    fn give_back(&self, mine: Mine) {
        if self.pool().is_here() {
            self.lane().give_back(mine);
            self.lane().tell_message();
        }
    }
}
