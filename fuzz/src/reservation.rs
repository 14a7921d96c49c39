//! A reservation to which anything may happen.
//!
//! An even first byte selects a careless driver, which gives answers unasked, twice, late or never: the rules of
//! `cycles-proto/tests/behaviour/careless` apply all the same. An odd first byte makes agents spend in the simulated
//! world, over a faulty network, with crashes, a torn journal and jumping clocks: after every step, the world's audit
//! compares the actions to the ledger (see [`Rule`](cycles_world::Rule)).
//!
//! The other bytes are the decisions, in order.

use cycles_world::RandomScenario;

use crate::careless::{Dice, Driver};

/// Runs one execution.
pub fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    if first & 1 == 0 {
        Driver::new(Dice::drawn(rest), u64::from(*first)).run();
    } else if let Err(failed) = RandomScenario::from_bytes(rest).run() {
        panic!("{failed}");
    }
}
