//! The attribute on every kind of function, on async-std or smol.

use crate::{executor, scene};

use executor::yield_now;

include!("../../../client/tests/attribute/functions.rs");
include!("../../../client/tests/attribute/streams.rs");

#[path = "../../../client/tests/attribute/captures.rs"]
mod captures;
#[path = "../../../client/tests/attribute/steps.rs"]
mod steps;
#[path = "../../../client/tests/attribute/surroundings.rs"]
mod surroundings;
