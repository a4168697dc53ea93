//! tokio with two threads, and a submitter beside them.

use std::collections::VecDeque;
use std::pin::Pin;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};

use super::{WINDOW, inc};

/// Two threads.
pub fn start() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("tokio starts")
}

async fn value(handle: JoinHandle<u64>) -> u64 {
    handle.await.expect("a value")
}

/// One at a time, a bounded number in flight.
pub fn single(runtime: &Runtime, tasks: u64) -> u64 {
    runtime.block_on(async {
        let mut handles = VecDeque::with_capacity(WINDOW);
        let mut sum = 0;
        for n in 0..tasks {
            if handles.len() == WINDOW
                && let Some(oldest) = handles.pop_front()
            {
                sum += value(oldest).await;
            }
            handles.push_back(tokio::spawn(async move { inc(n) }));
        }
        for handle in handles {
            sum += value(handle).await;
        }
        sum
    })
}

/// Into a set and out of it, a bounded number in it.
pub fn set(runtime: &Runtime, tasks: u64) -> u64 {
    runtime.block_on(async {
        let mut set = JoinSet::new();
        let mut sum = 0;
        for n in 0..tasks {
            if set.len() == WINDOW
                && let Some(value) = set.join_next().await
            {
                sum += value.expect("a value");
            }
            set.spawn(async move { inc(n) });
        }
        while let Some(value) = set.join_next().await {
            sum += value.expect("a value");
        }
        sum
    })
}

/// All at once, by a task of the runtime itself: so they go to a queue of its own.
pub fn batch(runtime: &Runtime, tasks: u64) -> u64 {
    runtime.block_on(async move {
        let all = tokio::spawn(async move {
            let spawn = |n| tokio::spawn(async move { inc(n) });
            let handles: Vec<_> = (0..tasks).map(spawn).collect();
            let mut sum = 0;
            for handle in handles {
                sum += value(handle).await;
            }
            sum
        });
        value(all).await
    })
}

/// Every call a task.
pub fn fib(n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n.into();
        }
        let other = tokio::spawn(fib(n - 1));
        fib(n - 2).await + value(other).await
    })
}
