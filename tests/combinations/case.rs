//! What can be combined.

/// An enumeration whose members are the choices of one dimension.
macro_rules! dimension {
    ($(#[$doc:meta])* $name:ident { $($choice:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($choice),* }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$choice),*];
        }
    };
}

dimension!(
    /// How it is submitted.
    Way { Spawn, Try, Timeout, Map, Unordered, All, Chunked, ChunkedUnordered, Reduce, Scope, After, Nested }
);

dimension!(
    /// The shape of its argument. `Held`: somebody else has the loan as well; `Ends`: of a channel, and a lock.
    Given { Few, Filled, PastFilled, Long, Shared, SharedFilled, ManyShared, Ranges, Loan, LongLoan, Held, LongHeld, Constant, Ends }
);

dimension!(
    /// The shape of its value. `Same`: of the argument's, if there is one.
    Made { Few, Small, PastSmall, Filled, PastFilled, Long, Shared, SameShared, ManyShared, Ranges, Loan, SameLoan }
);

dimension!(
    /// What comes of its runs: of each, or of the first ones. `Late`: its hard deadline comes;
    /// `Hangs`: its run limit passes.
    Does { Value, Err, Panic, Die, ErrOnce, ErrTwice, PanicOnce, DieOnce, ErrThenDie, Late, Hangs, Cancelled }
);

dimension!(Level {
    Normal,
    Urgent,
    Low,
    Background
});
dimension!(Deadlines {
    None,
    Hard,
    Start,
    Soft,
    Run,
    Each
});
dimension!(Retries {
    None,
    Two,
    Three,
    Four
});
dimension!(
    /// What is tried again: an `Err` and a panic; so it is said; whatever has no value.
    Judge { None, Errors, All }
);
dimension!(Repeats { None, Two, Three });
dimension!(Limits { None, One, Two });
dimension!(Label {
    None,
    Name,
    LongName,
    Tags,
    Trace
});
dimension!(Memoized { No, Yes });
dimension!(Called {
    Never,
    Complete,
    Error,
    Both
});
dimension!(Dropped {
    Plain,
    Aborts,
    Detached
});
dimension!(InFlight { Default, One });

/// One combination.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub way: Way,
    pub given: Given,
    pub made: Made,
    pub does: Does,
    pub level: Level,
    pub deadlines: Deadlines,
    pub retries: Retries,
    pub judge: Judge,
    pub repeats: Repeats,
    pub limits: Limits,
    pub label: Label,
    pub memoized: Memoized,
    pub called: Called,
    pub dropped: Dropped,
    pub in_flight: InFlight,
}

impl Case {
    /// How many choices each dimension has.
    pub const SIZES: [usize; 15] = [
        Way::ALL.len(),
        Given::ALL.len(),
        Made::ALL.len(),
        Does::ALL.len(),
        Level::ALL.len(),
        Deadlines::ALL.len(),
        Retries::ALL.len(),
        Judge::ALL.len(),
        Repeats::ALL.len(),
        Limits::ALL.len(),
        Label::ALL.len(),
        Memoized::ALL.len(),
        Called::ALL.len(),
        Dropped::ALL.len(),
        InFlight::ALL.len(),
    ];

    /// Of one choice for each dimension.
    pub fn of(row: &[usize]) -> Self {
        let mut case = Case {
            way: Way::ALL[row[0]],
            given: Given::ALL[row[1]],
            made: Made::ALL[row[2]],
            does: Does::ALL[row[3]],
            level: Level::ALL[row[4]],
            deadlines: Deadlines::ALL[row[5]],
            retries: Retries::ALL[row[6]],
            judge: Judge::ALL[row[7]],
            repeats: Repeats::ALL[row[8]],
            limits: Limits::ALL[row[9]],
            label: Label::ALL[row[10]],
            memoized: Memoized::ALL[row[11]],
            called: Called::ALL[row[12]],
            dropped: Dropped::ALL[row[13]],
            in_flight: InFlight::ALL[row[14]],
        };
        // What cannot be: nobody has a handle to cancel by, or the task's own child is late
        // where no deadline reaches it.
        let is_cancelled = case.does == Does::Cancelled;
        if (is_cancelled && !case.has_handle())
            || (matches!(case.does, Does::Late | Does::Hangs) && case.way == Way::Nested)
        {
            case.does = Does::Value;
        }
        if case.does == Does::Cancelled && case.dropped == Dropped::Detached {
            case.dropped = Dropped::Plain;
        }
        case
    }

    /// Whether whoever submits it gets a handle.
    pub fn has_handle(&self) -> bool {
        matches!(
            self.way,
            Way::Spawn | Way::Try | Way::Timeout | Way::Scope | Way::After | Way::Nested
        )
    }

    /// The most attempts when it fails, but for those of the next.
    pub fn attempts(&self) -> usize {
        match self.retries {
            Retries::None if self.judge != Judge::None => 3,
            Retries::None => 1,
            Retries::Two => 2,
            Retries::Three => 3,
            Retries::Four => 4,
        }
    }

    /// The most attempts when workers die.
    pub fn lives(&self) -> usize {
        match self.repeats {
            Repeats::None => 1,
            Repeats::Two => 2,
            Repeats::Three => 3,
        }
    }

    /// Whether its deadline or its run limit passes.
    pub fn may_be_late(&self) -> bool {
        matches!(self.does, Does::Late | Does::Hangs)
    }

    pub fn is_repeated(&self) -> bool {
        self.attempts() > 1 || self.lives() > 1
    }

    /// Buffers in its argument: shared ones.
    pub fn shared_given(&self) -> usize {
        match self.given {
            Given::Shared | Given::SharedFilled => 1,
            Given::ManyShared | Given::Ranges => 3,
            _ => 0,
        }
    }

    pub fn is_constant_given(&self) -> bool {
        self.given == Given::Constant
    }

    pub fn is_loan_given(&self) -> bool {
        matches!(
            self.given,
            Given::Loan | Given::LongLoan | Given::Held | Given::LongHeld
        )
    }

    pub fn is_held(&self) -> bool {
        matches!(self.given, Given::Held | Given::LongHeld)
    }

    pub fn is_loan_made(&self) -> bool {
        matches!(self.made, Made::Loan | Made::SameLoan)
    }
}
