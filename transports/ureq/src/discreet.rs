//! Keeps the API key from ureq, which at trace level logs every byte that it writes and reads: a request carries
//! stars until it is handed to the socket, and an answer that echoes the key has stars before ureq looks at it.
//!
//! As all bytes pass here, a request's head and body leave in one piece, where ureq would send two.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use cycles_proto::config::ApiKey;

/// Wraps connections, the last of all.
#[derive(Clone)]
pub(crate) struct Discreetly(Arc<Secret>);

struct Secret {
    key: String,
    /// What stands for it in a head, with what comes before and after.
    line: Vec<u8>,
    stars: HeaderValue,
}

/// A connection of which ureq sees everything but the key.
pub(crate) struct Discreet<T> {
    connection: T,
    secret: Arc<Secret>,
    buffers: LazyBuffers,
    /// How much of the connection's output is filled and not sent.
    unsent: usize,
}

impl Discreetly {
    pub(crate) fn new(key: &ApiKey) -> Self {
        let key = key.expose().to_owned();
        let stars = "*".repeat(key.len());
        Self(Arc::new(Secret {
            line: format!(": {stars}\r\n").into_bytes(),
            // Stars are fit for a header.
            stars: HeaderValue::from_str(&stars).unwrap_or(HeaderValue::from_static("*")),
            key,
        }))
    }

    /// Puts stars in place of the key.
    pub(crate) fn hide(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut().filter(|value| value.is_sensitive()) {
            if *value == self.0.key {
                *value = self.0.stars.clone();
            }
        }
    }
}

impl Secret {
    /// Puts stars wherever the key is.
    fn mask(&self, bytes: &mut [u8]) {
        let key = self.key.as_bytes();
        let mut from = 0;
        while key.len() >= SHORTEST
            && let Some(start) = find(&bytes[from..], key)
        {
            bytes[from + start..][..key.len()].fill(b'*');
            from += start + key.len();
        }
    }
}

impl<In: Transport> Connector<In> for Discreetly {
    type Out = Discreet<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|connection| Discreet {
            connection,
            secret: Arc::clone(&self.0),
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            unsent: 0,
        }))
    }
}

impl<T: Transport> Discreet<T> {
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        match std::mem::take(&mut self.unsent) {
            0 => Ok(()),
            amount => self.connection.transmit_output(amount, timeout),
        }
    }
}

impl<T: Transport> Transport for Discreet<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.unsent + amount > self.connection.buffers().output().len() {
            self.flush(timeout)?;
        }
        let output = &mut self.connection.buffers().output()[self.unsent..][..amount];
        output.copy_from_slice(&self.buffers.output()[..amount]);
        // A line of a head is written as a whole, and no body of ours has a raw line break.
        if let Some(start) = find(output, &self.secret.line) {
            let key = self.secret.key.as_bytes();
            output[start + 2..][..key.len()].copy_from_slice(key);
        }
        self.unsent += amount;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.flush(timeout)?;
        self.connection.maybe_await_input(timeout)?;
        let input = self.connection.buffers().input();
        let seen = self.buffers.input_append_buf();
        let amount = input.len().min(seen.len());
        let seen = &mut seen[..amount];
        seen.copy_from_slice(&input[..amount]);
        self.secret.mask(seen);
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

/// A shorter key could be found by chance in what belongs to HTTP.
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

impl fmt::Debug for Discreetly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discreetly").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Discreet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discreet").finish_non_exhaustive()
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
                "a ********, cyc_liv, c********",
            ),
            ("********", "a ********", "a ********"),
            ("OK", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
        ] {
            let config = cycles_proto::CyclesConfig::new(key, "http://localhost").unwrap();
            let mut bytes = seen.to_owned().into_bytes();
            Discreetly::new(config.api_key()).0.mask(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), masked);
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
