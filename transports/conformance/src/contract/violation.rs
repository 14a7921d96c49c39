//! What is found.

use std::fmt;

/// One thing that is not as the document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The operation by its `operationId`.
    pub operation: String,
    /// The address that was asked, without the server.
    pub target: String,
    /// Nothing for a request.
    pub status: Option<u16>,
    /// `body`, `path NAME`, `query NAME`, `header NAME`, or `status`.
    pub part: String,
    /// Where in a body, with `*` for the numbers of items.
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
