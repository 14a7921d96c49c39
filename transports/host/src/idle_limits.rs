//! The limits for idle connections, the same in all adapters: how long they are kept, and how many.

use core::time::Duration;

/// For adapters: how long an idle connection is kept. Must be shorter than load balancers keep one, which is often a
/// minute.
pub const IDLE: Duration = Duration::from_secs(15);

/// For adapters: how many idle connections are kept: as many as a busy client may use at once.
pub const MAX_IDLE: usize = 64;
