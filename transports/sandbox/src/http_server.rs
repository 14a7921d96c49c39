//! The HTTP server: connects sockets to the ledger, injects faults between them, and calls the observer.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::control;
use crate::cors::CorsOrigin;
use crate::delivery::{Delivery, NoResponse, ResetSwitch, Resettable};
use crate::exchange::Plane;
use crate::fault::Fault;
use crate::page;
use crate::shared::{AcceptFailed, Shared, Unanswered, bare};

/// The largest request body that is read.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// How often it is told at most that connections cannot be accepted.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Serves each plane on its listener, on the calling thread. Ends when `stop` fires or its other end is dropped, and then
/// cuts open connections.
pub(crate) fn serve(
    listeners: Vec<(std::net::TcpListener, Plane)>,
    shared: Arc<Shared>,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        for (listener, plane) in listeners {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, plane, Arc::clone(&shared)));
        }
        let _ = stop.await;
        Ok(())
    })
}

async fn accept(listener: TcpListener, plane: Plane, shared: Arc<Shared>) -> Infallible {
    let mut told: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, plane, Arc::clone(&shared)));
            }
            // Probably out of descriptors: some become free as other connections end.
            Err(error) => {
                if let Some(AcceptFailed(tell)) = &shared.front.accept_failed
                    && told.is_none_or(|told| told.elapsed() >= TELL_EVERY)
                {
                    tell(&error);
                    told = Some(Instant::now());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Serves all the requests that the client sends on one connection.
async fn converse(stream: TcpStream, plane: Plane, shared: Arc<Shared>) {
    // Without this, small responses wait for acknowledgements; if it fails, they are only slower.
    let _ = stream.set_nodelay(true);
    let reset = ResetSwitch::default();
    let service = service_fn(|request| exchange_across_origins(request, plane, &shared, &reset));
    let stream = Resettable::new(stream, reset.clone());
    // An error means that the client went away or did not speak HTTP, or that a fault ended the connection.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.front.head_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Serves one request, whichever page of a browser it comes from.
async fn exchange_across_origins(
    request: Request<Incoming>,
    plane: Plane,
    shared: &Arc<Shared>,
    reset: &ResetSwitch,
) -> Result<Response<Delivery>, NoResponse> {
    let permitted = &shared.front.cors;
    let granted = CorsOrigin::granted(permitted, request.headers());
    let (head, body) = request.into_parts();
    let mut response = match CorsOrigin::preflight(permitted, &head) {
        Some(response) => response.map(Delivery::whole),
        None => exchange(Request::from_parts(head, body), plane, shared, reset).await?,
    };
    if let Some(granted) = granted {
        granted.add_to(response.headers_mut());
    }
    Ok(response)
}

/// Serves one request and applies the faults. [`NoResponse`] ends the connection.
async fn exchange(
    request: Request<Incoming>,
    plane: Plane,
    shared: &Arc<Shared>,
    reset: &ResetSwitch,
) -> Result<Response<Delivery>, NoResponse> {
    let (head, body) = request.into_parts();
    if plane == Plane::Control
        && let Some(refusal) = control::refusal(&shared.front.control_key, &head)
    {
        let request = Request::from_parts(head, Bytes::new());
        shared.observe(plane, &request, Some(&refusal), None);
        return Ok(ended(refusal).map(Delivery::whole));
    }
    let _unanswered = Unanswered::begin(shared, plane);
    let body = Limited::new(body, BODY_LIMIT).collect();
    let Ok(body) = tokio::time::timeout(shared.front.head_timeout, body).await else {
        return Err(NoResponse);
    };
    let request = match body {
        Ok(body) => Request::from_parts(head, body.to_bytes()),
        Err(fault) if fault.is::<LengthLimitError>() => {
            // This answer ends the connection: the rest of the body is still in the socket and will not be read.
            return Ok(ended_if_at_fault(bare(StatusCode::PAYLOAD_TOO_LARGE)).map(Delivery::whole));
        }
        Err(_) => return Err(NoResponse),
    };
    if plane == Plane::Control && page::is_stream(&request) {
        return Ok(page::stream(shared));
    }
    let fault = shared.strike(plane, &request);
    let response = respond(&request, plane, shared, fault.as_ref()).await;
    shared.observe(plane, &request, response.as_ref(), fault.as_ref());
    if let Some(Fault::ResetRequest | Fault::ResetResponse) = fault {
        reset.turn_on();
    }
    let response = ended_if_at_fault(response.ok_or(NoResponse)?);
    Ok(match fault {
        Some(Fault::Cut) => response.map(Delivery::cut),
        Some(Fault::Drip(gap)) => response.map(|body| Delivery::drip(body, gap)),
        Some(_) | None => response.map(Delivery::whole),
    })
}

/// The response, unless a fault loses the request or the response.
async fn respond(
    request: &Request<Bytes>,
    plane: Plane,
    shared: &Arc<Shared>,
    fault: Option<&Fault>,
) -> Option<Response<Bytes>> {
    if plane == Plane::Control {
        return Some(control::answer(shared, request).await);
    }
    let resets = shared.resets();
    // What was sent before a reset does not reach the ledger after it.
    let is_reset = move |shared: &Shared| shared.resets() != resets;
    let handle = || shared.handle(plane, request);
    match fault {
        None => Some(handle()),
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(*time).await;
            (!is_reset(shared)).then(handle)
        }
        Some(Fault::Twice(gap)) => {
            let (shared, request, gap) = (Arc::clone(shared), request.clone(), *gap);
            let first = handle();
            tokio::spawn(async move {
                tokio::time::sleep(gap).await;
                if !is_reset(&shared) {
                    shared.handle(plane, &request);
                }
            });
            Some(first)
        }
        Some(Fault::LoseRequest | Fault::ResetRequest) => None,
        Some(Fault::LoseResponse | Fault::ResetResponse) => {
            handle();
            None
        }
        Some(fault) => {
            let instead = fault.answer_instead(request);
            Some(instead.unwrap_or_else(|| fault.spoil(handle())))
        }
    }
}

/// Closes the connection after the same statuses as the reference server's container.
fn ended_if_at_fault(mut response: Response<Bytes>) -> Response<Bytes> {
    if matches!(
        response.status().as_u16(),
        400 | 408 | 411 | 413 | 414 | 500 | 501 | 503
    ) {
        response = ended(response);
    }
    response
}

/// Closes the connection after this response.
fn ended(mut response: Response<Bytes>) -> Response<Bytes> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}
