//! A server that answers each request at once, with a body that matches the schema.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Returns the answer to a request with this path.
fn body(path: &str) -> Bytes {
    if path.ends_with("/commit") {
        Bytes::from_static(COMMITTED.as_bytes())
    } else {
        granted()
    }
}

/// Returns a grant. Every reservation has its own id; otherwise the journals would see only one reservation.
fn granted() -> Bytes {
    let number = RESERVATIONS.fetch_add(1, Ordering::Relaxed);
    Bytes::from(format!(
        r#"{{"decision":"ALLOW","reservation_id":"26c5a266-6d8a-4d43-9f6b-{number:012x}","reserved":{{"unit":"TOKENS","amount":1000}},"expires_at_ms":1795379785600,"remaining_ttl_ms":60000,"scope_path":"tenant:acme-corp","affected_scopes":["tenant:acme-corp"]}}"#
    ))
}

static RESERVATIONS: AtomicU64 = AtomicU64::new(0);
const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":42},"released":{"unit":"TOKENS","amount":958}}"#;

/// Serves until the process is killed; the first line of its output is its address.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = body(request.uri().path());
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}
