//! Elements that take no byte: no length in the bytes says that there are not too many of them.

use super::super::fault::{Fault, Kind};

/// How many there may be in all of a value.
pub const MOST: u32 = 1 << 20;

/// How many there were so far.
#[derive(Debug, Default)]
pub struct Empty(u32);

impl Empty {
    /// One more.
    #[inline(always)]
    pub fn count(&mut self) -> Result<(), Fault> {
        self.0 += 1;
        match self.0 > MOST {
            true => Err(too_many()),
            false => Ok(()),
        }
    }
}

#[cold]
fn too_many() -> Fault {
    Fault::new(
        Kind::Beyond,
        format!("more than {MOST} of its elements take no byte: send how many there are"),
    )
}
