//! The first page of a segment.

use crate::prim::atomic::{AtomicU64, Ordering};

use super::ShmSafe;

const MAGIC: u64 = u64::from_le_bytes(*b"pinfold\0");
const VERSION: u64 = 1;

/// Bits of what is unusual.
const CANCELS: u64 = 1;
const KIN: u64 = 2;

/// What a process checks before it believes anything else.
///
/// ```text
///   0  magic        "pinfold\0"
///   8  version      of the layout
///  16  plan hash    of all offsets and sizes
///  24  len          of the segment in bytes
///  32  stopping     1: executors leave when they find nothing to do
///  40  ready        magic again, stored last
///  48  unusual      bit 0: some running task was asked to end
///                   bit 1: some scope waits for whatever its tasks have spawned
///  56  free
///  64  spins on     a CPU, and 1, on which a thread of the host looks for a result; 0: none
///  72  works on     a CPU, and 1, on which a thread of the host has collected tasks, in the
///                   lower half; in the upper one how often one has
///  80  dumped       1: the segment is in core dumps
///  88  zeroed       1: blocks of the pool are handed out zeroed
///  96  free
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    plan_hash: AtomicU64,
    len: AtomicU64,
    stopping: AtomicU64,
    ready: AtomicU64,
    unusual: AtomicU64,
    _left: AtomicU64,
    /// In a line of its own: the others hardly ever change.
    spins_on: AtomicU64,
    works_on: AtomicU64,
    dumped: AtomicU64,
    zeroed: AtomicU64,
    _free: [AtomicU64; 4],
}

const _: () = assert!(size_of::<Header>() == 128 && size_of::<Header>() <= super::HEADER_LEN);

// SAFETY: atomics only, repr(C), no padding.
unsafe impl ShmSafe for Header {}

impl Header {
    /// The creator's last act: from here on others may attach.
    pub fn publish(&self, len: u64, plan_hash: u64) {
        // Relaxed: `ready` publishes them.
        self.magic.store(MAGIC, Ordering::Relaxed);
        self.version.store(VERSION, Ordering::Relaxed);
        self.plan_hash.store(plan_hash, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        // ordering: Release pairs with the Acquire in `check`.
        self.ready.store(MAGIC, Ordering::Release);
    }

    /// What the user has chosen; before `publish`.
    pub fn choose(&self, is_dumped: bool, is_zeroed: bool) {
        // Relaxed: `ready` publishes them.
        self.dumped.store(u64::from(is_dumped), Ordering::Relaxed);
        self.zeroed.store(u64::from(is_zeroed), Ordering::Relaxed);
    }

    /// Whether the segment is to be in core dumps.
    pub fn is_dumped(&self) -> bool {
        // Relaxed: here and below, read once after `check`.
        self.dumped.load(Ordering::Relaxed) == 1
    }

    /// Whether blocks of the pool are handed out zeroed.
    pub fn is_zeroed(&self) -> bool {
        // Relaxed: as above.
        self.zeroed.load(Ordering::Relaxed) == 1
    }

    /// Whether this is a segment of our build and plan; says what differs if not.
    pub fn check(&self, len: u64, plan_hash: u64) -> Result<(), &'static str> {
        // ordering: Acquire pairs with the Release in `publish`.
        if self.ready.load(Ordering::Acquire) != MAGIC {
            return Err("not ready");
        }
        // Relaxed: read after `ready`.
        let is = |field: &AtomicU64, value| field.load(Ordering::Relaxed) == value;
        if !is(&self.magic, MAGIC) {
            return Err("wrong magic number");
        }
        if !is(&self.version, VERSION) {
            return Err("another layout version");
        }
        if !is(&self.len, len) {
            return Err("another size");
        }
        if !is(&self.plan_hash, plan_hash) {
            return Err("another layout");
        }
        Ok(())
    }

    /// Some running task was asked to end: from here on executors look whether the
    /// spawned task that they begin is part of such a one.
    pub fn cancels(&self) {
        // Relaxed: who sees it late begins a task that it need not.
        self.has(CANCELS);
    }

    /// Whether any running task was ever asked to end.
    #[inline]
    pub fn has_cancelled(&self) -> bool {
        // Relaxed: as above.
        self.unusual.load(Ordering::Relaxed) & CANCELS != 0
    }

    /// Some scope waits for whatever its tasks have spawned: from here on executors look, at a
    /// task's end, whether it has left anything.
    pub fn awaits_kin(&self) {
        // Relaxed: queueing a task of the scope publishes it.
        self.has(KIN);
    }

    /// Whether any scope ever did.
    #[inline]
    pub fn has_awaited_kin(&self) -> bool {
        // Relaxed: claiming a task of the scope has acquired it.
        self.unusual.load(Ordering::Relaxed) & KIN != 0
    }

    /// Whether there never was any of these.
    #[inline]
    pub fn is_as_usual(&self) -> bool {
        // Relaxed: as above, of each.
        self.unusual.load(Ordering::Relaxed) == 0
    }

    fn has(&self, what: u64) {
        // Relaxed: as each caller says. It is not written again and again.
        if self.unusual.load(Ordering::Relaxed) & what == 0 {
            self.unusual.fetch_or(what, Ordering::Relaxed);
        }
    }

    /// A thread of the host looks for a result on this CPU; or no longer does.
    pub fn set_spins_on(&self, cpu: Option<u32>) {
        // Relaxed: here and below, a hint.
        let cpu = cpu.map_or(0, |cpu| u64::from(cpu) + 1);
        self.spins_on.store(cpu, Ordering::Relaxed);
    }

    /// Whether a thread of the host looks for a result on this CPU.
    pub fn is_spun_on(&self, cpu: u32) -> bool {
        // Relaxed: as above.
        self.spins_on.load(Ordering::Relaxed) == u64::from(cpu) + 1
    }

    /// A thread of the host has collected tasks, on this CPU.
    pub fn set_works_on(&self, cpu: Option<u32>, times: u32) {
        // Relaxed: here and below, a hint.
        let cpu = cpu.map_or(0, |cpu| u64::from(cpu) + 1);
        self.works_on
            .store(u64::from(times) << 32 | cpu, Ordering::Relaxed);
    }

    /// On which CPU a thread of the host has collected tasks, if any has, and how often.
    pub fn works_on(&self) -> (Option<u32>, u32) {
        // Relaxed: as above.
        let word = self.works_on.load(Ordering::Relaxed);
        ((word as u32).checked_sub(1), (word >> 32) as u32)
    }

    /// Tells the executors to leave; whoever sleeps must be woken afterwards.
    pub fn stop(&self) {
        // ordering: Release pairs with `is_stopping`; the wake that follows
        // carries it to sleepers.
        self.stopping.store(1, Ordering::Release);
    }

    /// Whether the executors should leave.
    pub fn is_stopping(&self) -> bool {
        // ordering: Acquire pairs with `stop`.
        self.stopping.load(Ordering::Acquire) != 0
    }
}
