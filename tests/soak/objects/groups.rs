//! Rounds of collective operations: members die, and the others shrink and go on.

use std::time::{Duration, Instant};

use pinfold::Shared;
use pinfold::collective::{CollectiveError, GroupError, Member};

use super::{ATTEMPTS, LONG, Stage, check, ended, text};

fn meet(
    member: &mut Member,
    (round, rounds): (&mut u64, u64),
    array: &Option<Shared<u32>>,
) -> Result<(), CollectiveError> {
    while *round < rounds {
        let (rank, size, now) = (member.rank(), member.size(), *round);
        let root = now as usize % size;
        let long = |rank: usize| vec![rank as u8; 7 * now as usize * (1 + rank)];
        match now % 7 {
            0 => member.barrier()?,
            1 => {
                let all = member.all_gather((now, long(rank)))?;
                assert!(all.into_iter().eq((0..size).map(|rank| (now, long(rank)))));
            }
            2 => {
                let array = array.clone().filter(|_| rank == 0);
                // The first may have died, and nobody else has it.
                match member.scatter(0, array) {
                    Ok(part) => assert!(part.iter().all(|element| *element == 7)),
                    Err(CollectiveError::NoValue { rank: 0 }) => {}
                    Err(error) => return Err(error),
                }
            }
            3 => {
                let told = member.broadcast(root, (rank == root).then(|| long(root)))?;
                assert_eq!(told, long(root));
            }
            4 => {
                let mut values = vec![1_u32; 1 + 500 * now as usize];
                member.all_reduce_slice(&mut values, |a, b| a + b)?;
                assert!(values.iter().all(|value| *value as usize == size));
            }
            5 => {
                let parts = member.gather(root, long(rank))?;
                let all = (0..size).map(long);
                assert!(parts.is_none_or(|parts| parts.into_iter().eq(all)));
            }
            _ => assert_eq!(member.all_reduce(1, |a: usize, b| a + b)?, size),
        }
        *round += 1;
    }
    Ok(())
}

/// How many rounds it has met the others in.
fn meets(member: &mut Member, rounds: u64, array: &Option<Shared<u32>>) -> Result<u64, String> {
    member.set_timeout(Some(LONG));
    let mut round = 0;
    let mut met = meet(member, (&mut round, rounds), array);
    loop {
        match met {
            Ok(()) => return Ok(round),
            Err(CollectiveError::PassedOn { .. }) => return Ok(0),
            // It is an attempt more of one that has died in the group: no member any more.
            Err(
                CollectiveError::MemberDied { rank, .. } | CollectiveError::MemberLeft { rank },
            ) if rank == member.rank() => {
                return Ok(0);
            }
            Err(
                CollectiveError::MemberDied { .. }
                | CollectiveError::MemberLeft { .. }
                | CollectiveError::Shrinking { .. },
            ) => {}
            Err(error) => return Err(format!("round {round} of {rounds}: {error}")),
        }
        met = member
            .shrink()
            .and_then(|()| member.all_reduce(round, u64::max))
            .and_then(|furthest| {
                round = furthest;
                meet(member, (&mut round, rounds), array)
            });
    }
}

fn in_task((mut member, rounds): (Member, u64)) -> Result<u64, String> {
    meets(&mut member, rounds, &None)
}

pub fn group(stage: &mut Stage<'_>) -> Result<(), String> {
    let mut array = stage.rt.alloc_array::<u32>(1000).map_err(text)?;
    array.fill(7);
    let array = Some(array.publish());
    let rounds = stage.rng.below(40);
    let members = 1 + stage.rng.below(stage.executors.min(4));
    let is_repeated = stage.rng.once_in(3);
    let what = format!("{members} members, repeated: {is_repeated}, {rounds} rounds");
    let context = |error: String| format!("{error}; {what}");
    if stage.rng.once_in(2) {
        let task = stage.rt.task(in_task);
        let task = match is_repeated {
            true => task.safe_to_repeat(ATTEMPTS),
            false => task,
        };
        // What an earlier group has left may be on its way.
        let give_up = Instant::now() + LONG;
        let handles = loop {
            match task.spawn_group(vec![rounds; members as usize]) {
                Err(GroupError::TooFewExecutors { .. }) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                handles => break handles.map_err(text)?,
            }
        };
        stage.count(members);
        for handle in handles {
            let met = ended(handle, is_repeated).map_err(context)?;
            check(
                met.is_none_or(|met| met == rounds || (is_repeated && met == 0)),
                || context(format!("{met:?}")),
            )?;
        }
        return Ok(());
    }
    // The host is a member, too.
    let mut all = stage.rt.collective(1 + members as usize).map_err(text)?;
    let mut own = all.remove(0);
    let handles: Vec<_> = all
        .into_iter()
        .map(|member| stage.spawn(in_task, (member, rounds), is_repeated))
        .collect();
    let met = meets(&mut own, rounds, &array).map_err(context)?;
    check(met == rounds, || context(format!("the host: {met}")))?;
    drop(own);
    for handle in handles {
        ended(handle, is_repeated).map_err(context)?;
    }
    Ok(())
}
