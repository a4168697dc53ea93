//! What went wrong, and whether anything still moves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pinfold::Runtime;

/// Nothing here takes so long but what never ends.
const HANGS: Duration = Duration::from_secs(60);
/// The first ones tell; a thousand more do not.
const FAULTS_MAX: usize = 20;

/// Shared by all threads of a run.
#[derive(Debug, Default)]
pub struct Watch {
    faults: Mutex<Vec<String>>,
    /// Grows with whatever ends.
    progress: AtomicU64,
    /// What is done with shared objects, and since when.
    plays: Mutex<Option<(&'static str, Instant)>>,
    /// No more is to be submitted.
    is_closing: AtomicBool,
    /// Every handle has ended.
    is_over: AtomicBool,
    /// The watchdog may go.
    is_done: AtomicBool,
}

impl Watch {
    /// Something did not hold. The load ends early, so that the evidence is fresh.
    pub fn fault(&self, what: impl Into<String>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < FAULTS_MAX {
            let what = what.into();
            eprintln!("fault: {what}");
            faults.push(what);
        }
        drop(faults);
        self.close();
    }

    /// A fault, unless `holds`.
    pub fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fault(what());
        }
    }

    pub fn faults(self) -> Vec<String> {
        self.faults
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle has ended, or a phase.
    pub fn moved(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// A round of shared objects begins; or none is played any more.
    pub fn plays(&self, round: Option<&'static str>) {
        let mut plays = self.plays.lock().unwrap_or_else(PoisonError::into_inner);
        *plays = round.map(|round| (round, Instant::now()));
    }

    /// Which round takes far too long.
    fn hangs(&self) -> Option<&'static str> {
        let plays = self.plays.lock().unwrap_or_else(PoisonError::into_inner);
        let (round, since) = (*plays)?;
        (since.elapsed() > 2 * HANGS).then_some(round)
    }

    pub fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    pub fn over(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub fn done(&self) {
        self.is_done.store(true, Ordering::SeqCst);
    }

    /// Ends the program, with `what` (the seed is in it), when nothing has moved for a minute.
    pub fn guard(&self, rt: &Runtime, what: &str) {
        let mut last = (self.progress.load(Ordering::Relaxed), Instant::now());
        while !self.is_done.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.progress.load(Ordering::Relaxed);
            let round = self.hangs();
            if now != last.0 && round.is_none() {
                last = (now, Instant::now());
            } else if last.1.elapsed() > HANGS || round.is_some() {
                eprintln!("HANGS: nothing has ended for {HANGS:?}: {what}, {round:?}");
                eprintln!("{:#?}", rt.stats());
                eprintln!("{:#?}", rt.audit());
                std::process::abort();
            }
        }
    }
}
