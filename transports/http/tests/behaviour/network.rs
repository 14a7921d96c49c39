//! A network in memory, its servers, and clients that call them.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cycles_host::HttpOptions;
use cycles_http::{HttpClient, Place, Reactor, Waiter};
use cycles_proto::models::{Action, Amount, DecisionRequest, Subject};
use cycles_proto::{Call, CyclesConfig, Failure, FailureKind, Operation, Seed};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::{Builder, Handle, Id};
use tokio::time::{Instant, Sleep};

pub(crate) const URL: &str = "http://192.0.2.1:7878";
pub(crate) const SERVER: &str = "192.0.2.1:7878";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// Connecting takes 2 s at most, and a whole call 7.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
pub(crate) const CALL: Duration = Duration::from_secs(7);

/// Runs a test in virtual time, which passes only while all tasks wait.
pub(crate) fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test);
}

/// A network as a reactor.
#[derive(Clone)]
pub(crate) struct Net(Arc<Inner>);

struct Inner {
    start: OnceLock<Instant>,
    /// The time that the machine slept.
    slept: Mutex<Duration>,
    hosts: Mutex<BTreeMap<SocketAddr, Host>>,
    names: Mutex<BTreeMap<String, Vec<IpAddr>>>,
    connecting: Arc<AtomicUsize>,
    seen: Seen,
    own: OnceLock<Handle>,
    has_no_io: AtomicBool,
}

/// The connections and requests that servers saw.
#[derive(Clone, Default)]
struct Seen {
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Host {
    Silent,
    /// Connecting takes this long.
    Slow(Duration, Script),
    Serves(Script),
}

type Script = Arc<dyn Fn(Peer) -> BoxFuture<'static, ()> + Send + Sync>;

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
    /// The first connection has 1.
    pub(crate) number: usize,
    seen: Seen,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            start: OnceLock::new(),
            slept: Mutex::default(),
            hosts: Mutex::default(),
            names: Mutex::default(),
            connecting: Arc::default(),
            seen: Seen::default(),
            own: OnceLock::new(),
            has_no_io: AtomicBool::new(false),
        }))
    }

    /// Makes a server run `script` on each connection.
    pub(crate) fn serve<F: Future<Output = ()> + Send + 'static>(
        &self,
        address: &str,
        script: impl Fn(Peer) -> F + Send + Sync + 'static,
    ) {
        let script: Script = Arc::new(move |peer| Box::pin(script(peer)));
        let mut hosts = self.0.hosts.lock().unwrap();
        hosts.insert(address.parse().unwrap(), Host::Serves(script));
    }

    /// Makes a server answer every request with this.
    pub(crate) fn answering(&self, address: &str, answer: &'static str) {
        self.serve(address, move |mut peer| async move {
            while peer.request().await.is_some() {
                peer.answer(answer).await;
            }
        });
    }

    /// Makes a server unreachable, without a refusal.
    pub(crate) fn silence(&self, address: &str) {
        let mut hosts = self.0.hosts.lock().unwrap();
        hosts.insert(address.parse().unwrap(), Host::Silent);
    }

    /// Makes connecting to a server take this long from now on.
    pub(crate) fn slow_down(&self, address: &str, time: Duration) {
        let mut hosts = self.0.hosts.lock().unwrap();
        let host = hosts.get_mut(&address.parse().unwrap()).unwrap();
        if let Host::Serves(script) = host {
            *host = Host::Slow(time, Arc::clone(script));
        }
    }

    pub(crate) fn name(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let mut names = self.0.names.lock().unwrap();
        names.insert(name.to_owned(), addresses.collect());
    }

    /// With a runtime of its own, in addition to those that start calls.
    pub(crate) fn with_own(own: &Handle) -> Self {
        let net = Self::new();
        net.0.own.set(own.clone()).unwrap();
        net
    }

    pub(crate) fn client(&self) -> Client {
        self.client_of(URL, HttpOptions::new().no_proxy())
    }

    pub(crate) fn client_of(&self, url: &str, options: HttpOptions) -> Client {
        Client(Arc::new(
            HttpClient::new(&config(url), &options, self.clone()).unwrap(),
        ))
    }

    /// From now on the runtimes of users have no I/O.
    pub(crate) fn take_io(&self) {
        self.0.has_no_io.store(true, Ordering::SeqCst);
    }

    /// The machine sleeps: its clock continues, but timers do not.
    pub(crate) fn sleep_machine(&self, time: Duration) {
        *self.0.slept.lock().unwrap() += time;
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.seen.requests.lock().unwrap().clone()
    }

    /// How many connections were made, and how many of them the client has closed.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.0.seen.connections), count(&self.0.seen.closed))
    }

    /// How many connections are being made.
    pub(crate) fn connecting(&self) -> usize {
        self.0.connecting.load(Ordering::SeqCst)
    }
}

impl Reactor for Net {
    type Stream = DuplexStream;
    type Sleep = Pin<Box<Sleep>>;
    type RuntimeId = Id;

    fn place(&self) -> Place<Id> {
        match Handle::try_current().map(|here| here.id()) {
            Ok(here) if self.0.own.get().is_none_or(|own| own.id() != here) => Place::Here(here),
            Ok(_) | Err(_) => Place::Own,
        }
    }

    fn spawn(&self, place: &Place<Id>, task: impl Future<Output = ()> + Send + 'static) {
        match (self.0.own.get(), place) {
            (Some(own), Place::Own) => drop(own.spawn(task)),
            _ if Handle::try_current().is_ok() => drop(tokio::spawn(task)),
            _ => {}
        }
    }

    async fn is_able(&self) -> bool {
        !self.0.has_no_io.load(Ordering::SeqCst)
    }

    fn now(&self) -> Duration {
        self.0.start.get_or_init(Instant::now).elapsed() + *self.0.slept.lock().unwrap()
    }

    fn sleep(&self, time: Duration) -> Pin<Box<Sleep>> {
        Box::pin(tokio::time::sleep(time))
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let known = self.0.names.lock().unwrap().get(name).cloned();
        let addresses = known.ok_or_else(|| io::Error::other("no such name"))?;
        Ok(addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<DuplexStream> {
        let host = self.0.hosts.lock().unwrap().get(&address).cloned();
        let _connecting = Connecting::new(&self.0.connecting);
        let script = match host {
            None => return Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Host::Silent) => pending().await,
            Some(Host::Slow(time, script)) => {
                tokio::time::sleep(time).await;
                script
            }
            Some(Host::Serves(script)) => script,
        };
        let (ours, theirs) = duplex(1 << 16);
        let seen = self.0.seen.clone();
        let number = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::spawn(script(Peer {
            stream: theirs,
            number,
            seen,
        }));
        Ok(ours)
    }
}

/// A client, and a waiter that behaves like a session.
#[derive(Clone)]
pub(crate) struct Client(Arc<HttpClient<Net, Told>>);

pub(crate) struct Told {
    tell: oneshot::Sender<Answer>,
    attempt: Arc<Attempt>,
}

type Answer = Result<Response<Bytes>, Failure>;

#[derive(Default)]
struct Attempt {
    has_begun: AtomicBool,
    is_withdrawn: AtomicBool,
    waker: AtomicWaker,
}

impl Client {
    /// Begins to make the call when it is polled, and withdraws it when it is dropped, or when its time is over.
    pub(crate) async fn exchange(self, call: Call) -> Answer {
        struct Withdrawing(Arc<Attempt>);
        impl Drop for Withdrawing {
            fn drop(&mut self) {
                self.0.is_withdrawn.store(true, Ordering::SeqCst);
                self.0.waker.wake();
            }
        }
        let timeout = call.timeout;
        let withdrawing = Withdrawing(Arc::default());
        let attempt = Arc::clone(&withdrawing.0);
        let (tell, mut told) = oneshot::channel();
        self.0.make(call, Told { tell, attempt });
        let nobody = match futures::poll!(&mut told) {
            Poll::Ready(answer) => answer,
            Poll::Pending if timeout == Duration::MAX => told.await,
            Poll::Pending => match tokio::time::timeout(timeout, told).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(Failure::new(
                        match withdrawing.0.has_begun.load(Ordering::SeqCst) {
                            true => FailureKind::Timeout,
                            false => FailureKind::ConnectTimeout,
                        },
                    ));
                }
            },
        };
        nobody.unwrap_or_else(|_| {
            Err(Failure::new(
                match withdrawing.0.has_begun.load(Ordering::SeqCst) {
                    true => FailureKind::Lost,
                    false => FailureKind::NotMade,
                },
            ))
        })
    }
}

impl Waiter for Told {
    fn begin(&mut self) -> bool {
        let may_begin = !self.attempt.is_withdrawn.load(Ordering::SeqCst);
        self.attempt.has_begun.fetch_or(may_begin, Ordering::SeqCst);
        may_begin
    }

    fn poll_withdrawn(&self, cx: &Context<'_>) -> Poll<()> {
        self.attempt.waker.register(cx.waker());
        match self.attempt.is_withdrawn.load(Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn finish(self, result: Answer) {
        let _ = self.tell.send(result);
    }
}

struct Connecting(Arc<AtomicUsize>);

impl Connecting {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Peer {
    /// The next request; `None` when the client has closed.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    self.seen.requests.lock().unwrap().push(text.clone());
                    return Some(text);
                }
            }
            if self.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                self.seen.closed.fetch_add(1, Ordering::SeqCst);
                return None;
            }
        }
    }

    /// Writes as much of it as the client reads.
    pub(crate) async fn answer(&mut self, answer: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(answer.as_ref()).await;
    }

    /// Waits until the client has closed.
    pub(crate) async fn closed(&mut self) {
        while self.request().await.is_some() {}
    }
}

fn config(url: &str) -> CyclesConfig {
    let config = CyclesConfig::builder("cyc_live_0123456789", url).connect_timeout(CONNECT);
    config.read_timeout(CALL - CONNECT).build().unwrap()
}

/// A call to ask for a decision.
pub(crate) fn call() -> Call {
    call_of(URL)
}

pub(crate) fn call_of(url: &str) -> Call {
    let request = DecisionRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(5))
        .build();
    let operation = Operation::decide(&Arc::new(config(url)), &request, Seed([7; 16]));
    operation.unwrap().call()
}

pub(crate) fn call_within(timeout: Duration) -> Call {
    Call { timeout, ..call() }
}

pub(crate) fn fresh() -> Call {
    Call {
        fresh: true,
        ..call()
    }
}

/// How an attempt failed.
pub(crate) fn kind(answer: Result<Response<Bytes>, Failure>) -> FailureKind {
    answer.unwrap_err().kind()
}

/// Lets all tasks run that can continue.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
