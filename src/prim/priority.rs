//! How urgent a task is.

/// How urgent a task is, for [`Task::priority`](crate::Task::priority).
///
/// Whoever looks for work, thieves too, takes what waits at the highest level; tasks of
/// one level that one thread submits begin in its order. No level starves: while tasks
/// wait at a level, at least one of any 32 times that an executor takes something it
/// takes from there. What runs already is not interrupted, and all levels share the
/// [queue](crate::Builder::queue_capacity).
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pinfold::Priority;
/// assert!(Priority::Urgent > Priority::Normal && Priority::Low > Priority::Background);
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let later = rt.task(|n: u32| n + 1).priority(Priority::Background);
/// assert_eq!(later.spawn(1).join()?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Priority {
    /// Level 0: when there is nothing else to do.
    Background,
    /// Level 1: after the normal ones.
    Low,
    /// Level 2: what a task has that says nothing.
    #[default]
    Normal,
    /// Level 3: before all others.
    Urgent,
}

/// There is no such level; made by [`Priority::from_level`].
///
/// ```
/// let error: pinfold::PriorityError = pinfold::Priority::from_level(9).unwrap_err();
/// assert_eq!(error.level, 9);
/// assert!(error.to_string().contains("level 9"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no priority of level {level}: it must be from 0 (background) to 3 (urgent)")]
#[non_exhaustive]
pub struct PriorityError {
    /// What was asked for.
    pub level: u8,
}

impl Priority {
    /// All of them, the highest first.
    pub(crate) const ALL: [Priority; 4] = [
        Priority::Urgent,
        Priority::Normal,
        Priority::Low,
        Priority::Background,
    ];

    /// Those with a lane of their own.
    pub(crate) const LANES: [Priority; 3] = [Priority::Urgent, Priority::Low, Priority::Background];

    /// The priority of a level, 0 to 3; a higher one comes first.
    ///
    /// # Errors
    /// [`PriorityError`] for any other number.
    ///
    /// ```
    /// use pinfold::Priority;
    /// assert_eq!(Priority::from_level(3), Ok(Priority::Urgent));
    /// assert!(Priority::from_level(4).is_err());
    /// ```
    pub fn from_level(level: u8) -> Result<Self, PriorityError> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.level() == level)
            .ok_or(PriorityError { level })
    }

    /// Its level: 0 for [`Priority::Background`], 3 for [`Priority::Urgent`].
    ///
    /// ```
    /// assert_eq!(pinfold::Priority::Normal.level(), 2);
    /// ```
    pub fn level(self) -> u8 {
        self as u8
    }

    /// Which lane its tasks wait in; `None`: an executor's inbox.
    #[inline]
    pub(crate) fn lane(self) -> Option<usize> {
        match self {
            Priority::Urgent => Some(0),
            Priority::Normal => None,
            Priority::Low => Some(1),
            Priority::Background => Some(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_lanes_and_order_agree() {
        assert!(Priority::ALL.is_sorted_by(|higher, lower| higher > lower));
        for priority in Priority::ALL {
            assert_eq!(Priority::from_level(priority.level()), Ok(priority));
        }
        for (lane, priority) in Priority::LANES.into_iter().enumerate() {
            assert_eq!(priority.lane(), Some(lane));
        }
        assert_eq!(Priority::default().lane(), None);
        for level in 4..=u8::MAX {
            let error = Priority::from_level(level).expect_err("out of range");
            assert!(error.to_string().contains(&format!("level {level}:")));
        }
    }
}
