//! How far a cancellation goes.

use std::time::Duration;

/// How far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What nobody runs never is; what runs is not told.
    Waiting,
    /// What runs is asked to end, too.
    Running,
    /// And killed, if it has not ended after so long.
    Within(Duration),
}

impl Reach {
    /// Of one that may have a grace.
    pub fn with(grace: Option<Duration>) -> Self {
        grace.map_or(Reach::Running, Reach::Within)
    }

    /// How several are cancelled, one step after the other: first what nobody runs. Else the
    /// worker of one that was told could begin another before that is come to.
    pub fn steps(self) -> impl Iterator<Item = Self> {
        let first = (self != Reach::Waiting).then_some(Reach::Waiting);
        first.into_iter().chain([self])
    }
}
