//! Tasks that hold others: two at a time, scopes, children that are cancelled, contexts that other
//! threads have. What is lost with another worker is told as that, and as nothing else.

use pinfold::{Handle, Runtime, Shared, TaskError};

use crate::scenario::{check, keep, text};

/// What is in the way of the value.
type Told<T> = Result<T, String>;

fn told(what: &str, error: &TaskError) -> String {
    format!("{what}: {error}")
}

/// The value; or none if it was lost with the worker that had it.
fn unless_lost<T>(what: &str, outcome: Result<T, TaskError>) -> Told<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(TaskError::WorkerDied { .. }) => Ok(None),
        Err(error) => Err(told(what, &error)),
    }
}

fn leaves(n: usize) -> usize {
    for len in 0..n {
        drop(pinfold::spawn(text, 700 * len));
    }
    n
}

fn fail(n: usize) -> usize {
    panic!("on purpose {n}")
}

fn holds(shared: Shared) -> Told<()> {
    // Two at a time.
    let (a, b) = pinfold::join(|len| len + 1, 1, text, 2000);
    check("the one on the spot", a == Ok(2))?;
    let b = unless_lost("the other one", b)?;
    check("its value", b.is_none_or(|text| text.len() == 2000))?;
    // Joined, dropped and kept; what they detach ends with the scope.
    let kept = pinfold::scope(|s| {
        s.and_descendants();
        drop(s.spawn(text, 3000));
        let joined = s.spawn(leaves, 3).join();
        (joined, s.spawn(keep, shared.clone()), s.spawn(text, 10))
    });
    if let Some((joined, kept, short)) = unless_lost("a scope", kept)? {
        check("joined in a scope", joined == Ok(3))?;
        check("ended before it", kept.is_finished() && short.is_finished())?;
        check(
            "kept beyond it",
            kept.join().is_ok() && short.join().is_ok(),
        )?;
    }
    // The first error cancels the rest.
    let failed = pinfold::scope(|s| {
        drop(s.spawn(keep, shared.clone()));
        drop(s.spawn(fail, 1));
        drop(s.spawn(text, 5000));
    });
    let is_told = matches!(
        failed,
        Err(TaskError::Panicked { .. } | TaskError::WorkerDied { .. })
    );
    check("a scope that fails", is_told)?;
    // Cancelled, with long arguments; then the context is another thread's too.
    let lens = |(text, shared): (String, Shared)| text.len() + shared.len();
    let child = pinfold::spawn(lens, (text(2000), shared));
    child.cancel();
    match child.join() {
        Ok(_) | Err(TaskError::Cancelled { .. } | TaskError::WorkerDied { .. }) => {}
        Err(error) => return Err(told("a child that is cancelled", &error)),
    }
    let ctx = pinfold::context().handle();
    let other = std::thread::spawn(move || ctx.report_progress(0.5, "half").is_ok());
    check("progress", other.join().unwrap_or(false))
}

/// Submits them; what is returned waits for them.
pub fn submit(rt: &Runtime, shared: &Shared) -> impl FnOnce() -> Result<(), String> + use<> {
    let task = rt.task(holds).at_least_once();
    let holds: Vec<Handle<Told<()>>> = (0..2).map(|_| task.spawn(shared.clone())).collect();
    move || {
        for handle in holds {
            handle
                .join_flat()
                .map_err(|error| told("a family", &error))?;
        }
        Ok(())
    }
}
