//! The answers of a careless driver.

use bytes::Bytes;
use cycles_proto::FailureKind;
use http::Response;

use super::{Dice, WALL};

impl Dice {
    pub fn failure_kind(&mut self) -> FailureKind {
        use FailureKind::*;
        [Dns, Connect, ConnectTimeout, Tls, Proxy, Timeout, Lost, TooLarge][self.below(8)]
    }

    /// Mostly what the operation expects, often a refusal, sometimes anything. A granted reservation is mostly called
    /// `id`, and the server may echo `key`.
    pub fn response(&mut self, path: &str, id: &str, key: &str) -> Response<Bytes> {
        const CODES: [(u16, &str); 12] = [
            (409, "BUDGET_EXCEEDED"),
            (409, "RESERVATION_FINALIZED"),
            (410, "RESERVATION_EXPIRED"),
            (409, "MAX_EXTENSIONS_EXCEEDED"),
            (404, "NOT_FOUND"),
            (400, "UNIT_MISMATCH"),
            (401, "UNAUTHORIZED"),
            (429, "LIMIT_EXCEEDED"),
            (500, "INTERNAL_ERROR"),
            (409, "IDEMPOTENCY_MISMATCH"),
            (409, "NEW_CODE"),
            (500, "RESERVATION_EXPIRED"),
        ];
        const PAGES: [u16; 9] = [200, 201, 302, 401, 404, 410, 429, 500, 503];
        let response = Response::builder();
        // Most reservations should get beyond their first answer.
        let luck = if path.ends_with("/reservations") { 6 } else { 10 };
        match self.below(luck) {
            0..=4 => {
                let body = self.success(path, id);
                let status = if path.ends_with("/events") { 201 } else { 200 };
                response.status(status).body(Bytes::from(body)).unwrap()
            }
            5..=7 => {
                let (status, code) = CODES[self.below(CODES.len())];
                let words = ["m", "INTERNAL_ERROR", key][self.below(3)];
                let body = format!(r#"{{"error":"{code}","message":"{words}","request_id":"q"}}"#);
                let wait = ["0", "1", "30", "99999999999"][self.below(4)];
                let response = response.status(status).header("retry-after", wait);
                response.body(Bytes::from(body)).unwrap()
            }
            8 => {
                let status = PAGES[self.below(PAGES.len())];
                response
                    .status(status)
                    .body(Bytes::from_static(b"<html>"))
                    .unwrap()
            }
            _ => {
                let body: Vec<u8> = (0..self.below(40)).map(|_| self.next() as u8).collect();
                response.status(200).body(Bytes::from(body)).unwrap()
            }
        }
    }

    fn success(&mut self, path: &str, id: &str) -> String {
        let remaining = [0, 1, 900, 4_000, 60_000, 60_000, 3_600_000, u64::MAX][self.below(8)];
        let remaining = if self.one_in(4) {
            String::new()
        } else {
            format!(r#","remaining_ttl_ms":{remaining}"#)
        };
        let expires = WALL + self.below(1 << 22) as u64;
        let decision = [
            "ALLOW",
            "ALLOW_WITH_CAPS",
            "ALLOW",
            "ALLOW",
            "ALLOW",
            "DENY",
            "MAYBE",
        ][self.below(7)];
        let id = [id, id, id, id, "a/b", "..", ""][self.below(7)];
        let status = ["ACTIVE", "ACTIVE", "COMMITTED", "RELEASED", "EXPIRED", "NEW"][self.below(6)];
        match path.rsplit('/').next() {
            Some("reservations") => format!(
                r#"{{"decision":"{decision}","reservation_id":"{id}","affected_scopes":[],"expires_at_ms":{expires}{remaining}}}"#
            ),
            Some("extend") => format!(r#"{{"status":"ACTIVE","expires_at_ms":{expires}{remaining}}}"#),
            Some("commit") => r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#.to_owned(),
            Some("release") => r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":5}}"#.to_owned(),
            Some("events") => r#"{"status":"APPLIED","event_id":"e"}"#.to_owned(),
            _ => format!(
                r#"{{"reservation_id":"r-1","status":"{status}","subject":{{}},"action":{{"kind":"k","name":"n"}},"reserved":{{"unit":"TOKENS","amount":9}},"created_at_ms":1,"expires_at_ms":{expires},"scope_path":"s","affected_scopes":[]}}"#
            ),
        }
    }
}
