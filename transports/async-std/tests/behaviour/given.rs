//! A transport and a clock that are given in place of the adapter's own.

use crate::{executor, world};

include!("../../../client/tests/adapter/given.rs");
