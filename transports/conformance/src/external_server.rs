//! An external server that the behaviours run against. `CYCLES_BASE_URL` names it, and the program in `CYCLES_SEED`
//! sets it up (the sandbox's `tests/behaviour/common/setup.rs` describes the program's input lines).
//!
//! All requests go through a sandbox in front of it, which injects the faults as usual and lets the server answer in
//! place of its own ledger. Each setup has its own tenant and key on the server, so that setups and runs do not
//! interfere. The state is read through the protocol's own operations.

use std::collections::BTreeSet;
use std::io::{Write as _, stderr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cycles_proto::models::ReservationId;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, Operation, ReservationStatus};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue};
use http::{Request, Response};
use serde_json::Value;

use super::client::Client;
use super::seed_program::{SEED, set_up, variable};
use super::test_setup::{PATIENCE, Reservation, TokenBudget};

const URL: &str = "CYCLES_BASE_URL";
/// The budget in tokens, the same as in a default sandbox.
const ALLOCATED: i64 = 1_000_000;

pub(super) struct ExternalServer {
    client: Mutex<Client>,
    /// The names that clients use, and the names on the server that replace them.
    names: [(&'static str, String); 2],
    done: Mutex<Vec<Done>>,
}

/// A request that the server has answered, whether or not the answer reached the client.
struct Done {
    operation: Operation,
    path: String,
    key: String,
    status: u16,
    answer: Value,
}

impl ExternalServer {
    /// Creates a tenant with a key and the sandbox's budgets on the server, if a server is named.
    pub(super) fn start() -> Option<Self> {
        static SETUPS: AtomicU32 = AtomicU32::new(0);
        let (url, _) = (variable(URL)?, variable(SEED)?);
        static SAID: Once = Once::new();
        // Written directly to standard error, which the test harness does not capture.
        SAID.call_once(|| {
            drop(writeln!(
                stderr(),
                "external server: the behaviours run against {url}"
            ))
        });
        let now = UnixMillis::from(SystemTime::now()).0;
        let setup = SETUPS.fetch_add(1, Ordering::Relaxed);
        // Servers identify keys by their first 14 characters.
        let unique = format!(
            "{:06x}{:04x}{setup:03x}",
            now & 0xff_ffff,
            std::process::id() & 0xffff
        );
        let (tenant, key) = (format!("tenant-{unique}"), format!("k{unique}-of-the-suite"));
        set_up(&format!("tenant {tenant}"));
        set_up(&format!("key {tenant} {key}"));
        set_up(&format!("budget tenant:{tenant} TOKENS {ALLOCATED}"));
        Some(Self {
            client: Mutex::new(Client::new(&url)),
            names: [(DEFAULT_TENANT, tenant), (DEFAULT_API_KEY, key)],
            done: Mutex::default(),
        })
    }

    /// Sends the request to the server and returns its answer.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let headers: Vec<(&str, String)> = request
            .headers()
            .iter()
            .filter(|(name, _)| ![HOST, CONNECTION, CONTENT_LENGTH].contains(name))
            .map(|(name, value)| (name.as_str(), self.outward(value.to_str().unwrap())))
            .collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let text = String::from_utf8_lossy(request.body());
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let method = request.method().as_str();
        let raw = client.exchange(
            method,
            &self.outward(target),
            &headers,
            self.outward(&text).as_bytes(),
        );
        drop(client);
        let answer = self.inward(&String::from_utf8_lossy(&raw.body));
        let key: Value = serde_json::from_str(&text).unwrap_or_default();
        self.done.lock().unwrap().push(Done {
            operation: Operation::of(request.method(), request.uri().path()),
            path: request.uri().path().to_owned(),
            key: key["idempotency_key"].as_str().unwrap_or_default().to_owned(),
            status: raw.status,
            answer: serde_json::from_str(&answer).unwrap_or_default(),
        });
        let mut response = Response::new(Bytes::from(answer));
        *response.status_mut() = raw.status.try_into().unwrap();
        // Without the framing headers: the server sends chunks.
        *response.headers_mut() = raw.headers;
        response.headers_mut().remove(CONTENT_LENGTH);
        for value in response.headers_mut().values_mut() {
            *value = HeaderValue::from_str(&self.inward(value.to_str().unwrap())).unwrap();
        }
        response
    }

    pub(super) fn reservation(&self, id: &ReservationId) -> Reservation {
        let path = format!("/v1/reservations/{}", id.as_str());
        let row = self.get(&path);
        let extended = self.done.lock().unwrap();
        let extended = extended.iter().filter(|done| {
            done.operation == Operation::ExtendReservation
                && done.status == 200
                && done.path.starts_with(&path)
        });
        let status = match (row["error"].as_str(), row["status"].as_str()) {
            (Some("RESERVATION_EXPIRED"), _) => ReservationStatus::Expired,
            (_, Some("ACTIVE")) => ReservationStatus::Active,
            (_, Some("COMMITTED")) => ReservationStatus::Committed,
            (_, Some("RELEASED")) => ReservationStatus::Released,
            _ => panic!("{id}: {row}"),
        };
        Reservation {
            status,
            charged: row["committed"]["amount"].as_i64(),
            expires_at_ms: row["expires_at_ms"].as_i64().unwrap_or_default(),
            extensions: extended.map(|done| &done.key).collect::<BTreeSet<_>>().len(),
        }
    }

    /// The ids of all reservations.
    pub(super) fn reservations(&self) -> Vec<ReservationId> {
        self.ids("reservation_id")
    }

    pub(super) fn budget(&self) -> TokenBudget {
        let body = self.get(&format!("/v1/balances?tenant={DEFAULT_TENANT}&limit=200"));
        let rows = body["balances"].as_array().unwrap_or_else(|| panic!("{body}"));
        let scope = format!("tenant:{DEFAULT_TENANT}");
        let is_it =
            |row: &&Value| row["scope_path"] == scope.as_str() && row["remaining"]["unit"] == "TOKENS";
        let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{body}"));
        let amount = |member: &str| row[member]["amount"].as_i64().unwrap_or(0);
        TokenBudget {
            allocated: amount("allocated"),
            remaining: amount("remaining"),
            reserved: amount("reserved"),
            spent: amount("spent"),
        }
    }

    pub(super) fn events_applied(&self) -> u64 {
        self.ids::<String>("event_id").len() as u64
    }

    /// Waits until every reservation has expired and been found by the server's sweep.
    pub(super) fn expire(&self) {
        for id in self.reservations() {
            if self.reservation(&id).status != ReservationStatus::Active {
                continue;
            }
            set_up(&format!("expire {id}"));
            let end = Instant::now() + PATIENCE;
            while self.reservation(&id).status == ReservationStatus::Active {
                assert!(Instant::now() < end, "no sweep finds {id}");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The distinct ids under this member name in the answers, in the order of the answers.
    fn ids<T: From<String> + PartialEq>(&self, name: &str) -> Vec<T> {
        let mut ids = Vec::new();
        for done in self.done.lock().unwrap().iter() {
            let is_new = matches!(
                done.operation,
                Operation::CreateReservation | Operation::CreateEvent
            );
            if let Some(id) = done.answer[name].as_str().filter(|_| is_new) {
                let id = T::from(id.to_owned());
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    fn get(&self, target: &str) -> Value {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let key = [("x-cycles-api-key", self.names[1].1.as_str())];
        let raw = client.exchange("GET", &self.outward(target), &key, b"");
        serde_json::from_str(&self.inward(&String::from_utf8_lossy(&raw.body))).unwrap()
    }

    fn outward(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (here, there)| text.replace(here, there))
    }

    fn inward(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (here, there)| text.replace(there, here))
    }
}
