//! The labels of the tasks that this thread runs.

use std::cell::RefCell;
use std::rc::Rc;

use crate::prim::Hint;
use crate::task::Label;

thread_local! {
    /// The label of the last labelled task that this thread has begun and not ended.
    static LABEL: RefCell<Option<(Hint, Rc<Label>)>> = const { RefCell::new(None) };
}

/// That of a task which this thread runs, if it has one.
pub(super) fn of(task: Hint) -> Option<Rc<Label>> {
    // The label may be that of a task which waits below this one.
    let label = LABEL.try_with(|label| {
        let label = label.borrow();
        let (labelled, label) = label.as_ref()?;
        (*labelled == task).then(|| Rc::clone(label))
    });
    label.ok().flatten()
}

/// Runs a task that has a label, which it and its log events can ask for meanwhile.
#[cold]
pub(super) fn labelled<T>(task: Option<Hint>, label: Label, run: impl FnOnce() -> T) -> T {
    let span = tracing::error_span!(
        "task",
        name = label.name.as_deref(),
        traceparent = label.traceparent.as_deref(),
        tags = label.tags_line(),
    );
    let mine = task.map(|task| (task, Rc::new(label)));
    let below = LABEL.replace(mine);
    // What it does cannot unwind through here: a panic is caught deeper down.
    let value = span.in_scope(run);
    LABEL.set(below);
    value
}
