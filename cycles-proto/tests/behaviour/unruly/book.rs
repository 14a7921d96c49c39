//! What is known about one reservation from outside.

use std::collections::BTreeSet;

use cycles_proto::Event;

use super::runs::Run;

/// The estimate of every reservation.
pub(super) const ESTIMATE: i64 = 9;

#[derive(Debug, Default)]
pub(super) struct Book {
    /// Its id in the ledger.
    pub(super) name: String,
    pub(super) spent: i64,
    /// How many requests of its action left and were not taken back.
    pub(super) dispatched: u32,
    /// The cost that was handed over and accepted.
    pub(super) cost: Option<i64>,
    /// Whether a cost was reported that could not be accepted.
    pub(super) is_untaken: bool,
    /// Whether its lease is held and its heartbeat runs, according to the events.
    pub(super) beats: bool,
    /// Whether the caller has decided its end.
    pub(super) is_decided: bool,
    pub(super) is_forgotten: bool,
    pub(super) is_charged: bool,
    /// Its steps, if it is a run.
    pub(super) run: Option<Run>,
    /// How often it was told that it has ended in shadow mode.
    pub(super) shadowed: u32,
    keys: BTreeSet<String>,
    has_released: bool,
}

impl Book {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    pub(super) fn is_shadow(&self) -> bool {
        self.name.starts_with("shadow-")
    }

    pub(super) fn sends(&mut self, path: &str, body: &str) {
        let is_dry = path == "/v1/reservations" && body.contains(r#""dry_run":true"#);
        assert!(is_dry || !self.is_shadow(), "sent in shadow mode: {path} {body}");
        if path.ends_with("/commit") || path.ends_with("/events") {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let amount = body["actual"]["amount"].as_i64();
            let known = self.cost.or(self.cost_by_now());
            assert_eq!(amount, known, "{self:?}");
            self.keys
                .insert(body["idempotency_key"].as_str().unwrap().to_owned());
        }
        if path.ends_with("/release") {
            let is_known = self.cost.is_some() || self.cost_by_now().is_some();
            assert!(!is_known, "a known cost is given up for a release: {self:?}");
            self.has_released = true;
        }
        assert!(self.keys.len() <= 1, "two keys for one cost: {self:?}");
        assert!(
            self.keys.is_empty() || !self.has_released,
            "charged and released: {self:?}"
        );
    }

    /// What it costs if it ends without a cost.
    fn cost_by_now(&self) -> Option<i64> {
        match (&self.run, self.spent, self.dispatched) {
            (Some(run), ..) => Some(run.cost()).filter(|cost| *cost > 0),
            (None, 1.., _) => Some(self.spent),
            (None, _, 1..) => Some(ESTIMATE),
            (None, ..) => None,
        }
    }

    pub(super) fn answered(&mut self, path: &str, response: &http::Response<bytes::Bytes>) {
        let said: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let is_commit =
            path.ends_with("/commit") && response.status() == 200 && said["status"] == "COMMITTED";
        let is_event = path.ends_with("/events") && response.status() == 201;
        self.is_charged |= is_commit || is_event;
    }

    pub(super) fn told(&mut self, event: &Event) {
        match event {
            Event::Granted { response, .. } => {
                self.beats = response.remaining_ttl_ms.is_some();
            }
            Event::Shadowed { actual, .. } => {
                self.shadowed += 1;
                let known = self.cost.or(self.cost_by_now());
                let actual = actual.as_ref().map(|actual| actual.amount);
                assert_eq!(actual, known, "{self:?}");
            }
            Event::LeaseExtended { .. } => self.beats = true,
            Event::HeartbeatStopped { .. } | Event::LeaseLost { .. } => self.beats = false,
            _ => {}
        }
    }
}
