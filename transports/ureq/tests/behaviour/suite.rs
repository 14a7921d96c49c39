//! The behaviour of every adapter, on ureq.

use crate::adapter::Ureq;

cycles_conformance::adapter_suite!(Ureq);
