//! Collective operations: results, bad input, and what becomes of a group when members die, leave
//! or do not come.

use std::time::{Duration, Instant};

use pinfold::channel::{Receiver, Sender};
use pinfold::collective::{CollectiveError, GroupError, Member, Operation};
use pinfold::{Runtime, Shared, Shutdown};

const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(20);

pub fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(256 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

/// Waits until nothing is left of groups: their blocks are given back.
pub fn nothing_left(rt: &Runtime) {
    let give_up = Instant::now() + LONG;
    loop {
        let audit = rt.audit();
        let left =
            audit.blocks_loaned + audit.blocks_shared + audit.blocks_carried + audit.blocks_lanes;
        if left == 0 && audit.orphans.is_empty() {
            return;
        }
        assert!(Instant::now() < give_up, "{audit:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What member `rank` brings into step `step`; some of it is short, some long.
fn text(rank: usize, step: usize) -> String {
    format!("{rank}.{step};").repeat(1 + (rank * 7 + step * 3) % 40)
}

pub type Told = Result<(), CollectiveError>;

/// Each operation with each root; what comes out is compared with what must.
fn everything((mut member, array): (Member, Option<Shared<u32>>)) -> Told {
    let (rank, size) = (member.rank(), member.size());
    let all = || 0..size;
    for step in 0..30 {
        let root = step % size;
        member.barrier()?;
        let value = (rank == root).then(|| text(rank, step));
        assert_eq!(member.broadcast(root, value)?, text(root, step));
        let mine = text(rank, step);
        let texts: Vec<_> = all().map(|rank| text(rank, step)).collect();
        assert_eq!(member.all_gather(mine.clone())?, texts);
        let gathered = member.gather(root, mine.clone())?;
        assert_eq!(gathered, (rank == root).then(|| texts.clone()));
        let join = |a: String, b: String| a + &b;
        let reduced = member.reduce(root, mine.clone(), join)?;
        assert_eq!(reduced, (rank == root).then(|| texts.concat()));
        assert_eq!(member.all_reduce(mine, join)?, texts.concat());
        // Floating-point numbers: in the order of ranks, and in no other.
        let number = |rank: usize| 1.0 / (1 + rank + step) as f64;
        let sum = all().map(number).reduce(|a, b| a + b).expect("some");
        assert_eq!(
            member.all_reduce(number(rank), |a, b| a + b)?.to_bits(),
            sum.to_bits()
        );
        for len in [0, 1, 7, 1000, 10_007] {
            let element = |rank: usize, at: usize| (rank * len + at) as u64;
            let mut values: Vec<_> = (0..len).map(|at| element(rank, at)).collect();
            member.all_reduce_slice(&mut values, |a, b| a.wrapping_mul(31) ^ b)?;
            for (at, value) in values.into_iter().enumerate() {
                let expected = all().map(|rank| element(rank, at));
                let expected = expected.reduce(|a, b| a.wrapping_mul(31) ^ b);
                assert_eq!(Some(value), expected);
            }
        }
        let part = member.scatter(0, array.clone())?;
        let parts = member.all_gather(part.clone())?;
        let numbers: Vec<u32> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        assert!(numbers.into_iter().eq(0..1001));
        assert!(
            parts
                .iter()
                .all(|other| other.len().abs_diff(part.len()) <= 1)
        );
    }
    Ok(())
}

fn counting(rt: &Runtime) -> Shared<u32> {
    let mut array = rt.alloc_array::<u32>(1001).expect("room");
    (0..).zip(array.iter_mut()).for_each(|(n, at)| *at = n);
    array.publish()
}

#[test]
fn each_operation_gives_what_it_must_to_all() {
    let rt = runtime(4);
    for size in 1..=4 {
        let mut args = vec![None; size];
        args[0] = Some(counting(&rt));
        let tasks = rt.spawn_group(everything, args).expect("executors");
        for told in pinfold::join_all(tasks) {
            assert_eq!(told, Ok(Ok(())), "{size}");
        }
    }
    nothing_left(&rt);
}

#[test]
fn the_host_and_its_threads_may_be_members() {
    let rt = runtime(2);
    let mut members = rt.collective(4).expect("room");
    let array = counting(&rt);
    let in_workers: Vec<_> = (members.drain(2..))
        .map(|member| rt.spawn(everything, (member, None)))
        .collect();
    std::thread::scope(|scope| {
        let other = members.pop().expect("four");
        scope.spawn(|| everything((other, None)).expect("well"));
        let own = members.pop().expect("four");
        everything((own, Some(array))).expect("well");
    });
    for told in pinfold::join_all(in_workers) {
        assert_eq!(told, Ok(Ok(())));
    }
    nothing_left(&rt);
}

#[test]
fn many_more_members_than_cpus() {
    let rt = Runtime::builder().workers(2).threads_per_worker(16);
    let rt = rt.on_drop(Shutdown::Abort).start().expect("starts");
    fn count((mut member, ()): (Member, ())) -> Result<u64, CollectiveError> {
        let mut sum = 0;
        for round in 0..100 {
            sum += member.all_reduce(round, u64::max)?;
            member.barrier()?;
        }
        Ok(sum)
    }
    for _ in 0..3 {
        let sums = pinfold::join_all(rt.spawn_group(count, [(); 32]).expect("executors"));
        assert!(sums.into_iter().all(|sum| sum == Ok(Ok(4950))));
    }
    nothing_left(&rt);
}

/// As many members as a group may have; and as many executors as fit on few CPUs.
#[test]
fn a_thousand_members() {
    const ALL: usize = 1024;
    fn count((mut member, ()): (Member, ())) -> Result<(u64, usize), CollectiveError> {
        let sum = member.all_reduce(member.rank() as u64, |a, b| a + b)?;
        let last = member.size() - 1;
        let all = member.gather(last, member.rank() as u32)?;
        member.barrier()?;
        Ok((sum, all.map_or(0, |all| all.len())))
    }
    let sum = |members: usize| (0..members as u64).sum::<u64>();
    let rt = Runtime::builder().workers(2).threads_per_worker(70);
    let rt = rt.on_drop(Shutdown::Abort).start().expect("starts");
    let tasks = rt.spawn_group(count, [(); 140]).expect("executors");
    let told = pinfold::join_all(tasks);
    for (rank, told) in told.into_iter().enumerate() {
        let gathered = if rank == 139 { 140 } else { 0 };
        assert_eq!(told, Ok(Ok((sum(140), gathered))));
    }
    let members = rt.collective(ALL).expect("room");
    std::thread::scope(|scope| {
        for member in members {
            let rank = member.rank();
            let life = move || {
                let gathered = if rank == ALL - 1 { ALL } else { 0 };
                assert_eq!(count((member, ())), Ok((sum(ALL), gathered)));
            };
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn_scoped(scope, life).expect("a thread");
        }
    });
    nothing_left(&rt);
}

/// Calls barriers until there is an error; who is told to dies instead of calling the `dies_at`th.
fn barriers((mut member, dies_at): (Member, Option<usize>)) -> (Told, Told, usize) {
    for round in 0.. {
        if dies_at == Some(round) {
            std::process::abort();
        }
        if let Err(error) = member.barrier() {
            return (Err(error), member.all_reduce(1, u8::max).map(drop), round);
        }
    }
    unreachable!("it is killed before")
}

#[test]
fn a_death_is_told_to_all_others_in_this_call_and_later_ones() {
    let rt = runtime(4);
    for dies_at in [0, 1, 5, 100] {
        let mut args = [None; 4];
        args[2] = Some(dies_at);
        let told = pinfold::join_all(rt.spawn_group(barriers, args).expect("executors"));
        assert!(told[2].is_err());
        for rank in [0, 1, 3] {
            let (first, later, round) = told[rank].clone().expect("lives");
            let died = |told: &Told| matches!(told, Err(CollectiveError::MemberDied { rank: 2, worker }) if *worker < 4);
            assert!(died(&first) && died(&later), "{first:?}, {later:?}");
            assert_eq!(round, dies_at);
        }
    }
    nothing_left(&rt);
}

/// Brings a long value, and dies when all have it; the others go on without it.
fn dies_and_others_shrink((mut member, dies): (Member, bool)) -> Result<usize, CollectiveError> {
    for _ in 0..20 {
        let all = member.all_gather(vec![member.rank() as u8; 5000])?;
        assert!(
            all.iter()
                .enumerate()
                .all(|(rank, bytes)| bytes[4999] == rank as u8)
        );
    }
    if dies {
        std::process::abort();
    }
    match member.barrier() {
        Err(CollectiveError::MemberDied { rank: 0, .. } | CollectiveError::Shrinking { .. }) => {}
        other => panic!("{other:?}"),
    }
    member.shrink()?;
    for root in 0..member.size() {
        let sizes = member.gather(root, member.rank())?;
        assert_eq!(sizes.is_some(), root == member.rank());
        assert!(sizes.is_none_or(|ranks| ranks.into_iter().eq(0..member.size())));
    }
    let part = member.broadcast(1, Some("well".to_owned()))?;
    assert_eq!(part, "well");
    Ok(member.size())
}

#[test]
fn those_that_are_left_go_on_as_a_smaller_group() {
    let rt = runtime(4);
    let tasks = rt.spawn_group(dies_and_others_shrink, [true, false, false, false]);
    let sizes = pinfold::join_all(tasks.expect("executors"));
    assert!(sizes[0].is_err());
    assert_eq!(sizes[1..], [Ok(Ok(3)), Ok(Ok(3)), Ok(Ok(3))]);
    nothing_left(&rt);
}

#[test]
fn one_that_leaves_is_told_of() {
    let rt = runtime(2);
    let left = |rank| Err(CollectiveError::MemberLeft { rank });
    // Its task has ended, has panicked, was never sent.
    fn ends((member, panics): (Member, bool)) {
        assert!(!panics);
        drop(member);
    }
    for panics in [false, true] {
        let mut members = rt.collective(2).expect("room");
        let task = rt.spawn(ends, (members.pop().expect("two"), panics));
        assert_eq!(members[0].barrier(), left(1));
        assert_eq!(task.join().is_err(), panics);
    }
    let (sender, receiver) = rt.channel::<Member>(2).expect("room");
    let mut members = rt.collective(3).expect("room");
    sender.send(members.pop().expect("three")).expect("room");
    let mut here = members.pop().expect("three");
    let waits = std::thread::spawn(move || here.barrier());
    let mut first = members.pop().expect("three");
    first.set_timeout(Some(SOON));
    assert!(matches!(
        first.barrier(),
        Err(CollectiveError::TimedOut { missing: 2, .. })
    ));
    drop((sender, receiver)); // and the message
    first.set_timeout(None);
    assert_eq!(first.barrier(), left(2));
    assert_eq!(waits.join().expect("no panic"), left(2));
    drop(first);
    nothing_left(&rt);
}

#[test]
fn who_calls_something_else_is_told_and_the_group_goes_on() {
    let rt = runtime(1);
    let mut members = rt.collective(2).expect("room");
    let mut other = members.pop().expect("two");
    let mut member = members.pop().expect("two");
    let mut both = |own: &mut dyn FnMut(&mut Member) -> Told,
                    others: &(dyn Fn(&mut Member) -> Told + Sync)| {
        std::thread::scope(|scope| {
            let others = scope.spawn(|| others(&mut other));
            [own(&mut member), others.join().expect("no panic")]
        })
    };
    let barrier = |member: &mut Member| member.barrier();
    let sum = |member: &mut Member| member.all_reduce(1, |a: u8, b| a + b).map(drop);
    let [first, second] = both(&mut { barrier }, &sum);
    let Err(CollectiveError::Mismatch {
        ours,
        rank: 1,
        theirs,
        ..
    }) = first
    else {
        panic!("{first:?}");
    };
    assert_eq!(
        (ours.operation, theirs.operation),
        (Operation::Barrier, Operation::AllReduce)
    );
    assert_eq!(
        second.expect_err("not the same").to_string(),
        "member 0 has called barrier, and this one all_reduce"
    );
    // Another length, root, type.
    let slice =
        |len| move |member: &mut Member| member.all_reduce_slice(&mut vec![1; len], u32::max);
    let [first, second] = both(&mut slice(3), &slice(4));
    assert_eq!(
        first.expect_err("not the same").to_string(),
        "member 1 has called all_reduce_slice of 4 elements, and this one all_reduce_slice of 3 elements"
    );
    assert!(second.is_err());
    let from = |root| move |member: &mut Member| member.broadcast(root, Some(7)).map(drop);
    let [first, second] = both(&mut from(0), &from(1));
    assert!(matches!(first, Err(CollectiveError::Mismatch { .. })) && second.is_err());
    let words = |member: &mut Member| member.all_reduce(1, |a: u64, b| a + b).map(drop);
    let [first, second] = both(&mut { sum }, &words);
    assert!(
        first
            .expect_err("bytes")
            .to_string()
            .contains("of another type")
    );
    assert!(second.is_err());
    // Without a value.
    let none = |member: &mut Member| member.broadcast(1, None::<u8>).map(drop);
    let no_value = Err(CollectiveError::NoValue { rank: 1 });
    let [first, second] = both(&mut { none }, &none);
    assert_eq!(first, no_value);
    assert!(second.is_err());
    let loan = rt.alloc(10).expect("room");
    let mut loan = Some(loan);
    let mut own = |member: &mut Member| {
        let loan = loan.take().expect("called once");
        member.all_gather(loan).map(drop)
    };
    let others = |member: &mut Member| member.all_gather(rt.alloc(3).expect("room")).map(drop);
    let [first, second] = both(&mut own, &others);
    for told in [first, second] {
        assert!(
            matches!(told, Err(CollectiveError::Encode { .. })),
            "{told:?}"
        );
    }
    let nobody = Err(CollectiveError::NoSuchRank { rank: 2, size: 2 });
    assert_eq!(from(2)(&mut member), nobody);
    let two = [&mut member, &mut other].map(|member| {
        member.set_timeout(Some(Duration::ZERO));
        member.barrier()
    });
    assert!(matches!(
        two,
        [Err(CollectiveError::TimedOut { .. }), Ok(())]
    ));
    let unfinished = member.all_gather(1);
    assert!(
        matches!(unfinished, Err(CollectiveError::Unfinished { call, .. }) if call.operation == Operation::Barrier)
    );
    assert_eq!(member.barrier(), Ok(()));
    drop((member, other));
    nothing_left(&rt);
}

#[test]
fn a_group_is_refused_that_could_not_run_at_once() {
    let rt = runtime(2);
    fn waits((mut member, ()): (Member, ())) -> Told {
        member.barrier()
    }
    let busy = |members, busy| GroupError::TooFewExecutors {
        members,
        busy,
        executors: 2,
    };
    let refused = rt.spawn_group(waits, [(); 3]).expect_err("three");
    assert_eq!(refused, busy(3, 0));
    fn holds((mut member, receiver): (Member, Receiver<()>)) -> Told {
        let _ = receiver.recv();
        member.barrier()
    }
    let (sender, receiver) = rt.channel(1).expect("room");
    let held = rt.spawn_group(holds, [receiver]).expect("executors");
    let refused = rt.spawn_group(waits, [(); 2]).expect_err("one is busy");
    assert_eq!(refused, busy(2, 1));
    drop(sender);
    assert_eq!(pinfold::join_all(held), [Ok(Ok(()))]);
    for _ in 0..50 {
        // As soon as one has ended there is room for the next.
        let tasks = rt.spawn_group(waits, [(); 2]).expect("executors");
        assert_eq!(pinfold::join_all(tasks), [Ok(Ok(())), Ok(Ok(()))]);
    }
    for members in [0, 1025] {
        let error = rt.collective(members).expect_err("no such group");
        assert_eq!(
            error,
            GroupError::Size {
                members,
                most: 1024
            }
        );
    }
    assert_eq!(
        pinfold::collective(2).expect_err("no task"),
        GroupError::Alloc(pinfold::AllocError::NoPool)
    );
    nothing_left(&rt);
}

#[test]
fn a_member_goes_on_where_it_is_passed_to() {
    let rt = runtime(2);
    fn relay((mut member, to): (Member, Sender<Member>)) -> u64 {
        let sum = member.all_reduce(1, |a: u64, b| a + b).expect("well");
        to.send(member).expect("received");
        sum
    }
    let mut members = rt.collective(2).expect("room");
    let (sender, receiver) = rt.channel(1).expect("room");
    let task = rt.spawn(relay, (members.pop().expect("two"), sender));
    let mut own = members.pop().expect("two");
    assert_eq!(own.all_reduce(2, |a: u64, b| a + b), Ok(3));
    let mut back = receiver.recv().expect("sent");
    assert_eq!(task.join(), Ok(3));
    let waits = std::thread::spawn(move || back.all_gather("there".to_owned()));
    let both = Ok(vec!["here".to_owned(), "there".to_owned()]);
    assert_eq!(own.all_gather("here".to_owned()), both);
    assert_eq!(waits.join().expect("no panic"), both);
    drop((own, receiver));
    nothing_left(&rt);
}

#[test]
fn nobody_waits_when_the_runtime_is_over() {
    let rt = runtime(1);
    let mut members = rt.collective(2).expect("room");
    let mut member = members.pop().expect("two");
    let waits = std::thread::spawn(move || {
        let told = member.barrier();
        (told, member.barrier())
    });
    rt.shutdown(Shutdown::Abort).expect("ends");
    let gone = Err(CollectiveError::Gone);
    assert_eq!(
        waits.join().expect("no panic"),
        (gone.clone(), gone.clone())
    );
    assert_eq!(members[0].shrink(), gone);
}

#[test]
fn a_task_that_waits_for_others_hears_that_it_is_cancelled() {
    let rt = runtime(1);
    fn waits((mut member, started): (Member, Sender<()>)) -> Told {
        started.send(()).expect("the host listens");
        member.barrier()
    }
    let (started, has_started) = rt.channel(1).expect("room");
    let mut members = rt.collective(2).expect("room");
    let task = rt.spawn(waits, (members.pop().expect("two"), started));
    has_started.recv().expect("it starts");
    task.cancel();
    assert!(matches!(
        task.join(),
        Err(pinfold::TaskError::Cancelled { .. })
    ));
    assert_eq!(
        members[0].barrier(),
        Ok(()),
        "what the other had called before is still so"
    );
    assert_eq!(
        members[0].barrier(),
        Err(CollectiveError::MemberLeft { rank: 1 })
    );
    drop((members, has_started));
    nothing_left(&rt);
}
