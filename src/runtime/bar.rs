//! A progress bar for whoever waits (feature `indicatif`).

use std::time::Duration;

use indicatif::ProgressBar;
use serde::de::DeserializeOwned;

use crate::error::TaskError;

use super::Handle;

/// How often the bar is drawn anew.
const PERIOD: Duration = Duration::from_millis(50);
/// Steps of the bar.
const STEPS: u64 = 1000;

impl<R: DeserializeOwned> Handle<R> {
    /// As [`Handle::join`]; meanwhile shows on `bar` how far the task says it is: of a
    /// length of 1,000, and with its message. The bar is finished when the task has ended.
    ///
    /// # Errors
    /// Why there is no value: [`TaskError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// fn work(_: ()) -> u32 {
    ///     let _ = pinfold::context().report_progress(0.5, "half of it");
    ///     7
    /// }
    /// let bar = indicatif::ProgressBar::hidden();
    /// assert_eq!(rt.spawn(work, ()).join_showing(&bar)?, 7);
    /// assert!(bar.is_finished());
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_showing(mut self, bar: &ProgressBar) -> Result<R, TaskError> {
        bar.set_length(STEPS);
        loop {
            if let Some(outcome) = self.join_timeout(PERIOD) {
                match &outcome {
                    Ok(_) => bar.finish(),
                    Err(_) => bar.abandon(),
                }
                return outcome;
            }
            if let Some(progress) = self.progress() {
                let fraction = progress.fraction.clamp(0.0, 1.0);
                bar.set_position((fraction * STEPS as f64) as u64);
                bar.set_message(progress.message);
            }
        }
    }
}
