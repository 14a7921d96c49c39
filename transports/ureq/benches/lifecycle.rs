//! What a life costs beyond its bytes: reserve and commit by a guard, against a bare ureq agent that sends the same
//! bytes without any time limit, block by block in turn. The server is a process of its own.
//!
//! `cargo bench -p cycles-ureq --bench lifecycle` prints the ratio of the processor time, for journals off.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cycles_ureq::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_ureq::{CyclesClient, HttpOptions};

const BLOCKS: usize = 40;
const LIVES: usize = 500;

const GRANTED: &str = r#"{"decision":"ALLOW","reservation_id":"6f9619ff-8b86-4011-b42d-00cf4fc964ff","affected_scopes":["tenant:acme-corp","tenant:acme-corp/agent:support-bot"],"expires_at_ms":1795382224069,"remaining_ttl_ms":60000,"scope_path":"tenant:acme-corp/agent:support-bot","reserved":{"unit":"TOKENS","amount":1000}}"#;
const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":420},"released":{"unit":"TOKENS","amount":580}}"#;

fn main() {
    if std::env::args().any(|argument| argument == "serve") {
        return serve();
    }
    let mut server = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    compare(url.trim());
    server.kill().unwrap();
    server.wait().unwrap();
}

fn compare(url: &str) {
    let client = CyclesClient::builder("cyc_live_0123456789abcdef", url)
        .tenant("acme-corp")
        .journal_enabled(false)
        .http(HttpOptions::new().no_proxy())
        .build();
    let bare = Bare::new(url, &client);
    let mut ratios = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS + 2 {
        let (guard, agent) = (measure(|| life(&client)), measure(|| bare.life()));
        // The first blocks warm up.
        if block >= 2 {
            ratios.push(guard.0 / agent.0);
            ours.push(guard);
            theirs.push(agent);
        }
    }
    let (ratio, low, high) = (median(&mut ratios), ratios[0], ratios[ratios.len() - 1]);
    let cpu = |rows: &[(f64, f64)]| median(&mut rows.iter().map(|row| row.0).collect::<Vec<_>>());
    let wall = |rows: &[(f64, f64)]| median(&mut rows.iter().map(|row| row.1).collect::<Vec<_>>());
    println!("guard: {:.1} us CPU, {:.1} us a life", cpu(&ours), wall(&ours));
    println!("bare agent: {:.1} us CPU, {:.1} us", cpu(&theirs), wall(&theirs));
    println!("ratio of CPU: {ratio:.3} ({low:.3} to {high:.3})");
}

fn life(client: &CyclesClient) {
    let guard = client.reserve(reserve()).unwrap();
    let commit = CommitRequest::builder().actual(Amount::tokens(420)).build();
    assert!(guard.commit(commit).unwrap().is_settled());
}

fn reserve() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(1_000))
        .build()
}

/// Sends again what a life sent.
struct Bare {
    agent: ureq::Agent,
    requests: Vec<http::Request<Vec<u8>>>,
}

impl Bare {
    fn new(url: &str, client: &CyclesClient) -> Self {
        let requests = record(client);
        let requests = requests.iter().map(|request| parse(url, request)).collect();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        Self { agent, requests }
    }

    fn life(&self) {
        for request in &self.requests {
            let mut response = self.agent.run(request.clone()).unwrap();
            let body = response.body_mut().with_config().limit(1 << 20).read_to_vec();
            assert!(body.unwrap().len() > 90);
        }
    }
}

/// The bytes of a life, by a server that keeps them.
fn record(client: &CyclesClient) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                answer(stream.unwrap(), |text| log.lock().unwrap().push(text.to_owned()))
            });
        }
    });
    let config = client.config().unwrap();
    let recorded = CyclesClient::builder(config.api_key().expose(), url)
        .tenant("acme-corp")
        .journal_enabled(false)
        .http(HttpOptions::new().no_proxy())
        .build();
    life(&recorded);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    seen.clone()
}

fn parse(url: &str, text: &str) -> http::Request<Vec<u8>> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut request = http::Request::post(format!("{url}{path}"));
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name != "host" {
            request = request.header(name, value);
        }
    }
    request.body(body.as_bytes().to_vec()).unwrap()
}

/// Processor time of all our threads, and time, per life, in microseconds.
fn measure(life: impl Fn()) -> (f64, f64) {
    let (cpu, wall) = (processor_time(), Instant::now());
    for _ in 0..LIVES {
        life();
    }
    let wall = wall.elapsed().as_secs_f64() * 1e6;
    (
        (processor_time() - cpu) as f64 / 1e3 / LIVES as f64,
        wall / LIVES as f64,
    )
}

/// In nanoseconds.
fn processor_time() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let times = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("schedstat")));
    times
        .flatten()
        .map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        std::thread::spawn(move || answer(stream.unwrap(), |_| ()));
    }
}

fn answer(mut stream: TcpStream, mut see: impl FnMut(&str)) {
    stream.set_nodelay(true).unwrap();
    let mut bytes = vec![0; 1 << 16];
    let mut filled = 0;
    while let Ok(read) = stream.read(&mut bytes[filled..])
        && read > 0
    {
        filled += read;
        let text = std::str::from_utf8(&bytes[..filled]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        see(text);
        let reply = if head.starts_with("POST /v1/reservations HTTP") {
            GRANTED
        } else {
            COMMITTED
        };
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{reply}",
            reply.len()
        );
        filled = 0;
        if stream.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}
