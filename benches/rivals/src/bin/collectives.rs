//! Collective operations: how long one takes when all members call it again and again.
//!
//! Each member is in a process of its own, with two CPUs for all. The rival is Open MPI, whose
//! ranks meet in shared memory, too; with more ranks than CPUs they give way when they wait, as
//! `mpirun --oversubscribe` has them do.

use std::cell::RefCell;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use pinfold::Runtime;
use pinfold::channel::Sender;
use pinfold::collective::{CollectiveError, Member};
use pinfold_rivals::duo::now;
use pinfold_rivals::{Against, Bench, Options, Program, Question, Race, Rival};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

const MPI: &str = "Open MPI, shared memory";

/// ns of each of so many barriers, or of all_reduce of a word.
fn meet((mut member, (is_barrier, count)): (Member, (bool, u64))) -> Result<f64, CollectiveError> {
    for _ in 0..count / 10 {
        member.barrier()?;
    }
    let start = now();
    for round in 0..count {
        if is_barrier {
            member.barrier()?;
        } else {
            let sum = member.all_reduce(round, |a, b| a + b)?;
            assert_eq!(sum, round * member.size() as u64);
        }
    }
    Ok((now() - start) as f64 / count as f64)
}

fn ours(rt: &Runtime, members: usize, is_barrier: bool, count: u64) -> f64 {
    let args = vec![(is_barrier, count); members];
    let tasks = rt.spawn_group(meet, args).expect("executors");
    let all = pinfold::join_all(tasks).into_iter();
    all.map(|ns| ns.expect("it lives").expect("a result"))
        .fold(0.0, f64::max)
}

fn main() {
    pinfold::init();
    let mut bench = Bench::new("collectives", Options::parse_alone());
    for members in [2, 8] {
        let rt = Runtime::builder().workers(members).start();
        let rt = Rc::new(rt.expect("pinfold starts"));
        let ranks = members.to_string();
        let mpirun = [
            "mpirun",
            "--allow-run-as-root",
            "--oversubscribe",
            "-np",
            &ranks,
        ];
        let mpi = Rc::new(RefCell::new(Program::native_under(
            &mpirun,
            "collectives_mpi",
            &[],
        )));
        for (operation, is_barrier) in [("barrier", true), ("all_reduce", false)] {
            race(&mut bench, (operation, is_barrier), members, &rt, &mpi);
        }
    }
    death(&mut bench);
    bench.finish();
}

/// So long all sleep before one is killed.
const SETTLE: Duration = Duration::from_millis(2);

/// When it was told that another member has died; the other says who it is, and sleeps.
fn mourn((mut member, pid): (Member, Option<Sender<u32>>)) -> Result<u64, CollectiveError> {
    member.barrier()?;
    if let Some(pid) = pid {
        pid.send(std::process::id()).expect("the host listens");
        std::thread::sleep(Duration::from_secs(60));
    }
    match member.barrier() {
        Err(CollectiveError::MemberDied { .. }) => Ok(now()),
        other => other.map(|()| 0),
    }
}

/// µs from the kill of a member's worker until all others know.
fn told(rt: &Runtime) -> f64 {
    let (sender, pid) = rt.channel(1).expect("a channel");
    let tasks = rt.spawn_group(mourn, [None, Some(sender), None]);
    let tasks = tasks.expect("executors");
    let pid = pid.recv().expect("it is there");
    std::thread::sleep(SETTLE);
    let start = now();
    kill(pid);
    let told = pinfold::join_all(tasks).into_iter().flatten().flatten();
    (told.max().expect("two live") - start) as f64 / 1e3
}

/// µs from the kill of a process until its parent is told.
fn notice() -> f64 {
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
    let pid = Pid::from_child(&child);
    let fd = pidfd_open(pid, PidfdFlags::empty()).expect("a descriptor");
    std::thread::sleep(SETTLE);
    let start = now();
    kill(child.id());
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, None).expect("it ends");
    let end = now();
    child.wait().expect("it has ended");
    (end - start) as f64 / 1e3
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid as i32).expect("a process");
    kill_process(pid, Signal::KILL).expect("it lives");
}

fn death(bench: &mut Bench) {
    let question = Question::lower(
        "collectives.death",
        "from a member's death until all others are told",
        "us",
    )
    .bar(Against::Floor, 2.0);
    let mut race = Race::new([question]);
    let rt = Runtime::builder().workers(3).start();
    let rt = rt.expect("pinfold starts");
    race.floor("kill, notice by a pidfd", notice);
    race.ours("kill, the other two asleep in a barrier", move || told(&rt));
    let rounds = bench.rounds(30, 8);
    bench.run(race, rounds);
}

fn race(
    bench: &mut Bench,
    (operation, is_barrier): (&str, bool),
    members: usize,
    rt: &Rc<Runtime>,
    mpi: &Rc<RefCell<Rival>>,
) {
    let question = Question::lower(
        &format!("collectives.{operation}{members}"),
        &format!("{operation} of {members} members"),
        "ns",
    )
    .bar(Against::Rival(MPI), 1.0);
    let mut race = Race::new([question]);
    let count = bench.pick(100_000, 20_000) / members as u64;
    let (rt, mpi) = (Rc::clone(rt), Rc::clone(mpi));
    race.ours(&format!("{operation}, each in a worker"), move || {
        ours(&rt, members, is_barrier, count)
    });
    let order = format!("{operation} {count}");
    race.rival(MPI, move || match mpi.borrow_mut().ask(&order)?[..] {
        [ns] => Ok(ns) as Result<f64, String>,
        _ => Err("it answered something else".to_owned()),
    });
    let rounds = bench.rounds(9, 3);
    bench.run(race, rounds);
}
