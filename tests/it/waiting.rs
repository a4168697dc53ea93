//! Tasks that wait for a shared object: they hear that they are to end, and who is stuck is named.

use std::time::Duration;

use pinfold::channel::{Receiver, RecvError, SendFault, Sender};
use pinfold::{Runtime, Shutdown, TaskError};

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// Says that it has begun, then waits for a message that never comes.
fn receives((begun, never): (Sender<u32>, Receiver<u32>)) -> Result<u32, RecvError> {
    begun.send(1).map_err(|_| RecvError::Gone)?;
    never.recv()
}

fn sends((begun, full): (Sender<u32>, Sender<u32>)) -> Result<(), SendFault> {
    begun.send(1).map_err(|error| error.fault)?;
    full.send(2).map_err(|error| error.fault)
}

#[test]
fn a_task_that_waits_hears_its_cancel() {
    let rt = runtime(2);
    let (begun, begins) = rt.channel(4).expect("room");
    for round in 0..20 {
        // Sometimes it sleeps already, and sometimes not.
        let pause = Duration::from_micros(100 * round);
        let (_keeps, never) = rt.channel::<u32>(1).expect("room");
        let task = rt.spawn(receives, (begun.clone(), never));
        assert_eq!(begins.recv(), Ok(1));
        std::thread::sleep(pause);
        task.cancel();
        assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
        for capacity in [0, 1] {
            let (full, _keeps) = rt.channel::<u32>(capacity).expect("room");
            if capacity > 0 {
                full.send(1).expect("room");
            }
            let task = rt.spawn(sends, (begun.clone(), full));
            assert_eq!(begins.recv(), Ok(1));
            std::thread::sleep(pause);
            task.cancel();
            assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
        }
    }
    let restarts = rt.stats().restarts;
    assert_eq!(restarts, 0, "nobody had to be killed for it");
}

/// A task that was told has not lost its voice: what needs no waiting goes, and it says so itself.
#[test]
fn who_is_told_can_still_take_and_send_what_is_there() {
    fn last_words((begun, never, log): (Sender<u32>, Receiver<u32>, Sender<RecvError>)) -> usize {
        begun.send(1).expect("received");
        let error = never.recv().expect_err("it is cancelled");
        log.send(error).expect("there is room");
        never.try_iter().count()
    }
    let rt = runtime(1);
    let (begun, begins) = rt.channel(1).expect("room");
    let (keeps, never) = rt.channel::<u32>(1).expect("room");
    let (log, logged) = rt.channel(1).expect("room");
    let task = rt.spawn(last_words, (begun, never, log));
    begins.recv().expect("it begins");
    task.cancel();
    assert_eq!(logged.recv(), Ok(RecvError::Cancelled));
    assert_eq!(task.join(), Ok(0));
    drop(keeps);
}

#[test]
fn a_child_that_waits_hears_that_it_or_its_parent_is_cancelled() {
    type Ends = (Sender<u32>, Receiver<u32>, Sender<u32>);
    fn parent((begun, never, ready): Ends) -> bool {
        // Another worker takes it: this one waits for it to begin.
        let (inner, begins) = pinfold::channel(1).expect("room");
        let child = pinfold::spawn(receives, (inner, never));
        begins.recv().expect("it begins");
        begun.send(7).expect("received");
        if ready.try_send(0).is_ok() {
            child.cancel();
        }
        matches!(child.join(), Err(TaskError::Cancelled { .. }))
    }
    let rt = runtime(2);
    for cancels_itself in [true, false] {
        let (begun, begins) = rt.channel(1).expect("room");
        let (_keeps, never) = rt.channel::<u32>(1).expect("room");
        let (ready, _room) = rt.channel(1).expect("room");
        if !cancels_itself {
            ready.send(0).expect("room");
        }
        let task = rt.spawn(parent, (begun, never, ready));
        assert_eq!(begins.recv(), Ok(7));
        if !cancels_itself {
            task.cancel();
        }
        assert_eq!(task.join(), Ok(true), "{cancels_itself}");
    }
    assert_eq!(rt.stats().restarts, 0);
}

#[test]
fn a_task_that_waits_hears_its_run_limit() {
    use nix::sys::signal::{SigSet, Signal};
    // It is asked by SIGTERM, too, which ends whoever does not mind it.
    fn deaf_and_receives(ends: (Sender<u32>, Receiver<u32>)) -> Result<u32, RecvError> {
        let mut term = SigSet::empty();
        term.add(Signal::SIGTERM);
        term.thread_block().expect("masked");
        receives(ends)
    }
    let builder = Runtime::builder().workers(1);
    let rt = builder.kill_grace(Duration::from_secs(50)).start();
    let rt = rt.expect("starts");
    let (begun, _begins) = rt.channel(1).expect("room");
    let (_keeps, never) = rt.channel::<u32>(1).expect("room");
    let task = rt
        .task(deaf_and_receives)
        .run_limit(Duration::from_millis(50));
    let ended = task.spawn((begun, never)).join();
    assert!(
        !matches!(ended, Ok(Ok(_)) | Err(TaskError::WorkerDied { .. })),
        "{ended:?}"
    );
    assert_eq!(rt.stats().restarts, 0, "it ended in its grace");
}
