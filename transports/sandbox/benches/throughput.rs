//! Pairs of reserve and commit per second over loopback: `cargo bench -p cycles-sandbox`.
//!
//! 64 connections with one request at a time on each, and the load generator on the same machine. It prints figures and
//! asserts nothing, because they depend on the machine.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::{Duration, Instant};

use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

fn main() {
    let sandbox = Sandbox::builder()
        .budget(Budget::new(DEFAULT_TENANT_SCOPE, Unit::Credits, i64::MAX))
        .start()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for round in 1..=ROUNDS {
        let (pairs, time) = runtime.block_on(run(&sandbox, round));
        println!(
            "{:.0} reserve + commit pairs/s, {CONNECTIONS} connections",
            pairs as f64 / time.as_secs_f64()
        );
    }
}

async fn run(sandbox: &Sandbox, round: usize) -> (u64, Duration) {
    let began = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|worker| {
            tokio::spawn(work(
                sandbox.addr(),
                sandbox.api_key().to_owned(),
                round,
                worker,
                began,
            ))
        })
        .collect();
    let mut pairs = 0;
    for worker in workers {
        pairs += worker.await.unwrap();
    }
    (pairs, began.elapsed())
}

async fn work(addr: std::net::SocketAddr, key: String, round: usize, worker: usize, began: Instant) -> u64 {
    let mut line = Line {
        stream: TcpStream::connect(addr).await.unwrap(),
        key,
        buffer: vec![0; 8192],
    };
    line.stream.set_nodelay(true).unwrap();
    let mut pairs = 0;
    while began.elapsed() < TIME {
        let body = format!(
            r#"{{"idempotency_key":"r-{round}-{worker}-{pairs}","subject":{{"tenant":"acme-corp"}},"action":{{"kind":"llm.completion","name":"gpt-4o"}},"estimate":{{"unit":"CREDITS","amount":10}}}}"#
        );
        let reply = line.post("/v1/reservations", &body).await;
        let id = reply
            .split("\"reservation_id\":\"")
            .nth(1)
            .expect("an allowed reservation")[..36]
            .to_owned();
        let body = r#"{"idempotency_key":"c","actual":{"unit":"CREDITS","amount":7}}"#;
        let reply = line.post(&format!("/v1/reservations/{id}/commit"), body).await;
        assert!(reply.contains("COMMITTED"), "{reply}");
        pairs += 1;
    }
    pairs
}

struct Line {
    stream: TcpStream,
    key: String,
    buffer: Vec<u8>,
}

impl Line {
    async fn post(&mut self, path: &str, body: &str) -> &str {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nx-cycles-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = 0;
        loop {
            read += self.stream.read(&mut self.buffer[read..]).await.unwrap();
            if let Some(end) = whole(&self.buffer[..read]) {
                return std::str::from_utf8(&self.buffer[..end]).unwrap();
            }
        }
    }
}

/// The end of the response, once it is complete.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length: usize = text
        .split("content-length: ")
        .nth(1)?
        .split("\r\n")
        .next()?
        .parse()
        .ok()?;
    (bytes.len() >= head + length).then_some(head + length)
}
