//! The program this process runs: its identity, and where its parts lie.

use std::ops::ControlFlow;

use super::objects::{BuildId, each_object};

/// A part of the running executable, and its identity.
#[derive(Clone, Debug)]
pub struct Executable {
    part: std::ops::Range<usize>,
    build: BuildId,
}

impl Executable {
    /// Finds the loaded object that contains address `anchor`, and the part of it that
    /// does (a segment: its code, or its constants).
    pub fn containing(anchor: usize) -> std::io::Result<Self> {
        let mut found = None;
        each_object(|object| match object.part(anchor) {
            Some(part) => {
                let build = object.build();
                found = Some(Executable { part, build });
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        });
        found.ok_or_else(|| std::io::Error::other("the program's own constants were not found"))
    }

    /// Where the part that contains the anchor lies in this process.
    pub fn part(&self) -> std::ops::Range<usize> {
        self.part.clone()
    }

    /// Its identity.
    pub fn build(&self) -> &BuildId {
        &self.build
    }
}

/// The dynamic loader, if this program was given to it as an argument (`ld.so PROGRAM`): then
/// to start `/proc/self/exe` is to start the loader.
pub fn loader() -> Option<std::path::PathBuf> {
    let started = std::fs::read_link("/proc/self/exe").ok()?;
    let mut address = 0;
    each_object(|program| {
        address = program.headers_at();
        ControlFlow::Break(())
    });
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let (from, rest) = line.split_once('-')?;
        let (to, rest) = rest.split_once(' ')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let path = rest.find('/').map(|at| &rest[at..])?;
        (number(from)?..number(to)?)
            .contains(&address)
            .then_some(path)
    })?;
    (std::path::Path::new(path) != started).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_itself() {
        let anchor = finds_itself as fn() as usize;
        let me = Executable::containing(anchor).expect("own executable");
        assert!(me.part().contains(&anchor));
        assert_eq!(
            me.build(),
            Executable::containing(anchor).expect("again").build()
        );
    }

    #[test]
    fn no_loader_has_started_it() {
        assert_eq!(loader(), None);
    }
}
