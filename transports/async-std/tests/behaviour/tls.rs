//! https: what is trusted, what is not, and a program that has two cryptography providers.

use crate::{executor, support};

include!("../../../client/tests/adapter/tls.rs");
