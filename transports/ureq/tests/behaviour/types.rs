//! The traits of public types.

use std::panic::{RefUnwindSafe, UnwindSafe};

use cycles_ureq::{CyclesClient, GuardContext, Lease, ReservationGuard};

/// Whatever panics beside them, clients and guards are in order: locks are never poisoned, and observers are heard
/// apart from the rest.
#[test]
fn what_guards_an_action_may_be_used_around_a_panic_that_is_caught() {
    fn may<T: UnwindSafe + RefUnwindSafe>() {}
    may::<CyclesClient>();
    may::<ReservationGuard>();
    may::<GuardContext>();
    may::<Lease>();
}
