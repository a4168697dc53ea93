//! Groups of tasks that do something together.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::collective::{GroupError, Member, make};
use crate::pool::Pool;
use crate::task::NoCapture;

use super::{Handle, Runtime, Task};

/// So long it takes at most until what tasks that have ended had is given back.
const AFTERWARDS: Duration = Duration::from_millis(100);

impl Runtime {
    /// Makes a group of so many members, to be passed to tasks, or used here: in the order of their
    /// ranks. [`Runtime::spawn_group`] does so, and runs the tasks.
    ///
    /// It takes some 400 bytes of shared memory for each member, until all are gone. See the
    /// [module](mod@crate::collective).
    ///
    /// # Errors
    /// [`GroupError::Size`] for none, or more than 1024; [`GroupError::Alloc`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn half((mut member, n): (Member, u64)) -> Result<u64, CollectiveError> {
    ///     member.all_reduce(n / 2, |a, b| a + b)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let mut members = rt.collective(3)?;
    /// let mut own = members.remove(0); // the host is a member, too
    /// let tasks: Vec<_> = members.into_iter().map(|member| rt.spawn(half, (member, 10))).collect();
    /// assert_eq!(own.all_reduce(100_u64, |a, b| a + b)?, 110);
    /// for task in tasks {
    ///     assert_eq!(task.join()??, 110);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn collective(&self, members: usize) -> Result<Vec<Member>, GroupError> {
        make(self.core.sound().pool(), members)
    }

    /// Runs `f((member, args))` for each of `args`, all at once, as the members of one group: see
    /// [`Task::spawn_group`].
    ///
    /// # Errors
    /// As of [`Task::spawn_group`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn sum((mut member, n): (Member, u64)) -> Result<u64, CollectiveError> {
    ///     member.all_reduce(n, |a, b| a + b)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let sums = pinfold::join_all(rt.spawn_group(sum, [1, 2])?);
    /// assert_eq!(sums, [Ok(Ok(3)), Ok(Ok(3))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_group<F, A, R>(
        &self,
        f: F,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Handle<R>>, GroupError>
    where
        F: Fn((Member, A)) -> R + NoCapture,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.task(f).spawn_group(args)
    }
}

impl<F, A, R> Task<'_, F, (Member, A), R>
where
    F: Fn((Member, A)) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Runs it for each of `args`, all at once, as the members of one group
    /// ([`collective`](mod@crate::collective)): the first has rank 0. The handles are in the same order.
    ///
    /// Members wait for each other, so each needs an executor of its own; what other tasks do on
    /// these comes before. Groups that were started so, and have a member left, count.
    ///
    /// # Errors
    /// [`GroupError::TooFewExecutors`] if there are not enough of them; as of
    /// [`Runtime::collective`]. Then nothing was started.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    /// use std::time::Duration;
    ///
    /// fn ranks((mut member, ()): (Member, ())) -> Result<Vec<usize>, CollectiveError> {
    ///     let rank = member.rank();
    ///     member.all_gather(rank)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let task = rt.task(ranks).run_limit(Duration::from_secs(60));
    /// for handle in task.spawn_group([(); 2])? {
    ///     assert_eq!(handle.join()??, [0, 1]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_group(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Handle<R>>, GroupError> {
        let args: Vec<A> = args.into_iter().collect();
        let scheduler = self.core().sound();
        let shape = scheduler.fold().plan.shape;
        let executors = (shape.workers * shape.threads) as usize;
        let members = self.make_members(scheduler.pool(), args.len(), executors)?;
        let each = members.into_iter().zip(args);
        Ok(each.map(|both| self.spawn(both)).collect())
    }

    fn make_members(
        &self,
        pool: &Pool,
        members: usize,
        executors: usize,
    ) -> Result<Vec<Member>, GroupError> {
        let begin = Instant::now();
        loop {
            let mut running = self.core().running.lock();
            running.retain(|(group, _)| pool.lane_place(*group).is_some());
            let busy: usize = running.iter().map(|(_, members)| members).sum();
            if members <= executors.saturating_sub(busy) {
                let made = make(pool, members)?;
                let group = made.first().and_then(Member::group);
                running.extend(group.map(|group| (group, members)));
                return Ok(made);
            }
            drop(running);
            if members > executors || begin.elapsed() > AFTERWARDS {
                return Err(GroupError::TooFewExecutors {
                    members,
                    busy,
                    executors,
                });
            }
            // The host collects what has ended; a thread of it, or of a worker, may be on its way.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
