//! Recovery: what happens to tasks when a worker dies, when there are no workers, or when shared memory is
//! damaged.
//!
//! ```text
//!   a death ──▶ rescue: collect, adopt, free, move on, issue hints again ──▶ told: the cause
//!   damage ──▶ inspect: condemn ──▶ all tasks end, a fresh fold
//!   no workers ──▶ outage: all tasks end, none is accepted until there is a worker
//! ```
//!
//! What holds:
//!
//! - Every step may be done twice: another death may come at any time.
//! - A superfluous hint does no harm, so hints are issued again whenever one may be lost.
//! - A task that was begun is run again only if it was declared safe to repeat.
//! - [`Losses`](losses::Losses) owns what is known of the dead and of the state they have left.

pub(super) mod inspect;
pub(super) mod kin;
pub(super) mod losses;
pub(super) mod orphans;
pub(super) mod outage;
pub(super) mod rescue;
pub(super) mod spawned;
