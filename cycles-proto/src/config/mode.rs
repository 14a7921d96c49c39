//! Whether the ledger's decisions are obeyed or only reported.

/// Whether the ledger decides which actions run, or only says what it would have decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Budget is reserved before an action runs, a denied action does not run, and its cost is charged.
    #[default]
    Enforce,
    /// Every action runs at once, whatever the ledger says and even if it cannot be reached. Nothing is held and nothing
    /// is charged: no cost enters the ledger or the journal. Beside the action, a dry run asks the ledger what it would
    /// have decided, under a key of its own, and [`Event::Shadowed`](crate::Event::Shadowed) reports that decision with
    /// the estimate and the actual cost.
    ///
    /// Because nothing is held, the decisions are independent of one another: ten actions that each fit into what is left
    /// of a budget are all told as allowed, even if the ten together do not fit.
    ///
    /// The mode is about guarded actions: guards, `with_cycles`, the attribute, metered streams and runs. A request with
    /// `dry_run`, `decide`, `create_event`, the queries and the low-level operations do the same in both modes.
    Shadow,
}

impl Mode {
    /// The mode with this name: `enforce` or `shadow`, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "enforce" => Some(Self::Enforce),
            "shadow" => Some(Self::Shadow),
            _ => None,
        }
    }

    /// The name: `enforce` or `shadow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

impl core::fmt::Display for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
