//! The work that every floor does besides moving bytes. It encodes the same structs as the client that it is compared
//! with, sends the same headers, and decodes the answers into the same structs. It does not recover from failures.

use bytes::Bytes;
use cycles_tokio::models::{CommitResponse, ReservationCreateResponse, ReservationId};
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response};

use crate::requests;

/// How an HTTP client addresses the server.
pub struct ByHand {
    /// The prefix of the path: the server's URL, or empty if the connection is already open.
    pub base: String,
    /// The value of `Host`, if the HTTP client does not set it.
    pub host: Option<HeaderValue>,
    pub user_agent: &'static str,
}

impl ByHand {
    pub fn reserve(&self) -> Request<Bytes> {
        let key = "000102030405060708090a0b0c0d0e0f-reserve-0";
        let mut reserve = requests::reserve();
        reserve.idempotency_key = Some(key.into());
        self.post("/v1/reservations", key, serde_json::to_vec(&reserve).unwrap())
    }

    pub fn commit(&self, reservation: &ReservationId) -> Request<Bytes> {
        let key = "000102030405060708090a0b0c0d0e0f-commit-0";
        let mut commit = requests::commit();
        commit.idempotency_key = Some(key.into());
        let path = format!("/v1/reservations/{}/commit", reservation.as_str());
        self.post(&path, key, serde_json::to_vec(&commit).unwrap())
    }

    fn post(&self, path: &str, key: &str, body: Vec<u8>) -> Request<Bytes> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header("accept", "application/json")
            .header("user-agent", self.user_agent)
            .header("x-cycles-trace-id", &key[..32])
            .header("x-cycles-api-key", "cyc_live_0123456789abcdef")
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .header("x-idempotency-key", key)
            .body(Bytes::from(body))
            .unwrap();
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        request
    }
}

/// The id of the granted reservation.
pub fn granted(answer: Response<impl AsRef<[u8]>>) -> ReservationId {
    assert!(answer.status().is_success());
    let granted: ReservationCreateResponse = serde_json::from_slice(answer.body().as_ref()).unwrap();
    granted.reservation_id.unwrap()
}

/// Asserts that the commit was accepted.
pub fn committed(answer: Response<impl AsRef<[u8]>>) {
    assert!(answer.status().is_success());
    let committed: CommitResponse = serde_json::from_slice(answer.body().as_ref()).unwrap();
    assert_eq!(committed.charged.amount, 42);
}
