//! What the machine looks like, and where executors are pinned on it.
//!
//! The machine is read once into a plain value. Everything after that is a pure
//! function from values to values, so placement can be tested for machines
//! nobody here owns.
//!
//! ```text
//!   affinity mask ──► allowed.rs ──┐
//!   hwloc ──────────► hardware.rs ─┼─► Topology ──► placement.rs ──► [Placement]
//!   cgroup files ───► cgroup.rs                                          │
//!   /proc/meminfo ──► limits.rs ───┘      │                              ▼
//!                                         ├──────────────────────► distance.rs ─► who steals
//!                                         │                              │        from whom
//!                                         └──────────────────────► render.rs ──► text
//!
//!   Topology
//!     node 0 ─────────────────────────────┐  node 1 ───────────── ...
//!       core 0          core 1            │
//!        ├ cpu 0         ├ cpu 1          │  `Core::cpus` are SMT siblings;
//!        └ cpu 8         └ cpu 9          │  the first is the core's best seat
//!       L1d{0,8} L2{0,8} L3{0-3,8-11}     │
//! ```
//!
//! Three things always hold for a `Topology` made here:
//!
//! - it names only CPUs this process may run on (the affinity mask, in which a
//!   cpuset cgroup is already reflected);
//! - each of those CPUs is in exactly one core, and each core in one node;
//! - `cpus` is the ascending union of all `Core::cpus`.
//!
//! CPU numbers are the kernel's. They have holes and may exceed 1023; nothing
//! here uses one as an index.

mod allowed;
mod cgroup;
mod distance;
mod hardware;
mod limits;
mod model;
mod parts;
mod placement;
mod render;

#[cfg(test)]
mod tests;

pub use allowed::allowed_cpus;
pub use distance::{Proximity, proximity, steal_order};
pub(crate) use limits::Share;
pub use limits::{cpu_quota, default_workers, memory_limit_bytes, worker_count};
pub use model::{Source, Topology};
pub use parts::{Cache, CacheKind, Core, CpuId, Node, NodeId};
pub use placement::{Placement, place};
pub use render::render;
