//! The floor: a pooled hyper client by hand that encodes and decodes the same structs, sends the same bytes and
//! headers, and has one time-out for an attempt. It settles nothing that goes wrong.

use std::time::Duration;

use bytes::Bytes;
use cycles_tokio::models::{
    Action, Amount, CommitRequest, CommitResponse, ReservationCreateRequest, ReservationCreateResponse,
    Subject,
};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::from_slice;

use crate::on_tokio::Contender;

pub struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Floor {
    pub fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(64)
            .build(connector);
        Self {
            client,
            url: url.to_owned(),
        }
    }

    async fn post(&self, path: &str, key: &str, body: Vec<u8>) -> Bytes {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.url))
            .header("accept", "application/json")
            .header("user-agent", "cycles-rust/0.1.0 (tokio)")
            .header("x-cycles-trace-id", &key[..32])
            .header("x-cycles-api-key", "cyc_live_0123456789abcdef")
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .header("x-idempotency-key", key)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let exchange = async {
            let response = self.client.request(request).await.unwrap();
            assert!(response.status().is_success());
            Limited::new(response.into_body(), 1 << 20)
                .collect()
                .await
                .unwrap()
                .to_bytes()
        };
        tokio::time::timeout(Duration::from_secs(7), exchange)
            .await
            .unwrap()
    }
}

impl Contender for Floor {
    async fn lifecycle(&self) {
        let key = "000102030405060708090a0b0c0d0e0f-reserve-0";
        let reserve = ReservationCreateRequest::builder()
            .idempotency_key(key.into())
            .subject(Subject::tenant("acme-corp"))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(1000))
            .build();
        let answer = self
            .post("/v1/reservations", key, serde_json::to_vec(&reserve).unwrap())
            .await;
        let granted: ReservationCreateResponse = from_slice(&answer).unwrap();
        let id = granted.reservation_id.unwrap();
        let key = "000102030405060708090a0b0c0d0e0f-commit-0";
        let commit = CommitRequest::builder()
            .idempotency_key(key.into())
            .actual(Amount::tokens(42))
            .build();
        let path = format!("/v1/reservations/{}/commit", id.as_str());
        let answer = self.post(&path, key, serde_json::to_vec(&commit).unwrap()).await;
        let _: CommitResponse = from_slice(&answer).unwrap();
    }
}
