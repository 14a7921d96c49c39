//! What every adapter has to do, on ureq.

#[path = "support/adapter.rs"]
mod adapter;

use adapter::Ureq;

cycles_conformance::adapter_suite!(Ureq);
