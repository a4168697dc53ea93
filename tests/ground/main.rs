//! Ground that nobody has prepared: host programs with forks, signals, limits and odd descriptors,
//! machines that are short of something, kernels that refuse calls.
//!
//! Most cases need a program of their own: a signal mask, a limit or a fork would reach every other test of this
//! process. So this executable is both: without words it is the tests (the usual harness' options hold); as
//! `ground host NAME ARG...` it is the host program NAME of an area. [`host::Host`] starts it so, under a time limit,
//! and looks for processes that are left when it has ended.
//!
//! Each area is a file with two functions: `tests` (what must hold) and `programs` (the hosts that its tests start).

#![allow(
    unsafe_code,
    reason = "unfriendly programs fork, close and overwrite what they can"
)]

mod host;

mod children;
mod cores;
mod descriptors;
mod forks;
mod generator;
mod keepers;
mod kernels;
mod life;
mod limits;
mod memory;
mod mess;
mod privilege;
mod refuse;
#[path = "../soak/rng.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod rng;
mod sending;
mod shortage;
mod signals;
mod starts;
mod tool;
mod values;
mod waits;
mod words;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A host program: its name, and its `main` (`pinfold::init()` has been called).
type Program = (&'static str, fn(&[String]));

fn main() -> ExitCode {
    starts::misbehave();
    pinfold::init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, name, arguments @ ..] = &*words
        && mode == "host"
    {
        let all = programs();
        let Some((_, run)) = all.iter().find(|(known, _)| known == name) else {
            eprintln!("no host program is called {name}");
            return ExitCode::from(3);
        };
        run(arguments);
        return ExitCode::SUCCESS;
    }
    libtest_mimic::run(&Arguments::from_args(), tests()).exit_code()
}

fn tests() -> Vec<Trial> {
    [
        children::tests(),
        cores::tests(),
        descriptors::tests(),
        forks::tests(),
        generator::tests(),
        keepers::tests(),
        kernels::tests(),
        memory::tests(),
        limits::tests(),
        mess::tests(),
        privilege::tests(),
        sending::tests(),
        shortage::tests(),
        signals::tests(),
        starts::tests(),
        tool::tests(),
        values::tests(),
        waits::tests(),
        words::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn programs() -> Vec<Program> {
    [
        children::programs(),
        cores::programs(),
        descriptors::programs(),
        forks::programs(),
        keepers::programs(),
        kernels::programs(),
        memory::programs(),
        life::programs(),
        limits::programs(),
        mess::programs(),
        privilege::programs(),
        sending::programs(),
        shortage::programs(),
        signals::programs(),
        starts::programs(),
        tool::programs(),
        values::programs(),
        waits::programs(),
        words::programs(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A test that passes if `run` returns; a failed assertion is its failure.
fn test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
