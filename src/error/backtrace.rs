//! How a task came to its panic.
//!
//! A worker notes addresses; names are found where somebody reads them, mostly in the host. It
//! is the same program there, at other addresses: so each is told by the object it lies in
//! (the program, a shared library) and how far from its base.
//!
//! ```text
//!   worker: address ──▶ object, distance  ══▶  object of the same build here ──▶ address ──▶ name, line
//!                                                   none: it has no name
//! ```
//!
//! What a worker has written is not believed: any distance is looked up, at worst in vain.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::BuildId;
use crate::sys::frames::FRAMES_MAX;
use crate::sys::objects::each_object;

/// How a task came to its panic: see [`TaskError::backtrace`](crate::TaskError::backtrace).
///
/// It is displayed as a program's own panic is: the function that panicked first, then who
/// called it, each with its place, up to the task's function. What pinfold and the standard
/// library have added above and below is left out; with `RUST_BACKTRACE=full`, or in the form
/// `{:#}`, all is shown. `Debug` shows the same.
///
/// Names and places are looked up when it is displayed: the first time in a process takes a good
/// part of a second, if the program is large. They are found as far as the program has its
/// symbols and debug information, and in a process that has loaded the same build of the
/// same program or library; elsewhere the file and the distance from its base are
/// shown, for tools such as `addr2line`.
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let error = rt.spawn(|n: u32| 100 / n, 0).join().unwrap_err();
/// if let Some(backtrace) = error.backtrace() {
///     eprintln!("{error}\n{backtrace}"); // with RUST_BACKTRACE=1
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskBacktrace {
    objects: Vec<KnownObject>,
    /// The innermost first.
    frames: Vec<Frame>,
}

/// A program or a library, as it is told to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownObject {
    /// The last part of its file's name; empty for the program.
    name: String,
    build: BuildId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Frame {
    /// Its object's number; none if the code was made at run time.
    object: Option<u8>,
    /// How far from the object's base; of no object: the address.
    distance: u64,
}

/// One function of a frame: several if some were inlined.
struct Line {
    frame: usize,
    name: String,
    file: Option<PathBuf>,
    line: Option<u32>,
    column: Option<u32>,
}

impl TaskBacktrace {
    /// Of return addresses in this process, the innermost first.
    pub(crate) fn of(addresses: &[usize]) -> Self {
        let mut frames: Vec<_> = addresses
            .iter()
            .map(|address| Frame {
                object: None,
                distance: *address as u64,
            })
            .collect();
        let mut objects = Vec::new();
        each_object(|object| {
            let Ok(number) = u8::try_from(objects.len()) else {
                return ControlFlow::Break(());
            };
            let mut is_in_use = false;
            for (frame, address) in frames.iter_mut().zip(addresses) {
                // The call is before the place that is returned to.
                if object.part(address.wrapping_sub(1)).is_some() {
                    is_in_use = true;
                    let distance = address.wrapping_sub(object.base()) as u64;
                    *frame = Frame {
                        object: Some(number),
                        distance,
                    };
                }
            }
            if is_in_use {
                objects.push(KnownObject {
                    name: object.name(),
                    build: object.build(),
                });
            }
            ControlFlow::Continue(())
        });
        TaskBacktrace { objects, frames }
    }

    /// As a worker has told it.
    pub(super) fn bounded(mut self) -> Option<Box<Self>> {
        self.frames.truncate(FRAMES_MAX);
        (!self.frames.is_empty()).then(|| Box::new(self))
    }

    /// Where each frame is in this process, if it is.
    fn addresses(&self) -> Vec<Option<usize>> {
        let mut found = vec![None; self.frames.len()];
        each_object(|object| {
            let build = object.build();
            for (number, known) in self.objects.iter().enumerate() {
                if known.build != build {
                    continue;
                }
                for (frame, found) in self.frames.iter().zip(&mut found) {
                    let address = object.base().wrapping_add(frame.distance as usize);
                    let is_in_it = || object.part(address.wrapping_sub(1)).is_some();
                    if frame.object.map(usize::from) == Some(number) && is_in_it() {
                        *found = Some(address);
                    }
                }
            }
            ControlFlow::Continue(())
        });
        found
    }

    /// Its functions by name, the innermost first.
    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for (number, address) in self.addresses().into_iter().enumerate() {
            let before = lines.len();
            if let Some(address) = address {
                let at = std::ptr::without_provenance_mut(address);
                backtrace::resolve(at, |symbol| {
                    let Some(name) = symbol.name() else { return };
                    lines.push(Line {
                        frame: number,
                        name: format!("{name:#}"),
                        file: symbol.filename().map(Path::to_owned),
                        line: symbol.lineno(),
                        column: symbol.colno(),
                    });
                });
            }
            if lines.len() == before {
                lines.push(self.nameless(number));
            }
        }
        lines
    }

    /// What is said of a frame that has no name here.
    fn nameless(&self, number: usize) -> Line {
        let frame = self.frames[number];
        let object = frame
            .object
            .and_then(|at| self.objects.get(usize::from(at)));
        let name = match object {
            Some(object) if object.name.is_empty() => {
                format!("<unknown> (the program, at {:#x})", frame.distance)
            }
            Some(object) => format!("<unknown> ({}, at {:#x})", object.name, frame.distance),
            None => String::from("<unknown>"),
        };
        Line {
            frame: number,
            name,
            file: None,
            line: None,
            column: None,
        }
    }
}

/// What a program's own panics are shown from, and to.
const PANIC: &str = "__rust_end_short_backtrace";
const THREAD: &str = "__rust_begin_short_backtrace";
/// What calls the functions of tasks and workers: their module, and where its text is.
const GATE: &str = "pinfold::task::func::";
const GATE_FILE: &str = "task/func.rs";

/// The lines between the panic itself and the task's function, that one included.
fn of_the_task(lines: &[Line]) -> &[Line] {
    let panic = lines.iter().position(|line| line.name.contains(PANIC));
    let lines = &lines[panic.map_or(0, |at| at + 1)..];
    let gate = lines
        .iter()
        .position(|line| line.is_gate() || line.name.contains(THREAD));
    // Where the debug information has no paths in its names, it still has those of files.
    let own = gate.and_then(|at| lines[at].file.as_ref()?.to_str()?.strip_suffix(GATE_FILE));
    let inside = &lines[..gate.unwrap_or(lines.len())];
    match inside.iter().rposition(|line| !line.is_machinery(own)) {
        Some(last) => &inside[..=last],
        // The task's function may be one with the gate; that tells it at least.
        None => &lines[..gate.map_or(lines.len(), |at| at + 1)],
    }
}

impl Line {
    /// Whether this is what calls a function of a task's or a worker's.
    fn is_gate(&self) -> bool {
        let is_called_so = |name: &str| {
            let name = name.split('<').next().unwrap_or_default();
            matches!(name, "entry" | "init" | "init_with" | "executor_init")
        };
        let is_there = |file: &PathBuf| file.ends_with("src/task/func.rs");
        self.name.starts_with(GATE)
            || is_called_so(&self.name) && self.file.as_ref().is_some_and(is_there)
    }

    /// Whether it is pinfold's, whose sources are in the directory `own`, or the standard library's.
    fn is_machinery(&self, own: Option<&str>) -> bool {
        let file = self.file.as_ref().and_then(|file| file.to_str());
        let is_there = |file: &str| {
            let is_std = file.starts_with("/rustc/") && file.contains("/library/");
            is_std || own.is_some_and(|own| file.starts_with(own))
        };
        is_machinery(&self.name) || file.is_some_and(is_there)
    }
}

/// Whether a function is pinfold's or the standard library's, by its name.
fn is_machinery(name: &str) -> bool {
    const OURS: [&str; 6] = [
        "pinfold::",
        "core::",
        "std::",
        "alloc::",
        "__rustc::",
        "rust_begin_unwind",
    ];
    let is_ours = |path: &str| {
        let path = path.trim_start_matches(['<', '&']);
        OURS.iter().any(|start| path.starts_with(start))
    };
    match name.split_once(" as ") {
        // A trait's function for whatever type: `<I as core::iter::Iterator>::next`.
        Some((of, what)) if name.starts_with('<') && !of.contains("::") => is_ours(what),
        _ => is_ours(name),
    }
}

/// Whether all is to be shown.
fn is_full() -> bool {
    let style =
        std::env::var_os("RUST_LIB_BACKTRACE").or_else(|| std::env::var_os("RUST_BACKTRACE"));
    style.is_some_and(|style| style == "full")
}

impl fmt::Display for TaskBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let is_full = f.alternate() || is_full();
        let shown = if is_full { &lines } else { of_the_task(&lines) };
        let here = std::env::current_dir().ok();
        let (mut number, mut before) = (0, None);
        for line in shown {
            if before.is_some() {
                f.write_str("\n")?;
            }
            if before == Some(line.frame) {
                write!(f, "      {}", line.name)?;
            } else {
                write!(f, "{number:4}: {}", line.name)?;
                number += 1;
            }
            before = Some(line.frame);
            let Some(file) = &line.file else { continue };
            let file = match here.as_ref().and_then(|here| file.strip_prefix(here).ok()) {
                Some(below) if !is_full => Cow::Owned(Path::new(".").join(below)),
                _ => Cow::Borrowed(file.as_path()),
            };
            write!(f, "\n             at {}", file.display())?;
            for number in [line.line, line.column].iter().map_while(|number| *number) {
                write!(f, ":{number}")?;
            }
        }
        match before {
            Some(last) if last + 1 == FRAMES_MAX => {
                write!(f, "\n      … what lies deeper was not noted")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for TaskBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[&str]) -> Vec<String> {
        let line = |(frame, name): (usize, &&str)| Line {
            frame,
            name: (*name).to_owned(),
            file: None,
            line: None,
            column: None,
        };
        let lines: Vec<Line> = names.iter().enumerate().map(line).collect();
        of_the_task(&lines)
            .iter()
            .map(|line| line.name.clone())
            .collect()
    }

    #[test]
    fn what_is_not_the_tasks_is_cut_off() {
        let panic = [
            "std::panicking::hook",
            "std::sys::backtrace::__rust_end_short_backtrace",
        ];
        let own = [
            "__rustc::rust_begin_unwind",
            "pinfold::worker::join::join",
            "render::page",
        ];
        let called = [
            "core::ops::function::Fn::call",
            "<I as core::iter::Iterator>::next",
        ];
        let gate = ["pinfold::task::func::entry::<render::page, u32, u32>"];
        let below = [
            "pinfold::worker::run",
            "render::outer",
            "pinfold::task::func::entry",
        ];
        let all = [&panic[..], &own, &called, &gate, &below].concat();
        assert_eq!(shown(&all), own);
        // It is one with what calls it: that names it.
        let all = [&panic[..], &own[..1], &gate, &below].concat();
        assert_eq!(shown(&all), [own[0], gate[0]]);
        // The names may be without paths.
        let at = |name: &str, file: &str| Line {
            frame: 0,
            name: name.to_owned(),
            file: Some(PathBuf::from(file)),
            line: Some(1),
            column: None,
        };
        let std = "/rustc/0123/library/core/src/ops/function.rs";
        let lines = [
            at("panic_fmt", "/rustc/0123/library/core/src/panicking.rs"),
            at("entry", "/render/src/task/page.rs"),
            at(
                "{closure#0}<render::page>",
                "/deps/pinfold-1/src/runtime/chunks.rs",
            ),
            at("call_once<render::page>", std),
            at(
                "entry<render::page, u32>",
                "/deps/pinfold-1/src/task/func.rs",
            ),
            at("main", "/render/src/main.rs"),
        ];
        assert_eq!(of_the_task(&lines).len(), 2);
        // Nothing is known of the panic, or of the gate.
        assert_eq!(shown(&own), own);
        assert_eq!(shown(&["<unknown>"; 3]), ["<unknown>"; 3]);
        assert!(shown(&[]).is_empty());
    }

    #[test]
    fn machinery_is_told_by_its_crate() {
        for name in [
            "core::option::unwrap_failed",
            "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
            "<&T as core::fmt::Display>::fmt",
            "<u32 as core::ops::arith::Div>::div",
        ] {
            assert!(is_machinery(name), "{name}");
        }
        for name in [
            "<render::Page as core::fmt::Display>::fmt",
            "stdlib::page",
            "render::std::page",
            "<unknown>",
            "qsort",
        ] {
            assert!(!is_machinery(name), "{name}");
        }
    }

    #[test]
    fn what_a_worker_wrote_is_looked_up_in_vain_at_worst() {
        let here = what_a_worker_wrote_is_looked_up_in_vain_at_worst as fn() as usize + 1;
        let known = TaskBacktrace::of(&[here, 0, 1, usize::MAX]);
        assert_eq!(known.addresses(), [Some(here), None, None, None]);
        let mut wild = known.clone();
        for (frame, object, distance) in [
            (0, Some(0), u64::MAX),
            (1, Some(0), 0),
            (2, Some(200), 7),
            (3, None, 0),
        ] {
            wild.frames[frame] = Frame { object, distance };
        }
        assert_eq!(wild.addresses(), [None; 4]);
        assert!(wild.to_string().contains("<unknown>"));
        wild.frames = vec![wild.frames[0]; 10_000];
        let bounded = wild.bounded().expect("some are left");
        assert_eq!(bounded.frames.len(), FRAMES_MAX);
        let none = TaskBacktrace::of(&[]);
        assert!(none.clone().bounded().is_none() && none.to_string().is_empty());
    }
}
