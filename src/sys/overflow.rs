//! Telling a stack that has overflowed from any other fault of memory.
//!
//! A fault where the watched stack of its thread ends calls a function that says so; then, as for
//! any fault, the process ends by the signal, as if nobody had listened. What somebody (Rust's own
//! start of a program, say) has installed before is asked for all other faults.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;

/// How far below the end of a stack a fault still belongs to it: functions of C may skip so much.
const BELOW: usize = 1 << 20;
/// The last page may have been in use.
const ABOVE: usize = 16 << 10;
/// The stack of the handler; ours needs little, but others may be asked.
const HANDLER_STACK: usize = 64 << 10;

thread_local! {
    /// Where a fault of this thread is an overflow.
    static END: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

static TELL: OnceLock<fn()> = OnceLock::new();
static BEFORE: [OnceLock<libc::sigaction>; 2] = [OnceLock::new(), OnceLock::new()];
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// From now on `tell` is called before this process ends because the stack of a thread has
/// overflowed that is watched. It is called in a signal handler, and may do what is allowed there.
pub fn listen(tell: fn()) {
    if TELL.set(tell).is_err() {
        return;
    }
    for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
        // SAFETY: all zero bytes are an action; the handler is one for three arguments, as the
        // flag says.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as extern "C" fn(_, _, _) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            let mut old = MaybeUninit::<libc::sigaction>::uninit();
            if libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) == 0 {
                let _ = before.set(old.assume_init());
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// The calling thread can take its faults on another stack.
pub fn prepare_thread() {
    // SAFETY: all zero bytes are a description of a stack; memory of that size is left to the
    // thread for ever.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        let is_known = libc::sigaltstack(std::ptr::null(), &raw mut stack) == 0;
        if !is_known || stack.ss_flags & libc::SS_DISABLE == 0 {
            return;
        }
        let memory = Box::leak(Box::<[u8]>::new_uninit_slice(HANDLER_STACK));
        stack.ss_sp = memory.as_mut_ptr().cast();
        stack.ss_size = memory.len();
        stack.ss_flags = 0;
        libc::sigaltstack(&raw const stack, std::ptr::null_mut());
    }
}

/// The stack that the calling thread uses now ends at address `low`. Returns what it was before.
pub fn watch(low: usize) -> Range<usize> {
    let end = low.saturating_sub(BELOW)..low.saturating_add(ABOVE);
    rewatch(end)
}

/// Watches what [`watch`] has returned.
pub fn rewatch(end: Range<usize>) -> Range<usize> {
    let (from, to) = END.replace((end.start, end.end));
    from..to
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands in a valid record.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let is_fault = code > 0;
    let (from, to) = END.get();
    if is_fault && (from..to).contains(&address) {
        if let Some(tell) = TELL.get() {
            tell();
        }
    } else if let Some(before) = SIGNALS
        .iter()
        .position(|one| *one == signal)
        .and_then(|at| BEFORE[at].get())
        && !matches!(before.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
    {
        // SAFETY: the handler that was there is called as the kernel would have.
        unsafe {
            if before.sa_flags & libc::SA_SIGINFO == 0 {
                let handler: extern "C" fn(c_int) = std::mem::transmute(before.sa_sigaction);
                handler(signal);
            } else {
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    std::mem::transmute(before.sa_sigaction);
                handler(signal, info, context);
            }
        }
        return;
    }
    // SAFETY: the default, with which the fault happens once more; what somebody has sent is
    // sent again.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if !is_fault {
            libc::raise(signal);
        }
    }
}
