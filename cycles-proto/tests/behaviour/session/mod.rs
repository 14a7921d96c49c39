//! A session as its driver and its callers see it, with the sandbox's ledger and simulated time.

mod by_hand;
mod closing;
mod connections;
mod desk;
mod dispatched;
mod durable_dispatch;
mod ending;
mod flushing;
mod grants;
mod journal;
mod panics;
mod places;
mod principals;
mod runs;
mod shadow;
mod shadow_ends;
mod shadow_runs;
mod shutting_down;
mod stats;
mod waiting;
