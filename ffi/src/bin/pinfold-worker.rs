//! `pinfold-worker LIBRARY PLUGIN CONTENT`: the workers' program of a host that has its tasks in a
//! plugin. A runtime starts it; it does nothing by itself.
//!
//! Nothing of pinfold is linked into it: it loads the very library that the host runs, so there
//! is no second copy of the code that could be of another build.
#![no_main]
#![allow(unsafe_code)] // the loader's functions

use std::ffi::{CStr, c_char, c_int};

/// What a loader says with that it did not find what a program needs.
const NOT_LOADED: c_int = 127;

/// The program's name, LIBRARY, PLUGIN, CONTENT.
const ARGUMENTS: c_int = 4;
const BY_HAND: &CStr = c"a runtime starts this program for its workers: name a plugin in `pinfold_config.plugin`, and it is found; by hand it does nothing";

fn say(what: &str, why: *const c_char) {
    let why = if why.is_null() {
        c"no reason is told"
    } else {
        // SAFETY: a text that ends in NUL, and stays until the next call.
        unsafe { CStr::from_ptr(why) }
    };
    eprintln!("pinfold-worker: {what}{}", why.to_string_lossy());
}

#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    if argc != ARGUMENTS {
        say("", BY_HAND.as_ptr());
        return 2;
    }
    // Its symbols are for the plugin too, which need not be linked with it.
    let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    // SAFETY: `argv` has `argc` texts.
    let library = unsafe { libc::dlopen(*argv.add(1), flags) };
    if library.is_null() {
        // SAFETY: asks for a text.
        say("the library cannot be loaded: ", unsafe { libc::dlerror() });
        return NOT_LOADED;
    }
    // SAFETY: the library is loaded.
    let run = unsafe { libc::dlsym(library, c"pinfold_worker_main".as_ptr()) };
    if run.is_null() {
        // SAFETY: asks for a text.
        say("the library is not pinfold's: ", unsafe { libc::dlerror() });
        return NOT_LOADED;
    }
    type Run = unsafe extern "C" fn(c_int, *const *const c_char) -> c_int;
    // SAFETY: that is how the library declares it.
    let run = unsafe { std::mem::transmute::<*mut libc::c_void, Run>(run) };
    // SAFETY: these are the arguments of `main`.
    let status = unsafe { run(argc, argv) };
    // SAFETY: the library is loaded.
    let message = unsafe { libc::dlsym(library, c"pinfold_last_message".as_ptr()) };
    if !message.is_null() {
        type Message = unsafe extern "C" fn() -> *const c_char;
        // SAFETY: that is how the library declares it.
        let message = unsafe { std::mem::transmute::<*mut libc::c_void, Message>(message) };
        // SAFETY: it asks for a text.
        say("", unsafe { message() });
    }
    status
}
