//! Futures that are dropped at every point of a lifecycle: once the server granted there is one
//! commit, or one release, or one record on disk.

use crate::{executor, scene};

include!("../../../client/tests/adapter/cancellation.rs");
