//! One HTTP/1.1 connection, driven by whoever waits for an answer on it: no task of its own, so it lives on no
//! runtime, and a future that is dropped closes it.

use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cycles_proto::{Failure, FailureKind};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::client::conn::http1::{self, SendRequest};

use crate::stream::{Stream, Wire};

/// A connection that takes one request after the other.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    io: Io,
}

/// What moves the bytes. It is dropped as soon as it is over: a request that it did not come to is given back then.
struct Io(Option<http1::Connection<Wire<Stream>, Full<Bytes>>>);

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The connection was closed before a byte of the request was written. Here it is again.
    Unsent(Box<Request<Full<Bytes>>>, Failure),
    /// It may have been sent.
    Failed(Failure),
}

impl Connection {
    pub(crate) async fn new(stream: Stream) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::handshake(Wire::new(stream)).await?;
        Ok(Self {
            sender,
            io: Io(Some(connection)),
        })
    }

    /// Whether it can take a request, as far as can be known: that the other end has closed it is noticed here.
    pub(crate) fn is_open(&mut self) -> bool {
        self.io.poll(&mut Context::from_waker(Waker::noop()));
        self.is_idle()
    }

    /// Whether the last answer left it ready for another request.
    pub(crate) fn is_idle(&self) -> bool {
        self.io.0.is_some() && self.sender.is_ready()
    }

    /// Sends the request and reads an answer of at most `max_response` bytes.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        max_response: usize,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let Self { sender, io } = self;
        let mut answer =
            pin!(async {
                let response = sender.try_send_request(request).await.map_err(|mut error| {
                    match error.take_message() {
                        Some(request) => {
                            let failure = Failure::caused_by(FailureKind::Connect, error.error());
                            NoAnswer::Unsent(Box::new(request), failure)
                        }
                        None => NoAnswer::Failed(failed(error.error())),
                    }
                })?;
                read(response, max_response).await.map_err(NoAnswer::Failed)
            });
        poll_fn(|cx| {
            // The request first, so that the bytes of it are there to be moved; then what the bytes have told.
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            io.poll(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }
}

impl Io {
    fn poll(&mut self, cx: &mut Context<'_>) {
        let is_over = match &mut self.0 {
            // An error of the connection is told to the request that waits on it.
            Some(connection) => Pin::new(connection).poll(cx).is_ready(),
            None => return,
        };
        if is_over {
            self.0 = None;
        }
    }
}

async fn read(
    response: Response<hyper::body::Incoming>,
    max_response: usize,
) -> Result<Response<Bytes>, Failure> {
    let (head, body) = response.into_parts();
    if body.size_hint().lower() > max_response as u64 {
        return Err(Failure::new(FailureKind::TooLarge));
    }
    match Limited::new(body, max_response).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(FailureKind::TooLarge)),
        Err(error) => Err(failed(&*error)),
    }
}

fn failed(error: &(dyn StdError + 'static)) -> Failure {
    let of_http = error.downcast_ref::<hyper::Error>();
    if of_http.is_some_and(is_head_too_large) {
        return Failure::new(FailureKind::TooLarge);
    }
    Failure::caused_by(FailureKind::Lost, error)
}

/// Whether a head was larger, or had more lines, than hyper reads. It has a method for this, for servers only.
fn is_head_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string() == "message head is too large"
}
