//! The stacks of executors, and what is told when one overflows.

use libtest_mimic::Trial;
use pinfold::{Builder, Death, Runtime, TaskError};

use crate::host::Host;
use crate::{Program, test};

/// What the tests set as the shell's limit, in bytes.
const LIMITS: [libc::rlim_t; 4] = [1 << 20, 8 << 20, 64 << 20, libc::RLIM_INFINITY];

pub fn tests() -> Vec<Trial> {
    vec![
        test("mess_every_stack_is_as_large_as_was_said", || {
            for limit in LIMITS {
                with_limit("stack_sizes", limit).run().well();
            }
        }),
        test("mess_a_stack_that_overflows_is_told", || {
            for limit in LIMITS {
                with_limit("stack_overflow", limit).run().well();
            }
            // As under `test_setup!`: the runtime is initialised before `main`.
            let mut early = Host::new("stack_overflow");
            early.command.env("INITS_EARLY", "1");
            early.run().well();
        }),
    ]
}

pub fn programs() -> Vec<Program> {
    vec![("stack_sizes", sizes), ("stack_overflow", overflow)]
}

extern "C" fn init_early() {
    if std::env::var_os("INITS_EARLY").is_some() {
        pinfold::init();
    }
}

#[used]
// SAFETY: the loader calls it once, before `main`.
#[unsafe(link_section = ".init_array")]
static INIT_EARLY: extern "C" fn() = init_early;

fn with_limit(name: &str, soft: libc::rlim_t) -> Host {
    Host::new(name).prepared(move || {
        // Who asks for less than the hard limit may ask for more later; a shell sets both.
        let limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: soft,
        };
        // SAFETY: the limit of the process that the host will be.
        match unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })
}

/// Uses so many bytes of the stack, and a little more.
fn uses(bytes: u64) -> u64 {
    fn deeper(top: usize, bytes: u64) -> u64 {
        let frame = std::hint::black_box([1_u8; 4 << 10]);
        let used = top.abs_diff(std::ptr::from_ref(&frame).addr()) as u64;
        let rest = if used < bytes { deeper(top, bytes) } else { 0 };
        u64::from(std::hint::black_box(&frame)[11]) + rest
    }
    let top = 0_u8;
    deeper(std::ptr::from_ref(&top).addr(), bytes)
}

fn both(builder: Builder) -> [Runtime; 2] {
    [1, 2].map(|threads| {
        let builder = builder.clone().workers(1).threads_per_worker(threads);
        builder.start().expect("starts")
    })
}

fn sizes(_: &[String]) {
    for rt in both(Runtime::builder()) {
        assert!(rt.map(uses, [7 << 20; 8]).all(|used| used.is_ok()));
    }
    for rt in both(Runtime::builder().stack_size(32 << 20)) {
        assert!(rt.map(uses, [30 << 20; 8]).all(|used| used.is_ok()));
        assert_eq!(rt.stats().restarts, 0);
    }
}

fn overflow(_: &[String]) {
    for size in [1 << 20, 8 << 20] {
        for rt in both(Runtime::builder().stack_size(size)) {
            let told = rt.spawn(uses, size as u64 * 2).join();
            let Err(TaskError::WorkerDied {
                death, last_words, ..
            }) = &told
            else {
                panic!("{told:?}");
            };
            assert!(
                matches!(
                    death,
                    Death::Signaled {
                        signal: libc::SIGSEGV,
                        ..
                    }
                ),
                "{told:?}"
            );
            let words = format!("overflowed its stack of {size} bytes (`Builder::stack_size`)");
            assert_eq!(last_words.as_deref(), Some(&*words));
            // Another fault is not one.
            let fault = |(): ()| -> () {
                // SAFETY: none; the worker is to die of it.
                unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
            };
            let told = rt.spawn(fault, ()).join();
            let Err(TaskError::WorkerDied { last_words, .. }) = told else {
                panic!("{told:?}");
            };
            assert_eq!(last_words, None);
        }
    }
}
