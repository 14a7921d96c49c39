//! An HTTP/1.1 connection, which makes one attempt after another.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use cycles_proto::{Failure, FailureKind};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};

use crate::wire::{Stream, Wire};

/// The two halves of hyper's connection. Dropping them closes it.
pub(crate) struct Http {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes. Dropped when the connection is over, which gives back a request that was not started.
    bytes: Option<http1::Connection<Wire<Stream>, Full<Bytes>>>,
}

/// Why there is no response.
pub(crate) enum NoAnswer {
    /// The connection was closed before a byte of the request was written. Contains the request.
    Unsent(Box<Request<Full<Bytes>>>, Failure),
    /// The request may have been sent.
    Failed(Failure),
}

impl Http {
    pub(crate) async fn over(stream: Stream) -> Result<Self, Failure> {
        let (sender, bytes) = http1::handshake(Wire::new(stream))
            .await
            .map_err(|error| Failure::caused_by(FailureKind::Connect, &error))?;
        Ok(Self {
            sender,
            bytes: Some(bytes),
        })
    }

    /// Moves bytes; ready when the connection is over.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_over(&mut self.bytes, cx)
    }

    /// Whether the connection can take the next request, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.bytes.is_some() && self.sender.is_ready()
    }

    /// Sends the request and reads a response of at most `max_response` bytes.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        max_response: usize,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let sending = self.sender.try_send_request(request);
        let answer = async {
            let response = sending.await.map_err(|mut error| match error.take_message() {
                Some(request) => {
                    let failure = Failure::caused_by(FailureKind::Connect, error.error());
                    NoAnswer::Unsent(Box::new(request), failure)
                }
                None => NoAnswer::Failed(failed(error.error())),
            })?;
            read(response, max_response).await.map_err(NoAnswer::Failed)
        };
        let mut answer = pin!(answer);
        let answer = poll_fn(|cx| {
            // The request is polled first, so that there are bytes to move; after moving them, the response may be
            // there.
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let _ = poll_over(&mut self.bytes, cx);
            answer.as_mut().poll(cx)
        })
        .await?;
        // One more poll, so that hyper sees whether the connection can be used again.
        let _ = poll_fn(|cx| Poll::Ready(self.poll_over(cx))).await;
        Ok(answer)
    }
}

fn poll_over<C: Future + Unpin>(bytes: &mut Option<C>, cx: &mut Context<'_>) -> Poll<()> {
    // An error is reported by the request that waits for its response.
    if bytes
        .as_mut()
        .is_some_and(|bytes| Pin::new(bytes).poll(cx).is_ready())
    {
        *bytes = None;
    }
    match bytes {
        Some(_) => Poll::Pending,
        None => Poll::Ready(()),
    }
}

async fn read(response: Response<Incoming>, max_response: usize) -> Result<Response<Bytes>, Failure> {
    let (head, body) = response.into_parts();
    if body.size_hint().lower() > max_response as u64 {
        return Err(Failure::new(FailureKind::TooLarge));
    }
    match whole(body, max_response).await {
        Ok(Some(body)) => Ok(Response::from_parts(head, body)),
        Ok(None) => Err(Failure::new(FailureKind::TooLarge)),
        Err(error) => Err(failed(&error)),
    }
}

/// Reads the body; `None` if it is longer than `most` bytes. Nearly always it comes in one piece, which is returned
/// without a copy.
async fn whole(mut body: Incoming, most: usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if first.len() + all.len() + piece.len() > most {
            return Ok(None);
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
        } else {
            all.extend_from_slice(&mem::take(&mut first));
            all.extend_from_slice(&piece);
        }
    }
    Ok(Some(if all.is_empty() { first } else { all.freeze() }))
}

/// The failure for an error after which the request may have been sent.
fn failed(error: &(dyn StdError + 'static)) -> Failure {
    let of_http = error.downcast_ref::<hyper::Error>();
    if of_http.is_some_and(is_head_too_large) {
        return Failure::new(FailureKind::TooLarge);
    }
    Failure::caused_by(FailureKind::Lost, error)
}

/// Whether a response's head was larger, or had more lines, than hyper reads. hyper offers a method for this only to
/// servers.
fn is_head_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string() == "message head is too large"
}
