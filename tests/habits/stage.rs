//! What habits are shown with: runtimes, doors at which tasks wait, and a look at errors.

use std::fmt::Debug;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pinfold::{Builder, Runtime, Shutdown, TaskError};
use tempfile::TempDir;

/// As good as never: whoever waits so long has failed.
pub const LONG: Duration = Duration::from_secs(60);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A small runtime, to be started.
pub fn of(workers: usize) -> Builder {
    Runtime::builder()
        .workers(workers)
        .memory_cap(64 << 20)
        .on_drop(Shutdown::Abort)
}

/// Runtimes that have been used, with how many workers each.
static IDLE: Mutex<Vec<(usize, Runtime)>> = Mutex::new(Vec::new());

/// A runtime of one worker, or of two, for one test at a time. The next test gets the same.
pub struct Lent {
    workers: usize,
    rt: Option<Runtime>,
}

pub fn one() -> Lent {
    Lent::of(1)
}

pub fn two() -> Lent {
    Lent::of(2)
}

impl Lent {
    fn of(workers: usize) -> Lent {
        let mut idle = IDLE.lock().unwrap();
        let known = idle.iter().position(|(count, _)| *count == workers);
        let known = known.map(|at| idle.swap_remove(at).1);
        drop(idle);
        let rt = known.unwrap_or_else(|| of(workers).start().expect("starts"));
        Lent {
            workers,
            rt: Some(rt),
        }
    }
}

impl Deref for Lent {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.rt.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let rt = self.rt.take().expect("there until now");
        until("nothing is in flight any more", || {
            rt.stats().queues[0].size == 0
        });
        assert!(rt.audit().orphans.is_empty(), "something is nobody's");
        IDLE.lock().unwrap().push((self.workers, rt));
    }
}

/// Ends all runtimes.
pub fn leave() {
    IDLE.lock().unwrap().clear();
}

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LONG, "still not: {what}");
        std::thread::sleep(ms(1));
    }
}

/// Where tasks say that they have come, and wait until it is open. When it is dropped it opens.
pub struct Door {
    dir: TempDir,
}

/// A task's place at a door: its own mark, and the sign that it is open.
pub type Place = (PathBuf, PathBuf);

impl Door {
    pub fn new() -> Door {
        Door {
            dir: tempfile::tempdir().expect("a directory"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// For the task `name`.
    pub fn at(&self, name: impl ToString) -> Place {
        (self.path(&name.to_string()), self.path("open"))
    }

    /// Whether task `name` has come.
    pub fn has_come(&self, name: impl ToString) -> bool {
        self.path(&name.to_string()).exists()
    }

    pub fn wait_for(&self, name: impl ToString) {
        let name = name.to_string();
        until(&format!("{name} is at the door"), || self.has_come(&name));
    }

    pub fn open(&self) {
        std::fs::write(self.path("open"), "").expect("opens");
    }
}

fn come((own, open): &Place) -> bool {
    std::fs::write(own, "").is_ok() && !open.exists()
}

fn is_closed(open: &Path) -> bool {
    open.parent().is_some_and(Path::exists) && !open.exists()
}

/// Comes to the door and waits, whatever it is told; its process number.
pub fn wait_at(place: Place) -> u32 {
    if come(&place) {
        while is_closed(&place.1) {
            std::thread::sleep(ms(1));
        }
    }
    std::process::id()
}

/// The same, but it ends when it is cancelled.
pub fn listen_at(place: Place) -> Result<u32, String> {
    if come(&place) {
        while is_closed(&place.1) {
            pinfold::context().check().map_err(|it| it.to_string())?;
            std::thread::sleep(ms(1));
        }
    }
    Ok(std::process::id())
}

/// Leaves its mark, and goes on; its process number.
pub fn pass(place: Place) -> u32 {
    come(&place);
    std::process::id()
}

pub fn double(n: u64) -> u64 {
    2 * n
}

/// Has no value for 0, by a panic.
pub fn inverse(n: u64) -> u64 {
    1000 / n
}

/// Has an `Err` for what is odd.
pub fn half(n: u64) -> Result<u64, String> {
    if n.is_multiple_of(2) {
        return Ok(n / 2);
    }
    Err(format!("{n} is odd"))
}

/// Ends its worker.
pub fn dies(_: u64) -> u64 {
    std::process::abort()
}

pub fn pid(_: ()) -> u32 {
    std::process::id()
}

/// Never ends by itself, and listens to nobody.
pub fn deaf(_: ()) {
    loop {
        std::thread::park();
    }
}

pub fn is_cancelled<T>(outcome: &Result<T, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::Cancelled { .. }))
}

pub fn is_shut_down<T>(outcome: &Result<T, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::Shutdown { .. }))
}

pub fn is_late<T>(outcome: &Result<T, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::DeadlineExceeded { .. }))
}

pub fn has_died<T>(outcome: &Result<T, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::WorkerDied { .. }))
}

/// What the panic said that ended it.
pub fn panic_of<T: Debug>(outcome: &Result<T, TaskError>) -> &str {
    match outcome {
        Err(TaskError::Panicked { message, .. }) => message,
        other => panic!("it has not panicked: {other:?}"),
    }
}

/// Waits for a future on this thread, as any executor would.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Wake};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(LONG),
        }
    }
}
