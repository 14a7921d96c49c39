//! What a desk talks to: a ledger of this process in virtual time.

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::Ledger;
use http::Request;

use super::setup::Setup;
use super::{ADMIN_KEY, Answer, START};

pub trait Backend {
    /// One request and its response.
    fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer;

    fn set_up(&mut self, setup: &Setup);

    /// Milliseconds since 1970.
    fn now(&self) -> u64;

    fn pass(&mut self, ms: u64);

    /// Keeps the idempotency keys of this run apart from those of others.
    fn salt(&self) -> String {
        String::new()
    }

    /// The ledger itself, where it is in this process.
    fn ledger(&mut self) -> Option<&mut Ledger> {
        None
    }
}

/// A ledger with a clock that moves when told to.
pub struct Inside {
    ledger: Ledger,
    now: u64,
}

impl Inside {
    pub fn new() -> Self {
        let mut ledger = Ledger::new(7);
        ledger.set_admin_key(ADMIN_KEY);
        ledger.set_tenant_cache_ms(0);
        Self { ledger, now: START }
    }
}

impl Backend for Inside {
    fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        let (head, bytes) = self.ledger.handle(UnixMillis(self.now), &request).into_parts();
        Answer::new(head.status.as_u16(), head.headers, bytes)
    }

    fn set_up(&mut self, setup: &Setup) {
        setup.apply(&mut self.ledger, UnixMillis(self.now));
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    fn ledger(&mut self) -> Option<&mut Ledger> {
        Some(&mut self.ledger)
    }
}
