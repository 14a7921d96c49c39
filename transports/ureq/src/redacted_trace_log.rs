//! Keeps the API key out of ureq's trace logs, which show every byte that ureq writes and reads. A request has stars in
//! place of the key until it reaches the socket. If a response echoes the key, ureq sees a stand-in, which is replaced
//! by the key afterwards, because it may be part of an id.
//!
//! Clients with different keys share the connections. ureq makes the whole of a call on the calling thread, so the
//! thread knows which key is under way.
//!
//! All bytes pass through here, so two more things are done: the head and the body of a request are written in one
//! piece, where ureq would write two; and a request to a forwarding proxy gets its [additions](Forwarding), which ureq
//! cannot write.

use core::cell::RefCell;
use core::ops::Range;
use core::{fmt, mem};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use cycles_host::Proxy;
use http::{HeaderMap, HeaderValue, Response, Uri};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use cycles_proto::Seed;

use crate::proxies::Forwarding;

/// Wraps connections; must be the last connector of the chain.
#[derive(Clone)]
pub(crate) struct Redactor {
    seed: Seed,
    forwarding: Option<Arc<Forwarding>>,
}

thread_local! {
    /// The key of the call that this thread makes.
    static CURRENT: RefCell<Option<Rc<Secret>>> = const { RefCell::new(None) };
}

/// The key of a call that is under way on this thread. When it is dropped, the key before it is back.
pub(crate) struct Hidden {
    /// `None` if the call has no key.
    secret: Option<Rc<Secret>>,
    before: Option<Rc<Secret>>,
}

/// A key, and what ureq sees in its place.
struct Secret {
    key: Vec<u8>,
    /// The end of a header line with the stars, from the colon to the line break.
    line: Vec<u8>,
    stars: HeaderValue,
    /// The stand-in for the key in a response. It has the same length as the key, and is random, so that no server can
    /// send it by chance.
    stand_in: Vec<u8>,
}

/// A connection on which ureq sees everything but the key.
pub(crate) struct Redacted<T> {
    connection: T,
    forwarding: Option<Arc<Forwarding>>,
    buffers: LazyBuffers,
    /// How many bytes of the connection's output buffer are filled but not yet sent.
    unsent: usize,
    /// Whether the next output begins a new request.
    is_between: bool,
}

impl Redactor {
    /// Makes the redactor for requests to `server`, which go through `forwarder` if there is one. Stand-ins are derived
    /// from `seed`.
    pub(crate) fn new(seed: Seed, server: &Uri, forwarder: Option<&Proxy>) -> Self {
        let forwarding = forwarder.map(|proxy| Arc::new(Forwarding::new(server, proxy)));
        Self { seed, forwarding }
    }

    /// Replaces the key with stars. It is on this thread's connections again, until the result is dropped.
    pub(crate) fn hide(&self, headers: &mut HeaderMap) -> Hidden {
        let key = headers.get_mut("x-cycles-api-key");
        let secret = key.map(|value| {
            let secret = Secret::new(value.as_bytes(), self.seed);
            *value = secret.stars.clone();
            Rc::new(secret)
        });
        let before = CURRENT.replace(secret.clone());
        Hidden { secret, before }
    }
}

impl Hidden {
    /// Puts the key back into the response.
    pub(crate) fn restore(&self, answer: Response<Bytes>) -> Response<Bytes> {
        let Some(secret) = &self.secret else {
            return answer;
        };
        let is_in = |bytes: &[u8]| find(bytes, &secret.stand_in).is_some();
        let (mut head, mut body) = answer.into_parts();
        for value in head.headers.values_mut().filter(|value| is_in(value.as_bytes())) {
            let mut bytes = value.as_bytes().to_vec();
            secret.unmask(&mut bytes);
            // The key is valid in a header, so the whole value is valid too.
            *value = HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| value.clone());
        }
        if is_in(&body) {
            let mut bytes = body.to_vec();
            secret.unmask(&mut bytes);
            body = bytes.into();
        }
        Response::from_parts(head, body)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

impl Secret {
    fn new(key: &[u8], seed: Seed) -> Self {
        let stars = "*".repeat(key.len());
        Self {
            line: format!(": {stars}\r\n").into_bytes(),
            // Stars are valid in a header.
            stars: HeaderValue::from_str(&stars).unwrap_or(HeaderValue::from_static("*")),
            stand_in: seed.to_string().bytes().cycle().take(key.len()).collect(),
            key: key.to_owned(),
        }
    }

    /// Replaces the key with the stand-in.
    fn mask(&self, bytes: &mut [u8]) {
        if self.key.len() >= SHORTEST {
            replace(bytes, &self.key, &self.stand_in);
        }
    }

    /// Replaces the stand-in with the key.
    fn unmask(&self, bytes: &mut [u8]) {
        if self.key.len() >= SHORTEST {
            replace(bytes, &self.stand_in, &self.key);
        }
    }
}

/// Runs `act` with the key of the call that this thread makes, if there is one.
fn with_current(act: impl FnOnce(&Secret)) {
    if let Some(secret) = CURRENT.with_borrow(Clone::clone) {
        act(&secret);
    }
}

/// Replaces every `part` with `by`, which has the same length.
fn replace(bytes: &mut [u8], part: &[u8], by: &[u8]) {
    let mut from = 0;
    while let Some(start) = find(&bytes[from..], part) {
        bytes[from + start..][..by.len()].copy_from_slice(by);
        from += start + by.len();
    }
}

impl<In: Transport> Connector<In> for Redactor {
    type Out = Redacted<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|connection| Redacted {
            connection,
            forwarding: self.forwarding.clone(),
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            unsent: 0,
            is_between: true,
        }))
    }
}

impl<T: Transport> Redacted<T> {
    /// Copies a part of ureq's output, with the key in place of the stars.
    fn append(&mut self, part: Range<usize>, timeout: NextTimeout) -> Result<(), Error> {
        self.make_room(part.len(), timeout)?;
        let output = &mut self.connection.buffers().output()[self.unsent..][..part.len()];
        self.unsent += part.len();
        output.copy_from_slice(&self.buffers.output()[part]);
        // ureq writes each header line as a whole, and no body of ours contains a raw line break.
        with_current(|secret| {
            if let Some(start) = find(output, &secret.line) {
                output[start + 2..][..secret.key.len()].copy_from_slice(&secret.key);
            }
        });
        Ok(())
    }

    fn insert(&mut self, bytes: &[u8], timeout: NextTimeout) -> Result<(), Error> {
        // A user's name and password may be longer than a buffer.
        for part in bytes.chunks(1024) {
            self.make_room(part.len(), timeout)?;
            self.connection.buffers().output()[self.unsent..][..part.len()].copy_from_slice(part);
            self.unsent += part.len();
        }
        Ok(())
    }

    fn make_room(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.unsent + amount > self.connection.buffers().output().len() {
            self.flush(timeout)?;
        }
        Ok(())
    }

    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        match mem::take(&mut self.unsent) {
            0 => Ok(()),
            amount => self.connection.transmit_output(amount, timeout),
        }
    }
}

impl<T: Transport> Transport for Redacted<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let is_first = mem::take(&mut self.is_between);
        let Some(forwarding) = self.forwarding.clone().filter(|_| is_first) else {
            return self.append(0..amount, timeout);
        };
        // ureq writes each header line as a whole.
        let output = &self.buffers.output()[..amount];
        let target = find(output, b" ").map_or(0, |space| space + 1);
        let headers = find(output, b"\r\n").map_or(amount, |end| end + 2);
        self.append(0..target, timeout)?;
        self.insert(&forwarding.address, timeout)?;
        self.append(target..headers, timeout)?;
        self.insert(&forwarding.authorization, timeout)?;
        self.append(headers..amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.is_between = true;
        self.flush(timeout)?;
        self.connection.maybe_await_input(timeout)?;
        let input = self.connection.buffers().input();
        let seen = self.buffers.input_append_buf();
        let amount = input.len().min(seen.len());
        let seen = &mut seen[..amount];
        seen.copy_from_slice(&input[..amount]);
        with_current(|secret| secret.mask(seen));
        self.buffers.input_appended(amount);
        self.connection.buffers().input_consume(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.connection.buffers().input().is_empty() && self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

/// The length of the shortest key to hide: a shorter one could appear by chance in parts of HTTP itself.
const SHORTEST: usize = 8;

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    loop {
        let start = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[start..].starts_with(part) {
            return Some(start);
        }
        from = start + 1;
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redacted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_echo_of_the_key_is_masked_whatever_the_key_is() {
        for (key, seen, masked) in [
            (
                "cyc_live",
                "a cyc_live, cyc_liv, ccyc_live",
                "a abababab, cyc_liv, cabababab",
            ),
            ("********", "a ********", "a abababab"),
            ("OK", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
        ] {
            let mut bytes = seen.to_owned().into_bytes();
            let redactor = Redactor::new(Seed([0xab; 16]), &Uri::default(), None);
            let mut headers = HeaderMap::new();
            headers.insert("x-cycles-api-key", HeaderValue::from_static(key));
            let hidden = redactor.hide(&mut headers);
            assert_eq!(headers["x-cycles-api-key"], "*".repeat(key.len()));
            with_current(|secret| secret.mask(&mut bytes));
            assert_eq!(core::str::from_utf8(&bytes).unwrap(), masked);
            let answer = Response::builder().header("x", &bytes[..]);
            let restored = hidden.restore(answer.body(bytes.clone().into()).unwrap());
            assert_eq!(
                (&restored.body()[..], restored.headers()["x"].as_bytes()),
                (seen.as_bytes(), seen.as_bytes())
            );
        }
    }

    #[test]
    fn a_part_is_found_wherever_it_starts() {
        for (bytes, part, found) in [
            (&b"aab"[..], &b"ab"[..], Some(1)),
            (b"ab", b"ab", Some(0)),
            (b"aaaa", b"ab", None),
            (b"a", b"ab", None),
            (b"", b"ab", None),
        ] {
            assert_eq!(find(bytes, part), found, "{bytes:?}");
        }
    }
}
