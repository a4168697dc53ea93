//! Where shared objects are made, and what all of them have in common.

use std::ffi::c_void;
use std::sync::Arc;

use pinfold::channel::Overflow;

use crate::PinfoldStatus;
use crate::boundary::{answer, guard};
use crate::call::{PinfoldCall, with};
use crate::channel::Home;
use crate::channel_settings::PinfoldOverflow;
use crate::edge::bytes;
use crate::error::Failure;
use crate::objects::{Kind, Object};
use crate::runtime::{PinfoldRuntime, RuntimeObject, as_pointer, runtime};
use crate::table;

/// Where an object is made.
pub(crate) enum Place {
    Host(Arc<RuntimeObject>),
    Task,
}

impl Place {
    pub(crate) fn host(handle: *mut PinfoldRuntime) -> Result<Self, Failure> {
        runtime(handle).map(Place::Host)
    }

    pub(crate) fn task(call: *mut PinfoldCall) -> Result<Self, Failure> {
        with(call, |_| Ok(Place::Task))
    }

    pub(crate) fn home(&self) -> Home {
        match self {
            Place::Host(object) => Home::host(object),
            Place::Task => Home::worker(),
        }
    }

    /// The first bytes of an object: a copy of C's, or zeros if it has none.
    ///
    /// # Safety
    ///
    /// `data` is null, or `len` bytes can be read there.
    pub(crate) unsafe fn first(
        &self,
        data: *const c_void,
        len: usize,
    ) -> Result<std::borrow::Cow<'static, [u8]>, Failure> {
        if !data.is_null() {
            // SAFETY: the caller's promise; it is read before the call returns that this is a part of.
            return Ok(unsafe { bytes("data", data, len) }?.into());
        }
        // There is no memory of the process's for what there is no shared memory for.
        drop(self.home().alloc(len)?);
        Ok(vec![0; len].into())
    }
}

/// What becomes of a message without room: the library's of C's number.
pub(crate) fn overflow_of(overflow: i32, reserved: i32) -> Result<Overflow, Failure> {
    const BLOCK: i32 = PinfoldOverflow::Block as i32;
    const REJECT: i32 = PinfoldOverflow::Reject as i32;
    const DROP_OLDEST: i32 = PinfoldOverflow::DropOldest as i32;
    if reserved != 0 {
        return Err(Failure::argument("`settings->reserved` must be 0"));
    }
    Ok(match overflow {
        0 | BLOCK => Overflow::Block,
        REJECT => Overflow::Reject,
        DROP_OLDEST => Overflow::DropOldest,
        other => {
            let message = format!("`settings->overflow` is {other}, which is no pinfold_overflow");
            return Err(Failure::argument(message));
        }
    })
}

/// Makes something in a place, which is `&Runtime` or the context of a task there.
macro_rules! in_place {
    ($place:expr, $here:ident => $make:expr) => {
        match $place {
            $crate::shared::place::Place::Host(object) => {
                let $here = &object.runtime;
                $make
            }
            $crate::shared::place::Place::Task => {
                let $here = pinfold::context();
                $make
            }
        }
    };
}
pub(crate) use in_place;

/// Something of the library's that needs nothing else here, and whose it is.
pub(crate) struct Homed<T> {
    pub(crate) it: T,
    pub(crate) home: Home,
}

/// Writes the handle of what `make` makes in a place.
///
/// # Safety
///
/// `out` is null, or writable.
pub(crate) unsafe fn new<K: Kind + Into<Object>, P>(
    name: &str,
    out: *mut *mut P,
    place: impl FnOnce() -> Result<Place, Failure>,
    make: impl FnOnce(&Place) -> Result<K, Failure>,
) -> PinfoldStatus {
    let made = || {
        let place = place()?;
        let vacant = table::reserve()?;
        Ok(as_pointer(vacant.fill(make(&place)?)))
    };
    // SAFETY: the caller's promise.
    unsafe { answer(name, out, made) }
}

/// Frees a handle, if it is not null.
pub(crate) fn free<K: Kind>(handle: usize) -> PinfoldStatus {
    guard(|| match handle {
        0 => Ok(()),
        handle => table::remove::<K>(handle),
    })
}
