//! How long idle connections are kept, and how many: the same in all adapters.

use core::time::Duration;

/// For adapters: how long an idle connection is kept. Must be shorter than a load balancer keeps one, which is often a
/// minute.
pub const IDLE: Duration = Duration::from_secs(15);

/// For adapters: how many idle connections are kept: as many as a busy client may use at once.
pub const MAX_IDLE: usize = 64;
