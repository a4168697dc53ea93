//! What the two sides do, besides that all arrive.

use std::time::Instant;

use pinfold::channel::{Receiver, RecvError, SendFault, Sender};

use super::ways::back;
use super::{BRIEF, Item, LONG, Other, ReceiveSide, SendSide, Told, item, number};
use crate::asynchronous::block_on;

pub const ROWS: [(&str, SendSide, ReceiveSide); 8] = [
    ("who does not wait is told why", full, does_not_read),
    ("nothing comes", sends_later, empty),
    (
        "the receiver leaves",
        sends_until_refused,
        takes_one_and_leaves,
    ),
    (
        "the receiver leaves while one waits",
        waits_for_room,
        leaves,
    ),
    (
        "the sender leaves while one waits",
        leaves_at_once,
        waits_for_message,
    ),
    ("the sender closes", sends_and_closes, takes_all),
    ("the receiver closes", is_refused, closes_and_takes_all),
    (
        "who waits for its message to be taken",
        hands_over,
        takes_late,
    ),
];

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// How many fit; in a channel of capacity 0 there is no room of its own.
fn fill(to: &Sender<Item>, other: &Other) -> Told {
    let mut sent = Vec::new();
    for n in 0..other.capacity as u64 {
        to.try_send(item(n))
            .map_err(|error| format!("{n}: {error}"))?;
        sent.push(n);
    }
    Ok(sent)
}

fn full(to: Sender<Item>, other: &Other) -> Told {
    check(to.is_empty() && to.capacity() == other.capacity, || {
        format!("{to:?}")
    })?;
    let sent = fill(&to, other)?;
    check(to.len() == other.capacity, || format!("{to:?} is full"))?;
    let error = to.try_send(item(5)).expect_err("full");
    check(error.fault == SendFault::Full, || {
        format!("try_send: {error}")
    })?;
    back(error)?;
    let begin = Instant::now();
    let error = to.send_timeout(item(5), BRIEF).expect_err("full");
    let is_late = matches!(error.fault, SendFault::TimedOut { waited, .. } if waited >= BRIEF);
    check(is_late && begin.elapsed() >= BRIEF, || {
        format!("send_timeout: {error}")
    })?;
    back(error)?;
    check(to.len() == other.capacity, || {
        format!("{to:?} is as it was")
    })?;
    other.tell()?;
    Ok(sent)
}

fn does_not_read(from: Receiver<Item>, other: &Other) -> Told {
    other.hear()?;
    check(from.len() == other.capacity, || format!("{from:?} is full"))?;
    from.iter().map(number).collect()
}

fn empty(from: Receiver<Item>, other: &Other) -> Told {
    let tried = from.try_recv();
    check(tried == Err(RecvError::Empty), || {
        format!("try_recv: {tried:?}")
    })?;
    let late = from.recv_timeout(BRIEF);
    let is_late = matches!(late, Err(RecvError::TimedOut { waited }) if waited >= BRIEF);
    check(is_late, || format!("recv_timeout: {late:?}"))?;
    check(from.try_iter().next().is_none(), || "try_iter".to_owned())?;
    other.tell()?;
    let first = number(from.recv().map_err(|error| error.to_string())?)?;
    check(from.recv() == Err(RecvError::Disconnected), || {
        "over".to_owned()
    })?;
    check(from.try_recv() == Err(RecvError::Disconnected), || {
        "still".to_owned()
    })?;
    Ok(vec![first])
}

fn sends_later(to: Sender<Item>, other: &Other) -> Told {
    other.hear()?;
    to.send(item(7)).map_err(|error| error.to_string())?;
    Ok(vec![7])
}

fn takes_one_and_leaves(from: Receiver<Item>, other: &Other) -> Told {
    let first = number(from.recv().map_err(|error| error.to_string())?)?;
    drop(from);
    other.tell()?;
    Ok(vec![first])
}

fn sends_until_refused(to: Sender<Item>, other: &Other) -> Told {
    to.send(item(1)).map_err(|error| error.to_string())?;
    other.hear()?;
    // The end that a task has is gone when the task is.
    let give_up = Instant::now() + LONG;
    while !to.is_disconnected() && Instant::now() < give_up {
        std::thread::yield_now();
    }
    let refused = [
        to.send(item(2)),
        to.try_send(item(2)),
        to.send_timeout(item(2), LONG),
        block_on(to.send_async(item(2))),
        to.send_all([item(2)]).map(|_| ()),
    ];
    for result in refused {
        let error = result.expect_err("nobody receives");
        check(error.fault == SendFault::Disconnected, || error.to_string())?;
        back(error)?;
    }
    check(to.is_empty(), || format!("{to:?}"))?;
    Ok(vec![1])
}

fn waits_for_room(to: Sender<Item>, other: &Other) -> Told {
    fill(&to, other)?;
    other.tell()?;
    let error = to.send(item(8)).expect_err("nobody takes it");
    check(error.fault == SendFault::Disconnected, || error.to_string())?;
    back(error)?;
    Ok(Vec::new())
}

fn leaves(from: Receiver<Item>, other: &Other) -> Told {
    other.hear()?;
    std::thread::sleep(BRIEF);
    drop(from);
    Ok(Vec::new())
}

fn leaves_at_once(to: Sender<Item>, other: &Other) -> Told {
    other.hear()?;
    std::thread::sleep(BRIEF);
    drop(to);
    Ok(Vec::new())
}

fn waits_for_message(from: Receiver<Item>, other: &Other) -> Told {
    other.tell()?;
    let ended = from.recv();
    check(ended == Err(RecvError::Disconnected), || {
        format!("{ended:?}")
    })?;
    Ok(Vec::new())
}

fn sends_and_closes(to: Sender<Item>, other: &Other) -> Told {
    let sent = fill(&to, other)?;
    to.close();
    let error = to.send(item(3)).expect_err("closed");
    check(error.fault == SendFault::Disconnected, || error.to_string())?;
    back(error)?;
    check(to.is_disconnected(), || "closed".to_owned())?;
    other.tell()?;
    other.hear()?; // it is no end that goes
    Ok(sent)
}

fn takes_all(from: Receiver<Item>, other: &Other) -> Told {
    other.hear()?;
    let all = from.iter().map(number).collect();
    let ended = from.recv();
    check(ended == Err(RecvError::Disconnected), || {
        format!("{ended:?}")
    })?;
    other.tell()?;
    all
}

fn is_refused(to: Sender<Item>, other: &Other) -> Told {
    let mut sent = fill(&to, other)?;
    other.tell()?;
    // It waits, or comes when it is closed already.
    match to.send(item(4)) {
        // What waits to be taken may be, by one that takes what is left.
        Ok(()) if other.capacity == 0 => sent.push(4),
        Ok(()) => return Err("it is closed".to_owned()),
        Err(error) => {
            check(error.fault == SendFault::Disconnected, || error.to_string())?;
            back(error)?;
        }
    }
    other.hear()?;
    Ok(sent)
}

fn closes_and_takes_all(from: Receiver<Item>, other: &Other) -> Told {
    other.hear()?;
    from.close();
    let all = from.iter().map(number).collect();
    other.tell()?;
    all
}

/// Capacity 0: who sends goes on when its message is taken, not before.
fn hands_over(to: Sender<Item>, other: &Other) -> Told {
    other.tell()?;
    to.send(item(6)).map_err(|error| error.to_string())?;
    other.tell()?;
    other.hear()?;
    Ok(vec![6])
}

fn takes_late(from: Receiver<Item>, other: &Other) -> Told {
    other.hear()?;
    std::thread::sleep(BRIEF);
    let goes_on = other.from.try_recv().is_ok();
    check(other.capacity > 0 || !goes_on, || "it went on".to_owned())?;
    let first = number(from.recv().map_err(|error| error.to_string())?)?;
    if !goes_on {
        other.hear()?;
    }
    other.tell()?;
    Ok(vec![first])
}
