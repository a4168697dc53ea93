//! Panics of the user's code: caught, their words, and how what they carry is thrown away.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What `catch_unwind` returns of a panic.
pub type Caught = Box<dyn Any + Send>;

/// Instead of words, where a panic carries something else.
pub const NOT_TEXT: &str = "a payload that is not text";

/// How many payloads in a row may panic while they are dropped.
const DROPS_MAX: usize = 8;

/// What a panic says, if it carries text or an error of one of the usual types.
pub fn text_in(payload: &(dyn Any + Send)) -> Option<String> {
    macro_rules! first_of {
        ($($type:ty),*) => {
            $(if let Some(text) = payload.downcast_ref::<$type>() {
                return shown(text);
            })*
        };
    }
    first_of!(
        &'static str,
        String,
        Box<str>,
        Arc<str>,
        Cow<'static, str>,
        Box<dyn Error + Send + Sync>,
        Box<dyn Error + Send>,
        Arc<dyn Error + Send + Sync>,
        std::io::Error,
        std::fmt::Error
    );
    // The payload of another panic, thrown on in a box of its own.
    text_in(&**payload.downcast_ref::<Caught>()?)
}

/// The text of something that may be the user's own, and panic itself.
fn shown(text: &dyn std::fmt::Display) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| text.to_string())) {
        Ok(text) => Some(text),
        Err(panic) => {
            discard(panic);
            None
        }
    }
}

/// Drops what a panic carried. Its drop may panic, and so may that of what it panics with.
pub fn discard(payload: Caught) {
    let mut next = Some(payload);
    for _ in 0..DROPS_MAX {
        let Some(payload) = next.take() else { return };
        next = catch_unwind(AssertUnwindSafe(|| drop(payload))).err();
    }
    // It would go on for ever.
    std::mem::forget(next);
}

/// Calls code of the user's. If it panics: what the panic said.
pub fn caught(f: impl FnOnce()) -> Result<(), String> {
    let mut f = Some(f);
    caught_once(&mut || {
        if let Some(f) = f.take() {
            f();
        }
    })
}

fn caught_once(f: &mut dyn FnMut()) -> Result<(), String> {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else {
        return Ok(());
    };
    let text = text_in(&*panic);
    discard(panic);
    Err(text.unwrap_or_else(|| NOT_TEXT.into()))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn caught(f: impl FnOnce()) -> Caught {
        catch_unwind(AssertUnwindSafe(f)).expect_err("it panics")
    }

    fn said(payload: impl Any + Send) -> Option<String> {
        text_in(&*caught(|| std::panic::resume_unwind(Box::new(payload))))
    }

    #[test]
    fn text_is_found_in_whatever_carries_it() {
        let error = || std::io::Error::other("of an error");
        let boxed: Box<dyn Error + Send + Sync> = "boxed".into();
        assert_eq!(said("literal").as_deref(), Some("literal"));
        assert_eq!(said("owned".to_owned()).as_deref(), Some("owned"));
        assert_eq!(said(Cow::Borrowed("cow")).as_deref(), Some("cow"));
        assert_eq!(said(Box::<str>::from("box")).as_deref(), Some("box"));
        assert_eq!(said(Arc::<str>::from("arc")).as_deref(), Some("arc"));
        assert_eq!(said(boxed).as_deref(), Some("boxed"));
        assert_eq!(said(error()).as_deref(), Some("of an error"));
        let inner = caught(|| panic!("inner {}", 1));
        assert_eq!(said(inner).as_deref(), Some("inner 1"));
        assert_eq!(said(7_u32), None);
    }

    #[test]
    fn words_that_panic_are_no_words() {
        #[derive(Debug)]
        struct Mute;
        impl std::fmt::Display for Mute {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("mute")
            }
        }
        impl Error for Mute {}
        let error: Box<dyn Error + Send + Sync> = Box::new(Mute);
        assert_eq!(said(error), None);
    }

    #[test]
    fn a_drop_that_panics_harms_nobody() {
        struct Again(u32);
        impl Drop for Again {
            fn drop(&mut self) {
                std::panic::panic_any(Again(self.0 + 1));
            }
        }
        discard(Box::new(Again(0)));
        let held = Arc::new(());
        discard(Box::new(Arc::clone(&held)));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
