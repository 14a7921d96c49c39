//! What a life costs beyond its bytes: reserve and commit, by a guard and by plain calls, against a bare connection of
//! hyper over async-io that sends the same bytes without any time limit, block by block in turn. The server is a
//! process of its own.
//!
//! `cargo bench -p cycles-async-std --bench lifecycle` prints the ratios of the processor time, for journals off.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_io::Async;
use bytes::Bytes;

use cycles_async_std::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_async_std::{CyclesClient, HttpOptions};
use futures::io::{AsyncRead as _, AsyncWrite as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;

#[path = "../tests/support/executor.rs"]
mod executor;

use executor::block_on;

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
    let (mut bare_rows, mut guard_rows, mut plain_rows) = (Vec::new(), Vec::new(), Vec::new());
    for block in 0..BLOCKS + 2 {
        let bare = measure(|| bare.life());
        let (guard, plain) = (measure(|| life(&client)), measure(|| plain_life(&client)));
        // The first blocks warm up.
        if block >= 2 {
            bare_rows.push(bare);
            guard_rows.push(guard);
            plain_rows.push(plain);
        }
    }
    for (name, rows) in [
        ("bare", &bare_rows),
        ("guard", &guard_rows),
        ("plain calls", &plain_rows),
    ] {
        let middle = |mut values: Vec<f64>| median(&mut values);
        println!(
            "{name}: {:.1} us CPU, {:.1} us a life, ratio of CPU {:.3}",
            middle(rows.iter().map(|row| row.0).collect()),
            middle(rows.iter().map(|row| row.1).collect()),
            middle(
                rows.iter()
                    .zip(&bare_rows)
                    .map(|(row, bare)| row.0 / bare.0)
                    .collect()
            ),
        );
    }
}

fn life(client: &CyclesClient) {
    block_on(async {
        let guard = client.reserve(reserve()).await.unwrap();
        assert!(guard.commit(commit()).await.unwrap().is_settled());
    });
}

fn plain_life(client: &CyclesClient) {
    block_on(async {
        let granted = client.create_reservation(&reserve()).await.unwrap();
        let id = granted.reservation_id.unwrap();
        assert_eq!(
            client
                .commit_reservation(&id, &commit())
                .await
                .unwrap()
                .charged
                .amount,
            420
        );
    });
}

fn commit() -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(420)).build()
}

fn reserve() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(1_000))
        .build()
}

type Connection = (
    http1::SendRequest<Full<Bytes>>,
    http1::Connection<Socket, Full<Bytes>>,
);

/// Sends again what a life sent.
struct Bare {
    connection: Mutex<Connection>,
    requests: Vec<http::Request<Full<Bytes>>>,
}

impl Bare {
    fn new(url: &str, client: &CyclesClient) -> Self {
        let requests = record(client).iter().map(|request| parse(request)).collect();
        let address = url
            .trim_start_matches("http://")
            .parse::<std::net::SocketAddr>()
            .unwrap();
        let connection = block_on(async {
            let stream = Async::<TcpStream>::connect(address).await.unwrap();
            stream.get_ref().set_nodelay(true).unwrap();
            http1::handshake(Socket(stream, [0; 4096])).await.unwrap()
        });
        Self {
            connection: Mutex::new(connection),
            requests,
        }
    }

    fn life(&self) {
        let (sender, connection) = &mut *self.connection.lock().unwrap();
        block_on(async {
            for request in &self.requests {
                let mut call = pin!(async {
                    let response = sender.send_request(request.clone()).await.unwrap();
                    response.into_body().collect().await.unwrap().to_bytes()
                });
                let body = std::future::poll_fn(|cx| {
                    if let Poll::Ready(body) = call.as_mut().poll(cx) {
                        return Poll::Ready(body);
                    }
                    assert!(Pin::new(&mut *connection).poll(cx).is_pending());
                    call.as_mut().poll(cx)
                })
                .await;
                assert!(body.len() > 90);
            }
        });
    }
}

struct Socket(Async<TcpStream>, [u8; 4096]);

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Self(stream, landing) = self.get_mut();
        let read = ready!(Pin::new(stream).poll_read(cx, landing))?;
        buf.put_slice(&landing[..read]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
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

fn parse(text: &str) -> http::Request<Full<Bytes>> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut request = http::Request::post(path);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
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
