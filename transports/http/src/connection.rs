//! One HTTP/1.1 connection, which takes one request after the other.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cycles_proto::{Failure, FailureKind};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};

use crate::driver::{Driver, Limit};
use crate::reactor::{DrivenBy, Reactor};
use crate::wire::{Stream, Wire};

/// The end of a connection that requests go into. Dropped, it closes the connection.
pub(crate) struct Connection<R: Reactor> {
    sender: SendRequest<Full<Bytes>>,
    limit: Arc<Limit>,
    /// What moves the bytes, where no task does. It is dropped when it is over.
    driver: Option<Box<Driver<R>>>,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The connection was closed before a byte of the request was written. Here it is again.
    Unsent(Box<Request<Full<Bytes>>>, Failure),
    /// It may have been sent.
    Failed(Failure),
}

impl<R: Reactor> Connection<R> {
    /// A connection over `stream`, for an exchange that ends at `end`.
    pub(crate) async fn new(stream: Stream, reactor: &R, end: Duration) -> Result<Self, Failure> {
        let (sender, connection) = http1::handshake(Wire::new(stream))
            .await
            .map_err(|error| Failure::caused_by(FailureKind::Connect, &error))?;
        let limit = Arc::new(Limit::new(end));
        let driver = Driver::new(connection, Arc::clone(&limit), reactor.clone());
        let driver = match R::DRIVEN_BY {
            DrivenBy::Task => {
                reactor.spawn(driver);
                None
            }
            DrivenBy::Caller => Some(Box::new(driver)),
        };
        Ok(Self {
            sender,
            limit,
            driver,
        })
    }

    /// Whether it can take a request, as far as is known. That the other end has closed it is found out by who drives
    /// it, before anything is written.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits for the next request until `end`.
    pub(crate) fn rest(&mut self, end: Duration) {
        self.limit.set(end);
        if let Some(driver) = &mut self.driver {
            driver.rest();
        }
    }

    /// Until when it waits for the next request.
    pub(crate) fn end(&self) -> Duration {
        self.limit.end()
    }

    /// Sends the request and reads an answer of at most `max_response` bytes before `end`.
    pub(crate) fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        end: Duration,
        max_response: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, NoAnswer>> {
        self.limit.set(end);
        let Self {
            sender,
            limit,
            driver,
        } = self;
        // Here and not in the future, which need not hold the request then.
        let sending = sender.try_send_request(request);
        async move {
            let answer = async {
                let response = sending.await.map_err(|mut error| match error.take_message() {
                    Some(request) => {
                        let failure = Failure::caused_by(FailureKind::Connect, error.error());
                        NoAnswer::Unsent(Box::new(request), failure)
                    }
                    None => NoAnswer::Failed(failed(error.error(), limit)),
                })?;
                let answer = read(response, max_response, limit)
                    .await
                    .map_err(NoAnswer::Failed)?;
                // On another thread the driver may not be done with it yet. If it is over, nobody minds.
                let _ = sender.ready().await;
                Ok(answer)
            };
            let mut answer = pin!(answer);
            poll_fn(|cx| {
                // The request first, so that the bytes of it are there to be moved; then what the bytes have told.
                if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                    return Poll::Ready(answer);
                }
                let Some(driving) = driver.as_mut() else {
                    return Poll::Pending;
                };
                if Pin::new(&mut **driving).poll(cx).is_ready() {
                    *driver = None;
                }
                answer.as_mut().poll(cx)
            })
            .await
        }
    }
}

async fn read(
    response: Response<Incoming>,
    max_response: usize,
    limit: &Limit,
) -> Result<Response<Bytes>, Failure> {
    let (head, body) = response.into_parts();
    if body.size_hint().lower() > max_response as u64 {
        return Err(Failure::new(FailureKind::TooLarge));
    }
    match whole(body, max_response).await {
        Ok(Some(body)) => Ok(Response::from_parts(head, body)),
        Ok(None) => Err(Failure::new(FailureKind::TooLarge)),
        Err(error) => Err(failed(&error, limit)),
    }
}

/// The body, nothing if it is longer than `most` bytes. Nearly all come in one piece, which is what this returns then.
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

/// What an error means after the request may have been sent.
fn failed(error: &(dyn StdError + 'static), limit: &Limit) -> Failure {
    if limit.is_over() {
        return Failure::new(FailureKind::Timeout);
    }
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
