//! The floor on tokio: a pooled hyper client used by hand, with one timeout per attempt.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::by_hand::{ByHand, committed, granted};
use crate::on_tokio::Contender;

pub struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    by_hand: ByHand,
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
            by_hand: ByHand {
                base: url.to_owned(),
                host: None,
                user_agent: "cycles-rust/0.1.0 (tokio)",
            },
        }
    }

    async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let exchange = async {
            let (head, body) = self
                .client
                .request(request.map(Full::new))
                .await
                .unwrap()
                .into_parts();
            let body = Limited::new(body, 1 << 20).collect().await.unwrap();
            Response::from_parts(head, body.to_bytes())
        };
        tokio::time::timeout(Duration::from_secs(7), exchange)
            .await
            .unwrap()
    }
}

impl Contender for Floor {
    async fn reservation(&self) {
        let reservation = granted(self.send(self.by_hand.reserve()).await);
        committed(self.send(self.by_hand.commit(&reservation)).await);
    }
}
