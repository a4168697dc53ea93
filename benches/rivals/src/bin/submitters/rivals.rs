//! The pools of threads: two workers each, and submitters beside them.

#[cfg(feature = "rivals")]
use std::collections::VecDeque;
use std::sync::mpsc;

use super::{Load, inc};

/// Two threads of each.
pub struct Pools {
    rayon: rayon::ThreadPool,
    #[cfg(feature = "rivals")]
    tokio: tokio::runtime::Runtime,
}

impl Pools {
    pub fn start() -> Self {
        let rayon = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        #[cfg(feature = "rivals")]
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build();
        Pools {
            rayon: rayon.expect("rayon starts"),
            #[cfg(feature = "rivals")]
            tokio: tokio.expect("tokio starts"),
        }
    }

    /// The sum of one thread's results; each submitter has a channel of its own.
    pub fn rayon(&self, load: Load) -> u64 {
        let (tx, rx) = mpsc::channel();
        let (mut sum, mut out) = (0, 0);
        for n in 0..load.tasks {
            if out == load.window {
                sum += rx.recv().expect("a value");
                out -= 1;
                while let Ok(value) = rx.try_recv() {
                    sum += value;
                    out -= 1;
                }
            }
            let tx = tx.clone();
            let task = move || tx.send(inc(std::hint::black_box(n))).expect("a receiver");
            self.rayon.spawn(task);
            out += 1;
        }
        sum + rx.iter().take(out).sum::<u64>()
    }

    pub fn rayon_once(&self) {
        assert_eq!(self.rayon.install(|| inc(1)), 2);
    }

    #[cfg(feature = "rivals")]
    pub fn tokio(&self, load: Load) -> u64 {
        self.tokio.block_on(async {
            let mut handles = VecDeque::with_capacity(load.window);
            let mut sum = 0;
            for n in 0..load.tasks {
                if handles.len() == load.window
                    && let Some(oldest) = handles.pop_front()
                {
                    let oldest: tokio::task::JoinHandle<u64> = oldest;
                    sum += oldest.await.expect("a value");
                }
                handles.push_back(tokio::spawn(async move { inc(n) }));
            }
            for handle in handles {
                sum += handle.await.expect("a value");
            }
            sum
        })
    }

    #[cfg(feature = "rivals")]
    pub fn tokio_once(&self) {
        let handle = self.tokio.spawn(async { inc(1) });
        assert_eq!(self.tokio.block_on(handle).ok(), Some(2));
    }
}
