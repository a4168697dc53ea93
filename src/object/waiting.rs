//! How a thread waits for a shared object: it looks a few times, then it sleeps at a gate.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::notify::Gate;

/// So often it is looked again before it sleeps.
const LOOKS: u32 = 18;
/// The last of these give the CPU to others.
const YIELDS: u32 = 10;

/// What is to be done by the thread before it waits for long.
static BEFORE_WAITING: OnceLock<fn()> = OnceLock::new();

/// Has `f` called before any wait that has no near end.
pub fn before_waiting(f: fn()) {
    let _ = BEFORE_WAITING.set(f);
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
    begin: Option<Instant>,
    looks: u32,
}

impl Waiting {
    fn new(patience: Patience) -> Self {
        Waiting {
            patience,
            begin: None,
            looks: 0,
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
        for _ in 0..1 << self.looks {
            std::hint::spin_loop();
        }
        true
    }

    fn deadline(&mut self) -> Option<Instant> {
        let begin = *self.begin.get_or_insert_with(|| {
            if let Some(before) = BEFORE_WAITING.get() {
                before();
            }
            Instant::now()
        });
        match self.patience {
            Patience::For(time) => begin.checked_add(time),
            _ => None,
        }
    }

    fn waited(&self) -> Duration {
        self.begin.map_or(Duration::ZERO, |begin| begin.elapsed())
    }
}

/// Waits at `gate` until `look` finds something or an error. `look` says `None` if it has to be
/// asked again when the gate was opened; it looks at whether the runtime is over, too.
///
/// Who runs out of patience has the error that `give_up` makes: of how long it has waited, or of
/// `None` if it was not to wait at all.
#[inline]
pub fn wait<T, E>(
    gate: &Gate,
    patience: Patience,
    mut look: impl FnMut() -> Result<Option<T>, E>,
    give_up: impl FnOnce(Option<Duration>) -> E,
) -> Result<T, E> {
    if let Some(found) = look()? {
        return Ok(found);
    }
    if patience == Patience::Not {
        return Err(give_up(None));
    }
    let mut waiting = Waiting::new(patience);
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
        let has_opened = gate.wait(key, waiting.deadline());
        let error = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if has_opened => continue,
            Ok(None) => give_up(Some(waiting.waited())),
            Err(error) => error,
        };
        // It takes nothing: if it was chosen to be woken, another one is.
        gate.pass_on(key);
        return Err(error);
    }
}
