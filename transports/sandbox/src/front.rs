//! The HTTP front: bytes between sockets and the ledger, and nothing else.
//!
//! Three layers, each with one place where a later addition can stand: [`accept`] has every new socket
//! before HTTP does, [`converse`] has the raw stream of one connection, and [`exchange`] stands before and
//! after each request.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::ledger::Ledger;

/// The largest request body that is read.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// What the front and its owner share: the ledger and the clock that it runs by.
#[derive(Debug)]
pub(crate) struct Shared {
    ledger: Mutex<Ledger>,
    clock: Clock,
}

impl Shared {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            clock: Clock::start(),
        }
    }

    /// The ledger, even if a panic struck while somebody had it: the server goes on.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Moves the clock on for good.
    pub(crate) fn advance(&self, by: Duration) {
        let mut ahead = self.clock.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
    }

    fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The time is read under the lock, so that the ledger never sees it go back.
            let mut ledger = self.ledger();
            let now = self.now();
            ledger.handle(now, request)
        }));
        answer.unwrap_or_else(|_| bare(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// Wall time that never goes back and can be moved on.
#[derive(Debug)]
struct Clock {
    wall: UnixMillis,
    since: Instant,
    ahead: Mutex<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: SystemTime::now().into(),
            since: Instant::now(),
            ahead: Mutex::new(Duration::ZERO),
        }
    }

    fn now(&self) -> UnixMillis {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.wall
            .saturating_add(ahead)
            .saturating_add(whole_millis(self.since.elapsed()))
    }
}

/// Serves `listener` on the calling thread until `stop` fires or its other end is dropped. Connections
/// that are open then are cut.
pub(crate) fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            _ = stop => Ok(()),
            never = accept(listener, shared) => match never {},
        }
    })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
            // Out of descriptors, most likely: some come back as other connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, over as many requests as the client sends on it.
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    // Without it small responses wait for acknowledgements; a socket that refuses is merely slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| exchange(request, &shared));
    // An error here is a client that went away or spoke no HTTP; there is nobody left to tell.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// One request and its response.
async fn exchange(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let response = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => shared.handle(&Request::from_parts(head, body.to_bytes())),
        Err(fault) if fault.is::<LengthLimitError>() => {
            let mut response = bare(StatusCode::PAYLOAD_TOO_LARGE);
            // The rest of the body is still in the pipe and will not be read.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
        Err(fault) => match fault.downcast::<hyper::Error>() {
            Ok(fault) => return Err(*fault),
            Err(_) => bare(StatusCode::BAD_REQUEST),
        },
    };
    Ok(response.map(Full::new))
}

fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
