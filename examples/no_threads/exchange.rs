//! One call over a non-blocking socket.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::task::{Poll, ready};

use bytes::{Buf as _, Bytes};
use cycles_client::Done;
use cycles_client::proto::{Call, Failure, FailureKind};
use cycles_examples::http10;

/// A call in progress, on its own connection.
pub(crate) struct Exchange {
    done: Done,
    stream: TcpStream,
    unsent: Bytes,
    answer: Vec<u8>,
    /// The maximum number of bytes in the answer.
    limit: usize,
}

impl Exchange {
    /// Connects and begins the call. Returns `None` if the call has already ended.
    pub(crate) fn begin((call, mut done): (Call, Done)) -> Option<Self> {
        println!("  {} {}", call.request.method(), call.request.uri().path());
        let stream = match connect(&call) {
            Ok(stream) => stream,
            Err(error) => {
                done.finish(Err(Failure::caused_by(FailureKind::Connect, &error)));
                return None;
            }
        };
        let may_be_sent = done.begin();
        may_be_sent.then(|| Self {
            done,
            stream,
            unsent: http10::request(&call).into(),
            answer: Vec::new(),
            limit: call.max_response,
        })
    }

    /// Continues the call as far as possible without waiting. Returns `None` if the call has ended, or if its result is
    /// no longer wanted; then its connection is closed.
    pub(crate) fn resume(mut self) -> Option<Self> {
        if self.done.is_withdrawn() {
            return None;
        }
        match self.advance() {
            Poll::Pending => Some(self),
            Poll::Ready(result) => {
                self.done.finish(result);
                None
            }
        }
    }

    fn advance(&mut self) -> Poll<Result<http::Response<Bytes>, Failure>> {
        while !self.unsent.is_empty() {
            let sent = ready!(at_once(self.stream.write(&self.unsent)))?;
            self.unsent.advance(sent);
        }
        let mut buffer = [0; 4_096];
        loop {
            let read = ready!(at_once(self.stream.read(&mut buffer)))?;
            self.answer.extend_from_slice(&buffer[..read]);
            if self.answer.len() > self.limit {
                return Poll::Ready(Err(Failure::new(FailureKind::TooLarge)));
            }
            if read == 0 {
                let whole = http10::response(&self.answer);
                return Poll::Ready(whole.ok_or_else(|| Failure::new(FailureKind::Lost)));
            }
        }
    }
}

/// Connects. This is the only part that blocks the loop: the standard library has no other way to resolve names and
/// connect.
fn connect(call: &Call) -> io::Result<TcpStream> {
    let uri = call.request.uri();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// The result of a socket operation; pending if it would have blocked.
fn at_once(done: io::Result<usize>) -> Poll<Result<usize, Failure>> {
    match done {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Poll::Pending
        }
        done => Poll::Ready(done.map_err(|error| Failure::caused_by(FailureKind::Lost, &error))),
    }
}
