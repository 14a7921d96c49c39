//! The scenarios of the SDK recovery profile, on ureq.

use crate::adapter::Ureq;

cycles_conformance::recovery_suite!(Ureq);
