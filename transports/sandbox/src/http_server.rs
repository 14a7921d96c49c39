//! The HTTP server: connects sockets to the ledger, injects faults between them, and calls the observer.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
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
use crate::exchange::{Exchange, Observer, Plane};
use crate::fault::{Fault, FaultCount, FaultPlan, FaultRule};
use crate::ledger::Ledger;
use crate::masks::Masks;
use crate::operation::Operation;

/// The largest request body that is read.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// How often it is told at most that connections cannot be accepted.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The state that the HTTP server shares with the `Sandbox`: the ledger, its clock and the faults.
#[derive(Debug)]
pub(crate) struct Shared {
    ledger: Mutex<Ledger>,
    /// What a reset goes back to.
    before: (Ledger, Vec<FaultRule>),
    faults: Mutex<FaultPlan>,
    /// Lets requests skip a lock while there are no faults.
    has_faults: AtomicBool,
    observer: Option<Observer>,
    /// Answers in place of the ledger.
    answer_override: Option<AnswerOverride>,
    clock: Clock,
    front: Front,
    /// The keys to hide in what is shown.
    masks: Masks,
    /// How many resets there were.
    resets: AtomicU64,
    /// How many calls of clients are not answered yet.
    unanswered: AtomicUsize,
    /// Whether it was told that reservations are forgotten.
    has_forgotten: AtomicBool,
}

/// How the server treats connections.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) head_timeout: Duration,
    /// The key of the control plane.
    pub(crate) control_key: String,
    pub(crate) accept_failed: Option<AcceptFailed>,
    pub(crate) forgets: Option<Forgets>,
    /// Whose pages may call.
    pub(crate) cors: Vec<CorsOrigin>,
}

impl Shared {
    pub(crate) fn new(
        ledger: Ledger,
        faults: Vec<FaultRule>,
        observer: Option<Observer>,
        answer_override: Option<AnswerOverride>,
        clock: Clock,
        front: Front,
    ) -> Self {
        let keys = ledger.secrets().chain([front.control_key.as_str()]);
        let shared = Self {
            masks: Masks::of(keys),
            answer_override,
            ledger: Mutex::new(ledger.clone()),
            before: (ledger, faults),
            faults: Mutex::default(),
            has_faults: AtomicBool::new(false),
            observer,
            clock,
            front,
            resets: AtomicU64::new(0),
            unanswered: AtomicUsize::new(0),
            has_forgotten: AtomicBool::new(false),
        };
        shared.inject_those_before();
        shared
    }

    fn inject_those_before(&self) {
        for rule in &self.before.1 {
            self.inject(rule.clone());
        }
    }

    pub(crate) fn reset(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
        self.ledger().reset_to(&self.before.0);
        self.clear_faults();
        self.inject_those_before();
    }

    /// The ledger, after what is due by now.
    fn ledger_caught_up(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger();
        ledger.tick(self.now());
        ledger
    }

    /// Whether nothing is reserved, and every call of a client is answered.
    pub(crate) fn is_idle(&self) -> bool {
        !self.ledger_caught_up().holds_anything() && self.unanswered.load(Ordering::SeqCst) == 0
    }

    /// The time, and the state of the ledger.
    pub(crate) fn state_json(&self) -> String {
        let ledger = self.ledger_caught_up();
        let (now, state) = (self.now().0, ledger.to_json());
        // Two objects in one.
        let members = state.strip_prefix('{').unwrap_or("}");
        format!(r#"{{"now_ms":{now},{members}"#)
    }

    /// The ledger, even if a thread panicked while it held the lock: the server keeps running.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(crate) const fn masks(&self) -> &Masks {
        &self.masks
    }

    /// The ledger as of now. If somebody else moves the clock, it catches up first: it may not have had a request since.
    pub(crate) fn ledger_now(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger();
        if let Source::Given(_) = self.clock.source {
            ledger.tick(self.now());
        }
        ledger
    }

    /// Moves the clock forward by `by`.
    fn advance(&self, by: Duration) {
        let mut ahead = self.clock.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
    }

    /// Moves the clock forward by `by`, and runs what is due then.
    pub(crate) fn advance_and_tick(&self, by: Duration) {
        self.advance(by);
        self.ledger().tick(self.now());
    }

    pub(crate) fn fault_counts(&self) -> Vec<FaultCount> {
        self.faults().counts()
    }

    pub(crate) fn inject(&self, rule: FaultRule) {
        self.faults().add(rule);
        self.has_faults.store(true, Ordering::Release);
    }

    pub(crate) fn clear_faults(&self) {
        self.faults().clear();
        self.has_faults.store(false, Ordering::Release);
    }

    fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, plane: Plane, request: &Request<Bytes>) -> Option<Fault> {
        if plane != Plane::Runtime || !self.has_faults.load(Ordering::Acquire) {
            return None;
        }
        let operation = Operation::of(request.method(), request.uri().path());
        self.faults().strike(self.now(), operation)
    }

    fn handle(&self, plane: Plane, request: &Request<Bytes>) -> Response<Bytes> {
        if let Some(answer_override) = &self.answer_override {
            return (answer_override.0)(request);
        }
        let secret = match plane {
            Plane::Runtime | Plane::Control => None,
            Plane::Admin => {
                let mut secret = [0; 24];
                // Without randomness no key can be created, so the request is refused.
                if getrandom::fill(&mut secret).is_err() {
                    return bare(StatusCode::INTERNAL_SERVER_ERROR);
                }
                Some(secret)
            }
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The time is read under the lock, so that the ledger never sees it go back.
            let mut ledger = self.ledger();
            let now = self.now();
            match secret {
                None => {
                    let answer = ledger.handle(now, request);
                    let forgets = ledger.forgotten_reservations() > 0;
                    drop(ledger);
                    if forgets {
                        self.tell_that_it_forgets();
                    }
                    answer
                }
                Some(secret) => ledger.handle_admin(now, secret, request),
            }
        }));
        answer.unwrap_or_else(|_| bare(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn tell_that_it_forgets(&self) {
        if let Some(Forgets(tell)) = &self.front.forgets
            && !self.has_forgotten.swap(true, Ordering::SeqCst)
        {
            tell();
        }
    }

    fn observe(
        &self,
        plane: Plane,
        request: &Request<Bytes>,
        response: Option<&Response<Bytes>>,
        fault: Option<&Fault>,
    ) {
        if let Some(observer) = &self.observer {
            observer.see(&Exchange::new(self, plane, request, response, fault));
        }
    }
}

/// The function that `SandboxBuilder::answered_by` registered; it runs on the server's thread.
pub(crate) struct AnswerOverride(pub(crate) Box<Answer>);

type Answer = dyn Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync;

/// The function that `SandboxBuilder::accept_failed` registered; it runs on the server's thread.
pub(crate) struct AcceptFailed(pub(crate) Box<dyn Fn(&io::Error) + Send + Sync>);

/// The function that `SandboxBuilder::forgets` registered; it runs on the server's thread.
pub(crate) struct Forgets(pub(crate) Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Forgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgets")
    }
}

impl fmt::Debug for AcceptFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptFailed")
    }
}

impl fmt::Debug for AnswerOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerOverride")
    }
}

/// A wall clock that never goes back and can be moved forward.
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    ahead: Mutex<Duration>,
}

/// Where the time comes from.
enum Source {
    /// The machine.
    Machine { wall: UnixMillis, since: Instant },
    /// The function that `SandboxBuilder::clock` registered.
    Given(Box<dyn Fn() -> UnixMillis + Send + Sync>),
}

impl Clock {
    /// The machine's clock.
    pub(crate) fn start() -> Self {
        Self::from(Source::Machine {
            wall: SystemTime::now().into(),
            since: Instant::now(),
        })
    }

    /// A clock that calls `read`.
    pub(crate) fn given(read: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self::from(Source::Given(Box::new(read)))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            ahead: Mutex::new(Duration::ZERO),
        }
    }

    fn now(&self) -> UnixMillis {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match &self.source {
            Source::Machine { wall, since } => wall.saturating_add(whole_millis(since.elapsed())),
            Source::Given(read) => read(),
        };
        now.saturating_add(ahead)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine { .. } => "Machine",
            Self::Given(_) => "Given",
        })
    }
}

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
    let resets = shared.resets.load(Ordering::SeqCst);
    // What was sent before a reset does not reach the ledger after it.
    let is_reset = move |shared: &Shared| shared.resets.load(Ordering::SeqCst) != resets;
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

/// A call of a client that is not answered yet.
struct Unanswered<'a>(Option<&'a Shared>);

impl<'a> Unanswered<'a> {
    fn begin(shared: &'a Shared, plane: Plane) -> Self {
        let counts = (plane == Plane::Runtime).then_some(shared);
        if let Some(shared) = counts {
            shared.unanswered.fetch_add(1, Ordering::SeqCst);
        }
        Self(counts)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
