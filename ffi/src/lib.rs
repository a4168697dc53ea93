//! The C face of pinfold: what `ffi/include/pinfold.h` declares.
//!
//! The shape is the same everywhere (`docs/ABI.md` has the promises):
//!
//! ```text
//! C caller --> pinfold_noun_verb(out parameters, inputs) --> status
//!                  |
//!                  boundary::guard     no panic gets past it
//!                  |
//!                  edge::Out::new      null is an error code, the only place that touches a raw pointer
//!                  |
//!                  plain Rust
//! ```
//!
//! The functions can be called from Rust too, which is how they are tested:
//!
//! ```
//! let mut count = 0;
//! // SAFETY: the pointer comes from a live `&mut usize`.
//! let status = unsafe { pinfold_c::pinfold_allowed_cpus(&mut count) };
//! assert_eq!(status, pinfold_c::PinfoldStatus::Ok);
//! assert!(count >= 1);
//! ```
#![allow(unsafe_code)] // the C boundary: raw pointers in, unmangled names out

mod batch;
mod boundary;
mod buffer;
mod bytes;
mod call;
mod call_buffers;
mod call_ends;
mod cargo;
mod channel;
mod channel_settings;
mod child;
mod config;
mod edge;
mod ends;
mod error;
mod events;
mod follow;
mod given;
mod group;
mod handle;
mod info;
mod init;
mod inside;
mod join;
mod limit;
mod log;
mod memo;
mod message;
mod names;
mod objects;
mod outgoing;
mod plugin;
mod ready;
mod registry;
mod runtime;
mod settings;
mod shared;
mod shutdown;
mod state;
mod stats;
mod status;
mod submit;
mod table;
mod task;
mod told;
mod value;
mod wire;

use std::ffi::{CStr, c_char};

pub use batch::{
    pinfold_handle_join_many, pinfold_task_broadcast, pinfold_task_submit_many,
    pinfold_task_submit_many_timeout,
};
use boundary::{guard, guard_or};
pub use buffer::{
    PinfoldBuffer, pinfold_buffer_const_data, pinfold_buffer_data, pinfold_buffer_free,
    pinfold_buffer_len, pinfold_buffer_new, pinfold_buffer_publish, pinfold_buffer_retain,
};
pub use call::{
    PinfoldCall, PinfoldFunction, pinfold_call_argument, pinfold_call_explain, pinfold_call_input,
    pinfold_call_input_count, pinfold_call_output,
};
pub use call_buffers::{
    pinfold_call_buffer, pinfold_call_buffer_count, pinfold_call_buffer_new,
    pinfold_call_buffer_take, pinfold_call_input_buffer, pinfold_call_output_buffer,
};
pub use call_ends::{
    pinfold_call_receiver, pinfold_call_receiver_count, pinfold_call_sender,
    pinfold_call_sender_count,
};
pub use channel::{
    PinfoldReceiver, PinfoldSender, pinfold_call_channel_new, pinfold_channel_new,
    pinfold_receiver_clone, pinfold_receiver_close, pinfold_receiver_dropped,
    pinfold_receiver_free, pinfold_receiver_len, pinfold_receiver_lost, pinfold_receiver_recv,
    pinfold_receiver_unacknowledged, pinfold_sender_capacity, pinfold_sender_clone,
    pinfold_sender_close, pinfold_sender_free, pinfold_sender_len, pinfold_sender_send,
};
pub use channel_settings::{PinfoldChannelSettings, PinfoldOverflow};
pub use child::{
    PinfoldChild, pinfold_call_submit, pinfold_child_cancel, pinfold_child_code,
    pinfold_child_free, pinfold_child_join, pinfold_child_output_buffer, pinfold_child_result,
    pinfold_child_wait,
};
pub use config::{PinfoldChoice, PinfoldConfig, PinfoldOrphans, PinfoldShutdown};
use edge::Out;
pub use error::pinfold_last_message;
pub use events::{
    PinfoldEvents, pinfold_events_add, pinfold_events_fd, pinfold_events_free, pinfold_events_new,
    pinfold_events_next,
};
pub use follow::{
    PinfoldCompletion, PinfoldProgressed, PinfoldRelease, pinfold_handle_abort_on_free,
    pinfold_handle_cancel, pinfold_handle_cancel_within, pinfold_handle_follow_progress,
    pinfold_handle_id, pinfold_handle_is_finished, pinfold_handle_on_complete,
    pinfold_handle_on_progress, pinfold_handle_progress, pinfold_handle_status,
    pinfold_handle_wait_all, pinfold_handle_wait_any,
};
pub use group::{
    PinfoldGroup, pinfold_group_cancel, pinfold_group_free, pinfold_group_new,
    pinfold_group_submit, pinfold_group_submit_timeout, pinfold_group_wait,
};
pub use handle::{
    PinfoldHandle, pinfold_handle_code, pinfold_handle_free, pinfold_handle_output_buffer,
    pinfold_handle_result, pinfold_handle_wait,
};
pub use info::{PinfoldTaskInfo, pinfold_call_info};
pub use init::pinfold_init;
pub use inside::{
    PinfoldContext, pinfold_call_context, pinfold_call_id, pinfold_call_is_cancelled,
    pinfold_call_report_progress, pinfold_call_time_left, pinfold_context_free,
    pinfold_context_is_cancelled, pinfold_context_report_progress, pinfold_context_time_left,
};
pub use join::pinfold_handle_join;
pub use limit::{PinfoldLimit, pinfold_limit_available, pinfold_limit_free, pinfold_limit_new};
pub use log::{PinfoldLevel, PinfoldLog, pinfold_log_set};
pub use memo::{PinfoldMemo, pinfold_memo_counts, pinfold_memo_free, pinfold_memo_new};
pub use message::{
    PinfoldMessage, pinfold_message_ack, pinfold_message_attempt, pinfold_message_buffer,
    pinfold_message_buffer_count, pinfold_message_data, pinfold_message_free,
    pinfold_message_receiver, pinfold_message_receiver_count, pinfold_message_sender,
    pinfold_message_sender_count,
};
pub use names::pinfold_runtime_functions;
pub use plugin::pinfold_worker_main;
pub use ready::{pinfold_events_next_many, pinfold_handle_copy_many, pinfold_handle_free_many};
pub use registry::pinfold_function_register;
pub use runtime::{PinfoldRuntime, pinfold_runtime_free, pinfold_runtime_new};
pub use settings::{
    PinfoldPriority, PinfoldRetry, PinfoldRetryIf, PinfoldShare, PinfoldTag, PinfoldTaskSettings,
};
pub use shared::barrier::{
    PinfoldBarrier, pinfold_barrier_free, pinfold_barrier_new, pinfold_barrier_number,
    pinfold_barrier_wait, pinfold_call_barrier_new,
};
pub use shared::broadcast::{
    PinfoldBroadcastSettings, PinfoldPublisher, PinfoldSubscriber, pinfold_broadcast_new,
    pinfold_call_broadcast_new, pinfold_publisher_clone, pinfold_publisher_close,
    pinfold_publisher_free, pinfold_publisher_send, pinfold_publisher_subscribe,
    pinfold_publisher_subscribers, pinfold_subscriber_close, pinfold_subscriber_free,
    pinfold_subscriber_lagged, pinfold_subscriber_len, pinfold_subscriber_recv,
    pinfold_subscriber_subscribe,
};
pub use shared::handed::{
    pinfold_call_object, pinfold_call_object_count, pinfold_message_object,
    pinfold_message_object_count,
};
pub use shared::latch::{
    PinfoldCountdown, PinfoldLatch, pinfold_call_latch_new, pinfold_countdown_count,
    pinfold_countdown_free, pinfold_latch_free, pinfold_latch_left, pinfold_latch_new,
    pinfold_latch_wait,
};
pub use shared::member::{
    PinfoldMember, pinfold_call_collective_new, pinfold_collective_new, pinfold_member_all_gather,
    pinfold_member_barrier, pinfold_member_broadcast, pinfold_member_free, pinfold_member_gather,
    pinfold_member_rank, pinfold_member_scatter, pinfold_member_shrink,
};
pub use shared::mutex::{
    PinfoldMutex, pinfold_call_mutex_new, pinfold_mutex_abandon, pinfold_mutex_free,
    pinfold_mutex_lock, pinfold_mutex_mend, pinfold_mutex_new, pinfold_mutex_unlock,
};
pub use shared::once::{
    PinfoldDo, PinfoldOnce, pinfold_call_once_new, pinfold_once_call, pinfold_once_free,
    pinfold_once_is_done, pinfold_once_new,
};
pub use shared::oncelock::{
    PinfoldFill, PinfoldOncelock, pinfold_call_oncelock_new, pinfold_oncelock_free,
    pinfold_oncelock_get, pinfold_oncelock_get_or_init, pinfold_oncelock_new,
};
pub use shared::reduce::{
    PinfoldCombine, PinfoldNumber, PinfoldOperation, pinfold_member_all_reduce,
    pinfold_member_all_reduce_with, pinfold_member_reduce, pinfold_member_reduce_with,
};
pub use shared::router::{
    PinfoldRouter, pinfold_call_router_new, pinfold_router_balance, pinfold_router_free,
    pinfold_router_hand_on, pinfold_router_is_there, pinfold_router_join, pinfold_router_leave,
    pinfold_router_lost, pinfold_router_new, pinfold_router_receiver_of, pinfold_router_send,
    pinfold_router_send_by_key,
};
pub use shared::rwlock::{
    PinfoldRwlock, pinfold_call_rwlock_new, pinfold_rwlock_abandon, pinfold_rwlock_free,
    pinfold_rwlock_mend, pinfold_rwlock_new, pinfold_rwlock_read, pinfold_rwlock_unlock,
    pinfold_rwlock_write,
};
pub use shared::select::{PinfoldCase, pinfold_select};
pub use shared::semaphore::{
    PinfoldSemaphore, pinfold_call_semaphore_new, pinfold_semaphore_acquire,
    pinfold_semaphore_available, pinfold_semaphore_free, pinfold_semaphore_new,
    pinfold_semaphore_release,
};
pub use shared::ticker::{
    PinfoldTicker, pinfold_call_ticker_new, pinfold_ticker_free, pinfold_ticker_missed,
    pinfold_ticker_new, pinfold_ticker_wait,
};
pub use shared::waitgroup::{
    PinfoldWaitgroup, PinfoldWaitgroupMember, pinfold_call_waitgroup_new, pinfold_waitgroup_free,
    pinfold_waitgroup_is_done, pinfold_waitgroup_member_clone, pinfold_waitgroup_member_free,
    pinfold_waitgroup_new, pinfold_waitgroup_wait,
};
pub use shutdown::{pinfold_runtime_begin_shutdown, pinfold_runtime_shutdown};
pub use state::{
    PinfoldStateDrop, PinfoldStateMake, pinfold_call_executor_state, pinfold_call_worker_state,
    pinfold_state_register,
};
pub use stats::{
    PinfoldAudit, PinfoldStats, pinfold_runtime_audit, pinfold_runtime_audit_json,
    pinfold_runtime_cancel_pending, pinfold_runtime_profile_json, pinfold_runtime_stats,
    pinfold_runtime_stats_json, pinfold_runtime_trim_memory, pinfold_topology_json,
};
pub use status::PinfoldStatus;
pub use submit::{
    PinfoldSubmitSettings, pinfold_task_submit_with, pinfold_task_submit_with_timeout,
};
pub use task::{
    PinfoldTask, pinfold_task_free, pinfold_task_new, pinfold_task_submit,
    pinfold_task_submit_after, pinfold_task_submit_timeout, pinfold_task_try_submit,
};

pub use told::{PinfoldText, pinfold_text_data, pinfold_text_free};

/// A time in nanoseconds that is never over.
pub const PINFOLD_FOREVER: u64 = u64::MAX;

/// The version that the header is of: the first of its three numbers. `pinfold_version()` is that of the
/// library.
pub const PINFOLD_VERSION_MAJOR: u32 = 0;
/// The second.
pub const PINFOLD_VERSION_MINOR: u32 = 1;
/// The third.
pub const PINFOLD_VERSION_PATCH: u32 = 0;

/// Counts the incompatible changes of this interface. Compare it with what
/// `pinfold_abi_version()` returns before the first other call.
pub const PINFOLD_ABI_VERSION: u32 = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("the package version has a NUL byte in it"),
    };

/// The library's version, for people and log lines, like "0.1.0".
///
/// Never null; lives as long as the library is loaded; not to be freed.
///
/// Any thread, and a signal handler.
///
/// ```
/// # use std::ffi::CStr;
/// // SAFETY: the function returns a text that ends in NUL and lives for ever.
/// let version = unsafe { CStr::from_ptr(pinfold_c::pinfold_version()) };
/// assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
/// ```
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_version() -> *const c_char {
    guard_or(c"".as_ptr(), || VERSION.as_ptr())
}

/// The value that `PINFOLD_ABI_VERSION` had when the library was built.
///
/// Zero, which is no version, if the library is broken.
///
/// Any thread, and a signal handler.
///
/// ```
/// assert_eq!(pinfold_c::pinfold_abi_version(), pinfold_c::PINFOLD_ABI_VERSION);
/// ```
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_abi_version() -> u32 {
    guard_or(0, || PINFOLD_ABI_VERSION)
}

/// One English sentence about a status code, for people and log lines.
///
/// Any number is allowed: one that is not a status code is said to be unknown.
/// Never null; lives as long as the library is loaded; not to be freed.
///
/// Any thread, and a signal handler.
///
/// ```
/// # use std::ffi::CStr;
/// // SAFETY: the function returns a text that ends in NUL and lives for ever.
/// let message = unsafe { CStr::from_ptr(pinfold_c::pinfold_status_message(1)) };
/// assert_eq!(message, c"an argument that must not be null is null");
/// ```
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_status_message(code: i32) -> *const c_char {
    guard_or(c"".as_ptr(), || status::message(code).as_ptr())
}

/// Whether a status says of a task that it has ended without a value: 1 or 0. For what
/// functions return that ask how a task has ended (`pinfold_handle_join`, `_result`, `_status`,
/// `_output_buffer`, those of children and groups, callbacks).
///
/// 1 from 100 on, also for a number that this version does not know; and for those of a task that
/// could not be run: `PINFOLD_STATUS_SYSTEM`, `_NO_MEMORY`, `_TOO_LARGE`, `_SHUTDOWN`, `_FORKED` and
/// `_FOREIGN_HANDLE`. 0 for any other: the call did nothing, and the handle is as it was.
///
/// Any thread, and a signal handler.
///
/// ```
/// use pinfold_c::{PinfoldStatus, pinfold_status_ends_task};
///
/// assert_eq!(pinfold_status_ends_task(PinfoldStatus::Cancelled as i32), 1);
/// assert_eq!(pinfold_status_ends_task(PinfoldStatus::Shutdown as i32), 1);
/// assert_eq!(pinfold_status_ends_task(PinfoldStatus::TimedOut as i32), 0);
/// ```
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_status_ends_task(code: i32) -> i32 {
    guard_or(0, || i32::from(status::ends_task(code)))
}

/// How many CPUs this process may use: by its affinity mask and by its control
/// group's CPU limit, whichever is smaller. At least 1.
///
/// Writes the number to `*out_count`, and only when it returns `PINFOLD_STATUS_OK`.
/// Fails with `PINFOLD_STATUS_NULL_ARGUMENT`, or with `PINFOLD_STATUS_SYSTEM` when the
/// system does not tell.
///
/// Any thread.
///
/// # Safety
///
/// `out_count` is null, or points to a `size_t` that nobody else touches during the call.
///
/// ```
/// use pinfold_c::{PinfoldStatus, pinfold_allowed_cpus};
///
/// // SAFETY: null is allowed, and refused.
/// let status = unsafe { pinfold_allowed_cpus(std::ptr::null_mut()) };
/// assert_eq!(status, PinfoldStatus::NullArgument);
/// ```
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_allowed_cpus(out_count: *mut usize) -> PinfoldStatus {
    // SAFETY: the caller's promise about `out_count` is the one that `Out` asks for.
    let out_count = unsafe { Out::new("out_count", out_count) };
    guard(|| {
        let out_count = out_count?;
        let cpus = std::thread::available_parallelism()
            .map_err(|error| error::Failure::new(PinfoldStatus::System, error.to_string()))?;
        out_count.write(cpus.get());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_version_of_the_package() {
        let numbers = [
            PINFOLD_VERSION_MAJOR,
            PINFOLD_VERSION_MINOR,
            PINFOLD_VERSION_PATCH,
        ];
        let version = numbers.map(|number| number.to_string()).join(".");
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
}
