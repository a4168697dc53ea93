//! Limits: how much of something tasks may take together.
//!
//! A task takes its shares of all its limits in one step, or none of them. So whoever waits
//! for a share holds no other, and two tasks never wait for each other's. What a task needs
//! besides (a block for long arguments, a slot of the queue) it waits for when it has its
//! shares, in that order; and those that have these are in flight: they wait for nobody who
//! submits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use crate::error::Refusal;

/// So many tasks may be in flight at a time, or so many units of something (bytes of
/// memory, say) that tasks have promised not to exceed together. A task takes its share
/// when it is submitted, and gives it back when it ends, however it ends.
///
/// One limit may serve several functions, and a task may be under several: it takes its share
/// of all in one step, or waits and holds none. A limit is for one runtime. Who submits waits, or not, as for room in the queue: see
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

    /// How many units are free now. A task that has ended gives its share back when the host
    /// collects it: when somebody waits, for it or for anything, or wants a share.
    ///
    /// ```
    /// assert_eq!(pinfold::Limit::new(3).free(), 3);
    /// ```
    pub fn free(&self) -> u64 {
        self.shared.total - *self.shared.taken()
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }
}

/// What one task needs of which limits: each limit once.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// In the order in which their mutexes are taken: by address.
    all: SmallVec<[(Limit, u64); 2]>,
}

impl PartialEq for Needs {
    fn eq(&self, other: &Self) -> bool {
        let each = |needs: &Self| -> SmallVec<[(usize, u64); 2]> {
            let all = needs.all.iter();
            all.map(|(limit, units)| (limit.address(), *units))
                .collect()
        };
        each(self) == each(other)
    }
}

impl Needs {
    /// So many `units` of `limit` more.
    pub fn add(&mut self, limit: &Limit, units: u64) {
        let address = |(limit, _): &(Limit, u64)| limit.address();
        match self.all.binary_search_by_key(&limit.address(), address) {
            Ok(at) => self.all[at].1 = self.all[at].1.saturating_add(units),
            Err(at) => self.all.insert(at, (limit.clone(), units)),
        }
    }

    /// Whether a limit is needed at all.
    pub fn any(&self) -> bool {
        !self.all.is_empty()
    }

    /// Takes all of it; or nothing, and says which limit has too little.
    pub fn try_take(&self) -> Result<Vec<Permit>, Refusal> {
        let refusal = |limit: &Limit, units| {
            let total = limit.total();
            Refusal::Limited { units, total }
        };
        // What never comes is said first: nobody is to wait for it.
        let never = self
            .all
            .iter()
            .find(|(limit, units)| *units > limit.total());
        if let Some((limit, units)) = never {
            return Err(refusal(limit, *units));
        }
        let mut taken: SmallVec<[MutexGuard<'_, u64>; 2]> = SmallVec::new();
        for (limit, units) in &self.all {
            let guard = limit.shared.taken();
            if limit.total() - *guard < *units {
                return Err(refusal(limit, *units));
            }
            taken.push(guard);
        }
        let permits = self
            .all
            .iter()
            .zip(&mut taken)
            .map(|((limit, units), taken)| {
                **taken += units;
                Permit {
                    shared: Arc::clone(&limit.shared),
                    units: *units,
                }
            });
        Ok(permits.collect())
    }

    /// Whether it can ever be taken.
    pub fn is_ever_met(&self) -> bool {
        self.all
            .iter()
            .all(|(limit, units)| *units <= limit.total())
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, u64> {
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

    fn needs(all: &[(&Limit, u64)]) -> Needs {
        let mut needs = Needs::default();
        all.iter()
            .for_each(|(limit, units)| needs.add(limit, *units));
        needs
    }

    #[test]
    fn never_more_than_there_are() {
        let limit = Limit::new(10);
        let seven = needs(&[(&limit, 7)]).try_take().expect("free");
        assert!(needs(&[(&limit, 4)]).try_take().is_err());
        assert!(needs(&[(&limit, u64::MAX)]).try_take().is_err());
        let three = needs(&[(&limit.clone(), 3)]).try_take().expect("free");
        assert_eq!(limit.free(), 0);
        assert!(
            needs(&[(&limit, 0)]).try_take().is_ok(),
            "nothing is always there"
        );
        drop(seven);
        assert_eq!(limit.free(), 7);
        drop(three);
        assert_eq!(limit.free(), limit.total());
    }

    #[test]
    fn all_or_none() {
        let (x, y) = (Limit::new(1), Limit::new(1));
        let held = needs(&[(&y, 1)]).try_take().expect("free");
        for both in [needs(&[(&x, 1), (&y, 1)]), needs(&[(&y, 1), (&x, 1)])] {
            let refusal = both.try_take().expect_err("one is not free");
            assert_eq!(refusal, Refusal::Limited { units: 1, total: 1 });
            assert_eq!(x.free(), 1, "nothing was taken");
        }
        drop(held);
        let both = needs(&[(&x, 1), (&y, 1)]).try_take().expect("free");
        assert_eq!((x.free(), y.free()), (0, 0));
        drop(both);
        assert_eq!((x.free(), y.free()), (1, 1));
    }

    #[test]
    fn one_limit_named_twice_is_one_need() {
        let limit = Limit::new(2);
        let twice = needs(&[(&limit, 1), (&limit, 1)]);
        assert!(twice.is_ever_met());
        assert_eq!(twice.try_take().expect("free").len(), 1);
        let thrice = needs(&[(&limit, 1), (&limit, 1), (&limit, 1)]);
        assert!(!thrice.is_ever_met());
        let refusal = thrice.try_take().expect_err("there are two");
        assert_eq!(refusal, Refusal::Limited { units: 3, total: 2 });
        assert!(!needs(&[(&limit, u64::MAX), (&limit, 5)]).is_ever_met());
    }
}
