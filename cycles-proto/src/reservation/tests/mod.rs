//! A reservation with answers from a test, in virtual time. Files are named after what the reservation is doing.
//!
//! The rules for the money and the machine, and their tests:
//!
//! | rule | tests |
//! |---|---|
//! | a cost is in the machine once it was handed over | `settling::a_cost_that_was_handed_over_survives_its_caller` |
//! | the caller waits for the store and the first attempt | `settling::the_caller_hears_*`, `journal` |
//! | records that are too old are not sent | `journal::a_record_that_is_too_old_is_set_aside_unless_it_is_forced` |
//! | no event while a commit may have been applied | `settling::*_bare_410*` |
//! | rejected is not deleted | `settling::what_the_ledger_refuses_is_set_aside_and_nothing_is_released` |
//! | what is written can be read | `large` |
//! | the amount is sacred | `settling::a_cost_that_cannot_be_charged_*`, `settling::what_breaks_a_limit_*` |
//! | partial cost | `leaving` |
//! | a cost that nobody knows yet is not free | `dispatched` |
//! | create | `reserving`, `verifying`, `releasing` |
//! | every reservation has one last event | `ends` |
//! | the heartbeat | `beating`, `extending` |
//! | any input, at any time, of any driver | `driver` |

mod beating;
mod desk;
mod dispatched;
mod driver;
mod ends;
mod extending;
mod journal;
mod large;
mod leaving;
mod releasing;
mod reserving;
mod results;
mod secrets;
mod settling;
mod verifying_grant;
