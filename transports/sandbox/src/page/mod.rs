//! A page for people, at the root of the control plane: budgets, leases, the last requests, and faults as switches. It is
//! plain HTML; a stream of events tells it what changes. The key is in the part of its address that a browser does not send,
//! or is typed in.

mod recent;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response};
use tokio::sync::mpsc;

pub(crate) use self::recent::Recent;
use crate::control;
use crate::delivery::Delivery;
use crate::shared::{Shared, one_object};

/// How many active reservations the page shows.
const LIVE: usize = 100;

/// How often something that changed is sent at most, and how often the time is sent when nothing changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SEND_EVERY: Duration = Duration::from_secs(1);

/// One of the files of the page, which need no key.
pub(crate) fn file(path: &str) -> Option<Response<Bytes>> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page.html")),
        // Browsers ask for it, and there is none.
        "/favicon.ico" => ("image/x-icon", ""),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return None,
    };
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What a client called its agent cannot become a script.
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; \
                  base-uri 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Some(response)
}

/// Whether the request is for the stream of events.
pub(crate) fn is_stream(request: &Request<Bytes>) -> bool {
    request.method() == Method::GET && request.uri().path() == "/stream"
}

/// A stream that begins with everything, and goes on with what changes.
pub(crate) fn stream(shared: &Arc<Shared>) -> Response<Delivery> {
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(send(Arc::clone(shared), sender));
    let mut response = Response::new(Delivery::stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends until nobody reads any more.
async fn send(shared: Arc<Shared>, sender: mpsc::Sender<Bytes>) {
    let (mut changes, mut requests, mut resets) = (None, 0, None);
    let mut sent_at = Instant::now();
    loop {
        let now = shared.changes();
        if changes != Some(now) || sent_at.elapsed() >= SEND_EVERY {
            (changes, sent_at) = (Some(now), Instant::now());
            let before = shared.resets();
            let mut events = event("state", &state(&shared, before));
            // The page forgets its requests when it hears of a reset, so those since then are sent again.
            if resets.replace(before) != Some(before) {
                requests = 0;
            }
            let (new, last) = shared.recent().after(requests);
            requests = last;
            // Nothing in them can fail to be written.
            events += &event("requests", &serde_json::to_string(&new).unwrap_or_default());
            if sender.send(events.into()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = sender.closed() => return,
        }
    }
}

fn state(shared: &Shared, resets: u64) -> String {
    let ledger = shared.ledger_caught_up();
    let times = format!(r#"{{"now_ms":{},"resets":{resets}}}"#, shared.now().0);
    let glance = ledger.glance(LIVE);
    drop(ledger);
    one_object(&[&times, &control::faults(shared), &glance])
}

/// An event of the stream. JSON has no line breaks.
fn event(name: &str, json: &str) -> String {
    format!("event: {name}\ndata: {json}\n\n")
}
