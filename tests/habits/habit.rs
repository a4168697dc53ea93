//! What a habit is.

/// What users of a library do, by the names of the tests.
pub struct Library {
    /// In the names of tests: a module's name.
    pub short: &'static str,
    /// The heading on the page.
    pub title: &'static str,
    /// What to know beforehand; a paragraph of the page.
    pub first: &'static str,
    pub habits: Vec<(&'static str, Habit)>,
}

/// Something that users of a library do, and what comes of it here.
pub struct Habit {
    /// What they do there, and what comes of it.
    pub theirs: &'static str,
    /// How that is written here; if it differs, what comes of it.
    pub ours: &'static str,
    /// Where it is said that it differs. Without: it is the same.
    pub said: Option<Sentence>,
    /// Fails if it is not so.
    pub shown: fn(),
}

/// A sentence of a document.
#[derive(Clone, Copy)]
pub struct Sentence {
    /// The document, from the root of the repository.
    pub file: &'static str,
    /// Part of the sentence, as it stands there but for breaks of lines.
    pub words: &'static str,
}

/// A habit that holds here too.
pub fn same(theirs: &'static str, ours: &'static str, shown: fn()) -> Habit {
    Habit {
        theirs,
        ours,
        said: None,
        shown,
    }
}

/// A habit that does not hold as it is: `words` of `file` say so.
pub fn differs(
    theirs: &'static str,
    ours: &'static str,
    (file, words): (&'static str, &'static str),
    shown: fn(),
) -> Habit {
    Habit {
        said: Some(Sentence { file, words }),
        ..same(theirs, ours, shown)
    }
}

/// Habits with the names of the functions that make them.
macro_rules! habits {
    ($($name:path),* $(,)?) => {
        vec![$((stringify!($name).rsplit("::").next().unwrap_or_default().trim(), $name())),*]
    };
}
pub(crate) use habits;

pub const README: &str = "README.md";
pub const AROUND: &str = "docs/AROUND.md";
pub const RUNTIME: &str = "src/runtime/mod.rs";
pub const CALLBACKS: &str = "src/runtime/callbacks.rs";
pub const HANDLE: &str = "src/runtime/handle.rs";
pub const BUILDER: &str = "src/runtime/builder.rs";
pub const INITS: &str = "src/runtime/inits.rs";
pub const MAP: &str = "src/runtime/map.rs";
pub const SETTINGS: &str = "src/runtime/settings.rs";
pub const ERROR: &str = "src/error.rs";
pub const TASK_ERROR: &str = "src/error/task.rs";
pub const CHILD: &str = "src/worker/child.rs";
