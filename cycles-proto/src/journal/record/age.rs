//! How long the server remembers the key of an event.

use core::time::Duration;

use crate::time::UnixMillis;

const DAY: Duration = Duration::from_secs(86_400);

/// How old a key may be before the server counts as having forgotten it.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(6 * 86_400);

/// Whether the server may have forgotten the key of an event in a record from this time.
pub(crate) fn may_be_forgotten(recorded_at: UnixMillis, now: UnixMillis) -> bool {
    let is_from_the_future = recorded_at.saturating_since(now) > DAY;
    now.saturating_since(recorded_at) > REMEMBERED || is_from_the_future
}
