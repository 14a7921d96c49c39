//! Violations of the document.

use std::fmt;

/// A violation of the document by a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The `operationId` of the operation.
    pub operation: String,
    /// The path and query of the request.
    pub target: String,
    /// The status of the answer; `None` for a request.
    pub status: Option<u16>,
    /// `body`, `path NAME`, `query NAME`, `header NAME`, or `status`.
    pub part: String,
    /// The position in a body, with `*` for the indices of items.
    pub at: String,
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            None => write!(f, "request of {} {}", self.operation, self.target)?,
            Some(status) => write!(f, "answer {status} of {} {}", self.operation, self.target)?,
        }
        write!(f, ", {} {}: {}", self.part, self.at, self.problem)
    }
}
