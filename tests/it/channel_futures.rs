//! Futures of channels, under no executor but a few lines: in the host and in tasks.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pinfold::channel::{Receiver, RecvError, SendFault, Sender};
use pinfold::{Runtime, Shutdown, TaskError};

use crate::asynchronous::block_on;

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

fn send_numbers((sender, from, count): (Sender<u64>, u64, u64)) {
    block_on(async {
        for number in from..from + count {
            sender.send_async(number).await.expect("received");
        }
    })
}

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<u64, RecvError>> + 'a>>;

/// Many futures on one thread: each has one of the messages.
#[test]
fn many_futures_wait_at_once() {
    let rt = runtime(2);
    for capacity in [0, 1, 8] {
        const COUNT: u64 = 200;
        let (sender, receiver) = rt.channel(capacity).expect("room");
        let waiting = (0..COUNT).map(|_| Box::pin(receiver.recv_async()) as Boxed<'_>);
        let mut waiting: Vec<Boxed<'_>> = waiting.collect();
        let mut all = Vec::new();
        let mut task = Some((sender, 0, COUNT));
        block_on(poll_fn(|context| {
            waiting.retain_mut(|future| match future.as_mut().poll(context) {
                Poll::Ready(number) => {
                    all.push(number.expect("sent"));
                    false
                }
                Poll::Pending => true,
            });
            if let Some(ends) = task.take() {
                drop(rt.spawn(send_numbers, ends));
            }
            match waiting.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        all.sort_unstable();
        assert_eq!(all, (0..COUNT).collect::<Vec<_>>(), "{capacity}");
    }
}

/// One that is dropped while it waits takes no message, and no wake, along.
#[test]
fn a_future_that_is_dropped_leaves_all_to_others() {
    let rt = runtime(1);
    for round in 0..100 {
        for capacity in [0, 1] {
            let (sender, receiver) = rt.channel(capacity).expect("room");
            let mut future = Box::pin(receiver.recv_async());
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
            std::thread::scope(|scope| {
                let receives = scope.spawn(|| receiver.recv_timeout(LONG));
                let sends = scope.spawn(|| sender.send_timeout(7, LONG));
                if round % 2 == 0 {
                    std::thread::sleep(Duration::from_micros(10 * round));
                }
                drop(future);
                assert_eq!(receives.join().expect("ends"), Ok(7));
                assert_eq!(sends.join().expect("ends").map_err(|e| e.fault), Ok(()));
            });
            // Likewise one that sends: its message is not sent.
            let mut future = Box::pin(sender.send_async(8));
            for _ in 0..capacity {
                sender.send(9).expect("room");
            }
            assert!(future.as_mut().poll(&mut context).is_pending());
            drop(future);
            let left: Vec<u64> = receiver.try_iter().collect();
            assert_eq!(left, vec![9; capacity]);
            drop(receiver);
            assert!(sender.is_disconnected(), "nobody keeps an end");
        }
    }
}

#[test]
fn futures_end_with_the_other_end_and_with_the_runtime() {
    let rt = runtime(1);
    for capacity in [0, 1] {
        let (sender, receiver) = rt.channel::<u64>(capacity).expect("room");
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || block_on(receiver.recv_async()));
            std::thread::sleep(SOON);
            drop(sender);
            assert_eq!(waits.join().expect("ends"), Err(RecvError::Disconnected));
        });
        let (sender, receiver) = rt.channel::<u64>(capacity).expect("room");
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || {
                block_on(async {
                    sender.send_async(1).await?;
                    sender.send_async(2).await
                })
            });
            std::thread::sleep(SOON);
            drop(receiver);
            let error = waits.join().expect("ends").expect_err("nobody receives");
            assert_eq!(error.fault, SendFault::Disconnected);
            assert!(error.into_value().is_some());
        });
    }
    let (_sender, receiver) = rt.channel::<u64>(1).expect("room");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| block_on(receiver.recv_async()));
        std::thread::sleep(SOON);
        rt.shutdown(Shutdown::Abort).expect("nothing runs");
        assert_eq!(waits.join().expect("ends"), Err(RecvError::Gone));
    });
}

#[test]
fn a_future_in_a_task_hears_its_cancel() {
    fn waits((begun, never): (Sender<u32>, Receiver<u64>)) -> Result<u64, RecvError> {
        begun.send(1).expect("received");
        block_on(never.recv_async())
    }
    let rt = runtime(1);
    let (begun, begins) = rt.channel(1).expect("room");
    let (_keeps, never) = rt.channel(1).expect("room");
    let task = rt.spawn(waits, (begun, never));
    begins.recv().expect("it begins");
    task.cancel();
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(rt.stats().restarts, 0);
}
