//! Requests and answers held against the protocol's own description, an OpenAPI document that `CYCLES_OPENAPI` names.
//!
//! It is read with the feature `contract` only, which brings a validator of JSON Schema along.

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

/// Names the file, by its whole path: tests run in the folder of their crate.
pub const FILE: &str = "CYCLES_OPENAPI";

static SPEC: LazyLock<Option<Spec>> = LazyLock::new(|| {
    let path = std::env::var(FILE).ok().filter(|path| !path.is_empty())?;
    Some(Spec::read(path.as_ref()))
});

/// Which deviations were met so far, and how often.
static MET: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

/// The document, if one is named.
pub fn spec() -> Option<&'static Spec> {
    SPEC.as_ref()
}

/// The same; without one the test is left out, and says so past the harness.
pub fn spec_or_say() -> Option<&'static Spec> {
    let spec = spec();
    if spec.is_none() {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {FILE} names no file");
    }
    spec
}

/// Fails on an answer that is neither as the document says nor a known deviation of the reference server.
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

/// How often each deviation was met.
pub fn met() -> BTreeMap<&'static str, u64> {
    MET.lock().unwrap().clone()
}
