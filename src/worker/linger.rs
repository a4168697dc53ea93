//! Staying near (sticky stealing): an executor that has stolen a spawned task looks at the same ring again for
//! a moment, before it searches.
//!
//! A task that works step by step, and spawns in each step, spawns again a moment after the last child of a
//! step has ended. The executor that ran that child would just have begun to search everywhere, after
//! announcing that it searches. Instead it looks at one place, and announces nothing: to the others it is
//! still at work. Before it begins to stay, it looks for work that lies anywhere else; work that comes later
//! to others waits for that moment, or they do it.

use crate::prim::Priority;

use super::executor::Executor;
use super::run::ask_for;

/// How often it looks: for some 1.5 µs.
const LOOKS: usize = 48;

/// So often in a row: then it looks everywhere again.
const IN_A_ROW: u32 = 16;

impl Executor {
    /// Takes what is spawned next where something was just taken, announced; returns how many
    /// hints.
    #[inline]
    pub(super) fn linger(&mut self) -> usize {
        match self.robbed {
            Some(place) if self.lingered < IN_A_ROW && !self.gives_way => self.linger_at(place),
            _ => 0,
        }
    }

    fn linger_at(&mut self, place: usize) -> usize {
        let most = self.batch_size();
        let record = &self.fold.executors[self.me.0 as usize];
        record.announce_nothing();
        if self.is_anything_older() {
            return 0;
        }
        for _ in 0..LOOKS {
            if self.is_wanted_elsewhere() {
                return 0;
            }
            if self.nests[place].backlog() > 0 {
                let hints = &mut self.hints[..most];
                let taken = self.nests[place].take(hints, true, |hints| {
                    record.announce(hints);
                    ask_for(&self.fold, hints[0]);
                });
                if let Ok((count @ 1.., left)) = taken {
                    self.count_stolen(count);
                    self.lingered += 1;
                    self.level = Priority::Normal;
                    self.note_taken(Priority::Normal);
                    self.leave_search(left);
                    return count;
                }
            }
            std::hint::spin_loop();
        }
        0
    }

    /// Whether something of the host's waits that nobody has begun: it may have come while
    /// this executor was at work.
    fn is_anything_older(&self) -> bool {
        let mut inboxes = self.victims.iter().map(|(_, inbox)| inbox);
        inboxes.any(|inbox| inbox.backlog() > 0)
            || self.ready.iter().any(|r| r.backlog() > 0)
            || self.is_any_client_offering()
    }

    /// Whether something waits that comes before what tasks spawn.
    #[inline]
    fn is_wanted_elsewhere(&self) -> bool {
        self.inbox.backlog() > 0 || self.is_any_lane_full() || self.turns.is_any_overdue()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::fold_of_two;
    use super::*;
    use crate::prim::ProcessId;
    use crate::process::WorkerOrder;
    use crate::ring::RingView;
    use crate::ring::steal::Producer;
    use crate::task::Functions;

    /// One of two executors, which has just run what a task of the other had spawned.
    fn thief() -> Executor {
        let fold = fold_of_two();
        let pool = fold.pool(ProcessId::of_worker(0));
        let functions = Functions::of_this_program().expect("functions");
        let order = WorkerOrder {
            victims: vec![0, 1],
            ..WorkerOrder::default()
        };
        let mut thief = Executor::new(&fold, &pool, &functions, &order, 0);
        thief.robbed = Some(1);
        thief
    }

    fn put(ring: RingView, hint: u64) {
        let mut ring = Producer::attach(ring);
        assert_eq!(ring.stage(hint), Ok(true));
        ring.publish();
    }

    #[test]
    fn it_takes_what_comes_where_it_was() {
        let mut thief = thief();
        assert_eq!(thief.linger(), 0, "nothing");
        for hint in 1..=u64::from(IN_A_ROW) {
            put(thief.fold.nest(1), hint);
            assert_eq!(thief.linger(), 1);
            assert_eq!(thief.hints[0], hint);
            assert!(thief.record().announced().eq([hint]));
        }
        put(thief.fold.nest(1), 99);
        assert_eq!(thief.linger(), 0, "now it looks everywhere");
        assert_eq!(thief.find(), 1);
        assert_eq!(thief.hints[0], 99);
        assert_eq!((thief.robbed, thief.lingered), (Some(1), 0));
    }

    #[test]
    fn it_stays_only_if_nothing_comes_first() {
        let check = |why: &str, happens: &dyn Fn(&mut Executor)| {
            let mut thief = thief();
            put(thief.fold.nest(1), 1);
            happens(&mut thief);
            assert_eq!(thief.linger(), 0, "{why}");
            assert_eq!(thief.nests[1].backlog(), 1, "{why}");
        };
        check("another's inbox", &|thief| put(thief.fold.inbox(1), 2));
        check("made ready", &|thief| put(thief.fold.ready(1), 2));
        check("its own inbox", &|thief| put(thief.fold.inbox(0), 2));
        check("a lane", &|thief| put(thief.fold.lane(0), 2));
        check("it gives way", &|thief| thief.gives_way = true);
        check("it was elsewhere", &|thief| thief.robbed = None);
    }
}
