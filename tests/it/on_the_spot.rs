//! Children that their parents run: with one worker of one thread that is all of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pinfold::{Loan, TaskError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::runtime;
use crate::nested::becomes_clean;

/// A buffer that may have several owners where it is made.
#[derive(Clone, Debug)]
struct Owned(Arc<Loan>);

impl Owned {
    fn of(byte: u8) -> Self {
        let mut loan = pinfold::alloc(1000).expect("room");
        loan.fill(byte);
        Owned(Arc::new(loan))
    }

    /// For its only owner.
    fn bytes(&mut self) -> &mut [u8] {
        Arc::get_mut(&mut self.0).expect("one owner")
    }
}

impl Serialize for Owned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (*self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Loan::deserialize(deserializer).map(|loan| Owned(Arc::new(loan)))
    }
}

#[test]
fn no_two_own_the_same_buffer() {
    static KEPT: Mutex<Option<Owned>> = Mutex::new(None);
    fn kept((): ()) -> Owned {
        let mut kept = KEPT.lock().expect("no panic");
        kept.get_or_insert_with(|| Owned::of(7)).clone()
    }
    fn twice((): ()) -> (Owned, Owned) {
        let one = Owned::of(1);
        (one.clone(), one)
    }
    fn parent((): ()) -> (u8, u8) {
        let mut got = pinfold::spawn(kept, ()).join().expect("a buffer");
        assert_eq!(got.0[999], 7);
        got.bytes().fill(8);
        let kept = KEPT
            .lock()
            .expect("no panic")
            .as_ref()
            .map(|k| k.0.as_ptr());
        assert_ne!(kept, Some(got.0.as_ptr()), "the cache's own");
        let (mut one, mut other) = pinfold::spawn(twice, ()).join().expect("two");
        one.bytes().fill(2);
        other.bytes().fill(3);
        (one.0[0], other.0[0])
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, ()).join(), Ok((2, 3)));
}

/// Its own buffer comes back as it is, without a copy.
#[test]
fn a_buffer_of_one_owner_is_not_copied() {
    fn make((): ()) -> (u64, Loan) {
        let loan = pinfold::alloc(5000).expect("room");
        (loan.as_ptr().addr() as u64, loan)
    }
    fn parent((): ()) -> bool {
        let (made_at, loan) = pinfold::spawn(make, ()).join().expect("a buffer");
        made_at == loan.as_ptr().addr() as u64
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, ()).join(), Ok(true));
    becomes_clean(&rt);
}

/// Arguments that do not fit into a slot go another way.
type Long = [u64; 20];
const LONG: Long = [u64::MAX; 20];

#[test]
fn all_that_is_below_a_task_is_part_of_it() {
    fn has_deadline(_: u8) -> bool {
        pinfold::context().time_left().is_some()
    }
    fn by_words(_: Long) -> bool {
        has_deadline(0) & pinfold::spawn(has_deadline, 0).join().expect("a value")
    }
    fn by_few(n: u8) -> bool {
        let below = match n {
            0 => pinfold::spawn(by_words, LONG).join(),
            _ => pinfold::spawn(by_few, n - 1).join(),
        };
        has_deadline(0)
            & below.expect("a value")
            & pinfold::spawn(has_deadline, 0).join().expect("a value")
    }
    fn parent((): ()) -> bool {
        let down = pinfold::spawn(by_few, 3).join().expect("a value");
        let long = pinfold::spawn(by_words, LONG).join().expect("a value");
        // What was below is not any more.
        let again = pinfold::spawn(by_few, 0).join().expect("a value");
        down & long & again
    }
    fn long_first((): ()) -> bool {
        pinfold::spawn(by_words, LONG).join().expect("a value")
    }
    fn is_any_other_wrong((): ()) -> bool {
        has_deadline(0) | pinfold::spawn(has_deadline, 0).join().expect("a value")
    }
    let rt = runtime(1);
    let late = Duration::from_secs(600);
    for _ in 0..3 {
        let with = rt.task(parent).soft_deadline(late).spawn(());
        assert_eq!(with.join(), Ok(true));
        assert_eq!(rt.spawn(is_any_other_wrong, ()).join(), Ok(false));
        let with = rt.task(long_first).soft_deadline(late).spawn(());
        assert_eq!(with.join(), Ok(true));
        assert_eq!(rt.spawn(is_any_other_wrong, ()).join(), Ok(false));
    }
    becomes_clean(&rt);
}

#[test]
fn a_detached_child_is_not_forgotten_behind_many_others() {
    fn parent(n: u64) -> u64 {
        // It is offered first, and then only in a ring that is tidied again and again.
        drop(pinfold::spawn(|n: u64| n, n));
        (0..n).fold(0, |sum, n| {
            sum + pinfold::spawn(|n: u64| n, n).join().expect("a value")
        })
    }
    let rt = runtime(1);
    assert_eq!(rt.spawn(parent, 5000).join(), Ok(5000 * 4999 / 2));
    becomes_clean(&rt);
}

/// It cannot be encoded.
#[derive(Debug, Deserialize)]
struct Mute;

impl Serialize for Mute {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("mute"))
    }
}

#[test]
fn every_outcome_is_told() {
    fn parent((): ()) -> Vec<String> {
        let err = pinfold::spawn(|n: u8| Err::<u8, String>(n.to_string()), 4).join();
        let mute = pinfold::spawn(|()| Mute, ()).join();
        let long = pinfold::spawn(|n: usize| vec![3_u8; n], 100_000).join();
        let panics = pinfold::spawn(|n: u8| assert_eq!(n, 0, "no"), 1).join();
        vec![
            format!("{err:?}"),
            matches!(mute, Err(TaskError::Result { .. })).to_string(),
            long.map_or(0, |long| long.iter().filter(|byte| **byte == 3).count())
                .to_string(),
            matches!(panics, Err(TaskError::Panicked { .. })).to_string(),
        ]
    }
    let rt = runtime(1);
    let told = rt.spawn(parent, ()).join().expect("a value");
    assert_eq!(told, [r#"Ok(Err("4"))"#, "true", "100000", "true"]);
    becomes_clean(&rt);
}
