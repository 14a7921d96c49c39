//! The API key is in no log line, error or debug output of a run, whatever the server does.

use crate::{executor, support};

include!("../../../client/tests/adapter/secrets.rs");
