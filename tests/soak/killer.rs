//! Kills, crashes and stops workers at random times, and now and then the zygote.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pinfold::Runtime;
use rustix::process::Signal;
use serde::Serialize;

use crate::faults::Watch;
use crate::host::Process;
use crate::rng::Rng;

/// How often what was sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sent {
    pub killed: u64,
    pub crashed: u64,
    pub stopped: u64,
    pub zygotes: u64,
    /// Every zygote that was seen: each leads a session of its own.
    #[serde(skip)]
    pub sessions: BTreeSet<i32>,
}

pub struct Killer<'a> {
    rt: &'a Runtime,
    watch: &'a Watch,
    rng: Rng,
    sent: Sent,
    /// Who stands still, and until when.
    stopped: Vec<(Instant, Process)>,
    next_zygote: Instant,
}

impl<'a> Killer<'a> {
    pub fn new(rt: &'a Runtime, watch: &'a Watch, rng: Rng) -> Self {
        Killer {
            rt,
            watch,
            rng,
            sent: Sent::default(),
            stopped: Vec::new(),
            next_zygote: Instant::now() + Duration::from_secs(2),
        }
    }

    /// Until the load has ended; or, `until_closing`, until no more is submitted: then no
    /// later death mends what an earlier one has left.
    pub fn run(mut self, until_closing: bool) -> Sent {
        let mut next = Instant::now();
        let watch = self.watch;
        let ends = || watch.is_over() || until_closing && watch.is_closing();
        while !ends() {
            let now = Instant::now();
            self.wake(|at| at <= now);
            if next <= now {
                self.strike(now);
                next = now + Duration::from_millis(self.rng.between(5, 50));
            }
            let wakes = self.stopped.iter().map(|(at, _)| *at);
            let due = wakes.chain([next]).min().unwrap_or(next);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.wake(|_| true);
        self.sent
    }

    fn wake(&mut self, is_due: impl Fn(Instant) -> bool) {
        self.stopped.retain(|(at, process)| {
            if is_due(*at) {
                process.send(Signal::CONT);
            }
            !is_due(*at)
        });
    }

    fn strike(&mut self, now: Instant) {
        // Drawn in any case, so that the sequence depends on the seed alone.
        let (whom, how) = (self.rng.next(), self.rng.below(4));
        let pause = Duration::from_millis(self.rng.between(1, 20));
        let until_zygote = Duration::from_millis(self.rng.between(1500, 2500));
        let workers = self.rt.stats().workers;
        let pid = workers[(whom % workers.len() as u64) as usize].pid;
        if pid <= 0 {
            return;
        }
        let Some((worker, zygote)) = Process::worker(pid) else {
            return;
        };
        self.sent.sessions.insert(zygote);
        if self.next_zygote <= now {
            self.next_zygote = now + until_zygote;
            let sent = Process::zygote(zygote).is_some_and(|z| z.send(Signal::KILL));
            self.sent.zygotes += u64::from(sent);
            return;
        }
        match how {
            0 | 1 => self.sent.killed += u64::from(worker.send(Signal::KILL)),
            2 => self.sent.crashed += u64::from(worker.send(Signal::SEGV)),
            _ => {
                self.sent.stopped += u64::from(worker.send(Signal::STOP));
                self.stopped.push((now + pause, worker));
            }
        }
    }
}
