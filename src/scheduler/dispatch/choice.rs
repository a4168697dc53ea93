//! To which executor a hint goes: what is known of each, and who was chosen last.

/// Tasks of which several together go to one executor.
pub const SHORT_NS: u64 = 1_000;
/// So many: their hints fill a line.
pub const TOGETHER: u32 = 8;

/// What is known of each executor, and who was chosen last.
#[derive(Debug)]
pub struct Choice {
    /// The last one that came in turn.
    turn: usize,
    /// The executor chosen last, and how many more tasks it gets without a new choice.
    chosen: usize,
    stays: u32,
    /// Per executor: how long a task takes, as last read; a line that the executor writes all
    /// the time is not read for every submit. 0: not known.
    tasks_ns: Vec<u64>,
    /// Per executor: it has ended, and was not seen at work since.
    offline: Vec<bool>,
    /// On which CPU a thread of the host was last seen at work, and how often.
    works_on: Option<u32>,
    times: u32,
}

impl Choice {
    /// Among so many executors.
    pub fn new(executors: usize) -> Self {
        Choice {
            turn: 0,
            chosen: 0,
            stays: 0,
            tasks_ns: vec![0; executors],
            offline: vec![false; executors],
            works_on: None,
            times: 0,
        }
    }

    /// The executor chosen last, if it gets this task too.
    #[inline(always)]
    pub fn stay(&mut self) -> Option<usize> {
        if self.stays > 0 && !self.offline[self.chosen] {
            self.stays -= 1;
            return Some(self.chosen);
        }
        None
    }

    /// Another executor is chosen; if its tasks are short, for several.
    #[inline(always)]
    pub fn choose(&mut self, executor: usize) -> usize {
        self.chosen = executor;
        self.stays = if self.is_short(executor) {
            TOGETHER - 1
        } else {
            0
        };
        executor
    }

    /// Whether the task that was placed last is the first of several, or alone.
    #[inline(always)]
    pub fn is_first(&self) -> bool {
        self.stays == TOGETHER - 1 || self.stays == 0
    }

    /// The next of `count` executors, in turn.
    #[inline]
    pub fn next_of(&mut self, count: usize) -> usize {
        let mut next = self.turn + 1;
        if next >= count {
            next = 0;
        }
        self.turn = next;
        next
    }

    /// The last one that came in turn.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// How long a task of an executor takes; 0: not known.
    #[inline]
    pub fn task_ns(&self, executor: usize) -> u64 {
        self.tasks_ns[executor]
    }

    /// How long the tasks of that executor take which have the longest; 0: not known.
    pub fn longest_ns(&self) -> u64 {
        self.tasks_ns.iter().copied().max().unwrap_or(0)
    }

    /// Whether an executor's tasks are known to be short.
    #[inline]
    pub fn is_short(&self, executor: usize) -> bool {
        let ns = self.tasks_ns[executor];
        ns > 0 && ns < SHORT_NS
    }

    /// So long a task of an executor takes now.
    #[inline]
    pub fn note_task_ns(&mut self, executor: usize, ns: u64) {
        self.tasks_ns[executor] = ns;
    }

    /// An executor is at work.
    #[inline]
    pub fn note_online(&mut self, executor: usize) {
        self.offline[executor] = false;
    }

    /// An executor has ended.
    pub fn note_offline(&mut self, executor: usize) {
        self.tasks_ns[executor] = 0;
        self.offline[executor] = true;
    }

    /// Whether an executor has ended, and was not seen at work since.
    #[inline]
    pub fn is_offline(&self, executor: usize) -> bool {
        self.offline[executor]
    }

    /// On which CPU a thread of the host was last seen at work.
    #[inline]
    pub fn works_on(&self) -> Option<u32> {
        self.works_on
    }

    /// It is seen on this one; returns how often one was.
    pub fn note_works_on(&mut self, cpu: Option<u32>) -> u32 {
        self.works_on = cpu;
        self.times = self.times.wrapping_add(1);
        self.times
    }

    /// Every executor's tasks take so long.
    #[cfg(test)]
    pub fn note_all_tasks_ns(&mut self, ns: u64) {
        self.tasks_ns.fill(ns);
    }
}
