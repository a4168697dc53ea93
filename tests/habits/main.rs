//! Habits that users of other libraries bring along, each with what pinfold makes of it.
//!
//! A habit is what one does elsewhere and what one expects of it. It is the same here, or it
//! differs and a document says so: there is no third. Each is a test of the behaviour, and, if
//! it differs, of the document: that the sentence stands where the habit says.
//!
//! `docs/HABITS.md` is the same table for readers; a test compares both.
//! `cargo test --features cli --test habits -- --write-page` writes it anew.

mod habit;
mod page;
mod stage;

mod futures;
mod joblib;
mod others;
mod pool;
mod rayon;
mod tokio;

use std::process::ExitCode;

use habit::Library;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    pinfold::init();
    if std::env::args().any(|word| word == "--write-page") {
        page::write(&libraries());
        return ExitCode::SUCCESS;
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), tests());
    stage::leave();
    conclusion.exit_code()
}

fn libraries() -> Vec<Library> {
    [
        futures::libraries(),
        pool::libraries(),
        joblib::libraries(),
        rayon::libraries(),
        tokio::libraries(),
        others::libraries(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The fewest habits there may be.
const FEWEST: usize = 150;

fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test("page::is_in_step", || page::is_in_step(&libraries())),
        test("page::has_each_habit_once", || {
            page::has_each_habit_once(&libraries())
        }),
        test("page::has_enough_habits", || {
            let count: usize = libraries().iter().map(|library| library.habits.len()).sum();
            assert!(count >= FEWEST, "{count} habits");
        }),
    ];
    for library in libraries() {
        for (name, habit) in library.habits {
            let name = format!("{}::{name}", library.short);
            tests.push(test(&name, move || {
                if let Some(sentence) = habit.said {
                    page::is_said(&sentence);
                }
                (habit.shown)();
            }));
        }
    }
    tests
}

/// A test that passes if `run` returns; a failed assertion is its failure.
fn test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
