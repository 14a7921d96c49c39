//! Checks requests and answers against the protocol's own description, the OpenAPI document named by `CYCLES_OPENAPI`.
//!
//! Reading the document requires the feature `contract`, which adds a JSON Schema validator.

#[cfg(feature = "contract")]
mod check;
mod deviations;
#[cfg_attr(not(feature = "contract"), path = "absent.rs")]
mod spec;
mod violation;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use http::{Request, Response};

pub use self::deviations::{DEVIATIONS, Deviation};
pub use self::spec::Spec;
pub use self::violation::Violation;

/// The variable with the file's full path, which must be absolute because tests run in the folder of their crate.
pub const FILE: &str = "CYCLES_OPENAPI";

static SPEC: LazyLock<Option<Spec>> = LazyLock::new(|| {
    let path = std::env::var(FILE).ok().filter(|path| !path.is_empty())?;
    Some(Spec::read(path.as_ref()))
});

/// How often each deviation has been met so far.
static MET: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

/// The document, if one is configured.
pub fn spec() -> Option<&'static Spec> {
    SPEC.as_ref()
}

/// The document, if one is configured; otherwise prints that the test is skipped, to standard error, which the test
/// harness does not capture.
pub fn spec_or_say() -> Option<&'static Spec> {
    let spec = spec();
    if spec.is_none() {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {FILE} names no file");
    }
    spec
}

/// Panics if an answer neither matches the document nor is a known deviation of the reference server.
#[track_caller]
pub fn check_answer(request: &Request<Bytes>, response: &Response<Bytes>) {
    let Some(spec) = spec() else { return };
    for violation in spec.answer(request, response) {
        match DEVIATIONS.iter().find(|deviation| (deviation.covers)(&violation)) {
            Some(deviation) => *MET.lock().unwrap().entry(deviation.name).or_default() += 1,
            None => panic!(
                "{violation}\nafter {} {}\n{}\n\n{} {}",
                request.method(),
                request.uri(),
                String::from_utf8_lossy(request.body()),
                response.status(),
                String::from_utf8_lossy(response.body()),
            ),
        }
    }
}

/// How often each deviation has been met so far.
pub fn met() -> BTreeMap<&'static str, u64> {
    MET.lock().unwrap().clone()
}
