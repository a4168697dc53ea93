//! Tasks in shared memory: the slot and its word, what a slot carries, and how a
//! function is named between two processes of one build.
//!
//! ```text
//!              submit                claim               finish
//!    Free(g) ─────────▶ Queued(g) ─────────▶ Running(e,g) ─────▶ Done(e,g)
//!      ▲  host              │ ▲  executor e       │   executor e     │
//!      │                    │ │                   │                  │
//!      │             cancel │ └───────────────────┤ e is dead:       │ collect
//!      │               host │        run again    │ host             │ host
//!      └────────────────────┴─────────────────────┴──────────────────┘
//!         Free(g+1): every way back raises the generation
//! ```
//!
//! A task that is to be tried again later is `Waiting` in between, and owned by the host. A task with
//! dependents is `Finishing` between `Running` and `Done`, while its executor tells them; and dependents are
//! `Pending` before they are `Queued`: see [`Edges`].
//!
//! | word | who may change it | how |
//! | --- | --- | --- |
//! | `Free` | the host | store |
//! | `Pending` | the process that brings the last input, or the host (withdraw) | compare-and-swap |
//! | `Queued` | an executor (claim) or the host (cancel) | compare-and-swap |
//! | `Running(e)` | e; after e's end, the host | store |
//! | `Finishing(e)` | e; after e's end, the host, which says `Done` in its place | store |
//! | `Waiting` | the host | store |
//! | `Done(e)` | the host | store |
//!
//! Death between any two steps: before the claim nothing has changed; after it the word names the dead; after
//! `finish` the result is whole. Whether the completion entry was written does not matter, because the host
//! also looks at every word that the dead might have left `Done`.
#![allow(unsafe_code)]

mod captures;
mod codec;
mod constant;
mod edges;
mod finished;
mod func;
mod label;
mod note;
mod orphans;
mod outcome;
mod payload;
mod probe;
mod slot;
mod state;

pub use captures::NoCapture;
pub use codec::{
    Brief, Erased, Fault, Room, decode, decode_own, decode_with_buffers, drop_refused,
    encode_brief, encode_erased, encode_len, encode_with_buffers, is_flat, let_go_of_refused,
    untold, untold_of,
};
pub use constant::{Constant, ConstantError, Home};
pub use edges::{Arrived, DEPENDENTS_MAX, Edge, Edges, INPUT_LEN, INPUTS_MAX};
pub use finished::Finished;
pub use func::{
    Call, Entry, ExecutorInit, FunctionId, Functions, Init, Run, WorkerState, entry_of,
    executor_init_of, init_args, init_of, init_with_of,
};
pub use label::{Label, fault_of_traceparent};
pub use note::{Note, Reported};
pub use orphans::Orphans;
pub use outcome::Outcome;
pub use payload::{INLINE_LEN, Payload, parcels_of, put_words, split_parcels};
pub use slot::{Head, Place, Slot, TaskState};
pub use state::Kept;

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
