//! Semaphores, what is done once, latches, wait groups, barriers, tickers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pinfold::channel::{Receiver, Sender};
use pinfold::sync::{
    Barrier, CountDown, CountError, Holder, Latch, LockFault, Member, Mutex, Once, OnceLock,
    Semaphore, Ticker, WaitFault, WaitGroup,
};
use pinfold::{Shutdown, TaskError};

use super::{LONG, SOON, die, holds_in_a_child, nothing_left, runtime};

fn workers(holders: &[Holder]) -> Vec<Option<u32>> {
    holders.iter().map(|holder| holder.worker).collect()
}

#[test]
fn so_many_have_a_permit() {
    /// How many were inside at most, beside this one.
    fn visits((limit, inside, count): (Semaphore, Mutex<[u64; 2]>, u32)) -> Result<(), LockFault> {
        for _ in 0..count {
            let permit = limit.acquire()?;
            let enter = |change: i64| {
                let mut inside = inside.lock().expect("whole");
                inside[0] = inside[0].wrapping_add_signed(change);
                inside[1] = inside[1].max(inside[0]);
            };
            enter(1);
            std::thread::yield_now();
            enter(-1);
            drop(permit);
        }
        Ok(())
    }
    let rt = runtime(3);
    let limit = Semaphore::new(&rt, 2).expect("room");
    let inside = Mutex::new(&rt, [0; 2]).expect("room");
    let tasks = [0; 3].map(|_| rt.spawn(visits, (limit.clone(), inside.clone(), 300)));
    visits((limit.clone(), inside.clone(), 300)).expect("permits");
    for task in tasks {
        assert_eq!(task.join_flat(), Ok(()));
    }
    assert_eq!((limit.available(), limit.permits()), (2, 2));
    let seen = *inside.lock().expect("whole");
    assert!(seen[0] == 0 && (1..=2).contains(&seen[1]), "{seen:?}");
    drop((limit, inside));
    nothing_left(&rt);
}

#[test]
fn permits_of_the_dead_are_free() {
    fn keeps((limit, says, hears): (Semaphore, Sender<()>, Receiver<()>)) {
        let permits = [0; 2].map(|_| limit.acquire().expect("free"));
        says.send(()).expect("the host hears");
        let _ = hears.recv();
        drop(permits);
        die();
    }
    fn keeps_for_good((limit, says, hears): (Semaphore, Sender<()>, Receiver<()>)) {
        std::mem::forget(limit.acquire().expect("free"));
        keeps((limit, says, hears));
    }
    let rt = runtime(1);
    let limit = Semaphore::new(&rt, 3).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let (go_on, waits) = rt.channel(1).expect("room");
    let task = rt.spawn(keeps_for_good, (limit.clone(), says, waits));
    hears.recv().expect("it says so");
    let busy = limit.try_acquire().expect_err("all are held");
    assert!(matches!(&busy, LockFault::Busy { holder: Some(it) } if it.worker == Some(0)));
    let late = limit.acquire_timeout(SOON).expect_err("all are held");
    assert!(matches!(&late, LockFault::TimedOut { waited, .. } if *waited >= SOON));
    drop(go_on);
    let permits: Vec<_> = (0..3)
        .map(|_| limit.acquire_timeout(LONG).expect("free"))
        .collect();
    assert!(matches!(task.join(), Err(TaskError::WorkerDied { .. })));
    assert_eq!(limit.available(), 0);
    assert!(holds_in_a_child(|| {
        // Not even a copy of a permit gives one back.
        let is_refused = matches!(limit.try_acquire(), Err(LockFault::Forked));
        is_refused && limit.available() == 0
    }));
    // Permits go from thread to thread.
    std::thread::scope(|scope| scope.spawn(|| drop(permits)).join()).expect("ends");
    assert_eq!(limit.available(), 3);
}

#[test]
fn for_none_or_for_too_many() {
    let rt = runtime(1);
    let count = |error: CountError| match error {
        CountError::Count { count, most } => {
            assert!(error.to_string().contains(&count.to_string()));
            (count, most)
        }
        other => panic!("{other}"),
    };
    for wrong in [0, usize::MAX] {
        let semaphore = Semaphore::new(&rt, wrong).expect_err("of so many");
        assert_eq!(count(semaphore), (wrong, 1 << 16));
        let latch = Latch::new(&rt, wrong).expect_err("of so many");
        assert_eq!(count(latch), (wrong, 1 << 20));
        let barrier = Barrier::new(&rt, wrong).expect_err("of so many");
        assert_eq!(count(barrier), (wrong, 1 << 14));
    }
    for period in [Duration::ZERO, Duration::MAX] {
        let error = Ticker::new(&rt, period).expect_err("no such period");
        assert_eq!(error, CountError::Period { period });
    }
    let most = Semaphore::new(&rt, 1 << 16).expect("room");
    assert_eq!(most.available(), 1 << 16);
    let other = runtime(1);
    let foreign = Semaphore::new(&other, 1).expect("room");
    let error = rt.spawn(|limit: Semaphore| limit.permits(), foreign).join();
    let error = error.expect_err("of another runtime").to_string();
    assert!(error.contains("another runtime"), "{error}");
    let outside = Once::new(pinfold::context()).expect_err("no task");
    assert_eq!(outside, pinfold::AllocError::NoPool);
}

#[test]
fn it_is_done_once() {
    fn does((once, count): (Once, Mutex<u32>)) -> Result<bool, LockFault> {
        once.call_once(|state| {
            assert!(!state.was_begun);
            *count.lock().expect("whole") += 1;
        })
    }
    let rt = runtime(3);
    let once = Once::new(&rt).expect("room");
    let count = Mutex::new(&rt, 0).expect("room");
    let tasks: Vec<_> = (0..12)
        .map(|_| rt.spawn(does, (once.clone(), count.clone())))
        .collect();
    let mut did = usize::from(does((once.clone(), count.clone())) == Ok(true));
    for task in tasks {
        did += usize::from(task.join_flat().expect("runs"));
        assert!(once.is_completed());
    }
    assert_eq!((did, *count.lock().expect("whole")), (1, 1));
}

#[test]
fn the_next_one_does_what_the_dead_has_begun() {
    fn begins((once, says): (Once, Sender<()>)) -> Result<bool, LockFault> {
        once.call_once(|_| {
            says.send(()).expect("the host hears");
            die();
        })
    }
    let rt = runtime(1);
    let once = Once::new(&rt).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let task = rt.spawn(begins, (once.clone(), says));
    hears.recv().expect("it says so");
    let mut told = None;
    let did = once.call_once_timeout(LONG, |state| told = Some(state.was_begun));
    assert_eq!((did, told), (Ok(true), Some(true)));
    assert!(task.join().is_err());
    // So after a panic, and within itself it is an error.
    let again = Once::new(&rt).expect("room");
    let panics = |once: Once| once.call_once(|_| panic!("on purpose"));
    assert!(rt.spawn(panics, again.clone()).join().is_err());
    let did = again.call_once(|state| {
        assert!(state.was_begun);
        assert_eq!(again.call_once(|_| ()), Err(LockFault::Relocked));
    });
    assert_eq!(did, Ok(true));
    assert_eq!(again.call_once(|_| panic!("not again")), Ok(false));
}

#[test]
fn a_value_is_made_once() {
    fn makes((once, n): (OnceLock<[u64; 20]>, u64)) -> u64 {
        once.get_or_init(|| [n; 20]).expect("made")[19]
    }
    let rt = runtime(3);
    let once = OnceLock::new(&rt).expect("room");
    assert_eq!(once.get(), None);
    let failed = once.get_or_try_init(|| Err::<[u64; 20], _>("no"));
    assert_eq!(failed, Ok(Err("no")));
    let tasks: Vec<_> = (1..9).map(|n| rt.spawn(makes, (once.clone(), n))).collect();
    let values: BTreeSet<u64> = tasks
        .into_iter()
        .map(|task| task.join().expect("runs"))
        .collect();
    let value = once.get().expect("made");
    assert!(
        values.len() == 1 && values.contains(&value[0]),
        "{values:?}"
    );
    assert_eq!(*value, [value[0]; 20]);
}

#[test]
fn a_slice_is_made_once_and_begins_with_zeros() {
    type Once = OnceLock<[u32]>;
    fn dies(once: Once) {
        let _ = once.get_or_fill(|values| {
            values.fill(7);
            std::process::abort()
        });
    }
    fn fills(values: &mut [u32]) {
        assert!(values.iter().all(|value| *value == 0));
        (1..).zip(values).for_each(|(n, value)| *value = n);
    }
    let rt = runtime(2);
    let once = Once::with_len(&rt, 1000).expect("room");
    assert_eq!(once.get(), None);
    let failed = once.get_or_try_fill(|values| {
        values.fill(8);
        Err("no")
    });
    assert_eq!(failed, Ok(Err("no")));
    assert!(rt.spawn(dies, once.clone()).join().is_err());
    let last = |once: Once| once.get_or_fill(fills).map(|values| values[999]);
    let tasks = [0; 4].map(|_| rt.spawn(last, once.clone()));
    for task in tasks {
        assert_eq!(task.join_flat(), Ok(1000));
    }
    let made = once.get_or_try_fill_timeout(Duration::ZERO, |_| Err(()));
    assert_eq!(made.map(|made| made.map(|values| values[0])), Ok(Ok(1)));
    let none = Once::with_len(&rt, 0).expect("room");
    assert_eq!(none.get_or_fill(|_| ()), Ok(&[][..]));
    assert!(Once::with_len(&rt, usize::MAX).is_err());

    let one = OnceLock::<u8>::new(&rt).expect("room");
    assert_eq!(one.get_or_init_timeout(Duration::ZERO, || 5), Ok(&5));
}

#[test]
fn a_latch_opens_when_all_is_counted() {
    fn counts((counts, times): (CountDown, u32)) -> u32 {
        (0..times).filter(|_| counts.count_down()).count() as u32
    }
    let rt = runtime(2);
    for count in [1, 64, 65, 1000] {
        let (latch, counter) = Latch::new(&rt, count).expect("room");
        let late = latch
            .wait_timeout(Duration::ZERO)
            .expect_err("nothing is counted");
        assert!(
            matches!(&late, WaitFault::TimedOut { missing, holders, .. }
            if *missing == count && workers(holders) == [None]),
            "{late:?}"
        );
        let waits = rt.spawn(|latch: Latch| latch.wait(), latch.clone());
        let tasks = [0; 2].map(|_| rt.spawn(counts, (counter.clone(), count as u32)));
        assert_eq!((latch.wait(), latch.left()), (Ok(()), 0));
        assert_eq!(waits.join_flat(), Ok(()));
        let counted: u32 = tasks
            .into_iter()
            .map(|task| task.join().expect("runs"))
            .sum();
        assert_eq!(counted as usize, count);
        drop(counter);
        assert_eq!(latch.wait(), Ok(()), "it stays open");
    }
    nothing_left(&rt);
}

#[test]
fn a_latch_that_nobody_can_open_is_an_error() {
    fn counts_and_dies(counts: CountDown) {
        counts.count_down();
        die();
    }
    let rt = runtime(1);
    let (latch, counts) = Latch::new(&rt, 3).expect("room");
    let task = rt.spawn(counts_and_dies, counts.clone());
    assert!(task.join().is_err());
    assert_eq!(counts.left(), 2, "what the dead has counted stays");
    counts.count_down();
    drop(counts);
    let error = latch.wait().expect_err("one is missing");
    assert!(
        matches!(&error, WaitFault::Abandoned { missing: 1, holders } if workers(holders) == [Some(0)])
    );
    assert_eq!(
        error.to_string(),
        "1 were not counted, and nobody is left who could; died: worker 0"
    );
}

#[test]
fn a_group_is_done_when_its_members_are() {
    fn works((member, says, hears): (Member, Sender<()>, Receiver<()>)) {
        says.send(()).expect("the host hears");
        let goes_on = hears.recv().is_ok();
        if !goes_on {
            die();
        }
        drop(member);
    }
    let rt = runtime(2);
    for dies in [false, true] {
        let (group, member) = WaitGroup::new(&rt).expect("room");
        let (says, hears) = rt.channel(2).expect("room");
        let (go_on, waits) = rt.channel(2).expect("room");
        let tasks = [0; 2].map(|_| rt.spawn(works, (member.clone(), says.clone(), waits.clone())));
        (0..2).for_each(|_| hears.recv().expect("it says so"));
        let late = group.wait_timeout(SOON).expect_err("three are not done");
        assert!(
            matches!(&late, WaitFault::TimedOut { missing: 3, holders, .. }
            if workers(holders) == [None, Some(0), Some(1)]),
            "{late:?}"
        );
        drop((member, waits, says));
        assert!(!group.is_done());
        if !dies {
            go_on.send(()).expect("it waits");
        }
        go_on.send(()).expect("it waits");
        let kept = (!dies).then(|| go_on.clone());
        drop(go_on);
        let ended = group.wait();
        match ended {
            Ok(()) => assert!(!dies),
            Err(WaitFault::Died { holders }) => assert!(dies && holders.len() == 1),
            Err(other) => panic!("{other}"),
        }
        assert!(group.is_done());
        let died = tasks.into_iter().filter(|_| true).map(|task| task.join());
        assert_eq!(died.filter(Result::is_err).count(), usize::from(dies));
        drop((kept, hears, group));
    }
    nothing_left(&rt);
}

#[test]
fn members_in_a_message_are_not_done() {
    let rt = runtime(1);
    let (group, member) = WaitGroup::new(&rt).expect("room");
    let (carries, carried) = rt.channel(1).expect("room");
    carries.send(member).expect("room");
    assert!(!group.is_done());
    assert!(matches!(
        group.wait_timeout(SOON),
        Err(WaitFault::TimedOut { missing: 0, .. })
    ));
    drop(carried.recv().expect("a member"));
    assert_eq!(group.wait(), Ok(()));
    // What is never received is done with its channel.
    let (group, member) = WaitGroup::new(&rt).expect("room");
    carries.send(member).expect("room");
    drop((carries, carried));
    assert_eq!(group.wait(), Ok(()));
}

#[test]
fn nobody_goes_on_before_all_are_there() {
    /// Counts each round; whether all had counted whenever it went on.
    fn rounds(
        (barrier, counts, rounds): (Barrier, Mutex<[u32; 4]>, u32),
    ) -> Result<bool, WaitFault> {
        let mut is_right = true;
        for round in 1..=rounds {
            counts.lock().expect("whole")[barrier.number()] += 1;
            barrier.wait()?;
            let seen = *counts.lock().expect("whole");
            let ahead = |n: &u32| *n == round || *n == round + 1;
            is_right &= seen[..barrier.members()].iter().all(ahead);
        }
        Ok(is_right)
    }
    let rt = runtime(3);
    for members in 1..=4 {
        let counts = Mutex::new(&rt, [0; 4]).expect("room");
        let mut all = Barrier::new(&rt, members).expect("room");
        let here = all.remove(0);
        let tasks: Vec<_> = all
            .into_iter()
            .map(|member| rt.spawn(rounds, (member, counts.clone(), 100)))
            .collect();
        assert_eq!(rounds((here, counts.clone(), 100)), Ok(true), "{members}");
        for task in tasks {
            assert_eq!(task.join_flat(), Ok(true), "{members}");
        }
    }
    nothing_left(&rt);
}

#[test]
fn a_member_that_will_not_come_is_named() {
    fn dies(barrier: Barrier) -> Result<(), WaitFault> {
        barrier.wait()?;
        die();
    }
    let rt = runtime(2);
    let mut members = Barrier::new(&rt, 3).expect("room").into_iter();
    let (here, other, last) = (members.next(), members.next(), members.next());
    let here = here.expect("three");
    let task = rt.spawn(dies, last.expect("three"));
    let other = rt.spawn(
        |barrier: Barrier| (barrier.wait(), barrier.wait()),
        other.expect("three"),
    );
    assert_eq!(here.wait(), Ok(()));
    let broken = here.wait().expect_err("one has died");
    let WaitFault::Broken {
        member: 2,
        holder: Some(holder),
        has_died: true,
    } = &broken
    else {
        panic!("{broken:?}");
    };
    let worker = holder.worker.expect("a worker");
    assert_eq!(
        broken.to_string(),
        format!("member 2 of the barrier is gone: worker {worker} has died")
    );
    assert_eq!(other.join(), Ok((Ok(()), Err(broken.clone()))));
    assert_eq!(here.wait(), Err(broken), "it stays so");
    assert!(task.join().is_err());

    // One that is dropped, in whatever state, will not come either.
    let mut members = Barrier::new(&rt, 3).expect("room");
    drop(members.pop());
    let error = members[0].wait().expect_err("one was dropped");
    assert!(matches!(
        error,
        WaitFault::Broken {
            member: 2,
            has_died: false,
            ..
        }
    ));
    drop((here, members));
    nothing_left(&rt);
}

#[test]
fn a_member_of_a_task_that_is_tried_again_is_not_gone() {
    fn second_time_lucky((barrier, marks): (Barrier, Sender<()>)) -> Result<(), WaitFault> {
        if marks.try_send(()).is_ok() {
            die();
        }
        barrier.wait()
    }
    let rt = runtime(1);
    let mut members = Barrier::new(&rt, 2).expect("room");
    let (marks, _marked) = rt.channel(1).expect("room");
    let task = rt.task(second_time_lucky).at_least_once();
    let task = task.spawn((members.pop().expect("two"), marks));
    assert_eq!(members[0].wait_timeout(LONG), Ok(()));
    assert_eq!(task.join_flat(), Ok(()));
}

#[test]
fn who_gave_up_has_come_all_the_same() {
    let rt = runtime(1);
    let members = Barrier::new(&rt, 2).expect("room");
    let late = members[0].wait_timeout(SOON).expect_err("alone");
    assert!(
        matches!(&late, WaitFault::TimedOut { waited, missing: 1, holders }
        if *waited >= SOON && workers(holders) == [None])
    );
    assert!(members[0].wait_timeout(Duration::ZERO).is_err());
    assert_eq!(members[1].wait(), Ok(()));
    assert_eq!(members[0].wait(), Ok(()), "that was the same round");
    assert!(members[1].wait_timeout(Duration::ZERO).is_err());
}

#[test]
fn each_tick_is_told() {
    fn ticks((ticker, count): (Ticker, u64)) -> Result<u64, WaitFault> {
        let mut told = 0;
        while told < count {
            told += ticker.wait()?;
        }
        Ok(told)
    }
    let rt = runtime(1);
    let period = Duration::from_millis(3);
    let begin = Instant::now();
    let ticker = Ticker::new(&rt, period).expect("room");
    let task = rt.spawn(ticks, (ticker.clone(), 3));
    let told = ticks((ticker.clone(), 5)).expect("ticks");
    assert!(told >= 5 && begin.elapsed() >= 5 * period);
    assert!(task.join_flat().expect("ticks") >= 3);
    // Who comes late is told of all since, once.
    let late = ticker.clone();
    std::thread::sleep(4 * period);
    assert!(late.missed() >= 4);
    assert!(late.wait().expect("ticks") >= 1);
    assert_eq!(ticker.period(), period);
}

#[test]
fn waits_end_with_the_runtime() {
    let rt = runtime(1);
    let limit = Semaphore::new(&rt, 1).expect("room");
    let _permit = limit.acquire().expect("free");
    let (latch, _counts) = Latch::new(&rt, 1).expect("room");
    let (group, _member) = WaitGroup::new(&rt).expect("room");
    let members = Barrier::new(&rt, 2).expect("room");
    let ticker = Ticker::new(&rt, LONG).expect("room");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| limit.acquire().map(drop));
        let others = [
            scope.spawn(|| latch.wait()),
            scope.spawn(|| group.wait()),
            scope.spawn(|| members[0].wait()),
            scope.spawn(|| ticker.wait().map(drop)),
        ];
        std::thread::sleep(SOON);
        rt.shutdown(Shutdown::Abort).expect("nothing runs");
        assert_eq!(waits.join().expect("ends"), Err(LockFault::Gone));
        for other in others {
            assert_eq!(other.join().expect("ends"), Err(WaitFault::Gone));
        }
    });
}

#[test]
fn a_task_that_waits_hears_its_cancel() {
    fn waits((ticker, says): (Ticker, Sender<()>)) -> Option<WaitFault> {
        says.send(()).expect("the host hears");
        ticker.wait().err()
    }
    let rt = runtime(1);
    let ticker = Ticker::new(&rt, LONG).expect("room");
    let (says, hears) = rt.channel(1).expect("room");
    let task = rt.spawn(waits, (ticker, says));
    hears.recv().expect("it says so");
    task.cancel();
    assert_eq!(task.join(), Ok(Some(WaitFault::Cancelled)));
}
