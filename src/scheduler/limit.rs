//! Limits: how much of something tasks may take together.

use std::sync::{Arc, Mutex, PoisonError};

/// So many tasks may be in flight at a time, or so many units of something (bytes of
/// memory, say) that tasks have promised not to exceed together. A task takes its share
/// when it is submitted, and gives it back when it ends, however it ends.
///
/// One limit may serve several functions, and a task may be under several; it is for one
/// runtime. Who submits waits, or not, as for room in the queue: see
/// [`Task::limited`](crate::Task::limited).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(2).start()?;
/// let connections = pinfold::Limit::new(1);
/// let memory = pinfold::Limit::new(1 << 30);
/// let task = rt
///     .task(|n: u64| n * 2)
///     .limited(&connections, 1)
///     .limited(&memory, 100 << 20);
/// assert_eq!(task.spawn(21).join()?, 42); // spawn waits while the limit is reached
/// assert_eq!(connections.free(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Limit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: u64,
    taken: Mutex<u64>,
}

/// A task's share; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    units: u64,
}

impl Limit {
    /// Of `units` in all. Of none, nobody ever has any: each task that wants some is
    /// refused ([`TaskError::BeyondLimit`](crate::TaskError::BeyondLimit)).
    ///
    /// ```
    /// assert_eq!(pinfold::Limit::new(3).total(), 3);
    /// ```
    pub fn new(units: u64) -> Self {
        Limit {
            shared: Arc::new(Shared {
                total: units,
                taken: Mutex::new(0),
            }),
        }
    }

    /// How many units there are in all.
    ///
    /// ```
    /// assert_eq!(pinfold::Limit::new(3).total(), 3);
    /// ```
    pub fn total(&self) -> u64 {
        self.shared.total
    }

    /// How many units are free now.
    ///
    /// ```
    /// assert_eq!(pinfold::Limit::new(3).free(), 3);
    /// ```
    pub fn free(&self) -> u64 {
        self.shared.total - *self.shared.taken()
    }

    /// Takes some, if there are as many.
    pub(crate) fn try_take(&self, units: u64) -> Option<Permit> {
        let mut taken = self.shared.taken();
        let now = taken.checked_add(units)?;
        if now > self.shared.total {
            return None;
        }
        *taken = now;
        Some(Permit {
            shared: Arc::clone(&self.shared),
            units,
        })
    }
}

impl Shared {
    fn taken(&self) -> std::sync::MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.shared.taken() -= self.units;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_there_are() {
        let limit = Limit::new(10);
        let seven = limit.try_take(7).expect("free");
        assert!(limit.try_take(4).is_none());
        assert!(limit.try_take(u64::MAX).is_none());
        let three = limit.clone().try_take(3).expect("free");
        assert_eq!(limit.free(), 0);
        assert!(limit.try_take(0).is_some(), "nothing is always there");
        drop(seven);
        assert_eq!(limit.free(), 7);
        drop(three);
        assert_eq!(limit.free(), limit.total());
    }
}
