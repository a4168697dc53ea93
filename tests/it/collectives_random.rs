//! Random programs of collective operations: what each member is told, beside a sequential model.
//! In some of them members die, and the others go on.

use std::time::Duration;

use pinfold::collective::{CollectiveError, Member};
use pinfold::{Runtime, Shared, Shutdown};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde::{Deserialize, Serialize};

/// One step of a program. A root is counted among those that are left.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Step {
    Barrier,
    Broadcast(usize),
    /// An array of so many elements.
    Scatter(usize, usize),
    Gather(usize),
    AllGather,
    Reduce(usize),
    AllReduce,
    Slice(usize),
    /// The member dies that has this rank by now, if at least one other is left.
    Dies(usize),
}

/// What member `id` brings into a step: nothing, short, long, or very long.
fn text(id: usize, step: usize) -> String {
    let times = match (id * 7 + step * 3) % 11 {
        0 => 0,
        1 => 5000,
        _ => 1 + (id * 13 + step * 5) % 50,
    };
    format!("{id}:{step} ").repeat(times)
}

fn number(id: usize, step: usize) -> f64 {
    1.0 / (1 + id * 3 + step) as f64
}

fn array(id: usize, step: usize, len: usize) -> Vec<u16> {
    (0..len).map(|n| (n ^ step ^ id) as u16).collect()
}

fn slice(id: usize, step: usize, len: usize) -> Vec<f32> {
    (0..len).map(|at| number(id + at, step) as f32).collect()
}

fn part(len: usize, rank: usize, size: usize) -> std::ops::Range<usize> {
    len * rank / size..len * (rank + 1) / size
}

/// What a member is told in each step. It is asked to die by what is in the program.
fn run((mut member, (id, program)): (Member, (usize, Vec<Step>))) -> Result<Vec<String>, String> {
    let mut told = Vec::new();
    for (at, step) in program.into_iter().enumerate() {
        if let Step::Dies(rank) = step {
            if member.size() < 2 {
                continue;
            }
            if rank % member.size() == member.rank() {
                std::process::abort();
            }
            match member.barrier() {
                Err(CollectiveError::MemberDied { rank: dead, .. }) => {
                    told.push(format!("dead: {dead}"));
                }
                // Others know already.
                Err(CollectiveError::Shrinking { .. }) => {
                    told.push(format!("dead: {}", rank % member.size()));
                }
                other => return Err(format!("somebody has died: {other:?}")),
            }
            member.shrink().map_err(|error| error.to_string())?;
            continue;
        }
        let said = say(&mut member, (id, at), step).map_err(|error| error.to_string())?;
        told.push(said);
    }
    Ok(told)
}

fn say(
    member: &mut Member,
    (id, at): (usize, usize),
    step: Step,
) -> Result<String, CollectiveError> {
    let size = member.size();
    let mine = text(id, at);
    let join = |a: String, b: String| a + "+" + &b;
    Ok(match step {
        Step::Barrier | Step::Dies(_) => format!("{:?}", member.barrier()?),
        Step::Broadcast(root) => member.broadcast(root % size, Some(mine))?,
        Step::Scatter(root, len) => {
            let own = array(id, at, len);
            let mut loan = pinfold::alloc_array::<u16>(own.len())?;
            loan.copy_from_slice(&own);
            let part: Shared<u16> = member.scatter(root % size, Some(loan.publish()))?;
            format!("{:?}", &part[..])
        }
        Step::Gather(root) => format!("{:?}", member.gather(root % size, mine)?),
        Step::AllGather => format!("{:?}", member.all_gather(mine)?),
        Step::Reduce(root) => format!("{:?}", member.reduce(root % size, mine, join)?),
        Step::AllReduce => member.all_reduce(number(id, at), |a, b| a + b)?.to_string(),
        Step::Slice(len) => {
            let mut values = slice(id, at, len);
            member.all_reduce_slice(&mut values, |a, b| a + b)?;
            format!("{values:?}")
        }
    })
}

/// What member `me` must be told, if it lives: all alone, one step after the other.
fn model(members: usize, program: &[Step], me: usize) -> Option<Vec<String>> {
    let mut ids: Vec<usize> = (0..members).collect();
    let mut told = Vec::new();
    for (at, step) in program.iter().enumerate() {
        let size = ids.len();
        let rank = ids.iter().position(|id| *id == me)?;
        let texts: Vec<String> = ids.iter().map(|id| text(*id, at)).collect();
        let if_root = |root: usize, all: String| match root % size == rank {
            true => format!("Some({all})"),
            false => "None".to_owned(),
        };
        told.push(match *step {
            Step::Barrier => "()".to_owned(),
            Step::Broadcast(root) => texts[root % size].clone(),
            Step::Scatter(root, len) => {
                let all = array(ids[root % size], at, len);
                format!("{:?}", &all[part(all.len(), rank, size)])
            }
            Step::Gather(root) => if_root(root, format!("{texts:?}")),
            Step::AllGather => format!("{texts:?}"),
            Step::Reduce(root) => if_root(root, format!("{:?}", texts.join("+"))),
            Step::AllReduce => {
                let all = ids.iter().map(|id| number(*id, at));
                all.reduce(|a, b| a + b).expect("some").to_string()
            }
            Step::Slice(len) => {
                let all = ids.iter().map(|id| slice(*id, at, len));
                let add = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(b).map(|(a, b)| a + b).collect();
                format!("{:?}", all.reduce(add).expect("some"))
            }
            Step::Dies(_) if size < 2 => continue,
            Step::Dies(dead) => {
                ids.remove(dead % size);
                if dead % size == rank {
                    return None;
                }
                format!("dead: {}", dead % size)
            }
        });
    }
    Some(told)
}

fn programs() -> impl Strategy<Value = (usize, Vec<Step>)> {
    // None, fewer than members, as many, more; and what does not fit into a place.
    let scattered = prop::sample::select(vec![0, 1, 2, 3, 4, 5, 100, 5000]);
    let reduced = prop::sample::select(vec![0, 1, 2, 3, 4, 21, 441, 9261]);
    let step = prop_oneof![
        4 => Just(Step::Barrier),
        4 => (0..4_usize).prop_map(Step::Broadcast),
        4 => (0..4_usize, scattered).prop_map(|(root, len)| Step::Scatter(root, len)),
        4 => (0..4_usize).prop_map(Step::Gather),
        4 => Just(Step::AllGather),
        4 => (0..4_usize).prop_map(Step::Reduce),
        4 => Just(Step::AllReduce),
        4 => reduced.prop_map(Step::Slice),
        1 => (0..4_usize).prop_map(Step::Dies),
    ];
    (1..=4_usize, prop::collection::vec(step, 1..25))
}

/// `PINFOLD_SEED` and `PINFOLD_CASES` choose others.
#[test]
fn random_programs_give_what_a_sequential_model_gives() {
    let of_environment = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = of_environment("PINFOLD_SEED").unwrap_or(18);
    let cases = of_environment("PINFOLD_CASES").unwrap_or(40) as u32;
    let builder = Runtime::builder().workers(4).on_drop(Shutdown::Abort);
    let rt = builder.start().expect("starts");
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(Default::default(), &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&programs(), |(members, program)| {
        let args = (0..members).map(|id| (id, program.clone()));
        let task = rt.task(run).run_limit(Duration::from_secs(60));
        let tasks = task.spawn_group(args).expect("executors");
        for (id, told) in pinfold::join_all(tasks).into_iter().enumerate() {
            match model(members, &program, id) {
                Some(expected) => prop_assert_eq!(told, Ok(Ok(expected)), "member {}", id),
                None => prop_assert!(told.is_err(), "member {} dies: {:?}", id, told),
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

/// What a member may do that does not wait for others.
#[derive(Clone, Copy, Debug)]
enum Try {
    Barrier,
    Gather,
    Shrink,
    /// It is passed on, and has nothing but what travels.
    Pass,
}

const TRIES: [Try; 4] = [Try::Barrier, Try::Gather, Try::Shrink, Try::Pass];

/// Whatever two members call, and give up: nobody is told that the group is gone, no damage is found, and the
/// group goes on.
#[test]
fn calls_that_are_given_up_in_any_order_leave_the_group_whole() {
    let rt = super::collectives::runtime(1);
    let (sender, receiver) = rt.channel::<Member>(1).expect("room");
    let tries = |program: usize, step: usize| {
        let of_both = program >> (3 * step);
        (of_both & 1, TRIES[of_both >> 1 & 3])
    };
    let go = |member: Member, what: Try| -> (Member, Result<(), CollectiveError>) {
        let mut member = match what {
            Try::Pass => {
                sender.send(member).expect("room");
                receiver.recv().expect("sent")
            }
            _ => member,
        };
        member.set_timeout(Some(Duration::ZERO));
        let told = match what {
            Try::Barrier => member.barrier(),
            Try::Gather => member.all_gather(7_u8).map(drop),
            Try::Shrink => member.shrink(),
            Try::Pass => Ok(()),
        };
        (member, told)
    };
    const STEPS: usize = 4;
    for program in 0..1 << (3 * STEPS) {
        let mut members: Vec<_> = rt
            .collective(2)
            .expect("room")
            .into_iter()
            .map(Some)
            .collect();
        let mut step = |who: usize, what: Try| {
            let (member, told) = go(members[who].take().expect("back"), what);
            members[who] = Some(member);
            let said = match &told {
                Ok(())
                | Err(CollectiveError::TimedOut { .. } | CollectiveError::Unfinished { .. }) => {
                    true
                }
                Err(CollectiveError::Mismatch { .. } | CollectiveError::Shrinking { .. }) => true,
                Err(_) => false,
            };
            let steps: Vec<_> = (0..STEPS).map(|step| tries(program, step)).collect();
            assert!(said, "{steps:?}: member {who}, {what:?}: {told:?}");
            told
        };
        for at in 0..STEPS {
            let (who, what) = tries(program, at);
            let _ = step(who, what);
        }
        // Each does what it is told to, until both have met.
        let mut has_met = [false; 2];
        for turn in 0.. {
            for who in [0, 1] {
                match step(who, Try::Barrier) {
                    Ok(()) => has_met[who] = true,
                    Err(CollectiveError::Shrinking { .. }) => drop(step(who, Try::Shrink)),
                    Err(CollectiveError::Unfinished { .. }) => drop(step(who, Try::Gather)),
                    Err(_) => {}
                }
            }
            if has_met == [true; 2] {
                break;
            }
            assert!(turn < 10, "program {program:o}");
        }
    }
    drop((sender, receiver));
    assert_eq!(rt.stats().tasks.damage, 0);
}
