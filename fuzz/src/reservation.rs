//! A life in which whatever may happen does.
//!
//! An even first byte gives the machine to a driver without manners, who answers what was not asked, twice, late
//! or never: the rules of `cycles-proto/tests/behaviour/careless` hold all the same. An odd one makes agents spend in the
//! simulated world, over a faulty network, with crashes, a torn journal and clocks that jump:
//! after every step the world's audit compares what was done with what the ledger has (see
//! [`Rule`](cycles_world::Rule)).
//!
//! The other bytes are the decisions, one after the other.

use cycles_world::RandomLife;

use crate::careless::{Dice, Driver};

/// One execution.
pub fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    if first & 1 == 0 {
        Driver::new(Dice::drawn(rest), u64::from(*first)).live();
    } else if let Err(failed) = RandomLife::from_bytes(rest).run() {
        panic!("{failed}");
    }
}
