//! The scenarios of the SDK recovery profile, on ureq.

#[path = "support/adapter.rs"]
mod adapter;

use adapter::Ureq;

cycles_conformance::recovery_suite!(Ureq);
