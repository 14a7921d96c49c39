//! The core driven by hand, without a client and without a runtime: one thread, the standard library's blocking
//! sockets, and a loop that does what a session asks for.
//!
//! It is a template for a kernel or a board that has no adapter. Where there are threads, it is less work to implement
//! `cycles_client::Transport` and its `Clock`, which gives a complete client.
//!
//! `cargo run --bin bring_your_own_runtime` needs no setup: it starts its own server. Set `CYCLES_BASE_URL` (plain
//! http), `CYCLES_API_KEY` and `CYCLES_TENANT` to use your own.
#![allow(clippy::print_stdout)]

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cycles_examples::{Scene, end, http10};
use cycles_host::journal::{Claim, Journal};
use cycles_host::{Clock, seed};
use cycles_proto::Event;
use cycles_proto::models::*;
use cycles_proto::session::{Scanned, Session, Step};
use cycles_proto::{Call, CyclesConfig, Error, Failure, FailureKind};

fn main() -> ExitCode {
    end("bring_your_own_runtime", run())
}

fn run() -> Result<(), cycles_examples::Failure> {
    // Kept until the end: dropping it stops the server.
    let scene = Scene::new("bring_your_own_runtime")?;
    let config = Arc::new(scene.config.clone());
    let mut session = Session::new(Arc::clone(&config), seed()?);
    let caller = session.caller(Arc::clone(&config))?;
    let mut driver = Driver {
        clock: Clock::new(),
        journal: Journal::open(&config),
        claim: None,
        server: server(&config)?,
    };
    let request = ReservationCreateRequest::builder()
        .subject(Subject::default()) // the configuration's
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(2_000))
        .ttl_ms(5_000) // short, to show a beat
        .build();
    let reservation = session.reserve(driver.clock.now(), &caller, request, seed()?)?;
    let (id, granted) = driver.wait_for(&mut session, |session| session.granted(reservation))?;
    println!("{}: {id} is held", granted.decision);

    // The action runs on its own thread; this thread keeps the lease alive meanwhile.
    let (costs, cost) = mpsc::channel();
    thread::spawn(move || {
        let _ = costs.send(think());
    });
    loop {
        let pause = driver.drive(&mut session);
        match cost.recv_timeout(pause) {
            Ok(cost) => session.commit(driver.clock.now(), reservation, cost)?,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            // The action panicked: give the budget back.
            Err(mpsc::RecvTimeoutError::Disconnected) => session.abandon(driver.clock.now(), reservation),
        }
        break;
    }

    let until = driver.clock.now().mono + Duration::from_secs(10);
    let flush = session.flush(driver.clock.now(), &caller, until, false);
    let flushed = driver.wait_for(&mut session, |session| session.flushed(flush));
    match session.receipt(reservation) {
        Some(receipt) if receipt.is_settled() => println!("The cost is in the ledger."),
        Some(receipt) => println!("The cost is not in the ledger yet: {}", reason(receipt.error())),
        None => println!("Nothing was charged: {:?}", session.outcome(reservation)),
    }
    println!("Nothing left to settle: {}", flushed.is_complete());
    // Costs that are not settled stay there for the next run.
    println!(
        "Records left in the journal: {}",
        driver.journal.scan()?.records.len()
    );
    Ok(())
}

/// Executes the steps of a session.
struct Driver {
    clock: Clock,
    journal: Journal,
    /// While the claim is held, other processes leave the records in the journal to this one.
    claim: Option<Claim>,
    server: String,
}

impl Driver {
    /// Executes all steps that are due, one after another, and returns how long to wait for the next one. Therefore a
    /// hanging beat delays a cost here; a driver with several threads makes its calls concurrently, and reports each
    /// one when it ends.
    fn drive(&mut self, session: &mut Session) -> Duration {
        loop {
            match session.poll(self.clock.now()) {
                Step::Send(call) => {
                    let may_begin = session.begun(self.clock.now(), call.ticket);
                    let not_begun = Err(Failure::new(FailureKind::NotMade));
                    let answer = if may_begin {
                        exchange(&self.server, &call)
                    } else {
                        not_begun
                    };
                    let answer = call.reader.read(answer.as_ref().map_err(Clone::clone));
                    session.handle(self.clock.now(), call.ticket, answer);
                }
                Step::Store(ticket, _, change) => {
                    let stored = self.journal.apply(change);
                    session.handle_stored(self.clock.now(), ticket, stored);
                }
                Step::Scan { ticket, .. } => {
                    self.claim = self.journal.claim();
                    let scan = self.journal.scan().ok();
                    let scanned = scan.map(|scan| Scanned::new(scan.records, self.claim.is_some()));
                    session.handle_scanned(self.clock.now(), ticket, scanned);
                }
                Step::Unclaim(_) => self.claim = None,
                Step::Notify(_, event) => tell(&event),
                // Every call has ended before the next step, so there is nothing to withdraw.
                Step::Withdraw(_) => {}
                Step::Wait(None) => return Duration::MAX,
                Step::Wait(Some(until)) => return until.saturating_sub(self.clock.now().mono),
            }
        }
    }

    /// Drives the session until `look` returns a value.
    fn wait_for<T>(&mut self, session: &mut Session, look: impl Fn(&mut Session) -> Option<T>) -> T {
        loop {
            let pause = self.drive(session);
            match look(session) {
                Some(found) => return found,
                None => thread::sleep(pause),
            }
        }
    }
}

/// Sends the request unchanged, once, within the time of the call, and reads at most `max_response` bytes. It does not
/// look at the content: the core decides what a status means.
fn exchange(server: &str, call: &Call) -> Result<http::Response<Bytes>, Failure> {
    let clock = Clock::new();
    let left = || {
        let left = call.timeout.saturating_sub(clock.now().mono);
        if left.is_zero() {
            Err(Failure::new(FailureKind::Timeout))
        } else {
            Ok(left)
        }
    };
    let never_sent = |error: io::Error| Failure::caused_by(FailureKind::Connect, &error);
    let maybe_sent = |error: io::Error| {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let kind = if is_late {
            FailureKind::Timeout
        } else {
            FailureKind::Lost
        };
        Failure::caused_by(kind, &error)
    };
    let mut addresses = server
        .to_socket_addrs()
        .map_err(|error| Failure::caused_by(FailureKind::Dns, &error))?;
    let address = addresses.next().ok_or_else(|| Failure::new(FailureKind::Dns))?;
    let mut stream = TcpStream::connect_timeout(&address, call.timeout).map_err(never_sent)?;

    stream.set_write_timeout(Some(left()?)).map_err(maybe_sent)?;
    stream.write_all(&http10::request(call)).map_err(maybe_sent)?;

    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        stream.set_read_timeout(Some(left()?)).map_err(maybe_sent)?;
        let read = match stream.read(&mut buffer) {
            // A signal, or the system resumed after a suspend.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(maybe_sent)?,
        };
        if read == 0 {
            return http10::response(&answer).ok_or_else(|| Failure::new(FailureKind::Lost));
        }
        answer.extend_from_slice(&buffer[..read]);
        if answer.len() > call.max_response {
            return Err(Failure::new(FailureKind::TooLarge));
        }
    }
}

fn reason(error: Option<&Error>) -> String {
    error.map_or_else(|| "it has not been tried yet".to_owned(), ToString::to_string)
}

fn tell(event: &Event) {
    if let Event::LeaseExtended { expires_at, .. } = event {
        println!("  a beat: the lease lasts until {expires_at}");
    } else if !matches!(event, Event::Granted { .. }) {
        println!("  {event:?}");
    }
}

/// Stands in for the call to a model.
fn think() -> CommitRequest {
    thread::sleep(Duration::from_secs(3));
    CommitRequest::builder().actual(Amount::tokens(1_300)).build()
}

/// Returns `host:port` of a server that speaks plain http.
fn server(config: &CyclesConfig) -> Result<String, cycles_examples::Failure> {
    let plain = config.base_url.strip_prefix("http://");
    let authority = plain.ok_or("this example supports plain http only")?;
    let authority = authority.split('/').next().unwrap_or(authority);
    let has_port = authority
        .rsplit(':')
        .next()
        .is_some_and(|port| port.parse::<u16>().is_ok());
    Ok(if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    })
}
