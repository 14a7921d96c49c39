//! A session with an unruly driver.
//!
//! The first byte is its seed, and the others are the decisions of the driver, the server, the disk and the callers, in
//! order: several reservations, calls and flushes of two principals, few or many places, and steps that are executed
//! late, in another order, twice or never. The rules of `cycles-proto/tests/behaviour/unruly` apply all the same.

use crate::careless::Dice;
use crate::unruly::Driver;

/// Runs one execution.
pub fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    Driver::new(Dice::drawn(rest), u64::from(*first)).run();
}
