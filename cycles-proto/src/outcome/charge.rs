//! How a cost was charged, and where its amount comes from.

use core::fmt;

use crate::models::JsonObject;

/// The operation that charged a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChargedBy {
    /// A commit of the reservation.
    Commit,
    /// An event in its place, because the reservation was over.
    Event,
}

/// Where the amount of a cost comes from. A commit says so in its metadata, as `actual_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActualSource {
    /// The action reported its cost.
    Action,
    /// The action failed or was dropped; this is what it had reported before. Of a run, at least one step.
    Partial,
    /// The cost is not known, so the estimate was charged. Of a run, at least one step is charged its estimate.
    Estimate,
}

impl ActualSource {
    /// The member of a commit's metadata that names the source.
    pub(crate) const NAME: &'static str = "actual_source";

    /// The source that the metadata of a commit names.
    pub(crate) fn in_metadata(metadata: Option<&JsonObject>) -> Self {
        let name = metadata.and_then(|metadata| metadata.get::<String>(Self::NAME));
        match name.as_deref() {
            Some("partial") => Self::Partial,
            Some("estimate") => Self::Estimate,
            _ => Self::Action,
        }
    }
}

/// `commit` or `event`.
impl fmt::Display for ChargedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Event => "event",
        })
    }
}

/// `action`, `partial` or `estimate`.
impl fmt::Display for ActualSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action => "action",
            Self::Partial => "partial",
            Self::Estimate => "estimate",
        })
    }
}
