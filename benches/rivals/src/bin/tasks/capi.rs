//! Empty tasks through the C face, beside the same ones in Rust.
//!
//! What C calls is called here: the functions with their C ABI, in a library of their own crate, so
//! that nothing of them is inlined.
#![allow(unsafe_code)] // calls of C functions

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use pinfold::Runtime;
use pinfold_c::{
    PinfoldCall, PinfoldConfig, PinfoldHandle, PinfoldRuntime, PinfoldStatus, PinfoldTask,
    pinfold_call_argument, pinfold_call_output, pinfold_function_register, pinfold_handle_join,
    pinfold_init, pinfold_runtime_free, pinfold_runtime_new, pinfold_task_free, pinfold_task_new,
    pinfold_task_submit,
};
use pinfold_rivals::{Against, Bench, Question, Race};

use super::{inc, rate};

/// As many tasks are in flight at most.
const WINDOW: usize = 1024;

/// As a C compiler would make it of a function of four lines.
///
/// # Safety
///
/// `call` is the one that this thread runs, and its argument is a `u64`.
unsafe extern "C-unwind" fn inc_in_c(call: *mut PinfoldCall, _: *mut c_void) -> i32 {
    let (mut argument, mut output, mut len) = (null(), null_mut(), 0);
    // SAFETY: the call is this task's; the argument is a `u64`, as is the output.
    unsafe {
        pinfold_call_argument(call, &mut argument, &mut len);
        pinfold_call_output(call, size_of::<u64>(), &mut output);
        output.cast::<u64>().write(*argument.cast::<u64>() + 1);
    }
    0
}

/// First thing in `main`: what C programs begin with.
pub fn init() {
    // SAFETY: the name is a string, and the function is one of tasks; nulls are allowed.
    let status = unsafe {
        pinfold_function_register(c"inc".as_ptr(), Some(inc_in_c), null_mut());
        pinfold_init(null_mut(), null_mut())
    };
    assert_eq!(status, PinfoldStatus::Ok);
}

/// A runtime as C has it, and a task.
struct Face {
    runtime: *mut PinfoldRuntime,
    task: *mut PinfoldTask,
}

impl Face {
    fn start() -> Self {
        // SAFETY: all fields have 0 for their default.
        let mut config: PinfoldConfig = unsafe { std::mem::zeroed() };
        config.size = size_of::<PinfoldConfig>();
        config.workers = 2;
        let (mut runtime, mut task) = (null_mut(), null_mut());
        // SAFETY: all pointers are to what lives here, and the name is a string.
        let status = unsafe {
            pinfold_runtime_new(&config, &mut runtime);
            pinfold_task_new(runtime, c"inc".as_ptr(), null(), &mut task)
        };
        assert_eq!(status, PinfoldStatus::Ok);
        Face { runtime, task }
    }

    fn submit(&self, n: u64) -> *mut PinfoldHandle {
        let mut handle = null_mut();
        let argument = (&raw const n).cast();
        // SAFETY: a `u64` can be read there, and a handle written.
        let status = unsafe { pinfold_task_submit(self.task, argument, 8, &mut handle) };
        assert_eq!(status, PinfoldStatus::Ok);
        handle
    }

    fn join(&self, handle: *mut PinfoldHandle) -> u64 {
        let mut value = 0_u64;
        let out = (&raw mut value).cast();
        // SAFETY: a `u64` can be written there; its length is not asked for.
        let status = unsafe { pinfold_handle_join(handle, out, 8, null_mut()) };
        assert_eq!(status, PinfoldStatus::Ok);
        value
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        pinfold_task_free(self.task);
        pinfold_runtime_free(self.runtime);
    }
}

/// The sum of the results of `tasks` tasks, up to `window` of them in flight.
fn all<H>(tasks: u64, window: usize, spawn: impl Fn(u64) -> H, join: impl Fn(H) -> u64) -> u64 {
    let mut handles = VecDeque::with_capacity(window);
    let mut sum = 0;
    for n in 0..tasks {
        if handles.len() == window
            && let Some(oldest) = handles.pop_front()
        {
            sum += join(oldest);
        }
        handles.push_back(spawn(n));
    }
    sum + handles.into_iter().map(join).sum::<u64>()
}

pub fn races(bench: &mut Bench, rounds: usize, tasks: u64, rt: &Runtime) {
    let face = Face::start();
    let ways = [
        ("tasks.capi.flight", "1024 in flight", WINDOW, tasks),
        ("tasks.capi.one", "one at a time", 1, tasks / 10),
    ];
    for (id, how, window, tasks) in ways {
        let text =
            format!("empty tasks through the C face, each with a handle and a result, {how}");
        // At most 1.1 times as long as in Rust.
        let question = Question::higher(id, &text, "M tasks/s");
        let mut race = Race::new([question.bar(Against::Rival("Rust"), 1.0 / 1.1)]);
        let face = &face;
        race.ours("pinfold_task_submit, pinfold_handle_join", move || {
            rate(tasks, || {
                all(
                    tasks,
                    window,
                    |n| face.submit(n),
                    |handle| face.join(handle),
                )
            })
        });
        race.rival("Rust", move || {
            let join = |handle: pinfold::Handle<u64>| handle.join().expect("a value");
            rate(tasks, || all(tasks, window, |n| rt.spawn(inc, n), join))
        });
        bench.run(race, rounds);
    }
}
