//! A client for plain HTTP/1.1 that keeps its connection and does not interpret messages. It is only for this
//! repository's tests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub struct Client {
    authority: String,
    /// The path of the base URL.
    prefix: String,
    connection: Option<BufReader<TcpStream>>,
}

pub struct Raw {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(base_url: &str) -> Self {
        let rest = base_url.strip_prefix("http://");
        let rest = rest.unwrap_or_else(|| panic!("{base_url}: only http:// is supported here"));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = path.trim_end_matches('/');
        Self {
            authority: authority.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("/{prefix}")
            },
            connection: None,
        }
    }

    pub fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Raw {
        let mut head = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\n",
            self.prefix, self.authority
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let message = [head.as_bytes(), b"\r\n", if method == "GET" { b"" } else { body }].concat();
        let was_open = self.connection.is_some();
        match self.attempt(&message) {
            // The server may have closed the connection between two requests.
            Err(_) if was_open => self.attempt(&message),
            outcome => outcome,
        }
        .unwrap_or_else(|error| panic!("{method} {path} to {}: {error}", self.authority))
    }

    fn attempt(&mut self, message: &[u8]) -> io::Result<Raw> {
        let mut connection = match self.connection.take() {
            Some(open) => open,
            None => {
                let stream = TcpStream::connect(&self.authority)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                BufReader::new(stream)
            }
        };
        connection.get_mut().write_all(message)?;
        let (raw, keep) = read(&mut connection)?;
        if keep {
            self.connection = Some(connection);
        }
        Ok(raw)
    }
}

fn read(source: &mut impl BufRead) -> io::Result<(Raw, bool)> {
    let status = line(source)?;
    let status = status.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status line"))?;
    let mut headers = HeaderMap::new();
    loop {
        let text = line(source)?;
        let Some((name, value)) = text.split_once(':') else {
            break;
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        headers.append(
            name,
            HeaderValue::from_str(value.trim()).map_err(io::Error::other)?,
        );
    }
    let is = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
    let mut body = Vec::new();
    if is("transfer-encoding", "chunked") {
        loop {
            let size = usize::from_str_radix(&line(source)?, 16).map_err(io::Error::other)?;
            source.by_ref().take(size as u64).read_to_end(&mut body)?;
            line(source)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = headers.get("content-length") {
        let length = length
            .to_str()
            .map_err(io::Error::other)?
            .parse()
            .map_err(io::Error::other)?;
        source.by_ref().take(length).read_to_end(&mut body)?;
    }
    let keep = !is("connection", "close");
    Ok((
        Raw {
            status,
            headers,
            body,
        },
        keep,
    ))
}

fn line(source: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    if source.read_line(&mut text)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end().to_owned())
}
