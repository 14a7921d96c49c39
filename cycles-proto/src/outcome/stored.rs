//! What can happen to a record: set aside, or not stored.

/// Why a record is set aside; the file name ends in the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// `.rejected`: the ledger refused the cost for good.
    Rejected,
    /// `.stale`: the server may have forgotten the key, so that sending the cost again could count it twice.
    Stale,
}

impl Aside {
    /// The file extension of records that are set aside for this reason, without the dot.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Stale => "stale",
        }
    }
}

/// Why a change to the journal could not be made durable, and what that means for the cost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct StoreFailure {
    /// What happened.
    pub message: String,
    /// Whether the change was made anyway, so that only a crash of the machine could undo it. In that case, the cost
    /// is in its record and does not count as lost.
    pub is_made: bool,
}

impl StoreFailure {
    /// Creates the failure of a change that was not made.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_made: false,
        }
    }

    /// Creates the failure of a change that was made, but that a crash of the machine may undo.
    pub fn not_durable(message: impl Into<String>) -> Self {
        Self {
            is_made: true,
            ..Self::new(message)
        }
    }
}
