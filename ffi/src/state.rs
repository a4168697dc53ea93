//! What workers make before their first task, for their tasks.
//!
//! ```text
//!   pinfold_config ──Order (names, argument)──▶ worker_init ──▶ WorkerState ──▶ executor_init
//!                                                  make()           │ dropped       make()
//!                                                                   ▼ in order
//!                                                                  drop()
//! ```

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use parking_lot::Mutex;
use pinfold::Builder;
use serde::{Deserialize, Serialize};

use crate::boundary::guard;
use crate::bytes::Bytes;
use crate::call::{PinfoldCall, in_frame, with};
use crate::edge::{Out, text};
use crate::error::Failure;
use crate::{PinfoldStatus, registry};

/// Makes a state: what it writes to `*out_state` is what tasks find. Returns 0, or any other number
/// if it failed; what it has told `pinfold_call_explain` is the reason then.
///
/// Of `call` the argument may be asked for, the worker's state (when an executor's is made), what
/// there is to know by `pinfold_call_info`, and it may be explained a failure.
pub type PinfoldStateMake = Option<
    unsafe extern "C-unwind" fn(
        call: *mut PinfoldCall,
        user: *mut c_void,
        out_state: *mut *mut c_void,
    ) -> i32,
>;

/// Takes a state back.
pub type PinfoldStateDrop =
    Option<unsafe extern "C-unwind" fn(state: *mut c_void, user: *mut c_void)>;

/// A kind of state, as it was registered.
#[derive(Clone, Copy)]
struct Kind {
    make: unsafe extern "C-unwind" fn(*mut PinfoldCall, *mut c_void, *mut *mut c_void) -> i32,
    drop: PinfoldStateDrop,
    user: *mut c_void,
}

// SAFETY: the pointer is the user's, who was told that the functions are called by threads of a
// worker; here it is only handed on.
unsafe impl Send for Kind {}
// SAFETY: as above.
unsafe impl Sync for Kind {}

static KINDS: Mutex<BTreeMap<String, Kind>> = Mutex::new(BTreeMap::new());

/// What goes to each worker.
#[derive(Clone, Serialize, Deserialize)]
struct Order {
    worker: Option<String>,
    executor: Option<String>,
    argument: Bytes,
}

/// A state that was made; its drop takes it back.
struct State {
    pointer: *mut c_void,
    kind: Kind,
}

// SAFETY: the user was told that all threads of the worker that run tasks use it.
unsafe impl Send for State {}
// SAFETY: as above.
unsafe impl Sync for State {}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(drop) = self.kind.drop {
            // SAFETY: who registered it promised that it may be called so; once.
            unsafe { drop(self.pointer, self.kind.user) }
        }
    }
}

/// A worker's.
struct WorkerState {
    own: Option<State>,
    order: Order,
}

fn make(name: &str, order: &Order) -> Result<State, String> {
    let kind = KINDS.lock().get(name).copied();
    let kind = kind.ok_or_else(|| {
        format!(
            "the worker process knows no state `{name}`: call pinfold_state_register before pinfold_init, in each process"
        )
    })?;
    let mut pointer = null_mut();
    let out = &raw mut pointer;
    // SAFETY: who registered it promised that it may be called so; the pointer lives on this stack.
    let make = |call| unsafe { (kind.make)(call, kind.user, out) };
    match in_frame(order.argument.clone(), make) {
        (0, _) => Ok(State { pointer, kind }),
        (code, message) if message.is_empty() => Err(format!("state `{name}`: it returned {code}")),
        (_, message) => Err(format!("state `{name}`: {message}")),
    }
}

fn worker_init(order: Order) -> Result<WorkerState, String> {
    let own = order.worker.as_deref().map(|name| make(name, &order));
    Ok(WorkerState {
        own: own.transpose()?,
        order,
    })
}

fn executor_init() -> Result<State, String> {
    let worker = pinfold::worker_state::<WorkerState>();
    let order = worker.map(|worker| &worker.order);
    let order = order.ok_or("there is no worker's state")?;
    let name = order.executor.as_deref().unwrap_or_default();
    make(name, order)
}

/// Has workers make these states.
pub(crate) fn ordered(
    builder: Builder,
    worker: Option<&str>,
    executor: Option<&str>,
    argument: &[u8],
    is_known_here: bool,
) -> Result<Builder, Failure> {
    if worker.is_none() && executor.is_none() {
        return Ok(builder);
    }
    if is_known_here {
        let kinds = KINDS.lock();
        for name in [worker, executor].into_iter().flatten() {
            if !kinds.contains_key(name) {
                let message = format!(
                    "no state is registered by the name `{name}`: call pinfold_state_register before pinfold_init"
                );
                return Err(Failure::new(PinfoldStatus::UnknownFunction, message));
            }
        }
    }
    let order = Order {
        worker: worker.map(str::to_owned),
        executor: executor.map(str::to_owned),
        argument: argument.into(),
    };
    let builder = builder.worker_init_with(worker_init, order);
    Ok(match executor {
        Some(_) => builder.executor_init(executor_init),
        None => builder,
    })
}

/// Registers a kind of state that workers can make before their first task, by `name` (1 to 255
/// bytes of UTF-8, copied): `pinfold_config.worker_state` and `executor_state` name it.
///
/// `make` is called in each worker, with the bytes of `pinfold_config.state_argument` as
/// argument; if it fails, the worker counts as one that could not be started
/// (`pinfold_config.start_attempts`). `drop` is called when a worker ends in order, and may be
/// null; one that is killed, or dies, drops nothing. Both with `user`, by a thread of the worker.
///
/// Call it before `pinfold_init`, as `pinfold_function_register`. Fails as that does.
///
/// Any thread; not in a task.
///
/// # Safety
///
/// `name` is null or a string that ends in NUL. `make` and `drop` may be called with `user`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_state_register(
    name: *const c_char,
    make: PinfoldStateMake,
    drop: PinfoldStateDrop,
    user: *mut c_void,
) -> PinfoldStatus {
    guard(move || {
        // SAFETY: the caller's promise.
        let name = unsafe { text("name", name) }?;
        let make = make.ok_or_else(|| Failure::null("make"))?;
        registry::check_name(name)?;
        let mut kinds = KINDS.lock();
        registry::check_open(name)?;
        let kind = Kind { make, drop, user };
        let is_same = |other: &Kind| {
            let drops = match (other.drop, kind.drop) {
                (Some(one), Some(other)) => std::ptr::fn_addr_eq(one, other),
                (None, None) => true,
                _ => false,
            };
            drops && std::ptr::fn_addr_eq(other.make, make) && other.user == user
        };
        match kinds.get(name) {
            None => {
                kinds.insert(name.to_owned(), kind);
                Ok(())
            }
            Some(other) if is_same(other) => Ok(()),
            Some(_) => Err(Failure::argument(format!(
                "another state is registered by the name `{name}`"
            ))),
        }
    })
}

fn none(field: &str) -> Failure {
    Failure::argument(format!(
        "workers of this runtime make no such state: name it in `{field}`"
    ))
}

/// What `pinfold_config.worker_state` has made in this worker: the same for all its tasks, which
/// may run at the same time if it has several threads.
///
/// It is the worker's, and there as long as that runs tasks. Fails with
/// `PINFOLD_STATUS_INVALID_ARGUMENT` if there is none.
///
/// Only in a task (and while an executor's state is made), by the thread that the function was
/// called on.
///
/// # Safety
///
/// `out_state` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_worker_state(
    call: *mut PinfoldCall,
    out_state: *mut *mut c_void,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_state", out_state) };
    guard(|| {
        let out = out?;
        with(call, |_| {
            let worker = pinfold::worker_state::<WorkerState>();
            let own = worker.and_then(|worker| worker.own.as_ref());
            let own = own.ok_or_else(|| none("pinfold_config.worker_state"))?;
            out.write(own.pointer);
            Ok(())
        })
    })
}

/// What `pinfold_config.executor_state` has made for the thread that runs this task: no other
/// thread uses it. A task that this one joins, and that runs on the spot, finds the same.
///
/// It is the thread's, and there as long as that runs tasks. Fails with
/// `PINFOLD_STATUS_INVALID_ARGUMENT` if there is none.
///
/// Only in a task, by the thread that the function was called on.
///
/// # Safety
///
/// `out_state` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pinfold_call_executor_state(
    call: *mut PinfoldCall,
    out_state: *mut *mut c_void,
) -> PinfoldStatus {
    // SAFETY: the caller's promise is the one that `Out` asks for.
    let out = unsafe { Out::new("out_state", out_state) };
    guard(|| {
        let out = out?;
        with(call, |_| {
            let pointer = pinfold::context().with_state_mut(|own: &mut State| own.pointer);
            out.write(pointer.map_err(|_| none("pinfold_config.executor_state"))?);
            Ok(())
        })
    })
}
