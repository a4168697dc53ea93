//! One long chunk on several workers.
//!
//! Where a chunk ends is known only when its lines have been counted. A chunk of some MiB is likely to have some
//! more; so the next units of it are hashed ahead, at once, as if it did not end in them, and their lines are counted
//! on the way. No byte is read twice but those behind the chunk's end:
//!
//! ```text
//! task            [0]                                     leaves the chunk: it is long
//! tasks at once      [1][2][3][4]
//! tasks at once                  [5][6][7][8][9][a]       it ends in 8: 9 and a were in vain
//! task                                    [8··            ends the chunk
//! ```
//!
//! How many units are hashed ahead follows from the lines so far, and from what came of it before ([`Stakes`]): lines
//! that mislead cost little.

use super::chunk::{Begun, Lines};
use super::group::{Group, Resume};
use super::large::{Scan, Span};
use super::tree::UNIT_BYTES;

/// A file that goes on in the middle of a long chunk.
#[derive(Debug)]
pub struct Long<'a> {
    group: &'a Group,
    resume: &'a Resume,
    begun: &'a Begun,
}

/// How many units more a chunk is likely to have, of which `units` have been taken in, with `lines`; at most
/// `lines_max` are in a chunk. The first unit may hold other lines than those that made the chunk long.
fn expected(units: u64, lines: Lines, lines_max: u64) -> u64 {
    let (units, lines_seen) = match units - 1 {
        0 => (1, lines.all),
        others => (others, lines.all - lines.first),
    };
    (lines_max - lines.all).saturating_mul(units) / (lines_seen + 1)
}

/// Whether such a chunk is going to be long enough to be left to several tasks.
pub fn is_long(units: u64, lines: Lines, lines_max: u64) -> bool {
    expected(units, lines, lines_max) >= 3
}

impl<'a> Long<'a> {
    /// The file that `group` consists of, if it goes on within a chunk.
    pub fn new(group: &'a Group) -> Option<Long<'a>> {
        let resume = group.resume.as_ref()?;
        let begun = resume.begun.as_ref()?;
        (group.files == 1).then_some(Long {
            group,
            resume,
            begun,
        })
    }

    /// The units to hash ahead, at most `most`; none if they are too few to gain by it. At least one byte of the file
    /// comes after them.
    pub fn spans(&self, most: u64) -> Vec<Span> {
        let units = self.begun.units.count();
        let expected = expected(units, self.begun.lines, self.group.lines);
        let from = self.resume.offset + self.begun.units.bytes();
        let whole = self.resume.stamp.size().saturating_sub(from + 1) / UNIT_BYTES;
        let ahead = expected.min(whole).min(most);
        if ahead < 2 {
            return Vec::new();
        }
        let span = |unit| Span {
            source: self.group.source.clone(),
            path: self.group.paths.clone(),
            stamp: self.resume.stamp,
            from: self.resume.offset + unit * UNIT_BYTES,
            to: self.resume.offset + (unit + 1) * UNIT_BYTES,
            unit: Some(unit),
        };
        (units..units + ahead).map(span).collect()
    }

    /// What is left of the file, now that the units in `scans` are known, and how many of those the chunk goes beyond.
    pub fn with(&self, scans: &[Scan]) -> (Group, u64) {
        let mut begun = self.begun.clone();
        let mut used = 0;
        for scan in scans {
            let (Some(node), lines) = (scan.node, begun.lines.all + scan.lines) else {
                break;
            };
            if lines >= self.group.lines {
                break;
            }
            begun.lines.all = lines;
            begun.units.push(node);
            used += 1;
        }
        let resume = Resume {
            begun: Some(begun),
            ..self.resume.clone()
        };
        let group = Group {
            resume: Some(resume),
            ..self.group.clone()
        };
        (group, used)
    }
}

/// How much hashing ahead has paid.
///
/// For two units of use one may be in vain: then two workers are still sooner than one.
#[derive(Debug, Default)]
pub struct Stakes {
    used: u64,
    vain: u64,
}

impl Stakes {
    /// The most units to hash ahead now.
    pub fn most(&self) -> u64 {
        const FREE: u64 = 8;
        const MOST: u64 = 64;
        (FREE + self.used / 2).saturating_sub(self.vain).min(MOST)
    }

    /// Notes how many units were of use, and how many were not.
    pub fn note(&mut self, used: u64, vain: u64) {
        self.used += used;
        self.vain += vain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_vain_is_at_most_half_of_what_was_of_use_and_a_few() {
        let mut stakes = Stakes::default();
        for round in 0..1000 {
            let most = stakes.most();
            assert!(most <= 64);
            let used = if round % 3 == 0 { most } else { 0 };
            stakes.note(used, most - used);
            assert!(stakes.vain <= stakes.used / 2 + 8);
        }
        // After a long run without luck, what is of use counts again.
        stakes.note(100, 0);
        assert!(stakes.most() > 0);
    }

    #[test]
    fn what_is_expected_follows_from_the_lines_behind_the_first_unit() {
        let lines = |first, all| Lines { all, first };
        assert_eq!(expected(1, lines(0, 0), 50), 50);
        assert_eq!(expected(1, lines(24, 24), 50), 1);
        assert_eq!(expected(10, lines(1, 10), 50), 36);
        // Short lines first, a hole then.
        assert_eq!(expected(2, lines(45, 45), 50), 5);
        assert_eq!(expected(7, lines(45, 45), 50), 30);
        // One line to a chunk: the longer it is, the longer it will be.
        assert!(!is_long(3, lines(0, 0), 1) && is_long(4, lines(0, 0), 1));
        assert_eq!(expected(9, lines(0, 0), u64::MAX), u64::MAX);
    }
}
