//! tokio: `spawn_blocking` and what one does with its handles.

mod handles;
mod runtime;
mod sets;

use crate::habit::Library;

pub fn libraries() -> Vec<Library> {
    let habits = [handles::habits(), sets::habits(), runtime::habits()];
    vec![Library {
        short: "tokio",
        title: "tokio: spawn_blocking, JoinHandle, JoinSet",
        first: "A `Handle` is a `JoinHandle`: a future, under any executor, that ends in the value or in a \
                `TaskError`. A `Runtime` of pinfold stands beside tokio's; make it before tokio's threads: in \
                a `main` that calls `pinfold::init()`, starts it, and then builds tokio's runtime (`examples/web`).",
        habits: habits.into_iter().flatten().collect(),
    }]
}
