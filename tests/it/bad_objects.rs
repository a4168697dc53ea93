//! Bad input to channels, arrays and groups: an error each, that names the value. Of broadcast channels:
//! `broadcast_channels::bad_input_is_an_error_that_says_so`; of locks:
//! `sync::many::for_none_or_for_too_many`; of calls that differ:
//! `collectives::who_calls_something_else_is_told_and_the_group_goes_on`.

use std::fmt::Display;

use pinfold::channel::{Receiver, Router, SendFault, Sender};
use pinfold::collective::{CollectiveError, GroupError, Member};
use pinfold::sync::Barrier;
use pinfold::{AllocError, Runtime, Shutdown, TaskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

const CAP: usize = 16 << 20;

fn runtime() -> Runtime {
    let builder = Runtime::builder().workers(1).memory_cap(CAP as u64);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

fn says(error: &impl Display, what: &[&str]) {
    let text = error.to_string();
    assert!(what.iter().all(|what| text.contains(what)), "{text}");
}

/// It is refused as an argument of a task, and comes back from a channel.
fn is_refused<T: Serialize + DeserializeOwned>(rt: &Runtime, mut of_another: impl FnMut() -> T) {
    let told = rt.spawn(|_: T| (), of_another()).join();
    let error = told.expect_err("of another runtime");
    assert!(matches!(error, TaskError::Arguments { .. }), "{error}");
    says(&error, &["another runtime"]);
    let (to, from) = rt.channel::<T>(1).expect("room");
    let error = to.send(of_another()).expect_err("of another runtime");
    assert!(matches!(error.fault, SendFault::Encode { .. }), "{error}");
    says(&error, &["another runtime"]);
    assert!(error.into_value().is_some() && from.is_empty());
}

#[test]
fn what_is_of_another_runtime() {
    let (rt, other) = (runtime(), runtime());
    is_refused::<Sender<u8>>(&rt, || other.channel(1).expect("room").0);
    is_refused::<Receiver<u8>>(&rt, || other.channel(1).expect("room").1);
    is_refused::<Router<u8>>(&rt, || other.router(1, 1).expect("room").0);
    is_refused::<Member>(&rt, || {
        let members = other.collective(2);
        members.expect("room").remove(0)
    });
    is_refused::<Barrier>(&rt, || {
        let members = Barrier::new(&other, 2);
        members.expect("room").remove(0)
    });
    // Nothing has come of it.
    assert_eq!(rt.spawn(|n: u8| n, 3).join(), Ok(3));
}

#[test]
fn more_than_all_memory() {
    let rt = runtime();
    let (to, from) = rt.channel::<Vec<u8>>(1).expect("room");
    let len = CAP + 1000;
    let error = to.send(vec![1; len]).expect_err("more than there is");
    let SendFault::Alloc(AllocError::TooLarge {
        requested,
        capacity,
    }) = error.fault
    else {
        panic!("{error}");
    };
    assert!(requested >= len && capacity <= CAP);
    says(&error, &[&requested.to_string(), &capacity.to_string()]);
    assert_eq!(error.into_value().map(|bytes| bytes.len()), Some(len));
    assert!(from.is_empty());
    for capacity in [1 << 22, 1 << 30, usize::MAX] {
        let error = rt.channel::<[u64; 8]>(capacity).expect_err("too many");
        assert!(matches!(error, AllocError::TooLarge { .. }), "{error}");
    }
    let error = rt.alloc_array::<u64>(CAP).expect_err("too many");
    says(&error, &[&(8 * CAP).to_string()]);
}

#[test]
fn a_range_past_the_end() {
    let rt = runtime();
    let array = rt.alloc_array::<u32>(10).expect("room").publish();
    says(&array.slice(4..11).expect_err("past"), &["11", "10"]);
    says(&array.slice(11..).expect_err("past"), &["11", "10"]);
}

#[test]
fn a_group_that_cannot_be_and_who_is_no_member() {
    let rt = runtime();
    for members in [0, 1025, usize::MAX] {
        let error = rt.collective(members).expect_err("no such group");
        assert!(matches!(error, GroupError::Size { .. }), "{error}");
        says(&error, &[&members.to_string()]);
    }
    // It was passed on: whoever has it still is no member any more.
    let mut members = rt.collective(2).expect("room");
    let (to, from) = rt.channel::<Member>(1).expect("room");
    let mut first = members.remove(0);
    let rank = first.rank();
    let told = rt.spawn(|member: Member| member.size(), members.remove(0));
    assert_eq!(told.join(), Ok(2));
    let error = first.barrier().expect_err("the other has left");
    assert_eq!(error, CollectiveError::MemberLeft { rank: 1 });
    says(&error, &["member 1"]);
    // Twice: the round is over, and nobody else comes.
    assert_eq!(first.barrier(), Err(error));
    to.send(first).expect("room");
    assert_eq!(from.recv().map(|member| member.rank()), Ok(rank));
    let mut alone = rt.collective(1).expect("room").remove(0);
    let error = alone.broadcast(1, Some(0_u8)).expect_err("no such rank");
    assert_eq!(error, CollectiveError::NoSuchRank { rank: 1, size: 1 });
    says(&error, &["member 1", "group of 1"]);
}
