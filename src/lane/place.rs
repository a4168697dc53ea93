//! Numbers of places: which lap, and which cell in it.
//!
//! ```text
//!  63                    24 23            0
//! +------------------------+---------------+
//! |          lap           |     cell      |
//! +------------------------+---------------+
//! ```

use crate::prim::Generation;

/// A lap and a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    lap: Generation,
    cell: u32,
}

impl Place {
    const CELL_BITS: u32 = 64 - Generation::BITS;

    /// The most cells that can be told apart.
    pub const CELLS_MAX: u32 = (1 << Self::CELL_BITS) - 1;

    /// The first one. The lap is not 0, so that there is one before.
    pub const FIRST: Place = Place {
        lap: Generation::new(1),
        cell: 0,
    };

    #[inline]
    pub const fn new(lap: Generation, cell: u32) -> Self {
        Place { lap, cell }
    }

    #[inline]
    pub const fn pack(self) -> u64 {
        self.lap.raw() << Self::CELL_BITS | self.cell as u64
    }

    #[inline]
    pub const fn unpack(raw: u64) -> Self {
        Place {
            lap: Generation::new(raw >> Self::CELL_BITS),
            cell: raw as u32 & Self::CELLS_MAX,
        }
    }

    #[inline]
    pub const fn cell(self) -> u32 {
        self.cell
    }

    #[inline]
    pub const fn lap(self) -> Generation {
        self.lap
    }

    #[inline]
    pub const fn lap_before(self) -> Generation {
        Generation::new(self.lap.raw().wrapping_sub(1))
    }

    #[inline]
    pub const fn lap_after(self) -> Generation {
        Generation::new(self.lap.raw().wrapping_add(1))
    }

    /// The place of the same cell in lap `lap`.
    #[inline]
    pub const fn in_lap(self, lap: Generation) -> Self {
        Place { lap, ..self }
    }

    /// The place of the same cell in the lap before `lap`.
    #[inline]
    pub const fn in_lap_before(self, lap: Generation) -> Self {
        let place = Place { lap, ..self };
        Place {
            lap: place.lap_before(),
            ..place
        }
    }

    /// The one behind, in a lane of so many cells.
    #[inline]
    pub const fn next(self, cells: u32) -> Self {
        if self.cell + 1 < cells {
            return Place {
                cell: self.cell + 1,
                ..self
            };
        }
        Place {
            lap: self.lap_after(),
            cell: 0,
        }
    }

    /// The one so many places before, in a lane of more than so many cells.
    #[inline]
    pub const fn back(self, places: u32, cells: u32) -> Self {
        if self.cell >= places {
            return Place {
                cell: self.cell - places,
                ..self
            };
        }
        Place {
            lap: self.lap_before(),
            cell: self.cell + cells - places,
        }
    }

    /// Whether it comes after `other`: less than half of all laps later.
    #[inline]
    pub fn is_after(self, other: Place) -> bool {
        let ahead = self.pack().wrapping_sub(other.pack());
        ahead != 0 && ahead < 1 << 63
    }

    /// How many places it is ahead of `other`; 0 if it is behind.
    pub fn distance(self, other: Place, cells: u32) -> usize {
        if !self.is_after(other) {
            return 0;
        }
        let laps = Generation::new(self.lap.raw().wrapping_sub(other.lap.raw())).raw();
        let ahead = laps.saturating_mul(u64::from(cells)) + u64::from(self.cell);
        usize::try_from(ahead.saturating_sub(u64::from(other.cell))).unwrap_or(usize::MAX)
    }
}
