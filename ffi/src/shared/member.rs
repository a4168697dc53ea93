//! Members of groups, and what they do together.

use std::ffi::c_void;

use parking_lot::Mutex as Inside;
use pinfold::Shared;
use pinfold::collective::{CollectiveError, Member};

use crate::boundary::guard;
use crate::buffer::{self, BufferObject, Part, PinfoldBuffer};
use crate::call::PinfoldCall;
use crate::cargo::Packet;
use crate::channel::Home;
use crate::edge::{Out, duration};
use crate::error::Failure;
use crate::message::{MessageObject, PinfoldMessage};
use crate::outgoing::{Outgoing, Readers};
use crate::runtime::{PinfoldRuntime, as_pointer};
use crate::submit::PinfoldSubmitSettings;
use crate::{PINFOLD_FOREVER, PinfoldStatus, table};

use super::barrier::{Own, all};
use super::faults::rank_of;
use super::place::{Place, free};

/// A member of a group, whose members do something together.
pub struct PinfoldMember {
    _private: [u8; 0],
}

/// Behind a `pinfold_member`.
pub(crate) type MemberObject = Own<Inside<Member>>;

pub(super) fn enter(
    member: *mut PinfoldMember,
) -> Result<table::Guard<Box<MemberObject>>, Failure> {
    table::enter(member.addr())
}

/// Has a member do something together with the others; of a failure that is about one of them, its rank is
/// written.
///
/// # Safety
///
/// `out_rank` is null, or writable.
pub(super) unsafe fn together<T>(
    member: &MemberObject,
    timeout: u64,
    out_rank: *mut usize,
    act: impl FnOnce(&mut Member) -> Result<T, CollectiveError>,
) -> Result<T, Failure> {
    let own = member.get()?;
    let busy = || {
        let message = "another thread is in a call with this member (or this one, in a callback)";
        Failure::new(PinfoldStatus::Busy, message)
    };
    let mut own = own.try_lock().ok_or_else(busy)?;
    own.set_timeout((timeout != PINFOLD_FOREVER).then(|| duration(timeout)));
    act(&mut own).map_err(|error| {
        if let Some(rank) = rank_of(&error)
            && !out_rank.is_null()
        {
            // SAFETY: the caller's promise.
            unsafe { out_rank.write_unaligned(rank) };
        }
        error.into()
    })
}

/// # Safety
///
/// As for `pinfold_collective_new`.
unsafe fn make(
    place: impl FnOnce() -> Result<Place, Failure>,
    count: usize,
    out_members: *mut *mut PinfoldMember,
) -> PinfoldStatus {
    let members = |place: &Place| {
        let members = match place {
            Place::Host(object) => object.runtime.collective(count)?,
            Place::Task => pinfold::collective(count)?,
        };
        Ok(members.into_iter().map(Inside::new).collect())
    };
    // SAFETY: the caller's promise.
    unsafe { all(out_members, count, place, members, Own::new) }
}

/// A group of `count` members among the processes of `runtime`: writes so many handles to
/// `out_members`, in the order of their ranks.
///
/// All are the caller's: free each with `pinfold_member_free`. A member is moved to a task by
/// `pinfold_submit_settings.objects`, for there is one of each. The members wait for each other, so all their tasks
/// must run at once, each on an executor of its own: a group that is larger than the
/// number of executors waits for tasks that cannot begin.
///
/// All members call the same functions, in the same order. When one has died or left, every call
/// of the others that needs it ends with `PINFOLD_STATUS_MEMBER_GONE`, until they call
/// `pinfold_member_shrink`.
///
/// Fails with `PINFOLD_STATUS_INVALID_ARGUMENT` for a count that no group can have, and with
/// `PINFOLD_STATUS_NO_MEMORY` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread; in a task use `pinfold_call_collective_new`.
///
/// # Safety
///
/// `count` handles can be written at `out_members`, or it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_collective_new(
    runtime: *mut PinfoldRuntime,
    count: usize,
    out_members: *mut *mut PinfoldMember,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::host(runtime), count, out_members) }
}

/// The same in a task. The handles are the worker process's, also after the call: free them.
///
/// Fails as `pinfold_collective_new`.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// As for `pinfold_collective_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_collective_new(
    call: *mut PinfoldCall,
    count: usize,
    out_members: *mut *mut PinfoldMember,
) -> PinfoldStatus {
    // SAFETY: the caller's promise.
    unsafe { make(|| Place::task(call), count, out_members) }
}

/// Which member this is, from 0, and how many the group has; both may be others after
/// `pinfold_member_shrink`.
///
/// Fails with `PINFOLD_STATUS_MOVED`, or `PINFOLD_STATUS_BUSY` if another thread is in a call with it.
///
/// Any thread.
///
/// # Safety
///
/// `out_rank` and `out_size` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_rank(
    member: *mut PinfoldMember,
    out_rank: *mut usize,
    out_size: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (rank, size) = unsafe {
        (
            Out::new("out_rank", out_rank),
            Out::new("out_size", out_size),
        )
    };
    guard(|| {
        let (rank, size) = (rank?, size?);
        let object = enter(member)?;
        // SAFETY: null.
        let asked = unsafe {
            together(&object, PINFOLD_FOREVER, std::ptr::null_mut(), |own| {
                Ok((own.rank(), own.size()))
            })
        }?;
        rank.write(asked.0);
        size.write(asked.1);
        Ok(())
    })
}

/// Waits until all members have called it, at most `timeout` nanoseconds; `PINFOLD_FOREVER` is no limit.
///
/// This holds for all that members do together: after a time-out the call has not ended for the
/// others, for this member has arrived there, with its value. So call the same again, which goes on to wait; other calls
/// fail with `PINFOLD_STATUS_UNFINISHED` until then. `out_rank` may be null; if a failure is about a member, that
/// one's rank is written there.
///
/// Fails with `PINFOLD_STATUS_MEMBER_GONE` (a member has died, or left: it was freed, or its task has
/// ended), `PINFOLD_STATUS_SHRINKING` (others call `pinfold_member_shrink`), `PINFOLD_STATUS_MISMATCH`
/// (others have called something else; all are told, and the group goes on),
/// `PINFOLD_STATUS_TIMED_OUT`, `PINFOLD_STATUS_UNFINISHED`, `PINFOLD_STATUS_MOVED` (this member was moved to a task),
/// `PINFOLD_STATUS_BUSY` (another thread is in a call with it), `PINFOLD_STATUS_NO_MEMORY`,
/// `PINFOLD_STATUS_TOLD_TO_END`, `PINFOLD_STATUS_SHUTDOWN` or `PINFOLD_STATUS_FORKED`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_rank` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_barrier(
    member: *mut PinfoldMember,
    timeout: u64,
    out_rank: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        let object = enter(member)?;
        // SAFETY: the caller's promise.
        unsafe { together(&object, timeout, out_rank, Member::barrier) }
    })
}

/// What a member brings.
///
/// # Safety
///
/// As for `pinfold_sender_send`.
unsafe fn packet(
    home: &Home,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
) -> Result<Packet, Failure> {
    // SAFETY: the caller's promise.
    let outgoing = unsafe { Outgoing::new(home, (data, len), settings, Readers::All) }?;
    Ok(outgoing.into_packet())
}

fn handles(packets: Vec<Packet>, home: &Home) -> Result<Vec<*mut PinfoldMessage>, Failure> {
    let handle = |packet| {
        let message = Box::new(MessageObject::of(packet, home.clone()));
        table::insert(message).map(as_pointer)
    };
    packets.into_iter().map(handle).collect()
}

/// All have what the member `root` brings: `len` bytes, and what `settings` say, as
/// `pinfold_sender_send`. What others bring is not looked at; they may pass null and 0.
///
/// The message is the caller's: free it with `pinfold_message_free`. A time-out, `out_rank` and
/// failures are as for `pinfold_member_barrier`; and `PINFOLD_STATUS_INVALID_ARGUMENT` if there is no
/// member `root`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_sender_send`; `out_message` and `out_rank` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_broadcast(
    member: *mut PinfoldMember,
    root: usize,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
    out_message: *mut *mut PinfoldMessage,
    out_rank: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_message", out_message) };
    guard(|| {
        let out = out?;
        let object = enter(member)?;
        let vacant = table::reserve()?;
        // SAFETY: the caller's promise.
        let brought = unsafe { packet(&object.home, data, len, settings) }?;
        // SAFETY: the caller's promise.
        let received = unsafe {
            together(&object, timeout, out_rank, |own| {
                own.broadcast(root, Some(brought))
            })
        }?;
        let message = MessageObject::of(received, object.home.clone());
        out.write(as_pointer(vacant.fill(Box::new(message))));
        Ok(())
    })
}

/// Each has a part of the buffer that the member `root` brings, which is published: a range of
/// the same memory. The parts follow each other in the order of ranks; each is a multiple of `element`
/// bytes (0 is taken for 1), and they differ by one such element at most; what is left over is the last one's. What others
/// bring is not looked at; they may pass null.
///
/// The part is the caller's: free it with `pinfold_buffer_free`. A time-out, `out_rank` and failures
/// are as for `pinfold_member_broadcast`; all must say the same `element`. If `root` brings no buffer, that is
/// `PINFOLD_STATUS_NULL_ARGUMENT`, and all others are told (`PINFOLD_STATUS_MISMATCH`).
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_part` and `out_rank` are null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_scatter(
    member: *mut PinfoldMember,
    root: usize,
    buffer: *mut PinfoldBuffer,
    element: usize,
    timeout: u64,
    out_part: *mut *mut PinfoldBuffer,
    out_rank: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_part", out_part) };
    guard(|| {
        let out = out?;
        let object = enter(member)?;
        let brought: Option<Shared> = match buffer.is_null() {
            true => None,
            false => {
                let parts = buffer::give(&[buffer], false, object.home.number)?;
                let shared = parts.into_iter().map(|part| object.home.shared(part));
                shared.last().transpose()?
            }
        };
        let mut is_missing = false;
        // SAFETY: the caller's promise.
        let part = unsafe {
            together(&object, timeout, out_rank, |own| {
                is_missing = brought.is_none() && own.rank() == root;
                own.scatter_chunks(root, brought, element)
            })
        };
        let part = part.map_err(|failure| match is_missing {
            true if failure.status == PinfoldStatus::Mismatch => Failure::null("buffer"),
            _ => failure,
        })?;
        out.write(BufferObject::handle(
            object.home.number,
            Part::Shared(part),
        )?);
        Ok(())
    })
}

/// The member `root` has what all bring, each as in `pinfold_member_broadcast`: writes as many messages to
/// `out_messages` as the group has members, in the order of ranks. Of the others nothing is written, and they may
/// pass null.
///
/// The messages are the caller's: free each with `pinfold_message_free`. A time-out, `out_rank` and
/// failures are as for `pinfold_member_broadcast`.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_sender_send`; so many handles can be written at `out_messages`, or it is null;
/// `out_rank` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_gather(
    member: *mut PinfoldMember,
    root: usize,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
    out_messages: *mut *mut PinfoldMessage,
    out_rank: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        let object = enter(member)?;
        // SAFETY: the caller's promise.
        let brought = unsafe { packet(&object.home, data, len, settings) }?;
        // SAFETY: the caller's promise.
        let gathered = unsafe {
            together(&object, timeout, out_rank, |own| {
                match out_messages.is_null() && root == own.rank() {
                    true => Ok(None),
                    false => own.gather(root, brought).map(Some),
                }
            })
        }?;
        let gathered = gathered.ok_or_else(|| Failure::null("out_messages"))?;
        // SAFETY: the caller's promise.
        unsafe { write_all(gathered.unwrap_or_default(), &object.home, out_messages) }
    })
}

/// # Safety
///
/// So many handles can be written there.
unsafe fn write_all(
    packets: Vec<Packet>,
    home: &Home,
    out_messages: *mut *mut PinfoldMessage,
) -> Result<(), Failure> {
    for (at, handle) in handles(packets, home)?.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { out_messages.add(at).write_unaligned(handle) };
    }
    Ok(())
}

/// All have what all bring: as `pinfold_member_gather`, where each is the root.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// As for `pinfold_member_gather`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_all_gather(
    member: *mut PinfoldMember,
    data: *const c_void,
    len: usize,
    settings: *const PinfoldSubmitSettings,
    timeout: u64,
    out_messages: *mut *mut PinfoldMessage,
    out_rank: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        if out_messages.is_null() {
            return Err(Failure::null("out_messages"));
        }
        let object = enter(member)?;
        // SAFETY: the caller's promise.
        let brought = unsafe { packet(&object.home, data, len, settings) }?;
        // SAFETY: the caller's promise.
        let gathered =
            unsafe { together(&object, timeout, out_rank, |own| own.all_gather(brought)) }?;
        // SAFETY: the caller's promise.
        unsafe { write_all(gathered, &object.home, out_messages) }
    })
}

/// Goes on without the members that are gone: waits until all others have called it, too, or are
/// gone themselves. Those that have are the group from then on, with new ranks in the order of the
/// old ones (`pinfold_member_rank`). It is for all that were told `PINFOLD_STATUS_MEMBER_GONE` or
/// `PINFOLD_STATUS_SHRINKING`.
///
/// A time-out, `out_rank` and failures are as for `pinfold_member_barrier`, but for those of members
/// that are gone.
///
/// Any thread. In a task it keeps the executor that runs it.
///
/// # Safety
///
/// `out_rank` is null, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_member_shrink(
    member: *mut PinfoldMember,
    timeout: u64,
    out_rank: *mut usize,
) -> PinfoldStatus {
    guard(|| {
        let object = enter(member)?;
        // SAFETY: the caller's promise.
        unsafe { together(&object, timeout, out_rank, Member::shrink) }
    })
}

/// Frees a member: unless it was moved, it leaves the group, and the others are told. Null does nothing.
///
/// Any thread. A call that waits with it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_member_free(member: *mut PinfoldMember) -> PinfoldStatus {
    free::<Box<MemberObject>>(member.addr())
}
