//! What a panic said, kept where it survives the process.

use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;

use crate::layout::Fold;
use crate::sys::Home;

thread_local! {
    static EXECUTOR: Cell<Option<usize>> = const { Cell::new(None) };
    static LAST: RefCell<Option<Said>> = const { RefCell::new(None) };
}

/// A panic's message and where it was raised.
#[derive(Clone, Debug)]
pub struct Said {
    /// The message.
    pub message: String,
    /// `file:line:column`.
    pub location: String,
}

/// From now on a panic prints nothing: its words go to the executor's record, from
/// where the host reads them if the process aborts, and to [`take`].
pub fn install(fold: Fold) {
    let (home, default) = (Home::here(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if !home.is_here() {
            return default(info); // what a task has forked says it as any program does
        }
        let said = said(info);
        if let Some(record) = EXECUTOR.get().and_then(|number| fold.executors.get(number)) {
            let words = format!("panicked at {}: {}", said.location, said.message);
            record.last_words.write(&words);
        }
        // A panic while the first is noted is the process's end anyway.
        if let Ok(mut last) = LAST.try_with(|last| last.take()) {
            last.replace(said);
            let _ = LAST.try_with(|slot| slot.replace(last));
        }
    }));
}

fn said(info: &PanicHookInfo<'_>) -> Said {
    let message = info
        .payload_as_str()
        .unwrap_or("(a panic value that is not a string)")
        .to_owned();
    let location = info
        .location()
        .map_or_else(String::new, ToString::to_string);
    Said { message, location }
}

/// Names the executor of this thread.
pub fn belongs_to(executor: usize) {
    EXECUTOR.set(Some(executor));
}

/// The executor of this thread, if it is one's.
pub fn executor() -> Option<usize> {
    EXECUTOR.try_with(Cell::get).ok().flatten()
}

/// What the panic that was just caught on this thread said.
pub fn take() -> Option<Said> {
    LAST.take()
}
