//! One connection, by hand.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use cycles_sandbox::Sandbox;

pub struct Line(BufReader<TcpStream>);

/// The end of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// A head, and less of the body than it promised.
    Partial { promised: usize, got: usize },
    /// Closed without any answer.
    Closed,
    /// Reset.
    Reset,
}

impl Ending {
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Partial { .. } | Self::Closed | Self::Reset => None,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Answer { headers, .. } => headers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str()),
            Self::Partial { .. } | Self::Closed | Self::Reset => None,
        }
    }

    pub fn body(&self) -> &str {
        match self {
            Self::Answer { body, .. } => body,
            other => panic!("no answer: {other:?}"),
        }
    }
}

impl Line {
    pub fn open(sandbox: &Sandbox) -> Self {
        let stream = TcpStream::connect(sandbox.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends as much as the other side still accepts.
    pub fn send_as_far_as_it_goes(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// Whether the connection has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.0.read_to_end(&mut Vec::new()), Ok(0) | Err(_))
    }

    pub fn request(&mut self, sandbox: &Sandbox, method: &str, path: &str, body: &str) -> (u16, String) {
        let ending = self.exchange(sandbox, method, path, body);
        (ending.status().unwrap(), ending.body().to_owned())
    }

    pub fn exchange(&mut self, sandbox: &Sandbox, method: &str, path: &str, body: &str) -> Ending {
        let key = sandbox.api_key();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-cycles-api-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        self.ending()
    }

    pub fn response(&mut self) -> (u16, String) {
        let ending = self.ending();
        (ending.status().unwrap(), ending.body().to_owned())
    }

    fn ending(&mut self) -> Ending {
        let (mut status, mut headers) = (0, Vec::new());
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return Ending::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ending::Reset,
                Err(error) => panic!("{error}"),
            }
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some((name, value)) = line.split_once(": ") {
                headers.push((name.to_owned(), value.to_owned()));
            } else if line.is_empty() {
                break;
            }
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let promised = length.map_or(0, |(_, value)| value.parse().unwrap());
        let mut body = Vec::new();
        let _ = self.0.by_ref().take(promised as u64).read_to_end(&mut body);
        if body.len() < promised {
            return Ending::Partial {
                promised,
                got: body.len(),
            };
        }
        Ending::Answer {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
        }
    }
}
