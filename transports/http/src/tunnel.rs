//! Tunnels through a proxy: `CONNECT`.

use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;

use crate::wire::{Duplex, Wire};

type Problem = Box<dyn StdError + Send + Sync>;

/// Asks the proxy on the other end of `stream` for a tunnel to `server`, a host and a port.
pub(crate) async fn open<S: Duplex>(
    stream: S,
    server: &str,
    authorization: Option<&HeaderValue>,
) -> Result<S, Problem> {
    let mut request = Request::connect(server).header(header::HOST, server);
    if let Some(value) = authorization {
        request = request.header(header::PROXY_AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let (mut sender, mut connection) = http1::handshake(Wire::new(stream)).await?;
    let mut is_over = false;
    let answer = {
        let mut answer = pin!(sender.send_request(request));
        poll_fn(|cx| {
            is_over = is_over || connection.poll_without_shutdown(cx).is_ready();
            answer.as_mut().poll(cx)
        })
        .await?
    };
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()).into());
    }
    let parts = connection.into_parts();
    if !parts.read_buf.is_empty() {
        return Err("it sent data before the tunnel was used".into());
    }
    Ok(parts.io.into_inner())
}
