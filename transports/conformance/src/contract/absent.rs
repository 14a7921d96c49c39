//! Replaces the protocol's document when the feature `contract` is off.

use std::path::Path;

use bytes::Bytes;
use http::{Request, Response};

use super::{FILE, Violation};

/// The protocol's own description, a type without values when the feature `contract` is off.
pub enum Spec {}

impl Spec {
    /// Always panics: ignoring a document that was configured would silently skip the check.
    pub fn read(path: &Path) -> Self {
        panic!(
            "{FILE} names {}, which can only be read with the feature `contract` of cycles-conformance",
            path.display()
        );
    }

    pub fn request(&self, _: &Request<Bytes>) -> Vec<Violation> {
        match *self {}
    }

    pub fn answer(&self, _: &Request<Bytes>, _: &Response<Bytes>) -> Vec<Violation> {
        match *self {}
    }

    pub fn operations(&self) -> impl Iterator<Item = &str> {
        match *self {}
        #[expect(unreachable_code, reason = "it tells the compiler the iterator's type")]
        std::iter::empty()
    }
}
