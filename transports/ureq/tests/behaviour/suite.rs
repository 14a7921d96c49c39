//! What every adapter has to do, on ureq.

use crate::adapter::Ureq;

cycles_conformance::adapter_suite!(Ureq);
