//! Proxies: plain requests are forwarded, secure ones tunnelled, exceptions go straight.

use crate::{executor, support};

include!("../../../client/tests/adapter/proxy.rs");
