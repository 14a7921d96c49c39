//! The bytes of a life, by a server that keeps them: what a bare client sends again.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;

use crate::stub;

/// The requests of what `life` does with the server at the address that it is given; for another at `url`.
pub fn requests(url: &str, life: impl FnOnce(&str)) -> Vec<http::Request<Bytes>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let log = Arc::clone(&log);
            thread::spawn(move || answer(stream.unwrap(), &log));
        }
    });
    life(&own);
    let seen = seen.lock().unwrap();
    seen.iter().map(|text| parse(url, text)).collect()
}

fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>) {
    let (mut bytes, mut filled) = (vec![0; 1 << 16], 0);
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
        log.lock().unwrap().push(text.to_owned());
        filled = 0;
        let path = text.split(' ').nth(1).unwrap_or_default();
        let reply = stub::body(path);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        if stream.write_all(&[head.as_bytes(), &reply].concat()).is_err() {
            return;
        }
    }
}

fn parse(url: &str, text: &str) -> http::Request<Bytes> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut request = http::Request::post(format!("{url}{path}"));
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name != "host" {
            request = request.header(name, value);
        }
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}
