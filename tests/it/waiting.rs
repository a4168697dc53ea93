//! Tasks that wait for a shared object: they hear that they are to end, and who is stuck is named.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pinfold::channel::{Receiver, RecvError, SendFault, Sender};
use pinfold::{Runtime, Shutdown, TaskError, WaitStats};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context as Layered, SubscriberExt};

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
        // What it returned when it heard it, if that was before the parent asked.
        let heard = Err(RecvError::Cancelled);
        child
            .join()
            .map_or_else(|e| matches!(e, TaskError::Cancelled { .. }), |v| v == heard)
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

/// Waits until the statistics show as many waits, and returns them.
fn waits(rt: &Runtime, count: usize) -> Vec<WaitStats> {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let of_rt = |wait: &WaitStats| wait.object.is_some();
        let waits: Vec<_> = rt.stats().waits.into_iter().filter(of_rt).collect();
        if waits.len() == count {
            return waits;
        }
        assert!(Instant::now() < give_up, "{waits:#?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn who_waits_is_shown_and_for_what() {
    let rt = runtime(2);
    let (begun, begins) = rt.channel(2).expect("room");
    let (keeps, never) = rt.channel::<u32>(3).expect("room");
    assert_eq!(waits(&rt, 0), []);
    let task = rt.spawn(receives, (begun.clone(), never.clone()));
    begins.recv().expect("it begins");
    std::thread::scope(|scope| {
        let name = "a thread that waits".to_owned();
        let here = std::thread::Builder::new().name(name.clone());
        let here = here.spawn_scoped(scope, || never.recv()).expect("a thread");
        let both = waits(&rt, 2);
        let of_task = both.iter().find(|w| w.worker.is_some()).expect("shown");
        let of_host = both.iter().find(|w| w.worker.is_none()).expect("shown");
        assert_eq!(of_host.thread.as_deref(), Some(&name[..]));
        assert_eq!((of_task.task, of_host.task), (task.id(), None));
        let function = of_task.name.as_deref().expect("it runs");
        assert!(function.ends_with("waiting::receives"), "{function}");
        for wait in &both {
            assert_eq!((&wait.what[..], wait.object), ("a message", both[0].object));
            let numbers = (wait.len, wait.capacity, wait.sent, wait.received);
            assert_eq!(numbers, (Some(0), Some(3), Some(0), Some(0)));
            assert!(wait.waited < Duration::from_secs(60));
        }
        keeps.send_all([1, 2]).expect("room");
        assert!(here.join().is_ok() && task.join().is_ok());
    });
    assert_eq!(waits(&rt, 0), []);
    // Room.
    keeps.send_all([1, 2, 3]).expect("room");
    let task = rt.spawn(sends, (begun, keeps));
    let wait = &waits(&rt, 1)[0];
    assert_eq!(
        (&wait.what[..], wait.task),
        ("room in a channel", task.id())
    );
    let numbers = (wait.len, wait.sent, wait.received);
    assert_eq!(numbers, (Some(3), Some(5), Some(2)));
    assert_eq!(never.recv(), Ok(1));
    assert!(task.join().is_ok());
}

/// A worker that dies while it waits is not shown for ever.
#[test]
fn the_dead_do_not_wait() {
    let rt = runtime(1);
    let (begun, begins) = rt.channel(1).expect("room");
    let (_keeps, never) = rt.channel::<u32>(1).expect("room");
    let task = rt.spawn(receives, (begun, never));
    begins.recv().expect("it begins");
    waits(&rt, 1);
    let pid = nix::unistd::Pid::from_raw(rt.stats().workers[0].pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("a worker");
    assert!(matches!(task.join(), Err(TaskError::WorkerDied { .. })));
    waits(&rt, 0);
}

#[test]
fn who_sends_in_vain_is_told_who_did_not_read() {
    type Ends = (Sender<u32>, Receiver<u32>, Receiver<u32>);
    /// Has a receiver, and waits elsewhere.
    fn waits_elsewhere((begun, never, _unread): Ends) -> bool {
        begun.send(1).expect("received");
        never.recv().is_err()
    }
    let rt = runtime(1);
    for capacity in [0, 1] {
        let (begun, begins) = rt.channel(1).expect("room");
        let (keeps, never) = rt.channel::<u32>(1).expect("room");
        let (full, unread) = rt.channel::<u32>(capacity).expect("room");
        let task = rt.spawn(waits_elsewhere, (begun, never, unread));
        begins.recv().expect("it begins");
        waits(&rt, 1);
        for _ in 0..capacity {
            full.send(1).expect("room");
        }
        let error = full.send_timeout(2, Duration::from_millis(150));
        let error = error.expect_err("nobody reads");
        let SendFault::TimedOut { receivers, .. } = &error.fault else {
            panic!("{error}");
        };
        let worker = receivers.iter().find(|who| who.starts_with("worker 0"));
        let worker = worker.unwrap_or_else(|| panic!("{receivers:?}"));
        assert!(worker.contains("ms for a message (object "), "{worker}");
        let id = task.id().expect("it runs").to_string();
        assert!(worker.contains(&id), "{worker}");
        assert!(error.to_string().contains(&worker[..]), "{error}");
        drop(keeps);
        assert_eq!(task.join(), Ok(true));
    }
}

/// What was logged of waits that take long.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &tracing::Event<'_>, _: Layered<'_, S>) {
        let mut said = String::new();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                said += &format!("{field}={value:?} ");
            },
        );
        if said.contains("a wait takes long") {
            self.0.lock().expect("no panic").push(said);
        }
    }
}

#[test]
fn a_wait_that_takes_long_is_logged_once() {
    let told = Told::default();
    let subscriber = tracing_subscriber::registry().with(told.clone());
    let rt = tracing::subscriber::with_default(subscriber, || {
        let builder = Runtime::builder().workers(1);
        builder.stuck_after(Duration::from_millis(20)).start()
    });
    let rt = rt.expect("starts");
    let (begun, begins) = rt.channel(1).expect("room");
    let (keeps, never) = rt.channel::<u32>(1).expect("room");
    let task = rt.spawn(receives, (begun, never));
    begins.recv().expect("it begins");
    let wait = waits(&rt, 1).remove(0);
    let give_up = Instant::now() + Duration::from_secs(60);
    while told.0.lock().expect("no panic").is_empty() {
        assert!(Instant::now() < give_up);
        std::thread::sleep(Duration::from_millis(1));
    }
    keeps.send(5).expect("room");
    assert_eq!(task.join(), Ok(Ok(5)));
    drop(rt); // passes on what is under way
    let told = told.0.lock().expect("no panic").clone();
    assert_eq!(told.len(), 1, "{told:?}");
    let object = wait.object.expect("a channel");
    for part in ["a message".to_owned(), format!("object={object} ")] {
        assert!(told[0].contains(&part), "{told:?}");
    }
}
