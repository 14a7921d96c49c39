//! A server that runs a test's script on each connection, below the level of HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A scripted server; its thread ends with the test process.
pub struct Scripted {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Scripted {
    /// Starts a server that runs `script` on every connection, each on its own thread.
    pub fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (log, count, script) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                *count.lock().unwrap() += 1;
                let (stream, log, script) = (stream.unwrap(), Arc::clone(&log), Arc::clone(&script));
                std::thread::spawn(move || script(&mut Connection { stream, log }));
            }
        });
        Self {
            url,
            requests,
            connections,
        }
    }

    /// A server that gives this answer to every request and keeps the connection.
    pub fn answering(response: impl Into<String>) -> Self {
        let response = response.into();
        Self::start(move |connection| {
            while connection.read_request().is_some() {
                connection.write(&response);
            }
        })
    }

    /// The requests so far, heads and bodies.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// One accepted connection.
pub struct Connection {
    pub stream: TcpStream,
    log: Arc<Mutex<Vec<String>>>,
}

impl Connection {
    /// The next request; `None` if the client has closed the connection.
    pub fn read_request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                });
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    self.log.lock().unwrap().push(text.clone());
                    return Some(text);
                }
            }
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            }
        }
    }

    pub fn write(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(text.as_ref());
    }

    /// Keeps the connection open without answering until the client gives up.
    pub fn hang(&mut self) {
        let _ = self.stream.set_read_timeout(None);
        while !matches!(self.stream.read(&mut [0; 64]), Ok(0) | Err(_)) {}
    }
}

/// A complete response.
pub fn http(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}
