//! The running sandbox: a ledger behind an HTTP server on a thread of its own.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use cycles_proto::time::UnixMillis;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::cors::CorsOrigin;
use crate::exchange::{Exchange, Observer, Plane};
use crate::fault::FaultRule;
use crate::http_server;
use crate::ledger::{ApiKey, Budget, Ledger, Tenant, Unit};
use crate::shared::{AcceptFailed, AnswerOverride, Forgets, Front, Shared};

/// The tenant of a default sandbox.
pub const DEFAULT_TENANT: &str = "acme-corp";
/// The API key of the default tenant.
pub const DEFAULT_API_KEY: &str = "cyc_live_sandbox_0123456789abcdef";
/// The scope of the default tenant's own budgets: 1 000 000 `TOKENS` and 10 000 000 000
/// `USD_MICROCENTS` (100 dollars).
pub const DEFAULT_TENANT_SCOPE: &str = "tenant:acme-corp";
/// The scope of an agent below that tenant, with a tenth of both budgets.
pub const DEFAULT_AGENT_SCOPE: &str = "tenant:acme-corp/agent:support-bot";

/// How long the head of a request may take, unless a program says otherwise.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The budgets of a default sandbox, for any tenant: `TOKENS` and `USD_MICROCENTS` on `tenant:<id>`, and a
/// tenth of both on `tenant:<id>/agent:support-bot`.
pub fn default_budgets(tenant: &str) -> [Budget; 4] {
    let root = format!("tenant:{tenant}");
    let agent = format!("{root}/agent:support-bot");
    [
        Budget::new(root.as_str(), Unit::Tokens, 1_000_000),
        Budget::new(root, Unit::UsdMicrocents, 10_000_000_000),
        Budget::new(agent.as_str(), Unit::Tokens, 100_000),
        Budget::new(agent, Unit::UsdMicrocents, 1_000_000_000),
    ]
}

/// A Cycles server inside this process, which runs on a loopback port until it is dropped.
///
/// Each sandbox has its own thread and runtime, so blocking programs, programs on any async runtime and tests can start
/// as many as they need. Its time is the machine's, or that of a [given](SandboxBuilder::clock) clock, plus all the time
/// that [`Sandbox::advance`] added.
pub struct Sandbox {
    addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    control_addr: Option<SocketAddr>,
    control_key: String,
    api_key: String,
    tenant: String,
    shared: Arc<Shared>,
    /// Dropping it is the signal to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox with the default tenant, key and budgets on a free loopback port.
    ///
    /// # Errors
    /// If no socket or thread can be created.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// A builder with the default tenant, key and budgets.
    pub fn builder() -> SandboxBuilder {
        let seed = RandomState::new().hash_one("cycles-sandbox");
        let mut ledger = Ledger::new(seed);
        ledger.add_tenant(Tenant::new(DEFAULT_TENANT));
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        for budget in default_budgets(DEFAULT_TENANT) {
            ledger.add_budget(budget);
        }
        SandboxBuilder {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin_addr: None,
            ledger,
            observer: None,
            answer_override: None,
            clock: None,
            faults: Vec::new(),
            control_addr: None,
            front: Front {
                head_timeout: HEAD_TIMEOUT,
                control_key: String::new(),
                accept_failed: None,
                forgets: None,
                cors: Vec::new(),
            },
            api_key: DEFAULT_API_KEY.to_owned(),
            tenant: DEFAULT_TENANT.to_owned(),
        }
    }

    /// The URL for clients, such as `http://127.0.0.1:7878`, without a slash at the end. If the sandbox listens on
    /// every address of this machine, this is the loopback address.
    pub fn base_url(&self) -> String {
        format!("http://{}", reachable(self.addr))
    }

    /// The address that the server listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the admin plane, if [`SandboxBuilder::admin_addr`] asked for one.
    pub fn admin_url(&self) -> Option<String> {
        self.admin_addr.map(|addr| format!("http://{}", reachable(addr)))
    }

    /// The address that the admin plane listens on, if there is one.
    pub const fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// The URL of the control plane, if [`SandboxBuilder::control_addr`] asked for one.
    pub fn control_url(&self) -> Option<String> {
        self.control_addr.map(|addr| format!("http://{addr}"))
    }

    /// The key of the control plane, to send as `Authorization: Bearer KEY`, if there is one.
    pub fn control_key(&self) -> Option<&str> {
        self.control_addr.map(|_| self.control_key.as_str())
    }

    /// The address of a page for people, with budgets, leases, the last requests and faults, if there is a control plane.
    /// It contains the key, behind a `#`, so that a browser does not send it.
    pub fn page_url(&self) -> Option<String> {
        let key = utf8_percent_encode(&self.control_key, NON_ALPHANUMERIC);
        self.control_url().map(|url| format!("{url}/#{key}"))
    }

    /// The secret to send as `X-Cycles-API-Key`.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The tenant of that key.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Calls `work` with the ledger, to read or change it. Requests wait until `work` returns, so it must not make any.
    pub fn with_ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.ledger())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The ledger as of now.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger_now()
    }

    /// Injects a fault from now on. If several rules match a call, the first one applies.
    pub fn inject(&self, rule: FaultRule) {
        self.shared.inject(rule);
    }

    /// Removes the first fault that is the same as this one, and returns whether there was one.
    pub fn remove_fault(&self, rule: &FaultRule) -> bool {
        self.shared.remove_fault(rule)
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// The sandbox's current time, for calls such as [`Ledger::sweep`].
    pub fn now(&self) -> UnixMillis {
        self.shared.now()
    }

    /// Moves the sandbox's clock forward by `by` and runs everything that is due by then, as if that time had passed.
    pub fn advance(&self, by: Duration) {
        self.shared.advance_and_tick(by);
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("addr", &self.addr)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl Drop for Sandbox {
    /// Cuts open connections and waits for the thread to end.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // An error means that the server panicked, so it has already stopped.
            let _ = thread.join();
        }
    }
}

/// Configures a sandbox and starts it.
#[derive(Debug)]
#[must_use = "nothing runs until `start`"]
pub struct SandboxBuilder {
    addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    ledger: Ledger,
    observer: Option<Observer>,
    answer_override: Option<AnswerOverride>,
    clock: Option<Clock>,
    faults: Vec<FaultRule>,
    control_addr: Option<SocketAddr>,
    front: Front,
    api_key: String,
    tenant: String,
}

impl SandboxBuilder {
    /// Listens on `addr` instead of on a free loopback port.
    pub const fn addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Serves the admin plane on `addr` as well. Its calls need the key that [`Self::admin_key`] sets.
    pub const fn admin_addr(mut self, addr: SocketAddr) -> Self {
        self.admin_addr = Some(addr);
        self
    }

    /// Serves the control plane on `addr` as well, with which tests in other languages reset the ledger, move the clock,
    /// set faults and look at the state. It has to be a loopback address.
    pub const fn control_addr(mut self, addr: SocketAddr) -> Self {
        self.control_addr = Some(addr);
        self
    }

    /// Sets the key of the control plane. Without it, each sandbox makes one of its own:
    /// [`Sandbox::control_key`].
    pub fn control_key(mut self, key: impl Into<String>) -> Self {
        self.front.control_key = key.into();
        self
    }

    /// Injects a fault from the start. A [reset](Sandbox::reset) injects it again.
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Calls `observe` after each request on any plane, on the sandbox's thread and before the response is sent, so
    /// it should be quick. No lock is held during the call. Replaces any observer set before.
    ///
    /// ```
    /// use cycles_sandbox::Sandbox;
    ///
    /// let sandbox = Sandbox::builder().observe(|exchange| eprintln!("{exchange:?}")).start()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn observe(mut self, observe: impl Fn(&Exchange<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer::new(observe));
        self
    }

    /// Calls `answer` in place of the ledger; faults apply as usual. All other requests wait until `answer` returns.
    pub fn answered_by(
        mut self,
        answer: impl Fn(&http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.answer_override = Some(AnswerOverride(Box::new(answer)));
        self
    }

    /// Takes the time from `read` instead of the machine. It must not go back. For a clock that a test moves, which the
    /// client has too: then a lease ends when the client thinks that it does. Faults that delay something still take real
    /// time.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use cycles_proto::time::UnixMillis;
    /// use cycles_sandbox::Sandbox;
    ///
    /// static NOW: AtomicU64 = AtomicU64::new(1_795_000_000_000);
    /// let sandbox = Sandbox::builder().clock(|| UnixMillis(NOW.load(Ordering::SeqCst))).start()?;
    /// NOW.fetch_add(60_000, Ordering::SeqCst);
    /// assert_eq!(sandbox.now(), UnixMillis(1_795_000_060_000));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn clock(mut self, read: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        self.clock = Some(Clock::given(read));
        self
    }

    /// How long a client may take to send the head of a request, and how long its body; a connection on which none comes is
    /// closed after as long. Default: 60 seconds.
    pub const fn head_timeout(mut self, timeout: Duration) -> Self {
        self.front.head_timeout = timeout;
        self
    }

    /// Lets the pages of this origin call every plane from a browser. Default: none may. More calls permit more origins.
    pub fn cors(mut self, origin: CorsOrigin) -> Self {
        self.front.cors.push(origin);
        self
    }

    /// Calls `tell` when a connection cannot be accepted, on the sandbox's thread and at most every ten seconds. Mostly,
    /// the process has no descriptors left; the connection then waits until others end.
    pub fn accept_failed(mut self, tell: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        self.front.accept_failed = Some(AcceptFailed(Box::new(tell)));
        self
    }

    /// Sets how many ended reservations are kept whole: [`Ledger::set_retained`]. Default: 5 000.
    pub const fn retained(mut self, ended_reservations: usize) -> Self {
        self.ledger.set_retained(ended_reservations);
        self
    }

    /// Calls `tell` once, when the first ended reservation or event is forgotten, on the sandbox's thread.
    pub fn forgets(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.front.forgets = Some(Forgets(Box::new(tell)));
        self
    }

    /// Serves `ledger` instead of the default one. [`Sandbox::api_key`] and [`Sandbox::tenant`] return the given
    /// `api_key` and `tenant`.
    pub fn ledger(mut self, ledger: Ledger, api_key: impl Into<String>, tenant: impl Into<String>) -> Self {
        self.ledger = ledger;
        self.api_key = api_key.into();
        self.tenant = tenant.into();
        self
    }

    /// Adds a tenant, or replaces the one with the same id.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.ledger.add_tenant(tenant);
        self
    }

    /// Adds an API key. [`Sandbox::api_key`] keeps returning the default one.
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.ledger.add_api_key(key);
        self
    }

    /// Adds a budget, or replaces the one with the same scope and unit.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.ledger.add_budget(budget);
        self
    }

    /// Sets the admin key.
    pub fn admin_key(mut self, key: impl Into<String>) -> Self {
        self.ledger.set_admin_key(key);
        self
    }

    /// Starts the sandbox. Once this returns, it accepts connections.
    ///
    /// # Errors
    /// If an address is taken, that of the control plane is not a loopback address, or no socket or thread can be created.
    pub fn start(mut self) -> io::Result<Sandbox> {
        if let Some(addr) = self
            .control_addr
            .filter(|addr| !addr.ip().to_canonical().is_loopback())
        {
            let problem = format!(
                "the control plane cannot listen on {addr}: it needs a loopback address, such as 127.0.0.1:0"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let (listener, addr) = bind(self.addr)?;
        let (admin, admin_addr) = self.admin_addr.map(bind).transpose()?.unzip();
        let (control, control_addr) = self.control_addr.map(bind).transpose()?.unzip();
        if control.is_some() && self.front.control_key.is_empty() {
            self.front.control_key = random_key()?;
        }
        let control_key = self.front.control_key.clone();
        let listeners = [
            (Some(listener), Plane::Runtime),
            (admin, Plane::Admin),
            (control, Plane::Control),
        ];
        let listeners = listeners
            .into_iter()
            .filter_map(|(listener, plane)| Some((listener?, plane)));
        let listeners: Vec<_> = listeners.collect();
        let shared = Arc::new(Shared::new(
            self.ledger,
            self.faults,
            self.observer,
            self.answer_override,
            self.clock.unwrap_or_else(Clock::start),
            self.front,
        ));
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("cycles-sandbox".to_owned())
            .spawn(move || {
                // This fails only if the platform provides no event queue. The listener is then dropped, so clients see
                // a refused connection.
                let _ = http_server::serve(listeners, served, stopped);
            })?;
        Ok(Sandbox {
            addr,
            admin_addr,
            control_addr,
            control_key,
            api_key: self.api_key,
            tenant: self.tenant,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// A key that nobody can guess.
fn random_key() -> io::Result<String> {
    let mut secret = [0_u8; 16];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    // Keys that begin like this are kept out of logs.
    Ok(format!("cyc_control_{digits}"))
}

/// The address at which a client on this machine reaches a server that listens on `addr`.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    let loopback = match addr.ip() {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    if addr.ip().is_unspecified() {
        addr.set_ip(loopback);
    }
    addr
}

/// Binds `addr`. The error names the address.
fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(addr).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    });
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}")))
}
