//! What is told of callbacks that panic.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Polled, Poll, Wake, Waker};
use std::time::Duration;

use pinfold::channel::Receiver;
use pinfold::{Handle, Retry};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::api::runtime;
use crate::processes::until;

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

/// Keeps the errors of the runtime itself.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<Fields>>>);

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let of = event.metadata();
        if *of.level() == Level::ERROR && of.target().starts_with("pinfold::runtime") {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields);
        }
    }
}

impl Errors {
    /// Waits for so many; what they say, sorted.
    fn wait_for(&self, count: usize) -> Vec<[String; 3]> {
        until("the errors", || self.0.lock().unwrap().len() >= count);
        let all = self.0.lock().unwrap();
        let field = |fields: &Fields, name| fields.0.get(name).cloned().unwrap_or_default();
        let mut told: Vec<_> = all
            .iter()
            .map(|f| ["which", "task", "panic"].map(|name| field(f, name)))
            .collect();
        told.sort();
        told
    }
}

fn name_of<F>(_: F) -> String {
    std::any::type_name::<F>().to_owned()
}

fn named_one(n: u32) -> u32 {
    n
}

fn named_two(n: u32) -> u32 {
    1 / n
}

fn reports(parts: u32) {
    let go_on = std::time::Instant::now() + LONG;
    let mut part = 0;
    // Until it was heard, and is asked to end.
    while std::time::Instant::now() < go_on && pinfold::context().check().is_ok() {
        part = (part + 1) % parts;
        let fraction = f64::from(part) / f64::from(parts);
        pinfold::context().report_progress(fraction, "").unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A panic value that is no text, and whose drop panics too.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_callback_that_panics_is_logged() {
    let errors = Errors::default();
    let subscriber = tracing_subscriber::registry().with(errors.clone());
    // Of this thread alone: the callbacks run on others.
    tracing::subscriber::with_default(subscriber, || {
        let rt = runtime(1);
        let one = rt.spawn(named_one, 1);
        one.on_complete(|outcome| panic!("of {outcome:?}")).unwrap();
        let two = rt.spawn(named_two, 0);
        two.on_error(|_| panic!("a plain text")).unwrap();
        // Later callbacks, of the same task and of others, are called all the same.
        let (tell, told) = mpsc::channel();
        two.on_complete(move |outcome| tell.send(outcome.is_err()).unwrap())
            .unwrap();
        assert_eq!(told.recv_timeout(LONG), Ok(true));
        let expected = [
            ["on_complete", &name_of(named_one), "of Ok(1)"],
            ["on_error", &name_of(named_two), "a plain text"],
        ];
        assert_eq!(errors.wait_for(2), expected);
        assert_eq!(one.join(), Ok(1));
        assert!(two.join().is_err());

        // One that panics each time is called again, and logged again.
        let calls = Arc::new(AtomicU32::new(0));
        let three = rt.spawn(reports, 10);
        let counted = Arc::clone(&calls);
        three
            .on_progress(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("each time");
            })
            .unwrap();
        until("three calls", || calls.load(Ordering::SeqCst) >= 3);
        let told = errors.wait_for(5);
        let is_progress = |told: &&[String; 3]| told[0] == "on_progress";
        let expected = ["on_progress", &name_of(reports), "each time"];
        let told: Vec<_> = told.iter().filter(is_progress).collect();
        assert!(told.len() >= 3 && told.iter().all(|told| **told == expected));
        three.cancel();
        let _ = three.join();
        assert_eq!(rt.spawn(named_one, 4).join(), Ok(4));
    });
}

#[test]
fn what_panics_with_anything_is_logged() {
    let errors = Errors::default();
    let subscriber = tracing_subscriber::registry().with(errors.clone());
    tracing::subscriber::with_default(subscriber, || {
        let rt = runtime(1);
        let nasty = rt.spawn(named_one, 1);
        nasty.on_complete(|_| std::panic::panic_any(Nasty)).unwrap();
        let expected = [
            "on_complete",
            &name_of(named_one),
            "a payload that is not text",
        ];
        assert_eq!(errors.wait_for(1), [expected]);
        // Whoever says what counts as a failure: then it was none.
        let judged = rt
            .task(named_one)
            .retry(Retry::fixed(3, Duration::ZERO))
            .retry_if(|outcome| panic!("not {outcome:?}"));
        assert_eq!(judged.spawn(5).join(), Ok(5));
        let told = errors.wait_for(2);
        assert_eq!(told[1], ["retry_if", &name_of(named_one), "not Ok(5)"]);
        // Set when the task has ended: called on the spot, on another thread.
        let done = rt.spawn(named_two, 1);
        until("its end", || done.is_finished());
        done.on_complete(|_| panic!("late")).unwrap();
        let told = errors.wait_for(3);
        assert!(told.contains(&["on_complete".into(), name_of(named_two), "late".into()]));
        assert_eq!(done.join(), Ok(1));
    });
}

/// What a callback has captured is dropped when its task has ended, and may be anything.
#[test]
fn a_callback_may_hold_what_calls_the_runtime_when_it_goes() {
    let rt = runtime(2);
    for _ in 0..3 {
        // It says nothing: nobody else has the callback at its end.
        let silent = rt.spawn(crate::api::endless, ());
        let held = rt.spawn(named_one, 2).abort_on_drop();
        silent
            .on_progress(move |_| assert!(held.is_finished()))
            .unwrap();
        silent.cancel_within(Duration::ZERO);
        let _ = silent.join();
        assert_eq!(rt.spawn(named_one, 3).join(), Ok(3));
    }
    until("all have ended", || rt.stats().tasks.in_flight == 0);
}

/// Calls the runtime of the test's process when it goes.
#[derive(serde::Serialize, serde::Deserialize)]
struct Caller(pinfold::Shared);

static RT: std::sync::OnceLock<pinfold::Runtime> = std::sync::OnceLock::new();
static GONE: AtomicU32 = AtomicU32::new(0);

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(rt) = RT.get() {
            let _ = rt.stats();
            drop(rt.spawn(named_one, 1));
            GONE.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// So with the arguments of a task that is cancelled before it began.
#[test]
fn arguments_may_call_the_runtime_when_they_go() {
    let rt = RT.get_or_init(|| runtime(1));
    let gate = rt.spawn(crate::api::endless, ());
    let shared = rt.alloc(1 << 10).expect("memory").publish();
    let length = |(caller, ()): (Caller, ())| caller.0.len();
    let pending = rt.spawn_after(&gate, length, Caller(shared));
    let before = GONE.load(Ordering::SeqCst);
    assert!(pending.cancel());
    assert!(matches!(
        pending.join(),
        Err(pinfold::TaskError::Cancelled { .. })
    ));
    until("they are gone", || {
        GONE.load(Ordering::SeqCst) == before + 1
    });
    gate.cancel_within(Duration::ZERO);
    let _ = gate.join();
    until("all have ended", || rt.stats().tasks.in_flight == 0);
}

/// A progress callback is dropped when its task has ended: also if that is while the thread that
/// tells of it is busy with a waker, and no other task is followed any more.
#[test]
fn a_progress_callback_goes_though_its_task_ends_unseen() {
    fn until_told((): ()) {
        while !pinfold::context().is_cancelled() {
            std::thread::yield_now();
        }
    }
    fn receives(gate: Receiver<()>) -> bool {
        gate.recv().is_ok()
    }
    /// Ends the other task before it returns.
    struct Ends(Mutex<Option<Handle<()>>>);
    impl Wake for Ends {
        fn wake(self: Arc<Self>) {
            let other = self.0.lock().expect("no panic").take();
            if let Some(other) = other {
                other.cancel();
                while !other.is_finished() {
                    std::thread::yield_now();
                }
            }
        }
    }
    let rt = runtime(2);
    let (open, gate) = rt.channel(1).expect("room");
    let followed = rt.spawn(until_told, ());
    let (held, dropped) = mpsc::channel::<()>();
    let progress = followed.on_progress(move |_| drop(held.clone()));
    progress.expect("it runs");
    let mut woken = std::pin::pin!(rt.spawn(receives, gate).into_future());
    let waker = Waker::from(Arc::new(Ends(Mutex::new(Some(followed)))));
    let poll = woken.as_mut().poll(&mut Polled::from_waker(&waker));
    assert_eq!(poll, Poll::Pending);
    open.send(()).expect("it receives");
    let gone = dropped.recv_timeout(LONG);
    assert_eq!(gone, Err(mpsc::RecvTimeoutError::Disconnected));
}
