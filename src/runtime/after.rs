//! What a task may depend on: handles, alone, many of one type, or a tuple of several.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TaskError;
use crate::scheduler::{Dependency, Outcome, Scheduler, decode_again};

use super::handle::Handle;

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
