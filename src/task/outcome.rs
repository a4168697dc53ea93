//! How a run ended, as a slot says it.

/// How a run ended, from the worker's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Not run yet: the payload holds arguments.
    None = 0,
    /// The payload is the encoded value.
    Value = 1,
    /// As `Value`, and the value is an `Err`.
    ReturnedErr = 2,
    /// It panicked; the payload is the encoded `(message, location)`.
    Panicked = 3,
    /// The arguments could not be decoded; the payload is a message.
    BadArguments = 4,
    /// The result could not be encoded; the payload is a message.
    BadResult = 5,
    /// The result did not fit into the pool; the payload is a message.
    NoMemory = 6,
    /// What the slot says of the task makes no sense; the payload is a message.
    Damaged = 7,
    /// Its worker ended; the payload is the encoded [`Death`](crate::prim::Death). Of
    /// spawned tasks only, written by the host.
    Lost = 8,
    /// Not begun, for the task that it is part of was cancelled. Of spawned tasks only.
    Cancelled = 9,
    /// As `None`, and the arguments are marked ([`super::codec`]).
    MarkedArguments = 10,
    /// As `Value`, and it is marked.
    MarkedValue = 11,
    /// As `ReturnedErr`, and it is marked.
    MarkedErr = 12,
}

impl Outcome {
    /// Whether there is a value.
    #[inline]
    pub fn is_value(self) -> bool {
        matches!(
            self,
            Outcome::Value | Outcome::ReturnedErr | Outcome::MarkedValue | Outcome::MarkedErr
        )
    }

    /// Whether there is a value, and that is an `Err`.
    #[inline]
    pub fn is_err(self) -> bool {
        matches!(self, Outcome::ReturnedErr | Outcome::MarkedErr)
    }

    /// Whether a task that was told to end counts as cancelled if it ends so.
    pub fn is_end_of_cancelled(self) -> bool {
        self.is_err() || self == Outcome::Lost
    }

    /// Whether the last byte of the arguments, or of the value, says in which form they are.
    #[inline]
    pub fn is_marked(self) -> bool {
        matches!(
            self,
            Outcome::MarkedArguments | Outcome::MarkedValue | Outcome::MarkedErr
        )
    }

    /// Of a value.
    #[inline]
    pub fn of_value(is_err: bool, is_marked: bool) -> Self {
        match (is_marked, is_err) {
            (false, false) => Outcome::Value,
            (false, true) => Outcome::ReturnedErr,
            (true, false) => Outcome::MarkedValue,
            (true, true) => Outcome::MarkedErr,
        }
    }

    /// Of a task that was not run yet.
    #[inline]
    pub fn of_arguments(are_marked: bool) -> Self {
        if are_marked {
            Outcome::MarkedArguments
        } else {
            Outcome::None
        }
    }
}
