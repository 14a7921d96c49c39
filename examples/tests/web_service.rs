//! Runs the web service as a process: three tenants, 20 requests at a time, denials, an outage, and SIGTERM in the middle.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use cycles_sandbox::{ApiKey, Budget, Sandbox, Unit};

/// The budget of `acme` is too small for all its requests.
const TENANTS: [(&str, i64); 3] = [("acme", 8_000), ("globex", 1_000_000), ("initech", 1_000_000)];
const AT_A_TIME: usize = 20;

#[test]
fn after_sigterm_in_the_middle_of_everything_each_tenant_was_charged_what_the_ledger_says() {
    let sandbox = TENANTS
        .into_iter()
        .fold(Sandbox::builder(), |server, (tenant, budget)| {
            server
                .api_key(ApiKey::new(key(tenant), tenant))
                .budget(Budget::new(format!("tenant:{tenant}"), Unit::Tokens, budget))
        });
    let sandbox = sandbox.start().unwrap();
    let mut service = Service::start(&sandbox);
    let answers = Answers::default();
    let is_over = AtomicBool::new(false);

    let output = thread::scope(|scope| {
        // Also if an assertion fails.
        let _over = SetWhenDropped(&is_over);
        for caller in 0..AT_A_TIME {
            let (service, answers, is_over) = (service.address, &answers, &is_over);
            scope.spawn(move || {
                let (tenant, _) = TENANTS[caller % TENANTS.len()];
                while !is_over.load(Ordering::SeqCst) {
                    answers.count(ask(service, tenant));
                }
            });
        }
        answers.wait_for(200, 60);
        answers.wait_for(402, 10);
        // The server is out of order: nothing is reserved, and costs stay on disk.
        sandbox.inject("*:503".parse().unwrap());
        answers.wait_for(502, 60);
        sandbox.clear_faults();
        answers.wait_for(200, 60);
        sandbox.inject("commit:503@p=0.3/7".parse().unwrap());
        answers.wait_for(200, 20);
        service.terminate()
    });

    for (tenant, _) in TENANTS {
        let state = sandbox.with_ledger(|ledger| {
            let scope = format!("tenant:{tenant}");
            ledger.budget(&scope, Unit::Tokens).unwrap()
        });
        let charged = format!(
            "cycles_charged_total{{tenant=\"{tenant}\",unit=\"TOKENS\"}} {}\n",
            state.spent
        );
        assert!(output.contains(&charged), "{charged}{output}");
        let pending = format!("cycles_pending_costs{{tenant=\"{tenant}\"}} 0\n");
        assert!(output.contains(&pending), "{output}");
        assert_eq!(state.reserved, 0, "{tenant}: nothing is held\n{output}");
        assert!(state.spent > 0, "{tenant}");
    }
    assert!(!output.contains("The next run settles"), "{output}");
    assert_eq!(records(&service.journal), Vec::<PathBuf>::new());
}

fn key(tenant: &str) -> String {
    format!("cyc_live_{tenant}_0123456789abcdef")
}

/// The service as a process, which is killed if the test fails.
struct Service {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
    journal: PathBuf,
}

impl Service {
    fn start(sandbox: &Sandbox) -> Self {
        let journal = std::env::temp_dir().join(format!("cycles-web-service-{}", std::process::id()));
        let keys = TENANTS.map(|(tenant, _)| format!("{tenant}={}", key(tenant)));
        let mut process = Command::new(env!("CARGO_BIN_EXE_web_service"))
            .env("WEB_ADDRESS", "127.0.0.1:0")
            .env("WEB_TENANTS", keys.join(","))
            .env("CYCLES_BASE_URL", sandbox.base_url())
            .env("CYCLES_JOURNAL_DIR", &journal)
            .env("CYCLES_RETRY_INITIAL_DELAY", "20ms")
            .env("CYCLES_RETRY_MAX_DELAY", "100ms")
            // A flush does not wait for a cost whose attempts have all failed, and three in ten of them fail.
            .env("CYCLES_RETRY_MAX_ATTEMPTS", "100")
            .env("NO_PROXY", "*")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line);
        Self {
            address: address.parse().unwrap(),
            process,
            output,
            journal,
        }
    }

    /// Sends SIGTERM, and returns what the service prints until it ends.
    fn terminate(&mut self) -> String {
        let signal = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(signal.unwrap().success());
        let mut output = String::new();
        self.output.read_to_string(&mut output).unwrap();
        assert!(self.process.wait().unwrap().success(), "{output}");
        output
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.journal);
    }
}

/// Asks a question. Returns the status, or 0 if there was no answer.
fn ask(service: SocketAddr, tenant: &str) -> u16 {
    let asked = || {
        let mut stream = TcpStream::connect(service).ok()?;
        let question = "What is a budget for?";
        let length = question.len();
        let request = format!(
            "POST /ask/{tenant} HTTP/1.0\r\nhost: service\r\ncontent-length: {length}\r\n\r\n{question}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    };
    asked().unwrap_or(0)
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// How many answers there were, by status.
#[derive(Default)]
struct Answers {
    counts: Mutex<BTreeMap<u16, usize>>,
    counted: Condvar,
}

impl Answers {
    fn count(&self, status: u16) {
        *self.counts.lock().unwrap().entry(status).or_default() += 1;
        self.counted.notify_all();
        if status == 0 {
            // Nothing listens any more.
            thread::yield_now();
        }
    }

    /// Waits for this many more answers.
    fn wait_for(&self, status: u16, more: usize) {
        const PATIENCE: Duration = Duration::from_secs(60);
        let counts = self.counts.lock().unwrap();
        let count = |counts: &BTreeMap<u16, usize>| counts.get(&status).copied().unwrap_or(0);
        let goal = count(&counts) + more;
        let is_short = |counts: &mut BTreeMap<u16, usize>| count(counts) < goal;
        let (counts, waited) = self
            .counted
            .wait_timeout_while(counts, PATIENCE, is_short)
            .unwrap();
        assert!(!waited.timed_out(), "not {more} of {status}: {counts:?}");
    }
}

/// The records that are left in a journal.
fn records(folder: &PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(records(&path));
        } else if path.extension().is_some_and(|extension| extension != "lock") {
            found.push(path);
        }
    }
    found
}
