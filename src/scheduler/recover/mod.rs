//! Recovery: what becomes of tasks when a worker dies, when there are no workers, or when
//! shared memory is damaged.
//!
//! ```text
//!   a death ──▶ rescue: collect, adopt, free, move on, issue hints again ──▶ told: the cause
//!   damage ──▶ inspect: condemn ──▶ all tasks end, a fresh fold
//! ```

pub(super) mod inspect;
pub(super) mod kin;
pub(super) mod losses;
pub(super) mod orphans;
pub(super) mod outage;
pub(super) mod rescue;
pub(super) mod spawned;
