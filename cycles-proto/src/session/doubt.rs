//! Whether connections that wait for the next request may be dead: what lies between drops them without a word, all together.

use crate::outcome::FailureKind;

/// What is known of the connections that wait. When an attempt ends without an answer, the next call closes them, so that one
/// attempt is lost and not one for each.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// How often they were closed.
    closings: u64,
    is_in_doubt: bool,
}

/// When an attempt began: before or after those that waited were closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Doubt {
    /// A call goes out. Whether it is to make a connection, and to close those that wait.
    pub(super) fn goes_out(&mut self) -> (bool, Since) {
        let is_fresh = core::mem::take(&mut self.is_in_doubt);
        self.closings += u64::from(is_fresh);
        (is_fresh, Since(self.closings))
    }

    /// There is no answer to an attempt that began then. It says nothing of connections that were made since the last closing.
    pub(super) fn failed(&mut self, since: Since, kind: FailureKind) {
        self.is_in_doubt |= kind.casts_doubt_on_connections() && since == Since(self.closings);
    }
}
