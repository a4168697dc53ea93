//! Handles are futures, under any executor; here under one of a few lines.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn square(n: u64) -> u64 {
    n * n
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    let sum = block_on(async {
        let handles: Vec<_> = (1..=10).map(|n| rt.spawn(square, n)).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await?;
        }
        Ok::<_, pinfold::TaskError>(sum)
    })?;
    println!("the sum is {sum}");
    assert_eq!(sum, 385);

    // Or be called back, on a thread of the runtime's.
    let (tell, told) = std::sync::mpsc::channel();
    let task = rt.spawn(square, 11);
    task.on_complete(move |outcome| tell.send(outcome).expect("somebody listens"))?;
    println!("called back with {:?}", told.recv()?);
    Ok(())
}
