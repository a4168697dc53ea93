//! How a thread waits for a shared object: it looks a few times, then it sleeps at a gate.

#[cfg(all(test, loom))]
mod model;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::notify::{Gate, Key, take_at_any, wait_any};
use crate::prim::TaskId;

use crate::sys::clock;

use super::stuck::{Wait, What, stuck_after};

/// So often it is looked again before it sleeps; in a model it sleeps at once.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 25 };
/// Who sleeps looks again by itself after so long: the gate that it sleeps at, or what was to open it, may have
/// been written over by a process gone wild.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// The last of these give the CPU to others.
const YIELDS: u32 = if cfg!(loom) { 0 } else { 10 };

/// What a process has to do with the waits of its threads.
pub trait Around: Sync {
    /// A thread of it begins a wait that has no near end.
    fn begins(&self) {}

    /// The gate that is opened when the task that this thread runs is told to end; `None` if it
    /// runs none.
    fn told(&self) -> Option<&'static Gate> {
        None
    }

    /// Whether the task that this thread runs is told to end.
    fn is_told(&self) -> bool {
        false
    }

    /// The task that this thread runs.
    fn task(&self) -> Option<TaskId> {
        None
    }

    /// This thread is about to sleep for this, or does not wait any more: for others to see.
    fn show(&self, _wait: Option<Wait>) {}
}

static AROUND: OnceLock<&'static dyn Around> = OnceLock::new();

/// Says what this process has to do with waits; once.
pub fn set_around(around: &'static dyn Around) {
    let _ = AROUND.set(around);
}

#[inline]
fn around() -> Option<&'static dyn Around> {
    AROUND.get().copied()
}

/// The task that runs on this thread, as a word; 0 if there is none.
#[inline]
pub fn task_here() -> u64 {
    let task = around().and_then(Around::task);
    task.map_or(0, TaskId::as_u64)
}

/// The gate that is opened when the task that runs on this thread is told to end.
pub(super) fn told_gate() -> Option<&'static Gate> {
    around()?.told()
}

/// Whether it is told.
pub(super) fn is_told_here() -> bool {
    around().is_some_and(Around::is_told)
}

/// Why a wait has brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// It was not to wait at all.
    AtOnce,
    /// It has waited for so long.
    Late(Duration),
    /// The task that runs on this thread is told to end.
    Told,
}

/// How a sleep has ended.
enum Woken {
    Opened,
    Late,
    Told,
}

impl Woken {
    fn why(self, waited: Duration) -> GaveUp {
        match self {
            Woken::Told => GaveUp::Told,
            Woken::Opened | Woken::Late => GaveUp::Late(waited),
        }
    }
}

/// How long somebody is ready to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    Not,
    /// So long.
    For(Duration),
    /// Until there is a result, or an error.
    Forever,
}

/// A wait that has begun.
struct Waiting {
    patience: Patience,
    wait: Wait,
    begin: Option<Instant>,
    looks: u32,
    /// When it is told that it is stuck, if it is not yet.
    stuck_at: Option<Instant>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.begin.is_some()
            && let Some(around) = around()
        {
            around.show(None);
        }
    }
}

impl Waiting {
    fn new(patience: Patience, wait: Wait) -> Self {
        Waiting {
            patience,
            wait,
            begin: None,
            looks: 0,
            stuck_at: None,
        }
    }

    /// Whether to look again without having slept.
    fn looks_again(&mut self) -> bool {
        self.looks += 1;
        if self.looks > LOOKS {
            return false;
        }
        if self.looks > LOOKS - YIELDS {
            std::thread::yield_now();
            return true;
        }
        // Ever longer: whoever looks all the time takes the line away from who writes there, and a
        // few messages at a time are quicker than each by itself.
        for _ in 0..1 << (self.looks / 2) {
            std::hint::spin_loop();
        }
        true
    }

    /// When it ends at the latest; that it waits is known from now on.
    fn deadline(&mut self) -> Option<Instant> {
        if self.begin.is_none() {
            self.wait.since = clock::now();
            if let Some(around) = around() {
                around.begins();
                around.show(Some(self.wait));
            }
            let now = Instant::now();
            self.begin = Some(now);
            self.stuck_at = stuck_after().and_then(|time| now.checked_add(time));
        }
        let begin = self.begin?;
        match self.patience {
            Patience::For(time) => begin.checked_add(time),
            _ => None,
        }
    }

    /// Sleeps until one of the gates is opened, or there is another reason to look; not longer
    /// than `until`.
    fn sleep(&mut self, keys: &[(&Gate, Key)], until: Option<Instant>) -> Woken {
        let deadline = self.deadline();
        let again = Instant::now().checked_add(AGAIN);
        let wake_at = [deadline, until, self.stuck_at, again];
        let wake_at = wake_at.into_iter().flatten().min();
        let told = around().and_then(|around| Some((around, around.told()?)));
        let (is_told, has_opened) = match told {
            None => match keys {
                [(gate, key)] => (false, gate.wait(*key, wake_at)),
                keys => (false, wait_any(keys, wake_at)),
            },
            Some((around, told)) => {
                let mut keys: SmallVec<[_; 9]> = SmallVec::from_slice(keys);
                // Who tells it does so before it opens the gate.
                keys.push((told, told.prepare()));
                if around.is_told() {
                    return Woken::Told;
                }
                let has_opened = wait_any(&keys, wake_at);
                (around.is_told(), has_opened)
            }
        };
        if !has_opened && self.stuck_at.is_some_and(|at| Instant::now() >= at) {
            self.stuck_at = None;
            self.wait.tell(self.waited(), task_here());
        }
        match (is_told, has_opened) {
            (true, _) => Woken::Told,
            (_, true) => Woken::Opened,
            (_, false) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                Woken::Opened
            }
            (_, false) => Woken::Late,
        }
    }

    fn waited(&self) -> Duration {
        self.begin.map_or(Duration::ZERO, |begin| begin.elapsed())
    }
}

/// Waits at `gate` until `look` finds something or an error. `look` says `None` if it has to be
/// asked again when the gate was opened; it looks at whether the runtime is over, too.
///
/// Who runs out of patience has the error that `give_up` makes of the reason. So has a task
/// that is told to end while it sleeps, or before.
#[inline]
pub fn wait<T, E>(
    gate: &Gate,
    patience: Patience,
    look: impl FnMut() -> Result<Option<T>, E>,
    give_up: impl FnOnce(GaveUp) -> E,
) -> Result<T, E> {
    wait_for(gate, Wait::default, patience, look, give_up)
}

/// The same, and says what it waits for.
#[inline]
pub fn wait_for<T, E>(
    gate: &Gate,
    wait: impl FnOnce() -> Wait,
    patience: Patience,
    mut look: impl FnMut() -> Result<Option<T>, E>,
    give_up: impl FnOnce(GaveUp) -> E,
) -> Result<T, E> {
    if let Some(found) = look()? {
        return Ok(found);
    }
    if patience == Patience::Not {
        return Err(give_up(GaveUp::AtOnce));
    }
    let mut waiting = Waiting::new(patience, wait());
    loop {
        if waiting.looks_again() {
            if let Some(found) = look()? {
                return Ok(found);
            }
            continue;
        }
        let key = gate.prepare();
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => {
                gate.pass_on(key);
                return Err(error);
            }
        }
        let woken = waiting.sleep(&[(gate, key)], None);
        let error = match (look(), woken) {
            (Ok(Some(found)), _) => return Ok(found),
            (Ok(None), Woken::Opened) => continue,
            (Ok(None), woken) => give_up(woken.why(waiting.waited())),
            (Err(error), _) => error,
        };
        // It takes nothing: if it was chosen to be woken, another one is.
        gate.pass_on(key);
        return Err(error);
    }
}

/// A wait at several gates.
pub struct WaitAtAny(Waiting);

impl WaitAtAny {
    /// It begins: look for whatever there is as long as [`looks_again`](Self::looks_again) says so, and
    /// then [`sleep`](Self::sleep).
    pub fn begin(patience: Patience) -> Self {
        let wait = Wait {
            what: What::Any,
            ..Wait::default()
        };
        WaitAtAny(Waiting::new(patience, wait))
    }

    /// Whether to look again without having slept; pauses before.
    #[inline]
    pub fn looks_again(&mut self) -> bool {
        self.0.looks_again()
    }

    /// Sleeps at the gates until `look` has taken something. It says at which of them, and is told which
    /// was opened meanwhile; `until` says when it is to be asked again though no gate was.
    ///
    /// # Errors
    /// Why nothing was taken.
    pub fn sleep<T>(
        self,
        gates: &[&Gate],
        look: impl FnMut(Option<usize>) -> Option<(usize, T)>,
        until: Option<Instant>,
    ) -> Result<T, GaveUp> {
        let WaitAtAny(mut waiting) = self;
        let mut why = GaveUp::Told;
        let taken = take_at_any(gates, look, |keys| {
            let woken = waiting.sleep(keys, until);
            let goes_on = matches!(woken, Woken::Opened);
            why = woken.why(waiting.waited());
            goes_on
        });
        taken.ok_or(why)
    }
}
