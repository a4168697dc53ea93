//! Collective operations: a worker dies while it takes a seat, brings values short and long, waits,
//! shrinks the group, and leaves it.

use pinfold::collective::{CollectiveError, Member};
use pinfold::{Orphans, Runtime, Shared};

use crate::scenario::{self, Deaths, check};

type Told = Result<u64, CollectiveError>;

/// As [`scenario::run`], and says whether the worker died before the work was done.
pub fn run(workers: usize, threads: usize, orphans: Orphans, step: u64) -> Result<bool, String> {
    scenario::run_with(workers, threads, orphans, step, work).map(|died| died.in_it)
}

/// What each member does: how often it has met the others. Each value is of the kind that
/// it must be.
fn meet(member: &mut Member, array: &Option<Shared<u32>>, from: u64) -> Told {
    let (rank, size) = (member.rank(), member.size());
    let mut met = from;
    for round in from..3 {
        let long = |rank: usize| vec![rank as u8; 100 + 100 * round as usize];
        let all = member.all_gather((round, long(rank)))?;
        assert!(
            all.into_iter()
                .eq((0..size).map(|rank| (round, long(rank))))
        );
        let array = array.clone().filter(|_| rank == 0);
        let part = member.scatter(0, array)?;
        assert!(part.iter().all(|element| *element == 7));
        let parts = member.gather(0, (round, part))?;
        assert_eq!(parts.is_some(), rank == 0);
        member.barrier()?;
        let ones = member.all_reduce(1, |a: usize, b| a + b)?;
        assert_eq!(ones, size);
        met += 1;
    }
    Ok(met)
}

/// The same; when somebody is gone it goes on with those that are left.
fn meet_to_the_end(member: &mut Member, array: &Option<Shared<u32>>) -> Result<u64, String> {
    let mut from = 0;
    // A member that is told in a round does that round once more.
    for _ in 0..3 {
        match meet(member, array, from) {
            Ok(met) => return Ok(met),
            Err(
                CollectiveError::MemberDied { .. }
                | CollectiveError::MemberLeft { .. }
                | CollectiveError::Shrinking { .. },
            ) => member.shrink().map_err(|error| error.to_string())?,
            Err(other) => return Err(other.to_string()),
        }
        let furthest = member.all_reduce(from, u64::max);
        from = furthest.map_err(|error| error.to_string())?;
    }
    Err("it has shrunk more than once".to_owned())
}

/// In a worker. The successor of a dead one is told that it is no member any more.
fn in_worker((mut member, ()): (Member, ())) -> Result<u64, String> {
    meet_to_the_end(&mut member, &None)
}

fn work(rt: &Runtime, _: &mut Deaths) -> Result<(), String> {
    let mut array = rt.alloc_array::<u32>(50).expect("room");
    array.fill(7);
    let array = Some(array.publish());
    // The host and one or two in workers; the second may be of one that lives.
    for count in [2, 3] {
        let mut members = rt.collective(count).map_err(|error| error.to_string())?;
        if count == 3 && rt.spawn_group(|(_, ()): (Member, ())| (), [(); 2]).is_err() {
            break; // there is no other executor
        }
        let mut own = members.remove(0);
        let task = rt.task(in_worker).at_least_once();
        let tasks: Vec<_> = members
            .into_iter()
            .map(|member| task.spawn((member, ())))
            .collect();
        let met = meet_to_the_end(&mut own, &array).map_err(|error| format!("host: {error}"))?;
        check("the host's member ends", met == 3)?;
        drop(own);
        let told: Vec<_> = tasks.into_iter().map(|task| task.join()).collect();
        for told in told {
            let told = told.map_err(|error| format!("a task is lost: {error}"))?;
            let is_well = match &told {
                Ok(met) => *met == 3,
                Err(error) => error.contains("died") || error.contains("left"),
            };
            check(&format!("a member was told {told:?}"), is_well)?;
        }
    }
    // Members that never get to a task.
    let unused = rt.collective(2).map_err(|error| error.to_string())?;
    let keeps = |members: Vec<Member>| members.len();
    let kept = rt.task(keeps).at_least_once().spawn(unused);
    check("members that a task has", kept.join() == Ok(2))
}
