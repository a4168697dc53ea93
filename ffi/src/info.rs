//! What a task can know of itself.

use std::ffi::{CString, c_char};
use std::ptr::null;

use crate::PinfoldStatus;
use crate::boundary::guard;
use crate::call::{PinfoldCall, with};
use crate::error::c_text;
use crate::runtime::fill;
use crate::settings::PinfoldTag;

/// What a task knows of itself. Start from `PINFOLD_TASK_INFO_INIT`. Fields may be added at the
/// end; `size` says for which there is room. Texts are the call's: they may be read until the
/// function returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PinfoldTaskInfo {
    /// `sizeof(pinfold_task_info)`.
    pub size: usize,
    /// The number of its worker, from 0; a successor has that of the one whose place it takes.
    pub worker: usize,
    /// How many workers there are.
    pub worker_count: usize,
    /// The number of the thread that runs it, among all that run tasks, from 0: two tasks that run
    /// at the same time have different ones.
    pub executor: usize,
    /// The name that its function was registered by; empty while a state is made.
    pub function: *const c_char,
    /// The name that it was given, or null.
    pub name: *const c_char,
    /// The trace that it belongs to, or null.
    pub traceparent: *const c_char,
    /// Its tags, in the order in which they were given.
    pub tags: *const PinfoldTag,
    /// How many there are.
    pub tag_count: usize,
}

/// What a call has been told of itself, for as long as it lasts.
#[derive(Default)]
pub(crate) struct Told {
    function: CString,
    name: Option<CString>,
    traceparent: Option<CString>,
    texts: Vec<(CString, CString)>,
    tags: Vec<PinfoldTag>,
}

impl Told {
    /// Of the task that this thread runs.
    fn of(function: &str) -> Self {
        let info = pinfold::task_info();
        let (name, traceparent, tags) = match info {
            Some(info) => (info.name, info.traceparent, info.tags),
            None => (None, None, Vec::new()),
        };
        let texts: Vec<(CString, CString)> = tags
            .into_iter()
            .map(|(key, value)| (c_text(key), c_text(value)))
            .collect();
        Told {
            function: c_text(function),
            name: name.map(c_text),
            traceparent: traceparent.map(c_text),
            tags: texts
                .iter()
                .map(|(key, value)| PinfoldTag {
                    key: key.as_ptr(),
                    value: value.as_ptr(),
                })
                .collect(),
            texts,
        }
    }

    fn info(&self) -> PinfoldTaskInfo {
        debug_assert_eq!(self.texts.len(), self.tags.len());
        let here = pinfold::context();
        let text = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
        PinfoldTaskInfo {
            size: 0,
            worker: here.worker().unwrap_or_default(),
            worker_count: here.worker_count().unwrap_or_default(),
            executor: here.executor().unwrap_or_default(),
            function: self.function.as_ptr(),
            name: text(&self.name),
            traceparent: text(&self.traceparent),
            tags: match self.tags.is_empty() {
                true => null(),
                false => self.tags.as_ptr(),
            },
            tag_count: self.tags.len(),
        }
    }
}

/// What a task can know of itself, written to `*out_info`, whose `size` says how long it is; that
/// stays.
///
/// Only in a task (and while a state is made), by the thread that the function was called on.
///
/// # Safety
///
/// `out_info` is null or a `pinfold_task_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_info(
    call: *mut PinfoldCall,
    out_info: *mut PinfoldTaskInfo,
) -> PinfoldStatus {
    guard(|| {
        with(call, |frame| {
            let function = frame.name();
            let told = &mut frame.rest().told;
            let told = told.get_or_insert_with(|| Told::of(function));
            // SAFETY: the caller's promise.
            unsafe { fill("out_info", out_info, || told.info()) }
        })
    })
}
