//! A message on its way.

use std::ffi::c_void;

use pinfold::channel::SendError;

use crate::cargo::{Cargo, Data, Packet};
use crate::channel::Home;
use crate::edge::{bytes, list};
use crate::error::Failure;
use crate::runtime::grown;
use crate::shared::thing;
use crate::submit::{PinfoldSubmitSettings, cargo};

/// What was not sent, and why.
pub(crate) type Refused = Box<SendError<Packet>>;

/// Who gets a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whoever receives it.
    One,
    /// Each of several.
    All,
}

/// What is sent: some bytes, which are read before the call returns that this is a part of, and what
/// goes with them. What was moved into it, and was not sent, is its handles' again.
pub(crate) struct Outgoing {
    packet: Option<Packet>,
    /// The handles of its objects.
    objects: Vec<*const c_void>,
}

impl Outgoing {
    /// What C says, for whoever has it from `home`.
    ///
    /// # Safety
    ///
    /// As for `pinfold_sender_send`.
    pub(crate) unsafe fn new(
        home: &Home,
        (data, len): (*const c_void, usize),
        settings: *const PinfoldSubmitSettings,
        readers: Readers,
    ) -> Result<Self, Failure> {
        // SAFETY: the caller's promise.
        let data = unsafe { bytes("data", data, len) }?;
        // SAFETY: the caller's promise; all zero are the defaults.
        let settings = unsafe { grown("settings", settings) }?;
        let mut packet = Packet(Data::Lent(data), vec![], vec![], vec![], vec![]);
        let Some(settings) = settings else {
            let packet = Some(packet);
            return Ok(Outgoing {
                packet,
                objects: Vec::new(),
            });
        };
        if settings.after_count != 0 || settings.move_buffers != 0 {
            let message = "`settings->after` and `settings->move_buffers` are for tasks: a message is sent now, and its buffers are published";
            return Err(Failure::argument(message));
        }
        // SAFETY: the caller's promise.
        let (cargo, objects) = unsafe {
            (
                cargo(&settings, home.number)?,
                list("settings->objects", settings.objects, settings.object_count)?,
            )
        };
        let Cargo {
            buffers,
            ends,
            things,
        } = cargo;
        let shared = readers == Readers::All && things.iter().any(thing::Thing::has_one_owner);
        (packet.2, packet.3, packet.4) = (ends.senders, ends.receivers, things);
        let mut outgoing = Outgoing {
            packet: Some(packet),
            objects: objects.to_vec(),
        };
        if shared {
            let message = "a subscriber, and a member of a barrier or of a group, has one owner: it does not go with what several get";
            return Err(Failure::argument(message));
        }
        let buffers = buffers.into_iter().map(|part| home.shared(part));
        let buffers = buffers.collect::<Result<_, _>>()?;
        if let Some(packet) = &mut outgoing.packet {
            packet.1 = buffers;
        }
        Ok(outgoing)
    }

    /// Sends it by `send`.
    pub(crate) fn send(
        mut self,
        send: impl FnOnce(Packet) -> Result<(), Refused>,
    ) -> Result<(), Failure> {
        self.try_send(send)
    }

    /// The same; what was not sent may be sent again.
    pub(crate) fn try_send(
        &mut self,
        send: impl FnOnce(Packet) -> Result<(), Refused>,
    ) -> Result<(), Failure> {
        let Some(packet) = self.packet.take() else {
            return Ok(());
        };
        send(packet).map_err(|refused| {
            let fault = refused.fault.clone();
            self.packet = refused.into_value();
            fault.into()
        })
    }

    /// The packet, of which nothing was moved.
    pub(crate) fn into_packet(mut self) -> Packet {
        let empty = || Packet(Data::Own(vec![]), vec![], vec![], vec![], vec![]);
        self.packet.take().unwrap_or_else(empty)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(packet) = self.packet.take() {
            thing::take_back(&self.objects, packet.4);
        }
    }
}
