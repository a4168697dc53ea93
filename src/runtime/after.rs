//! What a task may depend on: handles, alone, many of one type, or a tuple of several.

use std::slice::Iter;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::background::caught;
use crate::error::TaskError;
use crate::scheduler::{
    Build, Dependencies as Listed, Dependency, Few, Job, List, NotAccepted, Outcome, Ticket,
    Unfinished, decode_again,
};
use crate::task::{Erased, FunctionId, Room, decode, untold};

use super::Task;
use super::core::Core;
use super::handle::Handle;
use super::held::Held;
use super::order::encode;
use super::submitted::{Encoded, Submitted};
use super::task::spawn_encoded;

/// The outcomes of what was depended on, in order.
type Outcomes<'a> = Iter<'a, Arc<Outcome>>;
/// The lists among them, in order.
type Lists<'a> = Iter<'a, List>;

/// Tasks that another one depends on, for [`Task::spawn_after`](crate::Task::spawn_after):
/// a handle's reference (whose value is then the input), a slice, array or vector of handles,
/// or of references to such (a `Vec` of values), a tuple of up to six (a tuple), or `()`.
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
/// take(&[a, rt.spawn(|n: u32| n, 2)]); // Vec<u32>
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

    /// Each of them, or that it is of another fold.
    fn list<'a>(&'a self, fold: &Held, all: &mut Listed<'a>);

    /// Each of them, as far as they are of this fold.
    fn few<'a>(&'a self, fold: &Held, few: &mut Few<'a>);

    /// Which of them form lists; `next` counts them.
    fn lists(&self, next: &mut u32, lists: &mut Vec<List>);

    /// Takes their values from as many outcomes.
    fn decode(
        outcomes: &mut Outcomes<'_>,
        lists: &mut Lists<'_>,
    ) -> Result<Self::Values, TaskError>;
}

impl<R: Serialize + DeserializeOwned + Send + 'static> Dependencies for &Handle<R> {
    type Inputs = R;
}

impl<R: DeserializeOwned + 'static> Sealed for &Handle<R> {
    type Values = R;

    fn list<'a>(&'a self, fold: &Held, all: &mut Listed<'a>) {
        all.push(self.dependency(fold));
    }

    #[inline]
    fn few<'a>(&'a self, fold: &Held, few: &mut Few<'a>) {
        few.push(self.ticket_of(fold));
    }

    fn lists(&self, next: &mut u32, _: &mut Vec<List>) {
        *next += 1;
    }

    fn decode(outcomes: &mut Outcomes<'_>, _: &mut Lists<'_>) -> Result<R, TaskError> {
        decode_again(outcomes.next().ok_or(TaskError::shutdown())?)
    }
}

/// Lists of handles, or of references to such: each is one input, a `Vec` of their values.
macro_rules! lists {
    ($($List:ty $(, $N:ident)?;)+) => {$(
        impl<R: Serialize + DeserializeOwned + Send + 'static $(, const $N: usize)?> Dependencies
            for $List
        {
            type Inputs = Vec<R>;
        }

        impl<R: DeserializeOwned + 'static $(, const $N: usize)?> Sealed for $List {
            type Values = Vec<R>;

            fn list<'a>(&'a self, fold: &Held, all: &mut Listed<'a>) {
                all.extend(self.iter().map(|handle| handle.dependency(fold)));
            }

            #[inline]
            fn few<'a>(&'a self, fold: &Held, few: &mut Few<'a>) {
                few.push_list(self.iter().map(|handle| handle.ticket_of(fold)));
            }

            fn lists(&self, next: &mut u32, lists: &mut Vec<List>) {
                let len = self.len() as u32;
                lists.push(List { at: *next, len });
                *next += len;
            }

            fn decode(
                outcomes: &mut Outcomes<'_>,
                lists: &mut Lists<'_>,
            ) -> Result<Vec<R>, TaskError> {
                decode_list(outcomes, lists)
            }
        }
    )+};
}

lists! {
    &[Handle<R>];
    &[&Handle<R>];
    &Vec<Handle<R>>;
    Vec<&Handle<R>>;
    &[Handle<R>; N], N;
    &[&Handle<R>; N], N;
}

fn decode_list<R: DeserializeOwned>(
    outcomes: &mut Outcomes<'_>,
    lists: &mut Lists<'_>,
) -> Result<Vec<R>, TaskError> {
    let len = lists.next().ok_or(TaskError::shutdown())?.len;
    let own = outcomes.take(len as usize);
    own.map(|outcome| decode_again(outcome)).collect()
}

impl<R> Handle<R> {
    /// Its ticket, if that is of this fold.
    #[inline]
    fn ticket_of(&self, fold: &Held) -> Option<&Ticket> {
        self.ticket().filter(|_| self.scheduler().is_same(fold))
    }

    /// What it is for a task of this fold that depends on it.
    fn dependency(&self, fold: &Held) -> Dependency<'_> {
        match self.ticket_of(fold) {
            Some(ticket) => Dependency::Own(ticket),
            None => Dependency::Foreign(self.name()),
        }
    }
}

impl Dependencies for () {
    type Inputs = ();
}

impl Sealed for () {
    type Values = ();

    fn list<'a>(&'a self, _: &Held, _: &mut Listed<'a>) {}

    fn few<'a>(&'a self, _: &Held, _: &mut Few<'a>) {}

    fn lists(&self, _: &mut u32, _: &mut Vec<List>) {}

    fn decode(_: &mut Outcomes<'_>, _: &mut Lists<'_>) -> Result<(), TaskError> {
        Ok(())
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

            fn list<'a>(&'a self, fold: &Held, all: &mut Listed<'a>) {
                $(self.$at.list(fold, all);)+
            }

            #[inline]
            fn few<'a>(&'a self, fold: &Held, few: &mut Few<'a>) {
                $(self.$at.few(fold, few);)+
            }

            fn lists(&self, next: &mut u32, lists: &mut Vec<List>) {
                $(self.$at.lists(next, lists);)+
            }

            fn decode(
                outcomes: &mut Outcomes<'_>,
                lists: &mut Lists<'_>,
            ) -> Result<Self::Values, TaskError> {
                Ok(($($D::decode(outcomes, lists)?,)+))
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

/// Encodes arguments and inputs together, which both are encoded.
fn rebuild<A, D>(
    (args, are_marked): (&[u8], bool),
    lists: &[List],
    outcomes: &[Arc<Outcome>],
    job: &mut Job,
) -> Result<(), TaskError>
where
    A: Serialize + DeserializeOwned,
    D: Sealed<Values: Serialize + DeserializeOwned>,
{
    unless_it_panics(|| {
        let args: A =
            decode(args, are_marked).map_err(|fault| TaskError::arguments(untold::<A>(&fault)))?;
        let inputs = D::decode(&mut outcomes.iter(), &mut lists.iter()).map_err(of_input)?;
        encode(Erased::of(&(args, inputs)), job, Room::Heap).map(drop)
    })
}

/// An error of an input is one of the arguments, for the task that it is an input of.
fn of_input(error: TaskError) -> TaskError {
    match error {
        TaskError::Result { message, .. } => TaskError::arguments(format!("an input: {message}")),
        error => error,
    }
}

/// Calls code of the user's types for the attendant: that of a task which panics there
/// would leave the task without an end.
fn unless_it_panics(f: impl FnOnce() -> Result<(), TaskError>) -> Result<(), TaskError> {
    let mut done = Ok(());
    match caught(|| done = f()) {
        Ok(()) => done,
        Err(what) => Err(TaskError::arguments(format!(
            "to put inputs behind them panicked in the host: {what}"
        ))),
    }
}

/// As `spawn_quickly`, for a task that depends on others.
#[inline(always)]
pub(super) fn spawn_after_quickly<A, D, R>(
    core: &Core,
    function: Option<FunctionId>,
    name: fn() -> &'static str,
    after: &D,
    args: &A,
) -> Result<Handle<R>, Option<Encoded>>
where
    A: Serialize + DeserializeOwned,
    D: Sealed<Values: Serialize + DeserializeOwned>,
    R: DeserializeOwned,
{
    spawn_encoded(core, function, args, |scheduler, function, payload| {
        let mut few = Few::default();
        after.few(scheduler, &mut few);
        scheduler.submit_plain_after(function, payload, name, &few, rebuild::<A, D>)
    })
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
    /// There are no cycles, and no error for one: what a task depends on is named by handles,
    /// and there is a handle only of what was submitted before. So of any set of tasks that
    /// wait for each other, the one submitted first waits for none of the others.
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
        let order = &self.order;
        if order.settings.is_some() {
            return self.spawn_after_slowly(&after, args, None);
        }
        match spawn_after_quickly(order.core, order.function, order.name, &after, &args) {
            Ok(handle) => handle,
            Err(encoded) => self.spawn_after_slowly(&after, args, encoded),
        }
    }

    /// For what `spawn_after_quickly` could not do.
    #[cold]
    pub(super) fn spawn_after_slowly<D>(
        &self,
        after: &D,
        args: A,
        encoded: Option<Encoded>,
    ) -> Handle<R>
    where
        D: Sealed<Values = I>,
    {
        self.submit_after(after, args, encoded).handle()
    }

    /// Submits it; says what came of it. The arguments may be encoded already, without a
    /// label.
    pub(super) fn submit_after<D>(&self, after: &D, args: A, encoded: Option<Encoded>) -> Submitted
    where
        D: Sealed<Values = I>,
    {
        let scheduler = self.core().sound();
        let submitted = self.submit_after_to(&scheduler, after, args, encoded);
        Submitted {
            ticket: submitted.map_err(|refused| self.order.refuse(&scheduler, refused)),
            scheduler,
            // Whoever wants to know submits none that wait.
            has_buffers: false,
            name: self.order.name,
        }
    }

    fn submit_after_to<D>(
        &self,
        scheduler: &Held,
        after: &D,
        args: A,
        encoded: Option<Encoded>,
    ) -> Result<Ticket, NotAccepted>
    where
        D: Sealed<Values = I>,
    {
        let (mut job, args_at) = self.order.job_with(scheduler, Erased::of(&args), encoded)?;
        let mut lists = Vec::new();
        after.lists(&mut 0, &mut lists);
        let build = if job.buffers.is_empty() {
            Build::Append(rebuild::<A, D>)
        } else {
            // They go when the task does.
            job.buffers.clear();
            let lists = lists.clone();
            Build::Whole(Box::new(move |outcomes, job| {
                unless_it_panics(|| {
                    let inputs = D::decode(&mut outcomes.iter(), &mut lists.iter());
                    let inputs = inputs.map_err(of_input)?;
                    encode(Erased::of(&(args, inputs)), job, Room::Heap).map(drop)
                })
            }))
        };
        let mut dependencies = Listed::new();
        after.list(scheduler, &mut dependencies);
        scheduler.submit_after(
            &dependencies,
            Unfinished {
                job,
                args_at,
                lists,
                build,
            },
        )
    }
}
