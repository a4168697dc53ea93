//! Members of tasks that are tried again: whose a member is, and what its former owner is told.

use std::cell::RefCell;
use std::time::Duration;

use pinfold::Retry;
use pinfold::channel::{Receiver, Sender};
use pinfold::collective::{CollectiveError, Member};
use pinfold::sync::Once;
use serde::{Deserialize, Serialize, Serializer};

use crate::collectives::{Told, nothing_left, runtime};
use crate::rng::Rng;

#[test]
fn a_member_is_the_last_one_s_that_got_it() {
    let rt = runtime(2);
    type Ends = (Sender<Option<Member>>, Receiver<()>, String);
    // Passes its member on, and dies when it is received; the next attempt has it as before.
    fn passes_on((mut member, (to, received, flag)): (Member, Ends)) -> Told {
        if std::fs::remove_file(flag).is_ok() {
            to.send(Some(member)).expect("received");
            received.recv().expect("it is");
            std::process::abort();
        }
        to.send(None).expect("received");
        member.barrier()
    }
    let flag = tempfile::NamedTempFile::new().expect("a file");
    let path = flag.path().to_str().expect("text").to_owned();
    let (sender, receiver) = rt.channel(2).expect("room");
    let mut members = rt.collective(2).expect("room");
    let (has_it, received) = rt.channel(1).expect("room");
    let args = (members.pop().expect("two"), (sender, received, path));
    let task = rt.task(passes_on).at_least_once().spawn(args);
    let mut passed_on = receiver.recv().expect("sent").expect("by the first");
    has_it.send(()).expect("the first one waits for it");
    assert!(receiver.recv().expect("sent").is_none(), "by the second");
    assert_eq!(
        passed_on.barrier(),
        Err(CollectiveError::PassedOn { rank: 1 })
    );
    drop(passed_on); // it was not its
    assert_eq!(members[0].barrier(), Ok(()));
    assert_eq!(task.join(), Ok(Ok(())));
    drop((members, receiver, has_it, flag.into_temp_path().keep()));
    nothing_left(&rt);
}

/// Who has a member no more may still look at what the others had brought when they bring something else: it
/// is told, and has no value.
#[test]
fn one_whose_seat_another_has_taken_reads_nothing_wrong() {
    let rt = runtime(1);
    type Ends = (Sender<Member>, Receiver<()>, String);
    fn rounds(mut member: Member) -> Result<Vec<u64>, CollectiveError> {
        let own = member.rank() as u64 + 1;
        let sums = [1, 10, 100].map(|times| member.all_reduce(own * times, |a, b| a + b));
        sums.into_iter().collect()
    }
    fn passes_on(
        (member, (to, inside, flag)): (Member, Ends),
    ) -> Result<Vec<u64>, CollectiveError> {
        if std::fs::remove_file(flag).is_ok() {
            to.send(member).expect("received");
            inside.recv().expect("it is");
            std::process::abort();
        }
        rounds(member)
    }
    let flag = tempfile::NamedTempFile::new().expect("a file");
    let path = flag.path().to_str().expect("text").to_owned();
    let (sender, receiver) = rt.channel(1).expect("room");
    let (is_inside, inside) = rt.channel(1).expect("room");
    let members = rt.collective(3).expect("room").try_into();
    let [first, second, third]: [Member; 3] = members.expect("three");
    let task = rt.task(passes_on).at_least_once();
    let task = task.spawn((second, (sender, inside, path)));
    let mut passed_on = receiver.recv().expect("by the first attempt");
    let others = [first, third].map(|member| std::thread::spawn(move || rounds(member)));
    let all = Ok(vec![6, 60, 600]);
    let sum = passed_on.all_reduce(2_u64, |a, b| {
        if a == 1 {
            // It has looked at the first, and not at the third yet. All others go on.
            is_inside.send(()).expect("the first attempt waits");
            while !task.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        a + b
    });
    // It is another's, which has left by now.
    assert_eq!(sum, Err(CollectiveError::MemberLeft { rank: 1 }));
    assert_eq!(task.join(), Ok(all.clone()));
    for other in others {
        assert_eq!(other.join().expect("no panic"), all);
    }
    drop((passed_on, receiver, is_inside, flag.into_temp_path().keep()));
    nothing_left(&rt);
}

thread_local! {
    /// What this thread does when it encodes the next [`Slow`].
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A number. While it is encoded anything may happen.
#[derive(Debug, PartialEq, Deserialize)]
struct Slow(u64);

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
        serializer.serialize_newtype_struct("Slow", &self.0)
    }
}

/// An attempt has passed its member on, and whoever has it now is about to arrive with it when the next attempt takes
/// the seat, and arrives in three rounds. Then it writes nothing: not over what is there.
#[test]
fn one_whose_seat_another_has_taken_writes_nothing() {
    let rt = runtime(1);
    type Ends = (Sender<Option<Member>>, Receiver<()>, String);
    let add = |a: Slow, b: Slow| Slow(a.0 + b.0);
    fn passes_on(
        (mut member, (to, goes_on, flag)): (Member, Ends),
    ) -> Result<u64, CollectiveError> {
        if std::fs::remove_file(flag).is_ok() {
            to.send(Some(member)).expect("received");
            goes_on.recv().expect("it is");
            std::process::abort();
        }
        let add = |a: Slow, b: Slow| Slow(a.0 + b.0);
        member.all_reduce(Slow(1), add)?;
        member.all_reduce(Slow(10), add)?;
        member.set_timeout(Some(Duration::ZERO));
        let late = member.all_reduce(Slow(100), add);
        assert!(
            matches!(late, Err(CollectiveError::TimedOut { .. })),
            "{late:?}"
        );
        to.send(None).expect("received");
        goes_on.recv().expect("it may");
        member.set_timeout(None);
        member.all_reduce(Slow(0), add).map(|sum| sum.0)
    }
    let flag = tempfile::NamedTempFile::new().expect("a file");
    let path = flag.path().to_str().expect("text").to_owned();
    let (sender, receiver) = rt.channel(1).expect("room");
    let (goes_on, may_go_on) = rt.channel(1).expect("room");
    let members = rt.collective(2).expect("room").try_into();
    let [mut first, second]: [Member; 2] = members.expect("two");
    let task = rt.task(passes_on).at_least_once();
    let task = task.spawn((second, (sender, may_go_on, path)));
    let mut passed_on = receiver.recv().expect("sent").expect("by the first");
    let (keep, kept) = std::sync::mpsc::channel();
    let next = goes_on.clone();
    MEANWHILE.set(Some(Box::new(move || {
        next.send(()).expect("the first attempt waits");
        for times in [1, 10] {
            let sum = first.all_reduce(Slow(times), add);
            assert_eq!(sum, Ok(Slow(2 * times)));
        }
        let arrived = receiver.recv().expect("by the second, in the third round");
        assert!(arrived.is_none());
        keep.send(first).expect("kept");
    })));
    let refused = passed_on.all_reduce(Slow(7), add);
    assert_eq!(refused, Err(CollectiveError::PassedOn { rank: 1 }));
    let mut first = kept.recv().expect("the other member");
    goes_on.send(()).expect("the second attempt waits");
    assert_eq!(first.all_reduce(Slow(100), add), Ok(Slow(200)));
    assert_eq!(task.join(), Ok(Ok(200)));
    drop((passed_on, first, goes_on, flag.into_temp_path().keep()));
    nothing_left(&rt);
}

#[test]
fn a_task_that_is_tried_again_has_its_member_if_it_had_not_begun() {
    let rt = runtime(2);
    fn dies_once((mut member, flag): (Member, String)) -> Result<u8, CollectiveError> {
        if std::fs::remove_file(flag).is_ok() {
            std::process::abort();
        }
        member.all_reduce(1, |a: u8, b| a + b)
    }
    let flag = tempfile::NamedTempFile::new().expect("a file");
    let path = flag.path().to_str().expect("text").to_owned();
    let task = rt.task(dies_once).at_least_once();
    let tasks = task.spawn_group([path, String::new()]);
    let sums = pinfold::join_all(tasks.expect("executors"));
    assert_eq!(sums, [Ok(Ok(2)), Ok(Ok(2))]);
    drop(flag.into_temp_path().keep());
    // One that had begun is dead, and so told.
    fn dies_then((mut member, flag): (Member, String)) -> Told {
        if !flag.is_empty() {
            member.barrier()?;
            if std::fs::remove_file(flag).is_ok() {
                std::process::abort();
            }
            return member.barrier();
        }
        member.barrier()?;
        member.barrier()
    }
    let flag = tempfile::NamedTempFile::new().expect("a file");
    let path = flag.path().to_str().expect("text").to_owned();
    let task = rt.task(dies_then).at_least_once();
    let tasks = task.spawn_group([path, String::new()]).expect("executors");
    for told in pinfold::join_all(tasks) {
        let told = told.expect("runs in the end");
        assert!(
            matches!(told, Err(CollectiveError::MemberDied { rank: 0, .. })),
            "{told:?}"
        );
    }
    drop(flag.into_temp_path().keep());
    nothing_left(&rt);
}

/// What a member brings into a round; some of it is short, some long.
fn brought(rank: usize, round: u64) -> String {
    format!("{rank}.{round};").repeat(1 + (rank * 7 + round as usize * 3) % 40)
}

/// Goes on for so many rounds; each gives what it must, or says who is gone or that the member is another's.
fn meets(member: &mut Member, rounds: u64) -> Told {
    member.set_timeout(Some(Duration::from_secs(60)));
    for round in 0..rounds {
        let all: Vec<_> = (0..member.size())
            .map(|rank| brought(rank, round))
            .collect();
        let own = all[member.rank()].clone();
        match round % 3 {
            0 => assert_eq!(member.all_gather(own)?, all),
            1 => assert_eq!(member.all_reduce(own, |a, b| a + &b)?, all.concat()),
            _ => member.barrier()?,
        }
    }
    Ok(())
}

/// Whether this is a fair end: nothing was damaged, and nobody has waited for ever.
fn is_fair(told: &Told) -> bool {
    let fair = |error: &CollectiveError| {
        matches!(
            error,
            CollectiveError::PassedOn { .. } | CollectiveError::MemberLeft { .. }
        )
    };
    told.as_ref().err().is_none_or(fair)
}

fn spin(looks: u64) {
    (0..looks).for_each(|_| std::hint::spin_loop());
}

type Attempts = (Member, Once, [u64; 4]);

/// The first attempt leaves its member to a thread, and fails; the next one has it, too. At the first word of
/// damage the worker ends.
fn is_left_to_a_thread(
    (mut member, once, [rounds, leaves, first, then]): Attempts,
) -> Option<Told> {
    if !once.call_once(|_| ()).expect("at once") || leaves == 0 {
        spin(then);
        return Some(meets(&mut member, rounds));
    }
    std::thread::spawn(move || {
        spin(first);
        if !is_fair(&meets(&mut member, rounds)) {
            std::process::abort();
        }
    });
    None
}

/// Threads of attempts that have failed, and the attempts that follow, have the same members at the same time. Seeded;
/// `PINFOLD_SEED` and `PINFOLD_CASES` choose others.
#[test]
fn attempts_that_go_on_in_threads_damage_nothing() {
    let of_environment = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let mut rng = Rng::new(of_environment("PINFOLD_SEED").unwrap_or(11), 0);
    let rt = runtime(3);
    for case in 0..of_environment("PINFOLD_CASES").unwrap_or(400) {
        let rounds = 1 + rng.below(12);
        let members = rt.collective(3).expect("room").into_iter();
        let tasks: Vec<_> = members
            .map(|member| {
                let task = rt.task(is_left_to_a_thread);
                let task = task.retry(Retry::fixed(3, Duration::ZERO));
                let task = task.retry_if(|outcome| matches!(outcome, Ok(None)));
                let once = Once::new(&rt).expect("room");
                let how = [rounds, rng.below(2), rng.below(30_000), rng.below(30_000)];
                task.spawn((member, once, how))
            })
            .collect();
        for told in pinfold::join_all(tasks) {
            let told = told.map(|told| told.is_some_and(|told| is_fair(&told)));
            assert_eq!(told, Ok(true), "case {case}");
        }
    }
    nothing_left(&rt);
}
