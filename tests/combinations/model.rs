//! What may come of a case, by the documentation: the runs one after the other.

use std::collections::BTreeSet;

use crate::case::{Case, Does, Judge, Way};

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Value,
    Err,
    Panicked,
    Died,
    Poison,
    Late,
    Cancelled,
    /// It was never accepted.
    Arguments,
}

/// What one run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Value,
    Err,
    Panic,
    Die,
    Late,
    Hangs,
    Cancelled,
}

/// What run number `run` does; the first is 0.
pub fn step(does: Does, run: usize) -> Step {
    let first = |count: usize, step: Step| if run < count { step } else { Step::Value };
    match does {
        Does::Value => Step::Value,
        Does::Err => Step::Err,
        Does::Panic => Step::Panic,
        Does::Die => Step::Die,
        Does::ErrOnce => first(1, Step::Err),
        Does::ErrTwice => first(2, Step::Err),
        Does::PanicOnce => first(1, Step::Panic),
        Does::DieOnce => first(1, Step::Die),
        Does::ErrThenDie if run == 0 => Step::Err,
        Does::ErrThenDie if run == 1 => Step::Die,
        Does::ErrThenDie => Step::Value,
        Does::Late => Step::Late,
        Does::Hangs => Step::Hangs,
        Does::Cancelled => Step::Cancelled,
    }
}

/// Each end that is allowed, and how often it has run by then.
pub fn ends(case: &Case) -> BTreeSet<(End, usize)> {
    let mut ends = BTreeSet::new();
    let is_refused = case.is_loan_given() && case.is_repeated();
    if is_refused {
        ends.insert((End::Arguments, 0));
    } else {
        follow(case, 0, 0, 0, &mut ends);
    }
    ends
}

fn follow(
    case: &Case,
    run: usize,
    failures: usize,
    deaths: usize,
    ends: &mut BTreeSet<(End, usize)>,
) {
    let is_nested = case.way == Way::Nested;
    let ran = run + 1;
    let mut fails = |end: End| {
        if failures + 1 < case.attempts() {
            follow(case, ran, failures + 1, deaths, ends);
        } else {
            ends.insert((end, ran));
        }
    };
    match step(case.does, run) {
        Step::Value => {
            ends.insert((End::Value, ran));
        }
        // What its child ends in is the parent's value.
        Step::Err => fails(End::Err),
        Step::Panic if is_nested => fails(End::Err),
        Step::Panic => fails(End::Panicked),
        Step::Die => {
            if is_nested {
                // By another worker: the parent lives, and is told.
                fails(End::Err);
            }
            let is_judged = case.judge == Judge::All && failures + 1 < case.attempts();
            if deaths + 1 < case.lives() {
                follow(case, ran, failures, deaths + 1, ends);
            } else if is_judged {
                follow(case, ran, failures + 1, deaths + 1, ends);
            } else if case.lives() > 1 {
                ends.insert((End::Poison, ran));
            } else {
                ends.insert((End::Died, ran));
            }
        }
        Step::Late => {
            ends.insert((End::Late, ran));
            if run == 0 {
                // The machine was busy.
                ends.insert((End::Late, 0));
            }
        }
        Step::Hangs => {
            if case.judge == Judge::All && failures + 1 < case.attempts() {
                follow(case, ran, failures + 1, deaths, ends);
            } else {
                // The machine may be busy: then an attempt's time is over before it has counted.
                ends.extend((0..=ran).map(|ran| (End::Late, ran)));
            }
        }
        Step::Cancelled => {
            ends.insert((End::Cancelled, ran));
        }
    }
}
