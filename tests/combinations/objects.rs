//! Shared objects among an argument: what the runs of a case have done with them.

use pinfold::channel::Receiver;
use pinfold::sync::Mutex;

use crate::case::Case;
use crate::model::End;
use crate::task::{LONG, runs};

/// Which runs have said that they have begun, and what each adds to.
pub struct Objects {
    from: Receiver<u32>,
    pair: Mutex<[u32; 2]>,
}

impl Objects {
    pub fn new(from: Receiver<u32>, pair: Mutex<[u32; 2]>) -> Self {
        Objects { from, pair }
    }

    /// Each run has sent one message, and added to both numbers once, unless it was killed before.
    pub fn judge(self, case: &Case, number: u32, end: Option<End>) -> Result<(), String> {
        let mut came = 0;
        // If nobody has looked it may run yet: the channel ends when it has ended.
        let all = match end {
            Some(_) => self.from.try_iter(),
            None => self.from.iter(),
        };
        for of in all {
            came += 1;
            if of != number {
                return Err(format!("a message of {of}"));
            }
        }
        let ran = runs(number);
        let may_be_killed = case.may_be_late() || end == Some(End::Cancelled);
        if came != ran && !(may_be_killed && came <= ran) {
            return Err(format!("of {ran} runs {came} have sent"));
        }
        let mend = |pair: &mut [u32; 2]| pair[1] = pair[0];
        let pair = (self.pair)
            .lock_timeout(LONG)
            .or_else(|error| error.mend(mend));
        let pair = pair.map_err(|error| format!("the lock: {error}"))?;
        match pair[0] == pair[1] && (pair[0] as usize == ran || may_be_killed) {
            true => Ok(()),
            false => Err(format!("{:?} after {ran} runs", *pair)),
        }
    }
}
