//! Everything that a forked child may try with what is its parent's.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pinfold::channel::{Receiver, Router, SendFault};
use pinfold::collective::{CollectiveError, GroupError, Member};
use pinfold::{
    AllocError, CallbackError, Handle, Limit, Loan, Memo, Priority, Refusal, Retry, Runtime,
    Shared, Shutdown, TaskError, gather, join_all, join_any, on_error,
};

use super::{nap, same};

type Outcome<T> = Result<T, TaskError>;

/// The callback was.
static CALLED: AtomicBool = AtomicBool::new(false);

/// What a host has in its hands when it forks.
pub struct Things {
    ended: Handle<u64>,
    long: Handle<Vec<u64>>,
    followed: Handle<u64>,
    waits: Handle<u64>,
    loan: Loan,
    shared: Shared,
    limit: Limit,
    memo: Memo,
    members: Vec<Member>,
    router: Router<u64>,
    receivers: Vec<Receiver<u64>>,
}

fn sum(((), values): ((), Vec<u64>)) -> u64 {
    values.iter().sum()
}

impl Things {
    pub fn new(rt: &Runtime) -> Self {
        let memo = Memo::new(10);
        let limit = Limit::new(1);
        let mut loan = rt.alloc(100_000).expect("room");
        loan.fill(7);
        let mut shared = rt.alloc(5000).expect("room");
        shared.fill(9);
        let followed = rt.task(nap).limited(&limit, 1).spawn(20);
        followed
            .on_complete(|_| CALLED.store(true, Ordering::Relaxed))
            .expect("is set");
        let waits = rt.spawn_after(&[&followed][..], sum, ());
        let (router, receivers) = rt.router(2, 4).expect("room");
        router.route(1, 5).expect("room");
        Things {
            members: rt.collective(2).expect("room"),
            router,
            receivers,
            ended: rt.task(same).memoized(&memo).spawn(3),
            long: rt.spawn(|n: u64| (0..n).collect(), 1000),
            followed,
            waits,
            loan,
            shared: shared.publish(),
            limit,
            memo,
        }
    }

    /// Waits until there is nothing to do for any thread of the host.
    pub fn have_ended(&self) {
        while !(self.waits.is_finished() && CALLED.load(Ordering::Relaxed)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// In the parent: all is as it was.
    pub fn are_mine(mut self) {
        let [one, other] = &mut self.members[..] else {
            panic!("there were two");
        };
        one.set_timeout(Some(Duration::ZERO));
        assert!(matches!(
            one.barrier(),
            Err(CollectiveError::TimedOut { .. })
        ));
        assert_eq!((other.barrier(), one.barrier()), (Ok(()), Ok(())));
        assert_eq!(self.router.living(), [0, 1]);
        assert_eq!(self.receivers[1].try_recv(), Ok(5));
        assert_eq!(self.ended.join(), Ok(3));
        assert_eq!(self.long.join().map(|long| long.len()), Ok(1000));
        assert_eq!(self.waits.join(), Ok(20));
        assert_eq!(self.followed.join(), Ok(20));
        assert!(self.loan.len() == 100_000 && self.loan.iter().all(|byte| *byte == 7));
        assert!(self.shared.len() == 5000 && self.shared.iter().all(|byte| *byte == 9));
    }

    /// In the child: nothing works, all says why, and nothing hangs.
    pub fn are_the_parents(mut self, rt: &Runtime, running: Vec<Handle<u64>>) {
        self.looks(rt);
        self.handles();
        self.submits(rt);
        self.buffers(rt);
        self.groups(rt);
        many(rt, running);
        for how in [
            Shutdown::Drain,
            Shutdown::DrainFor(Duration::MAX),
            Shutdown::Abort,
        ] {
            assert_eq!(rt.shutdown(how), Ok(()));
        }
        drop(self);
    }

    fn looks(&self, rt: &Runtime) {
        let stats = rt.stats();
        assert_eq!((stats.tasks.submitted, stats.workers.len()), (0, 0));
        assert!(rt.audit().orphans.is_empty());
        assert!(rt.profile().functions.is_empty());
        assert_eq!(rt.trim_memory(), 0);
        let _ = format!("{rt:?} {:?} {:?}", self.ended, self.loan);
        let _ = (self.ended.id(), self.ended.progress());
        assert!(self.ended.is_finished());
    }

    fn handles(&mut self) {
        let (handle, long) = (&mut self.ended, &mut self.long);
        assert_eq!(handle.try_join(), Some(Err(TaskError::Forked)));
        assert_eq!(
            long.join_timeout(Duration::MAX),
            Some(Err(TaskError::Forked))
        );
        assert!(!handle.cancel() && !handle.cancel_within(Duration::ZERO));
        let refused = |which| Err(CallbackError::Forked { which });
        assert_eq!(handle.on_complete(|_| ()), refused("on_complete"));
        assert_eq!(handle.on_error(|_| ()), refused("on_error"));
        assert_eq!(handle.on_progress(|_| ()), refused("on_progress"));
        let mut context = Context::from_waker(Waker::noop());
        let polled = pin!(handle).poll(&mut context);
        assert_eq!(polled, Poll::Ready(Err(TaskError::Forked)));
    }

    fn submits(&self, rt: &Runtime) {
        fails(rt.spawn(same, 7).join());
        fails(rt.spawn(|long: Vec<u64>| long.len(), vec![1; 9000]).join());
        fails(rt.spawn(|s: Shared| s.len(), self.shared.clone()).join());
        let refused = rt.try_spawn(same, 7).err().map(|e| (e.refusal, e.args));
        assert_eq!(refused, Some((Refusal::Forked, 7)));
        let patient = rt.task(same).spawn_timeout(8, Duration::MAX);
        let refused = patient.err().map(|e| (e.refusal, e.args));
        assert_eq!(refused, Some((Refusal::Forked, 8)));
        let tasks = [
            rt.task(same).safe_to_repeat(3),
            rt.task(same).retry(Retry::fixed(2, Duration::ZERO)),
            rt.task(same).hard_deadline(Duration::from_secs(9)),
            rt.task(same).priority(Priority::Urgent).named("a name"),
            rt.task(same).limited(&self.limit, 1),
            rt.task(same).memoized(&self.memo),
        ];
        for task in &tasks {
            fails(task.spawn(3).join());
            drop(task.spawn(4));
            drop(task.spawn(5).abort_on_drop());
        }
        let new = rt.spawn(same, 1);
        for handle in [&self.ended, &self.followed, &self.waits, &new] {
            fails(rt.spawn_after(&[handle][..], sum, ()).join());
            let (long, limit) = (vec![1u64; 9000], &self.limit);
            let after = |((long, n), _): ((Vec<u64>, u64), (u64,))| long.len() as u64 + n;
            let task = rt.task(after).limited(limit, 1);
            fails(task.spawn_after((handle,), (long, 1)).join());
        }
    }

    fn groups(&mut self, rt: &Runtime) {
        let member = &mut self.members[0];
        assert_eq!(member.barrier(), Err(CollectiveError::Forked));
        assert_eq!(member.all_gather(1), Err(CollectiveError::Forked));
        assert_eq!(member.shrink(), Err(CollectiveError::Forked));
        drop(self.members.pop());
        let forked = GroupError::Alloc(AllocError::Forked);
        assert_eq!(rt.collective(2).err(), Some(forked.clone()));
        let tasks = rt.spawn_group(|(_, n): (Member, u64)| n, [1]);
        assert_eq!(tasks.err(), Some(forked));
        for refused in [
            self.router.route(0, 1),
            self.router.balance(2),
            self.router.send_by_key("key", 3),
        ] {
            assert_eq!(refused.map_err(|error| error.fault), Err(SendFault::Forked));
        }
        assert_eq!(self.router.hand_on().ok(), Some(0));
        assert!(self.router.living().is_empty() && self.router.join().is_err());
        drop(self.receivers.pop());
    }

    fn buffers(&self, rt: &Runtime) {
        assert_eq!(rt.alloc(10).err(), Some(AllocError::Forked));
        assert_eq!(rt.alloc(1 << 24).err(), Some(AllocError::Forked));
        assert!(self.loan.iter().all(|byte| *byte == 7));
        assert!(self.shared.clone().iter().all(|byte| *byte == 9));
    }
}

fn fails<T: std::fmt::Debug + PartialEq>(outcome: Outcome<T>) {
    assert_eq!(outcome, Err(TaskError::Forked));
}

/// All that works on many tasks.
fn many(rt: &Runtime, running: Vec<Handle<u64>>) {
    let mut running = VecDeque::from(running);
    let mut some = || {
        let new = (0..2).map(|n| rt.spawn(same, n));
        let old = running.drain(..running.len().min(5));
        new.chain(old).collect::<Vec<_>>()
    };
    let forked = |outcome: &Outcome<u64>| *outcome == Err(TaskError::Forked);
    assert!(join_all(some()).iter().all(forked));
    assert!(join_any(some()).is_err());
    fails(gather(some(), on_error::Raise));
    assert!(gather(some(), on_error::Keep).iter().all(forked));
    assert!(gather(some(), on_error::Skip).is_empty());
    drop(some());
    let outcomes: Vec<_> = rt.map(same, 0..10).collect();
    assert_eq!(outcomes, [Err(TaskError::Forked)]);
    let task = || rt.task(same);
    let outcomes: Vec<_> = task().map_unordered(0..10).collect();
    assert_eq!(outcomes, [(0, Err(TaskError::Forked))]);
    let outcomes = task().execute_all(0..3, |_, _| ());
    assert!(outcomes.len() == 3 && outcomes.iter().all(Result::is_err));
    let outcomes: Vec<_> = task().chunked().map(0..1000).collect();
    assert!(!outcomes.is_empty() && outcomes.iter().all(forked));
    fails(task().reduce(0..100, |(a, b)| a + b));
    fails(rt.task(|_: u64| ()).for_each(0..100));
    fails(rt.task(|_: u64| ()).chunked().for_each(0..100));
    let inside = rt.scope(|scope| {
        let one = scope.spawn(same, 1);
        let other = scope.spawn_after((&one,), |((), (n,)): ((), (u64,))| n, ());
        (one.join(), other.join())
    });
    fails(inside);
    let ((), errors) = rt.scope_collect(|scope| drop(scope.spawn(same, 1)));
    assert_eq!(errors, [(0, TaskError::Forked)]);
}
