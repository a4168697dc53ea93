//! What becomes of spawned tasks whose owner has died.

/// What becomes of the tasks that a worker's tasks have spawned, and that nobody has begun,
/// when that worker dies; see [`Builder::orphans`](crate::Builder::orphans).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(pinfold::Orphans::default(), pinfold::Orphans::Cancel);
/// let rt = pinfold::Runtime::builder()
///     .workers(1)
///     .orphans(pinfold::Orphans::Finish)
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// They never run. What of them runs elsewhere is told to end.
    #[default]
    Cancel,
    /// Each is run once, by whichever worker comes first; nobody sees its outcome. What of them
    /// runs elsewhere goes on.
    Finish,
}
