//! `Select`: the first of several things, whatever sorts they are of and wherever the other ends are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pinfold::channel::{
    Options, Overflow, Receiver, RecvError, Select, SelectError, SendFault, Sender,
};
use pinfold::{Loan, Runtime, Shutdown, TaskError};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(workers).memory_cap(256 << 20);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

fn send_numbers((sender, from, count): (Sender<u64>, u64, u64)) {
    for number in from..from + count {
        if sender.send(number).is_err() {
            return;
        }
    }
}

/// The numbers that come from any of these, until no more come.
fn all_of(receivers: &[Receiver<u64>]) -> Vec<u64> {
    let mut select = Select::new();
    for receiver in receivers {
        select.recv(receiver);
    }
    let mut all = Vec::new();
    loop {
        let chosen = match select.wait() {
            Ok(chosen) => chosen,
            Err(error) => {
                assert_eq!(error, SelectError::Nothing);
                return all;
            }
        };
        let index = chosen.index();
        match chosen.recv(&receivers[index]) {
            Ok(number) => all.push(number),
            Err(error) => {
                assert_eq!(error, RecvError::Disconnected);
                select.remove(index);
            }
        }
    }
}

fn all_of_two((one, other): (Receiver<u64>, Receiver<u64>)) -> Vec<u64> {
    all_of(&[one, other])
}

#[test]
fn all_that_is_sent_into_any_is_received_here_and_in_tasks() {
    let rt = runtime(4);
    const EACH: u64 = 400;
    for capacity in [0, 1, 2, 1024] {
        for receives in ["host", "worker"] {
            let (to_one, one) = rt.channel(capacity).expect("room");
            let (to_other, other) = rt.channel(capacity).expect("room");
            drop(rt.spawn(send_numbers, (to_one, 0, EACH)));
            let all = std::thread::scope(|scope| {
                scope.spawn(|| send_numbers((to_other, EACH, EACH)));
                match receives {
                    "host" => all_of_two((one, other)),
                    _ => rt.spawn(all_of_two, (one, other)).join().expect("runs"),
                }
            });
            let in_order = |numbers: Vec<u64>| numbers.is_sorted_by(|a, b| a < b);
            let (low, high): (Vec<_>, Vec<_>) = all.iter().partition(|n| **n < EACH);
            assert_eq!(all.len() as u64, 2 * EACH, "{capacity}, {receives}");
            assert!(in_order(low) && in_order(high), "{capacity}, {receives}");
        }
    }
}

/// Several that select from the same channels, and those that only receive: each message comes once.
#[test]
fn each_message_comes_once_however_many_select() {
    let rt = runtime(4);
    const EACH: u64 = 300;
    for capacity in [0, 1, 16] {
        let (to_one, one) = rt.channel(capacity).expect("room");
        let (to_other, other) = rt.channel(capacity).expect("room");
        let tasks: Vec<_> = (0..2)
            .map(|_| rt.spawn(all_of_two, (one.clone(), other.clone())))
            .collect();
        let all = std::thread::scope(|scope| {
            let (a, b) = (one.clone(), other.clone());
            let selects = scope.spawn(move || all_of_two((a, b)));
            let receives = scope.spawn(move || one.iter().collect::<Vec<u64>>());
            drop(other);
            scope.spawn(move || send_numbers((to_one, 0, EACH)));
            scope.spawn(move || send_numbers((to_other, EACH, EACH)));
            let mut all = selects.join().expect("ends");
            all.extend(receives.join().expect("ends"));
            all
        });
        let mut all: Vec<u64> = (tasks.into_iter())
            .flat_map(|task| task.join().expect("runs"))
            .chain(all)
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..2 * EACH).collect::<Vec<_>>(), "{capacity}");
    }
}

#[test]
fn of_those_that_are_always_ready_each_has_its_turn() {
    let rt = runtime(1);
    let channels: Vec<_> = (0..5)
        .map(|_| rt.channel::<u64>(64).expect("room"))
        .collect();
    for (sender, _) in &channels[..3] {
        sender.send_all(0..40).expect("room");
    }
    let mut select = Select::new();
    for (_, receiver) in &channels {
        select.recv(receiver);
    }
    let mut counts = [0; 5];
    for _ in 0..30 {
        let chosen = select.wait().expect("some are ready");
        let index = chosen.index();
        chosen.recv(&channels[index].1).expect("sent");
        counts[index] += 1;
    }
    assert_eq!(counts, [10, 10, 10, 0, 0]);
}

#[test]
fn sends_and_receives_of_different_types_in_one() {
    fn square((numbers, squares): (Receiver<u32>, Sender<(u32, String)>)) {
        for number in &numbers {
            let square = (number, (number * number).to_string());
            squares.send(square).expect("received");
        }
    }
    let rt = runtime(2);
    for capacity in [0, 1, 3] {
        let (numbers, to_task) = rt.channel(capacity).expect("room");
        let (to_host, squares) = rt.channel(capacity).expect("room");
        drop(rt.spawn(square, (to_task, to_host)));
        let mut select = Select::new();
        let (send, recv) = (select.send(&numbers), select.recv(&squares));
        let (mut next, mut seen) = (0, BTreeSet::new());
        while seen.len() < 200 {
            let chosen = select.wait().expect("there is something to wait for");
            if chosen.index() == send {
                match chosen.send(&numbers, next) {
                    Ok(()) => next += 1,
                    // Nobody was there after all.
                    Err(error) => assert_eq!((capacity, error.fault), (0, SendFault::Full)),
                }
                if next == 200 {
                    select.remove(send);
                }
            } else {
                assert_eq!(chosen.index(), recv);
                let (number, square) = chosen.recv(&squares).expect("sent");
                assert_eq!(square, (number * number).to_string());
                seen.insert(number);
            }
        }
    }
}

/// Two selects that meet, and a select that meets a receiver, in a channel without room.
#[test]
fn selects_meet_in_a_channel_of_capacity_0() {
    fn sends((sender, count): (Sender<u64>, u64)) -> u64 {
        let mut select = Select::new();
        select.send(&sender);
        let mut sent = 0;
        while sent < count {
            let chosen = select.wait().expect("there is one");
            match chosen.send(&sender, sent) {
                Ok(()) => sent += 1,
                Err(error) => assert_eq!(error.fault, SendFault::Full),
            }
        }
        sent
    }
    let rt = runtime(2);
    let (sender, receiver) = rt.channel(0).expect("room");
    let sending = rt.spawn(sends, (sender.clone(), 200));
    let mut select = Select::new();
    select.recv(&receiver);
    for number in 0..100 {
        let chosen = select.wait().expect("there is one");
        assert_eq!(chosen.recv(&receiver), Ok(number));
    }
    for number in 100..200 {
        assert_eq!(receiver.recv(), Ok(number));
    }
    assert_eq!(sending.join(), Ok(200));
}

#[test]
fn tasks_and_timers_are_waited_for() {
    fn dies((): ()) {
        std::process::abort()
    }
    let rt = runtime(2);
    let (go, goes) = rt.channel::<u32>(1).expect("room");
    let waits = rt.spawn(|goes: Receiver<u32>| goes.recv().unwrap_or(0), goes);
    let dies = rt.spawn(dies, ());
    let mut select = Select::new();
    let (end, death) = (select.handle(&waits), select.handle(&dies));
    assert_eq!(select.wait_timeout(LONG).expect("it dies").index(), death);
    assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
    select.remove(death);
    let begin = Instant::now();
    let late = select.after(SOON);
    assert_eq!(select.wait().expect("a time comes").index(), late);
    assert!(begin.elapsed() >= SOON);
    assert_eq!(select.try_wait().expect_err("once"), SelectError::NotReady);
    let tick = select.every(Duration::from_millis(5));
    for _ in 0..3 {
        assert_eq!(select.wait().expect("a time comes").index(), tick);
    }
    assert!(begin.elapsed() >= SOON + Duration::from_millis(15));
    select.remove(tick);
    go.send(9).expect("room");
    assert_eq!(select.wait_timeout(LONG).expect("it ends").index(), end);
    assert_eq!(waits.join(), Ok(9));
    // One that has ended already.
    let task = rt.spawn(|n: u32| n, 1);
    assert!(task.wait_timeout(LONG));
    let mut select = Select::new();
    let ended = select.handle(&task);
    assert_eq!(select.wait().expect("it has ended").index(), ended);
}

#[test]
fn who_waits_no_longer_is_told_why() {
    let rt = runtime(1);
    let (sender, receiver) = rt.channel::<u32>(1).expect("room");
    let mut select = Select::new();
    assert_eq!(select.wait().expect_err("nothing"), SelectError::Nothing);
    let timed_out = select.wait_timeout(SOON).expect_err("nothing");
    assert!(matches!(timed_out, SelectError::TimedOut { waited } if waited >= SOON));
    let recv = select.recv(&receiver);
    assert_eq!(select.try_wait().expect_err("empty"), SelectError::NotReady);
    let timed_out = select.wait_timeout(SOON).expect_err("empty");
    assert!(matches!(timed_out, SelectError::TimedOut { waited } if waited >= SOON));
    // Nothing is lost by one who asks wrongly, or not at all.
    sender.send(5).expect("room");
    assert_eq!(select.wait().expect("sent").index(), recv);
    let other = rt.channel::<u32>(1).expect("room");
    assert_eq!(
        select.wait().expect("kept").recv(&other.1),
        Err(RecvError::NotSelected)
    );
    let error = select.wait().expect("kept").send(&sender, 8);
    let error = error.expect_err("a message was chosen");
    assert_eq!(
        (error.fault.clone(), error.into_value()),
        (SendFault::NotSelected, Some(8))
    );
    assert_eq!(select.wait().expect("kept").recv(&receiver.clone()), Ok(5));
    let send = select.send(&sender);
    assert_eq!(select.wait().expect("room").index(), send);
    assert_eq!(
        select
            .wait()
            .expect("given up")
            .send(&sender, 6)
            .map_err(|e| e.fault),
        Ok(())
    );
    assert_eq!(select.wait().expect("sent").recv(&receiver), Ok(6));
    select.remove(send);
    select.remove(recv);
    select.remove(77);
    assert_eq!(select.wait().expect_err("nothing"), SelectError::Nothing);
}

#[test]
fn what_becomes_of_messages_without_room_is_as_the_channel_says() {
    let rt = runtime(1);
    let (sender, receiver) = rt
        .channel_with::<u32>(Options::new(1).overflow(Overflow::DropOldest))
        .expect("room");
    let mut select = Select::new();
    select.send(&sender);
    for number in 0..3 {
        select
            .wait()
            .expect("always")
            .send(&sender, number)
            .expect("room");
    }
    assert_eq!((receiver.recv(), receiver.dropped()), (Ok(2), 2));
    let (sender, receiver) = rt
        .channel_with::<u32>(Options::new(1).overflow(Overflow::Reject))
        .expect("room");
    let mut select = Select::new();
    select.send(&sender);
    select.wait().expect("room").send(&sender, 1).expect("room");
    assert_eq!(select.try_wait().expect_err("full"), SelectError::NotReady);
    assert_eq!(receiver.recv(), Ok(1));
    drop(receiver);
    let error = select.wait().expect("it has ended").send(&sender, 2);
    assert_eq!(error.expect_err("ended").fault, SendFault::Disconnected);
}

/// More than the kernel takes at a time are waited for all the same.
#[test]
fn any_number_of_channels() {
    let rt = runtime(1);
    for count in [64, 126, 127, 300] {
        let channels: Vec<_> = (0..count).map(|_| rt.channel(1).expect("room")).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
        let mut select = Select::new();
        for receiver in &receivers {
            select.recv(receiver);
        }
        for at in [0, count / 2, count - 1] {
            let sender: Sender<u64> = senders[at].clone();
            let task = rt.spawn(send_numbers, (sender, at as u64, 1));
            let chosen = select.wait_timeout(LONG).expect("it comes");
            assert_eq!(chosen.index(), at);
            assert_eq!(chosen.recv(&receivers[at]), Ok(at as u64));
            task.join().expect("runs");
        }
    }
}

#[test]
fn a_select_in_a_task_hears_its_cancel() {
    fn waits((begun, never): (Sender<u32>, Receiver<u32>)) -> Result<(), SelectError> {
        begun.send(1).expect("received");
        let mut select = Select::new();
        select.recv(&never);
        select.after(LONG);
        select.wait().map(drop)
    }
    let rt = runtime(1);
    let (begun, begins) = rt.channel(1).expect("room");
    let (_keeps, never) = rt.channel::<u32>(1).expect("room");
    let task = rt.spawn(waits, (begun, never));
    begins.recv().expect("it begins");
    task.cancel();
    assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(rt.stats().restarts, 0);
}

/// A worker dies that waits in a select, or has just chosen: the others go on.
#[test]
fn a_select_that_dies_holds_up_nobody() {
    type Ends = (Receiver<Loan>, Sender<Loan>, u32);
    fn takes_and_dies((from, to, how): Ends) {
        let mut select = Select::new();
        let (recv, send) = (select.recv(&from), select.send(&to));
        match how {
            0 => select.remove(send),
            1 => select.remove(recv),
            _ => {}
        }
        // Of `0` the message, of `1` the place dies with it.
        let _chosen = select.wait().expect("something comes");
        std::process::abort();
    }
    let rt = runtime(2);
    let loan = || rt.alloc(3000).expect("room");
    for how in [0, 1, 2] {
        let (there, from) = rt.channel(2).expect("room");
        let (to, here) = rt.channel(2).expect("room");
        let dies = rt.spawn(takes_and_dies, (from.clone(), to.clone(), how));
        let sent = std::thread::scope(|scope| {
            let sends = scope.spawn(|| (0..6).filter(|_| there.send(loan()).is_ok()).count());
            assert!(matches!(dies.join(), Err(TaskError::WorkerDied { .. })));
            let mut select = Select::new();
            let recv = select.recv(&from);
            let mut received = 0;
            while received < 5 {
                let chosen = select.wait_timeout(LONG).expect("others go on");
                assert_eq!(chosen.index(), recv);
                received += usize::from(chosen.recv(&from).is_ok());
            }
            sends.join().expect("ends")
        });
        assert_eq!(sent, 6);
        to.send(loan()).expect("room");
        assert!(here.recv_timeout(LONG).is_ok(), "nobody is in the way");
    }
}

#[test]
fn selects_end_with_the_runtime() {
    let rt = runtime(1);
    let (_sender, receiver) = rt.channel::<u64>(1).expect("room");
    let task = rt.spawn(|()| std::thread::sleep(LONG), ());
    std::thread::scope(|scope| {
        let selects = scope.spawn(|| {
            let mut select = Select::new();
            select.recv(&receiver);
            select.wait().map(|chosen| chosen.recv(&receiver))
        });
        let joins = scope.spawn(|| {
            let mut select = Select::new();
            select.handle(&task);
            select.wait().map(|chosen| chosen.index())
        });
        std::thread::sleep(SOON);
        rt.shutdown(Shutdown::Abort).expect("it is killed");
        assert_eq!(selects.join().expect("ends"), Ok(Err(RecvError::Gone)));
        assert_eq!(joins.join().expect("ends"), Ok(0));
    });
}
