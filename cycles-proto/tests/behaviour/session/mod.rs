//! A session as its driver and its callers see it: the sandbox's ledger answers, and time is what a test says.

mod closing;
mod connections;
mod desk;
mod ending;
mod flushing;
mod grants;
mod journal;
mod panics;
mod places;
mod principals;
mod waiting;
