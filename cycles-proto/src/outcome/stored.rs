//! What may become of a record.

/// Why a record is set aside, which is also the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// `.rejected`: the ledger refused the cost for good.
    Rejected,
    /// `.stale`: the server may have forgotten the key, so that sending it again could count twice.
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

/// Why a change of the journal could not be made durable, in the words of the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct StoreFailure {
    /// What happened.
    pub message: String,
    /// Whether the change was made all the same, and only a machine that goes down may undo it: the cost is in its
    /// record, and is not to be called lost.
    pub is_made: bool,
}

impl StoreFailure {
    /// The change was not made.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_made: false,
        }
    }

    /// The change was made, and may be undone if the machine goes down.
    pub fn not_durable(message: impl Into<String>) -> Self {
        Self {
            is_made: true,
            ..Self::new(message)
        }
    }
}
