//! States of places.

/// What a cell's word may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CellState {
    /// There is room for the message of this lap.
    Empty = 0,
    /// A process writes it.
    Writing = 1,
    /// It is there; the owner is who has sent it.
    Full = 2,
    /// A process takes it.
    Reading = 3,
    /// There will be none in this lap.
    Skip = 4,
    /// As `Full`: it is plain, and has no header.
    Plain = 5,
    /// As `Reading`, of a plain one.
    PlainReading = 6,
    /// It waits again: who had taken it has given it back.
    Back = 7,
    /// Who has taken it will not give it back, and lets go of it.
    Acked = 8,
    /// No correct process wrote this.
    Damaged = 15,
}

impl CellState {
    #[inline]
    pub(super) fn of(state: u8) -> Self {
        match state {
            0 => CellState::Empty,
            1 => CellState::Writing,
            2 => CellState::Full,
            3 => CellState::Reading,
            4 => CellState::Skip,
            5 => CellState::Plain,
            6 => CellState::PlainReading,
            7 => CellState::Back,
            8 => CellState::Acked,
            _ => CellState::Damaged,
        }
    }
}
