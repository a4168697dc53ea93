//! `ProcessPoolExecutor` and its futures, of Python's `concurrent.futures`.

mod cancel;
mod fail;
mod life;
mod map;
mod submit;
mod wait;

use crate::habit::Library;

pub fn libraries() -> Vec<Library> {
    let habits = [
        submit::habits(),
        fail::habits(),
        cancel::habits(),
        wait::habits(),
        map::habits(),
        life::habits(),
    ];
    vec![Library {
        short: "futures",
        title: "Python: concurrent.futures",
        first: "A `ProcessPoolExecutor` is a `Runtime`, a `Future` is a `Handle`. What an executor raises, \
                a handle has as a `TaskError`.",
        habits: habits.into_iter().flatten().collect(),
    }]
}
