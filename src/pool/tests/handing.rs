//! Ends among a task's arguments: each state that a death may leave them in.

use std::cell::Cell;
use std::collections::HashSet;

use super::*;
use crate::pool::{End, Handing, LaneBlock, LaneKind, LaneKinds, Passage, RepeatedEnds, Token};

const LIVING: ProcessId = ProcessId(2);

/// Objects of which nothing is to be done.
#[derive(Debug)]
struct Nothing;

impl LaneKind for Nothing {
    fn number(&self) -> u64 {
        99
    }
    fn gone(&self, _: &Pool, _: LaneBlock, _: End) {}
    fn close(&self, _: &Pool, _: LaneBlock) {}
    fn recover(&self, _: &Pool, _: LaneBlock, _: ProcessId, _: &mut HashSet<Passage>) {}
    fn settle(&self, _: &Pool, _: LaneBlock, _: ProcessId) {}
    fn force(&self, _: &Pool, _: LaneBlock) {
        WOKEN.set(WOKEN.get() + 1);
    }
}

thread_local! {
    /// How often all that sleep were woken.
    static WOKEN: Cell<u32> = const { Cell::new(0) };
}

static KINDS: LaneKinds = &[&Nothing];

/// The host's side, the one that dies, and another; an object, of which `giver` has the sender's end.
struct Place {
    sides: [Pool; 3],
    lane: LaneBlock,
    _receiver: Token,
    sender: Transfer,
    is_repeated: bool,
}

impl Place {
    fn new(giver: usize) -> Self {
        let plan = PoolPlan::new(4096, 24 * SPAN, 3);
        let segment = Arc::new(Segment::create(plan.end).expect("segment"));
        let sides = [HOST, WORKER, LIVING].map(|me| Pool::attach(&segment, &plan, me));
        sides.iter().for_each(|side| side.set_lane_kinds(KINDS));
        let [token, receiver] = sides[0].make_lane(&Nothing, 8, |_, _| ()).expect("room");
        let parcel = token.pass_held().expect("room");
        Place {
            lane: token.lane().expect("a lane"),
            sender: sides[giver].take_passing(&parcel).expect("passed"),
            sides,
            _receiver: receiver,
            is_repeated: false,
        }
    }

    /// Of a task that may be run again.
    fn repeated() -> Self {
        Place {
            is_repeated: true,
            ..Place::new(0)
        }
    }

    /// The giver has nothing any more but what keeps the end until the task begins; its parcel.
    fn hand_over(self, giver: usize) -> (Handing, Parcel, impl Fn() -> bool, [Pool; 3]) {
        let pool = &self.sides[giver];
        let mut holds = vec![self.sender];
        let handing = Handing::of(&holds, pool, self.is_repeated).expect("room");
        let mut parcels = pool.arguments(&holds, Some(&handing));
        let parcel = parcels.next().flatten().expect("one");
        assert!(parcels.next().is_none());
        drop(parcels);
        handing.let_go(&mut holds);
        assert!(holds.is_empty());
        let (host, lane, receiver) = (self.sides[0].clone(), self.lane, self._receiver);
        let is_gone = move || {
            let ends = host.lane_ends(lane).expect("its receiver is there");
            let _ = &receiver;
            ends.is_gone(End::Sender)
        };
        (handing, parcel, is_gone, self.sides)
    }
}

fn dies(host: &Pool, named: &HashSet<Passage>) {
    host.recover(WORKER, |_| false, |passage| named.contains(&passage));
}

#[test]
fn one_that_never_begins_has_none() {
    let (handing, _, is_gone, _) = Place::new(0).hand_over(0);
    assert!(!is_gone());
    drop(handing);
    assert!(is_gone());
}

#[test]
fn one_that_has_begun_has_it_alone() {
    let (handing, parcel, is_gone, [_, worker, _]) = Place::new(0).hand_over(0);
    let taken = worker.accept_argument(&parcel, HOST).expect("its own");
    assert!(worker.accept_argument(&parcel, HOST).is_none(), "twice");
    assert!(!is_gone());
    drop(taken);
    assert!(is_gone(), "while the task runs");
    handing.were_taken();
}

#[test]
fn who_runs_it_dies_before_it_has_taken_it_over() {
    let (handing, parcel, is_gone, [host, worker, _]) = Place::new(0).hand_over(0);
    std::mem::forget(worker.hold_passing(&parcel).expect("it is there"));
    dies(&host, &HashSet::new());
    assert!(!is_gone(), "until the host has heard that the task is lost");
    drop(handing);
    assert!(is_gone());
}

#[test]
fn who_runs_it_dies_and_had_taken_it_over() {
    let (handing, parcel, is_gone, [host, worker, _]) = Place::new(0).hand_over(0);
    std::mem::forget(worker.accept_argument(&parcel, HOST).expect("its own"));
    dies(&host, &HashSet::new());
    assert!(is_gone());
    drop(handing);
}

#[test]
fn who_has_spawned_it_dies() {
    let (handing, _, is_gone, [host, ..]) = Place::new(1).hand_over(1);
    std::mem::forget(handing);
    dies(&host, &HashSet::new());
    assert!(is_gone());
    // If the task is to be finished, it is the host that keeps the end for it.
    let (handing, parcel, is_gone, [host, _, living]) = Place::new(1).hand_over(1);
    let named = handing.passages().collect();
    std::mem::forget(handing);
    let inherited = Handing::inherited(vec![parcel], &host).expect("one");
    dies(&host, &named);
    assert!(!is_gone());
    let taken = living.accept_argument(&parcel, WORKER).expect("its own");
    drop(inherited);
    assert!(!is_gone());
    drop(taken);
    assert!(is_gone());
}

#[test]
fn who_runs_it_dies_and_it_is_run_again() {
    let place = Place::repeated();
    let lane = place.lane;
    let (handing, parcel, is_gone, [host, worker, living]) = place.hand_over(0);
    let first = worker.accept_argument(&parcel, HOST).expect("its own");
    assert!(!worker.is_its_own_end(lane, End::Sender), "it is no task");
    let task = RepeatedEnds::of(&[parcel], &worker);
    assert!(!worker.is_its_own_end(lane, End::Sender), "it has it");
    std::mem::forget(first);
    dies(&host, &HashSet::new());
    drop(task);
    assert!(!is_gone());
    let task = RepeatedEnds::of(&[parcel], &living);
    assert!(living.is_its_own_end(lane, End::Sender), "nobody has it");
    assert!(!living.is_its_own_end(lane, End::Receiver), "another end");
    let second = living.accept_argument(&parcel, HOST).expect("the same");
    let passed = second.pass_held(&living).expect("room");
    drop(second);
    assert!(!living.is_its_own_end(lane, End::Sender), "in a message");
    assert!(living.end_passing(&passed));
    assert!(living.is_its_own_end(lane, End::Sender));
    assert!(!is_gone());
    drop(task);
    drop(handing);
    assert!(is_gone());
}

/// Whoever lets go of such an end, or of a message with it, tells whoever may wait for that alone.
#[test]
fn who_lets_go_of_a_repeated_end_tells() {
    let (handing, parcel, is_gone, [host, worker, living]) = Place::repeated().hand_over(0);
    let told = |what: &str, step: &mut dyn FnMut()| {
        let before = WOKEN.get();
        step();
        assert!(WOKEN.get() > before, "{what}");
    };
    let mut ours = Some(worker.accept_argument(&parcel, HOST).expect("its own"));
    let theirs = living.accept_argument(&parcel, HOST).expect("another's");
    let passed = theirs.pass_held(&living).expect("room");
    let mut theirs = Some(theirs);
    told("one", &mut || drop(theirs.take()));
    told("a message", &mut || {
        assert!(host.end_passing(&passed));
    });
    told("the other", &mut || drop(ours.take()));
    assert!(!is_gone());
    assert_eq!(
        host.0.passages_made().count(),
        1,
        "who has told keeps nothing"
    );
    let mut handing = Some(handing);
    told("another task", &mut || drop(handing.take()));
    assert!(is_gone());
    assert_eq!(host.0.passages_made().count(), 0);
}

/// An end of which no task may be run again costs nobody anything.
#[test]
fn who_lets_go_of_another_end_tells_nobody() {
    let (handing, parcel, is_gone, [_, worker, _]) = Place::new(0).hand_over(0);
    let taken = worker.accept_argument(&parcel, HOST).expect("its own");
    handing.were_taken();
    let before = WOKEN.get();
    drop(taken);
    assert!(is_gone());
    assert_eq!(WOKEN.get(), before);
}
