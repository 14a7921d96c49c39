//! Requests to the ledger, and the checks that apply to every answer.

use bytes::Bytes;
use cycles_proto::UnixMillis;
use http::{Request, Response};
use serde_json::Value;

use super::Desk;
use crate::KEY;

impl Desk {
    pub(super) fn post(&mut self, path: &str, body: String) -> (u16, Value) {
        let response = self.raw(Request::post(path), body.clone());
        let status = response.status().as_u16();
        assert!(
            matches!(status, 200 | 201 | 409 | 410),
            "{status}: {:?}",
            response.body()
        );
        if status < 300 {
            self.answered
                .push((path.to_owned(), body, response.body().clone()));
        }
        (status, read(response.body()))
    }

    pub(super) fn ask(&mut self, request: http::request::Builder, body: String) -> (u16, Value) {
        let response = self.raw(request, body);
        (response.status().as_u16(), read(response.body()))
    }

    pub(super) fn raw(&mut self, request: http::request::Builder, body: String) -> Response<Bytes> {
        let request = request
            .header("x-cycles-api-key", KEY)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .expect("the parts are valid");
        self.ledger.handle(UnixMillis(self.now), &request)
    }
}

pub(super) fn read(body: &Bytes) -> Value {
    assert!(!String::from_utf8_lossy(body).contains(KEY));
    serde_json::from_slice(body).expect("it answers with JSON")
}
