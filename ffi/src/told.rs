//! Texts that the library makes for the caller.

use std::ffi::{CString, c_char};

use serde::Serialize;

use crate::boundary::guard;
use crate::edge::Out;
use crate::error::{Failure, c_text};
use crate::runtime::as_pointer;
use crate::{PinfoldStatus, table};

/// A text that the library has made.
pub struct PinfoldText {
    _private: [u8; 0],
}

/// Behind a `pinfold_text`.
pub(crate) struct Text(CString);

/// Hands a text out.
pub(crate) fn tell(out: &Out<*mut PinfoldText>, text: String) -> Result<(), Failure> {
    out.write(as_pointer(table::insert(Box::new(Text(c_text(text))))?));
    Ok(())
}

/// Hands a value out, as JSON.
pub(crate) fn tell_json(
    out: &Out<*mut PinfoldText>,
    value: &impl Serialize,
) -> Result<(), Failure> {
    let json = serde_json::to_string(value);
    let json = json.map_err(|error| Failure::new(PinfoldStatus::System, error.to_string()))?;
    tell(out, json)
}

/// Where a text begins, and its length in bytes. It is UTF-8, and ends in a NUL besides, which
/// does not count.
///
/// The memory is the text's: it may be read until that is freed.
///
/// Any thread.
///
/// # Safety
///
/// `out_data` is null or writable; `out_len` is null (it is not asked for) or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_text_data(
    text: *mut PinfoldText,
    out_data: *mut *const c_char,
    out_len: *mut usize,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let (data, len) = unsafe { (Out::new("out_data", out_data), Out::new("out_len", out_len)) };
    guard(|| {
        let data = data?;
        let text = table::enter::<Box<Text>>(text.addr())?;
        data.write(text.0.as_ptr());
        if let Ok(len) = len {
            len.write(text.0.count_bytes());
        }
        Ok(())
    })
}

/// Frees a text. Null does nothing.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_text_free(text: *mut PinfoldText) -> PinfoldStatus {
    guard(|| match text.is_null() {
        true => Ok(()),
        false => table::remove::<Box<Text>>(text.addr()),
    })
}
