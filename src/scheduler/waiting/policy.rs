//! When a thread of the host looks, naps or sleeps: decisions over a few numbers. There is no
//! state here, no clock and no lock; who calls has measured, and does what is decided.
//!
//! A thread that waits may look for the end itself (a *spin*), sleep for a time that it chooses
//! (a *nap*), or sleep until it is woken. To look takes a CPU from executors if CPUs are scarce;
//! to be woken takes tens of µs, and a system call of whoever wakes; a nap takes neither, but the
//! result may be late by as much.
//!
//! | decision | by | what it is worth |
//! | --- | --- | --- |
//! | spin before sleeping | [`spin`] | a task that ends within 50 µs costs no wakeup |
//! | spin less after vain spins | [`learned`] | a waiter for long tasks takes 3 µs of a CPU instead of 50 |
//! | nap behind many tasks | [`nap`] | with CPUs scarce, executors have the CPU that looking for each end would take |
//! | sleep until several have ended | [`together`] | of a client's short tasks: one wakeup for many, for a result that is 1 ms late at most |
//! | leave all to those who submit | [`leave`] | the attendant takes no lock and no CPU while others collect anyhow |
//! | stay awake for a while | [`AWAKE`] | a ring in vain now and then, for a heavy barrier less each time |
//! | look again, ever later | [`trusts`] | a worker that was stopped, or has gone wild, at a bad moment hangs nobody |

use std::time::Duration;

/// How long to look for the result before sleeping, at most: less after results that
/// took longer than that. A waiter that looks in vain needs a CPU that others may want.
pub const SPIN: Duration = Duration::from_micros(50);
const SPIN_MIN: Duration = Duration::from_micros(3);

/// A shorter sleep is not worth its while.
const NAP_MIN: Duration = Duration::from_micros(100);
/// How late a result may be for it.
const NAP_MAX: Duration = Duration::from_millis(1);
/// Who submits naps for tasks of this length: of shorter ones the executors do more than one
/// thread can submit and collect.
const NAP_TASK_NS: u64 = 150;

/// How late a result may be because its waiter sleeps until others have ended as well.
pub const LATE_MAX: Duration = Duration::from_millis(1);
/// For less than so many tasks it is not worth it.
const FEW: u64 = 8;

/// Tasks that take this long are not looked for while the executors need all CPUs.
const LONG_NS: u64 = 10_000;

/// Who has submitted or collected so many tasks without sleeping will not sleep soon.
/// Until then to be rung in vain, one system call, is cheaper than the heavy barrier.
pub const AWAKE: u64 = 24;

/// How long a waiter trusts that it will be woken; twice as long each time. Nothing
/// correct needs this: a worker that is stopped at a bad moment or gone wild may.
pub const TRUST: Duration = Duration::from_millis(10);
pub const TRUST_MAX: Duration = Duration::from_secs(1);

/// For so long the attendant leaves to others what they do anyhow, at first; while they go
/// on, eight times as long.
const LEAVE: Duration = Duration::from_micros(100);
const LEAVE_DOUBLED: u32 = 3;
/// So often in a row.
pub const LEAVES: u32 = 10;

/// Who looks for ends waits for so many spins between two looks: a task that waits for
/// another waits for this, too.
pub const BETWEEN: u32 = 4;

/// What is known of the executors, as far as waiting is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Executors {
    pub count: usize,
    /// Who looks takes a CPU that one of them may want.
    pub are_scarce_of_cpus: bool,
    /// How long the tasks of that one take which has the longest; 0: not known.
    pub longest_ns: u64,
}

/// How long to look, for a thread that has learned to look for `patience`. `is_in_the_way`: it
/// takes a CPU that an executor needs, for a task that takes longer than a wakeup.
pub fn spin(patience: Duration, is_in_the_way: bool) -> Duration {
    if is_in_the_way { SPIN_MIN } else { patience }
}

/// How long to look the next time, after a wait of `waited` that had to sleep.
pub fn learned(patience: Duration, waited: Duration) -> Duration {
    // What sleeping and waking cost is within it.
    let is_worth_it = waited < 2 * SPIN;
    if is_worth_it {
        SPIN
    } else {
        (patience / 2).max(SPIN_MIN)
    }
}

/// How long to nap while `behind` tasks are done: half of the time that they will take.
/// `None`: it is not worth it.
pub fn nap(executors: Executors, behind: usize) -> Option<Duration> {
    if !executors.are_scarce_of_cpus || behind < 4 * executors.count {
        return None;
    }
    let all_ns = (behind as u64).saturating_mul(executors.longest_ns);
    let ahead = Duration::from_nanos(all_ns / executors.count as u64);
    let nap = (ahead / 2).min(NAP_MAX);
    (nap >= NAP_MIN).then_some(nap)
}

/// Until how many tasks besides its own have ended a waiter sleeps, who has `behind` in flight
/// behind that: half of them, if that is so much that executors have enough to do while it wakes;
/// else all. The shortest tasks take `grain_ns`.
pub fn together(grain_ns: Option<u64>, behind: u64) -> u64 {
    let Some(grain_ns) = grain_ns else { return 0 };
    let within = |time: Duration| time.as_nanos() as u64 / grain_ns.max(1);
    let enough = if behind / 2 > within(SPIN) {
        behind / 2
    } else {
        behind
    };
    let count = enough.min(within(LATE_MAX));
    if count < FEW { 0 } else { count }
}

/// Whether one who submits or joins, and does not only attend, should nap at all.
pub fn is_nap_of_use(executors: Executors) -> bool {
    executors.longest_ns >= NAP_TASK_NS
}

/// Whether tasks take longer than to wake who waits for one.
pub fn is_long(task_ns: u64) -> bool {
    task_ns >= LONG_NS
}

/// How long the attendant leaves everything to others the `nap`-th time in a row, and how much
/// must happen meanwhile for it to go on like this.
pub fn leave(nap: u32) -> (Duration, u64) {
    let doubled = nap.min(LEAVE_DOUBLED);
    (LEAVE * (1 << doubled), AWAKE << doubled)
}

/// How long to trust the next time that one will be woken.
pub fn trusts(trust: Duration) -> Duration {
    (2 * trust).min(TRUST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    const SCARCE: Executors = Executors {
        count: 2,
        are_scarce_of_cpus: true,
        longest_ns: 1_000,
    };

    #[test]
    fn who_waits_for_long_tasks_looks_ever_shorter_and_one_short_wait_mends_that() {
        let mut patience = SPIN;
        let mut before = patience + US;
        while patience < before {
            before = patience;
            patience = learned(patience, 10 * SPIN);
        }
        assert_eq!(patience, SPIN_MIN);
        assert_eq!(learned(patience, SPIN), SPIN);
        assert_eq!(spin(SPIN, true), SPIN_MIN);
        assert_eq!(spin(10 * US, false), 10 * US);
    }

    #[test]
    fn a_nap_is_half_of_what_is_ahead_within_bounds() {
        assert_eq!(nap(SCARCE, 1_000), Some(250 * US));
        assert_eq!(nap(SCARCE, 399), None, "shorter than is worth it");
        assert_eq!(nap(SCARCE, usize::MAX), Some(NAP_MAX));
        let long = Executors {
            longest_ns: 1_000_000,
            ..SCARCE
        };
        assert_eq!(nap(long, 7), None, "executors are about to be idle");
        assert_eq!(nap(long, 8), Some(NAP_MAX));
        let roomy = Executors {
            are_scarce_of_cpus: false,
            ..long
        };
        assert_eq!(nap(roomy, 1_000), None, "nobody is in the way");
        let unknown = Executors {
            longest_ns: 0,
            ..SCARCE
        };
        assert_eq!(nap(unknown, 1_000_000), None);
        assert!(is_nap_of_use(SCARCE) && !is_nap_of_use(unknown));
    }

    #[test]
    fn the_attendant_leaves_for_longer_while_others_go_on() {
        let (first, enough) = leave(0);
        let (last, most) = leave(LEAVES);
        assert_eq!((last, most), (8 * first, 8 * enough));
        assert_eq!(leave(LEAVE_DOUBLED), (last, most));
    }

    #[test]
    fn trust_grows_to_a_second() {
        let mut trust = TRUST;
        for _ in 0..20 {
            trust = trusts(trust);
        }
        assert_eq!(trust, TRUST_MAX);
        assert!(is_long(LONG_NS) && !is_long(LONG_NS - 1));
    }
}
