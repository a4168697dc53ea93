//! What a task may depend on: handles, alone, many of one type, or a tuple of several.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Dependency, NotAccepted, Outcome, Scheduler, decode_again};

use super::Task;
use super::handle::Handle;
use super::task::{encode, foreign, handle};

/// Takes the values of the tasks that were depended on.
type Decode<I> = Box<dyn FnOnce(&[Arc<Outcome>]) -> Result<I, TaskError> + Send>;

/// Tasks that another one depends on, for [`Task::spawn_after`](crate::Task::spawn_after):
/// a handle's reference (whose value is then the input), a slice or vector of such
/// references (a `Vec` of values), a tuple of up to six (a tuple), or `()`.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// fn take<D: pinfold::Dependencies>(_: D) {}
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let (a, b) = (rt.spawn(|n: u32| n, 1), rt.spawn(|n: u32| n.to_string(), 1));
/// take(&a); // u32
/// take(vec![&a, &a]); // Vec<u32>
/// take((&a, &b)); // (u32, String)
/// # Ok(())
/// # }
/// ```
pub trait Dependencies: Sealed {
    /// What their values are together.
    type Inputs: Serialize + DeserializeOwned + Send + 'static;
}

/// Nobody else's types are dependencies.
pub trait Sealed {
    /// See [`Dependencies::Inputs`].
    type Values;

    /// Each of them, if it is of this fold.
    fn list<'a>(&'a self, fold: &Arc<Scheduler>) -> Vec<Dependency<'a>>;

    /// How many there are.
    fn count(&self) -> usize;

    /// Takes their values from as many outcomes.
    fn decode(&self) -> Decode<Self::Values>;
}

impl<R: Serialize + DeserializeOwned + Send + 'static> Dependencies for &Handle<R> {
    type Inputs = R;
}

impl<R: DeserializeOwned + 'static> Sealed for &Handle<R> {
    type Values = R;

    fn list<'a>(&'a self, fold: &Arc<Scheduler>) -> Vec<Dependency<'a>> {
        vec![self.dependency(fold)]
    }

    fn count(&self) -> usize {
        1
    }

    fn decode(&self) -> Decode<R> {
        Box::new(|outcomes| match outcomes {
            [outcome] => decode_again(outcome),
            _ => Err(TaskError::Shutdown),
        })
    }
}

impl<R: Serialize + DeserializeOwned + Send + 'static> Dependencies for &[&Handle<R>] {
    type Inputs = Vec<R>;
}

impl<R: DeserializeOwned + 'static> Sealed for &[&Handle<R>] {
    type Values = Vec<R>;

    fn list<'a>(&'a self, fold: &Arc<Scheduler>) -> Vec<Dependency<'a>> {
        self.iter().map(|handle| handle.dependency(fold)).collect()
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn decode(&self) -> Decode<Vec<R>> {
        Box::new(|outcomes| {
            outcomes
                .iter()
                .map(|outcome| decode_again(outcome))
                .collect()
        })
    }
}

impl<R: Serialize + DeserializeOwned + Send + 'static> Dependencies for Vec<&Handle<R>> {
    type Inputs = Vec<R>;
}

impl<R: DeserializeOwned + 'static> Sealed for Vec<&Handle<R>> {
    type Values = Vec<R>;

    fn list<'a>(&'a self, fold: &Arc<Scheduler>) -> Vec<Dependency<'a>> {
        self.iter().map(|handle| handle.dependency(fold)).collect()
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn decode(&self) -> Decode<Vec<R>> {
        self.as_slice().decode()
    }
}

impl Dependencies for () {
    type Inputs = ();
}

impl Sealed for () {
    type Values = ();

    fn list<'a>(&'a self, _: &Arc<Scheduler>) -> Vec<Dependency<'a>> {
        Vec::new()
    }

    fn count(&self) -> usize {
        0
    }

    fn decode(&self) -> Decode<()> {
        Box::new(|_| Ok(()))
    }
}

macro_rules! tuples {
    ($(($($D:ident $at:tt),+))+) => {$(
        impl<$($D: Dependencies + Sealed<Values = <$D as Dependencies>::Inputs>),+> Dependencies
            for ($($D,)+)
        {
            type Inputs = ($(<$D as Dependencies>::Inputs,)+);
        }

        impl<$($D: Sealed<Values: 'static>),+> Sealed for ($($D,)+) {
            type Values = ($($D::Values,)+);

            fn list<'a>(&'a self, fold: &Arc<Scheduler>) -> Vec<Dependency<'a>> {
                let mut all = Vec::new();
                $(all.extend(self.$at.list(fold));)+
                all
            }

            fn count(&self) -> usize {
                0 $(+ self.$at.count())+
            }

            fn decode(&self) -> Decode<Self::Values> {
                let parts = ($((self.$at.count(), self.$at.decode()),)+);
                Box::new(move |outcomes| {
                    let mut rest = outcomes;
                    Ok(($({
                        let (count, decode) = parts.$at;
                        let (own, others) = rest.split_at_checked(count).ok_or(TaskError::Shutdown)?;
                        rest = others;
                        let _ = &rest;
                        decode(own)?
                    },)+))
                })
            }
        }
    )+};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

impl<F, A, I, R> Task<'_, F, (A, I), R>
where
    F: Fn((A, I)) -> R + Copy + Send + 'static,
    A: Serialize + DeserializeOwned + Send + 'static,
    I: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned,
{
    /// Submits it, to begin when the tasks of `after` have ended: it is called with
    /// `args` and their values. Until then it takes no place in the queue, and no
    /// executor waits. The handles may be joined or dropped as ever.
    ///
    /// If one of them ends without a value (or with one that is an `Err`), this task is
    /// not run, and ends at once with
    /// [`TaskError::DependencyFailed`](crate::TaskError::DependencyFailed), which names
    /// the first one that failed; so do those that depend on this one. Its deadlines and
    /// its back-off count from when it is queued.
    ///
    /// A [`Shared`](crate::Shared) in a value is handed on without a copy; all else is
    /// decoded and encoded again, by the host: return large data as `Shared`. A value
    /// with a [`Loan`](crate::Loan) in it cannot be handed on.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let parts: Vec<_> = (1..=3u64).map(|n| rt.spawn(|n: u64| n * n, n)).collect();
    /// let sum = rt.task(|(scale, squares): (u64, Vec<u64>)| scale * squares.iter().sum::<u64>());
    /// let total = sum.spawn_after(parts.iter().collect::<Vec<_>>(), 10);
    /// let text = rt
    ///     .task(|((), (total, first)): ((), (u64, u64))| format!("{total} {first}"))
    ///     .spawn_after((&total, &parts[0]), ());
    /// assert_eq!(text.join()?, "140 1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_after<D>(&self, after: D, args: A) -> Handle<R>
    where
        D: Dependencies<Inputs = I> + Sealed<Values = I>,
    {
        let scheduler = self.core().sound();
        let mut job = self.job();
        if self.function.is_none() {
            return handle(scheduler, Err(NotAccepted::Failed(foreign())), self.name);
        }
        let decode = after.decode();
        let build = Box::new(move |outcomes: &[_]| {
            let inputs = decode(outcomes)?;
            encode(&(args, inputs), &mut job)?;
            Ok(job)
        });
        let submitted = scheduler.submit_after(after.list(&scheduler), build);
        handle(scheduler, submitted, self.name)
    }
}
