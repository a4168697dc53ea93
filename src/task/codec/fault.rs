//! Why a value was not encoded or decoded.

use std::fmt;

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The type's own `Serialize` or `Deserialize` says so.
    Own,
    /// The plain form cannot bring it back: the named one may.
    Unfit,
    /// Too deep, too many: no form helps.
    Beyond,
    /// The bytes are not what was written for such a type.
    Mismatch,
}

/// Why a value was not encoded or decoded.
#[derive(Clone)]
pub struct Fault(Box<(Kind, String)>);

impl Fault {
    #[cold]
    pub(super) fn new(kind: Kind, words: impl Into<String>) -> Self {
        Fault(Box::new((kind, words.into())))
    }

    #[cold]
    pub(super) fn unfit(words: impl Into<String>) -> Self {
        Fault::new(Kind::Unfit, words)
    }

    #[cold]
    pub(super) fn mismatch(words: impl Into<String>) -> Self {
        Fault::new(Kind::Mismatch, words)
    }

    pub(super) fn kind(&self) -> Kind {
        self.0.0
    }

    /// Nothing helps but another value.
    pub fn is_beyond(&self) -> bool {
        self.kind() == Kind::Beyond
    }

    /// The bytes end too early.
    #[cold]
    pub(super) fn short() -> Self {
        Fault::mismatch("its bytes end in the middle of it")
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.0, self.0.1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.1)
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl std::error::Error for Fault {}

impl serde::ser::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(words: T) -> Self {
        Fault::new(Kind::Own, words.to_string())
    }
}

impl serde::de::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(words: T) -> Self {
        Fault::new(Kind::Own, words.to_string())
    }
}
