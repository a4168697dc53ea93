//! What workers do before their first task, and what becomes of those that cannot.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Shutdown;
use crate::error::StartError;
use crate::task::{NoCapture, executor_init_of, init_args, init_of, init_with_of};

use super::core::Core;
use super::{Builder, Runtime};

impl Builder {
    /// What each worker does once, before its first task: open a model, a connection.
    /// Tasks reach what it returns by [`worker_state`](crate::worker_state). `f` is a
    /// function item or a closure that captures nothing. A worker whose init fails,
    /// panics or dies counts as one that could not be started
    /// ([`Builder::start_attempts`]). When a worker ends in order, what `f` returned is
    /// dropped; see [`worker_state`](crate::worker_state). If `f` sets a `tracing` subscriber or a
    /// logger of the crate `log`, what the worker logs goes there, and not to the host; a task
    /// would come too late for that. For an init with arguments there is
    /// [`Builder::worker_init_with`]; of the two the last call counts.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .worker_init(|| std::fs::read_to_string("/proc/self/comm"))
    ///     .start()?;
    /// let known = rt.spawn(|(): ()| pinfold::worker_state::<String>().is_some(), ());
    /// assert_eq!(known.join()?, true);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker_init<F, T, E>(mut self, _: F) -> Self
    where
        F: Fn() -> Result<T, E> + NoCapture,
        T: Send + Sync + 'static,
        E: Display,
    {
        self.config.worker_init = Some(init_of::<F, T, E>());
        self.config.init_args = None;
        self
    }

    /// As [`Builder::worker_init`], with arguments: a path, a configuration, a table. They are
    /// encoded once, here, and each worker decodes them when it starts, successors of dead ones
    /// included.
    ///
    /// Arguments that cannot be encoded are an error of [`start`](Builder::start),
    /// [`StartError::InitArguments`]; so are buffers and constants, which belong to a running
    /// runtime.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// struct Model(Vec<f64>);
    ///
    /// let weights = vec![0.5, 2.0]; // from a file, say
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(2)
    ///     .worker_init_with(|weights| Ok::<_, String>(Model(weights)), weights)
    ///     .start()?;
    /// let apply = |n: f64| {
    ///     let model = pinfold::worker_state::<Model>();
    ///     model.map(|Model(weights)| weights.iter().map(|w| w * n).sum::<f64>())
    /// };
    /// assert_eq!(rt.spawn(apply, 2.0).join()?, Some(5.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker_init_with<F, A, T, E>(mut self, _: F, args: A) -> Self
    where
        F: Fn(A) -> Result<T, E> + NoCapture,
        A: Serialize + DeserializeOwned,
        T: Send + Sync + 'static,
        E: Display,
    {
        self.config.worker_init = Some(init_with_of::<F, A, T, E>());
        let encoded = init_args(&args, std::any::type_name::<F>());
        self.config.init_args = Some(encoded.map(Arc::from));
        self
    }

    /// What each executor does once, in its own thread, before its first task: it makes state
    /// that is this executor's alone, and that tasks reach for writing by
    /// [`Context::with_state_mut`](crate::Context::with_state_mut): a decoder, a scratch buffer,
    /// an interpreter. It need be neither `Send` nor `Sync`. By then the worker's state is there
    /// ([`Builder::worker_init`]), and with it the arguments of
    /// [`worker_init_with`](Builder::worker_init_with), if that keeps them.
    ///
    /// Failures and time limit are as for `worker_init`. When a worker ends in order, each
    /// executor drops its own; one that is killed, or dies, drops nothing.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .worker_init_with(|start| Ok::<u64, String>(start), 40)
    ///     .executor_init(|| pinfold::worker_state::<u64>().copied().ok_or("no state"))
    ///     .start()?;
    /// let next = |_: ()| -> Result<u64, String> {
    ///     let next = pinfold::context().with_state_mut(|n: &mut u64| {
    ///         *n += 1;
    ///         *n
    ///     });
    ///     next.map_err(|error| error.to_string())
    /// };
    /// assert_eq!(rt.spawn(next, ()).join_flat()?, 41);
    /// assert_eq!(rt.spawn(next, ()).join_flat()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn executor_init<F, T, E>(mut self, _: F) -> Self
    where
        F: Fn() -> Result<T, E> + NoCapture,
        T: 'static,
        E: Display,
    {
        self.config.executor_init = Some(executor_init_of::<F, T, E>());
        self
    }

    /// As [`Builder::start`], but waits until all workers have begun to work, or have failed to
    /// at their first attempt: for programs that are to end at once where `worker_init` cannot
    /// succeed. No worker takes longer than
    /// [`worker_init_timeout`](Builder::worker_init_timeout).
    ///
    /// # Errors
    /// Those of `start`, and the first failure of a worker: [`StartError::Worker`], with what it
    /// said. Then nothing of the runtime is left.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// let refused = pinfold::Runtime::builder()
    ///     .workers(2)
    ///     .worker_init(|| -> Result<(), &str> { Err("no model here") })
    ///     .start_checked();
    /// let error = refused.unwrap_err();
    /// assert!(matches!(error, pinfold::StartError::Worker { .. }));
    /// assert!(error.to_string().contains("no model here"), "{error}");
    /// ```
    pub fn start_checked(mut self) -> Result<Runtime, StartError> {
        self.config.is_checked = true;
        let rt = self.start()?;
        rt.core.check_start().inspect_err(|_| {
            let _ = rt.shutdown(Shutdown::Abort);
        })?;
        Ok(rt)
    }

    /// How often in a row workers may end before they have begun to work, 1 to 1000.
    /// Default 10. Between attempts the runtime waits, from 10 ms to 10 s
    /// (exponential back-off; 5 s for ten in all). If by then no worker has begun, every task
    /// ends with [`TaskError::NoWorkers`](crate::TaskError::NoWorkers), which carries what the
    /// last worker wrote to its standard error, or the limit that is in the way; and so does each
    /// that is submitted. The same holds if the process that makes workers cannot be started.
    ///
    /// The runtime goes on trying, with one worker at a time: at first after 100 ms, then less and
    /// less often, down to every 10 s, but 1 s after the last attempt if a task was refused
    /// meanwhile. When one has begun, all is as before.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .worker_init(|| -> Result<(), &str> { Err("no model here") })
    ///     .start_attempts(2)
    ///     .start()?;
    /// let error = rt.spawn(|n: u32| n, 1).join().unwrap_err();
    /// assert!(error.to_string().contains("no model here"), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_attempts(mut self, attempts: u32) -> Self {
        self.config.start_attempts = attempts;
        self
    }

    /// How long a worker may take from its start until it works, which is mostly how long
    /// [`worker_init`](Builder::worker_init) takes: from 10 ms to a day. Default: 2 minutes. A
    /// worker that takes longer is killed, and counts as one whose start came to nothing
    /// ([`start_attempts`](Builder::start_attempts)).
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder()
    ///     .workers(1)
    ///     .worker_init(|| -> Result<(), &str> { loop { std::thread::park() } })
    ///     .worker_init_timeout(std::time::Duration::from_millis(50))
    ///     .start_attempts(1)
    ///     .start()?;
    /// let error = rt.spawn(|n: u32| n, 1).join().unwrap_err();
    /// assert!(error.to_string().contains("had not begun to work within 50ms"), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker_init_timeout(mut self, limit: Duration) -> Self {
        self.config.worker_init_timeout = limit;
        self
    }
}

/// How often it is looked whether workers have begun: they do not tell.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_millis(20);

impl Core {
    /// Waits until each worker has begun, or has failed to; the first failure.
    fn check_start(&self) -> Result<(), StartError> {
        let mut pause = LOOK_FIRST;
        loop {
            let scheduler = self.present();
            let fold = scheduler.fold();
            let failures = self.commands.failed_starts();
            if scheduler.has_given_up() && failures.is_empty() {
                return Err(StartError::Zygote(scheduler.no_workers().to_string()));
            }
            let threads = fold.plan.shape.threads;
            let is_settled = |worker: u32| {
                let online = &fold.executors[(worker * threads) as usize].status.online;
                // ordering: Acquire pairs with the executor's Release: its inits are done.
                online.load(Ordering::Acquire) == 1 || failures.iter().any(|(w, _)| *w == worker)
            };
            if (0..fold.plan.shape.workers).all(is_settled) {
                return match failures.into_iter().next() {
                    None => Ok(()),
                    Some((worker, reason)) => Err(StartError::Worker { worker, reason }),
                };
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK_LAST);
        }
    }
}
