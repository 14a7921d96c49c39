//! The statistics as samples of named metrics, and in the text format of Prometheus.

use core::fmt::{self, Write};

use super::{Amounts, Denials, Stats, TenantStats};

/// One number of the statistics, under a name and labels that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// The name of the metric, such as `cycles_charged_total`.
    pub name: &'static str,
    /// What the metric counts, in a sentence.
    pub help: &'static str,
    /// Whether it only grows; otherwise it is a gauge.
    pub is_counter: bool,
    /// The labels: `tenant` (empty if the client has none), and `unit` or `reason` where they apply.
    pub labels: Vec<(&'static str, &'a str)>,
    /// The number.
    pub value: i64,
}

/// A metric: its name, its help, whether it is a counter, and where its numbers are.
struct Metric(&'static str, &'static str, bool, Of);

enum Of {
    Count(fn(&TenantStats) -> u64),
    Units(fn(&TenantStats) -> &Amounts),
    Reasons(fn(&TenantStats) -> &Denials),
}

/// All metrics with the label `tenant`.
#[rustfmt::skip]
const METRICS: [Metric; 29] = [
    Metric("cycles_reserved_total", "Reservations that were granted.", true, Of::Count(|it| it.reserved)),
    Metric("cycles_denied_total", "Reservations that the ledger denied.", true, Of::Reasons(|it| &it.denied)),
    Metric("cycles_not_reserved_total", "Reservations that could not be made, other than by a denial.", true, Of::Count(|it| it.not_reserved)),
    Metric("cycles_committed_total", "Costs of reservations that are in the ledger.", true, Of::Count(|it| it.committed)),
    Metric("cycles_committed_by_event_total", "Costs that an event charged, because the reservation was over.", true, Of::Count(|it| it.committed_by_event)),
    Metric("cycles_committed_partial_total", "Costs of actions that failed or were dropped.", true, Of::Count(|it| it.committed_partial)),
    Metric("cycles_committed_estimates_total", "Costs that are estimates, because the cost was not known.", true, Of::Count(|it| it.committed_estimates)),
    Metric("cycles_released_total", "Reservations that were given back.", true, Of::Count(|it| it.released)),
    Metric("cycles_expired_total", "Reservations that were left to expire.", true, Of::Count(|it| it.expired)),
    Metric("cycles_events_total", "Direct debits that the ledger applied.", true, Of::Count(|it| it.events)),
    Metric("cycles_lost_leases_total", "Leases that ended while their action was running.", true, Of::Count(|it| it.lost_leases)),
    Metric("cycles_beats_total", "Leases that the heartbeat extended.", true, Of::Count(|it| it.beats)),
    Metric("cycles_failed_beats_total", "Beats that failed.", true, Of::Count(|it| it.failed_beats)),
    Metric("cycles_retries_total", "Requests that were sent again.", true, Of::Count(|it| it.retries)),
    Metric("cycles_unrecorded_total", "Costs that are in no ledger and on no disk.", true, Of::Count(|it| it.unrecorded)),
    Metric("cycles_live_reservations", "Reservations that are held.", false, Of::Count(|it| it.live)),
    Metric("cycles_pending_costs", "Costs that are handed over and not in the ledger yet.", false, Of::Count(|it| it.pending)),
    Metric("cycles_oldest_pending_cost_seconds", "The age of the oldest pending cost; 0 if none is pending.", false, Of::Count(|it| it.oldest_pending.map_or(0, |age| age.as_secs()))),
    Metric("cycles_set_aside_costs", "Records that were set aside for a person.", false, Of::Count(|it| it.set_aside)),
    Metric("cycles_held", "The estimates that are held.", false, Of::Units(|it| &it.held)),
    Metric("cycles_charged_total", "What the ledger charged.", true, Of::Units(|it| &it.charged)),
    Metric("cycles_uncharged_total", "Parts of costs that were not charged, because the budget had no more.", true, Of::Units(|it| &it.uncharged)),
    Metric("cycles_shadow_allowed_total", "Actions in shadow mode that would have been allowed without limits.", true, Of::Count(|it| it.shadow.allowed)),
    Metric("cycles_shadow_allowed_with_caps_total", "Actions in shadow mode that would have been allowed within limits.", true, Of::Count(|it| it.shadow.allowed_with_caps)),
    Metric("cycles_shadow_denied_total", "Actions in shadow mode that would have been denied; each decision is independent of all others.", true, Of::Reasons(|it| &it.shadow.denied)),
    Metric("cycles_shadow_unknown_total", "Actions in shadow mode for which there is no decision, as in an outage.", true, Of::Count(|it| it.shadow.unknown)),
    Metric("cycles_shadow_exhausted_total", "Steps of runs in shadow mode that would have been refused.", true, Of::Count(|it| it.shadow.exhausted)),
    Metric("cycles_shadow_estimates_total", "Estimates of actions in shadow mode. Nothing was held.", true, Of::Units(|it| &it.shadow.estimates)),
    Metric("cycles_shadow_actuals_total", "What actions in shadow mode cost. Nothing was charged.", true, Of::Units(|it| &it.shadow.actuals)),
];

impl Stats {
    /// All numbers, those of one metric together. Sums in a unit and denials for a reason that never occurred are left
    /// out.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        let in_flight = Sample {
            name: "cycles_calls_in_flight",
            help: "HTTP exchanges under way, of all tenants.",
            is_counter: false,
            labels: Vec::new(),
            value: integer(self.calls_in_flight),
        };
        let of_tenants = METRICS
            .iter()
            .flat_map(|metric| self.tenants.iter().flat_map(|tenant| metric.samples(tenant)));
        of_tenants.chain([in_flight])
    }

    /// Writes the statistics in the text format of Prometheus (`text/plain; version=0.0.4`). Every metric has a label
    /// `tenant`, empty if the client has none; amounts have a label `unit`, and denials a label `reason`.
    ///
    /// ```text
    /// cycles_charged_total{tenant="acme",unit="USD_MICROCENTS"} 1850000
    /// cycles_denied_total{tenant="acme",reason="BUDGET_EXCEEDED"} 3
    /// cycles_pending_costs{tenant="acme"} 0
    /// ```
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for sample in self.samples() {
            if last != sample.name {
                last = sample.name;
                let kind = if sample.is_counter { "counter" } else { "gauge" };
                let help = sample.help;
                // Writing to a string cannot fail.
                let _ = writeln!(text, "# HELP {last} {help}\n# TYPE {last} {kind}");
            }
            let _ = writeln!(text, "{sample}");
        }
        text
    }
}

impl Metric {
    fn samples<'a>(&self, tenant: &'a TenantStats) -> Vec<Sample<'a>> {
        let Self(name, help, is_counter, of) = self;
        let sample = |more: Option<(&'static str, &'a str)>, value| {
            let tenant = ("tenant", tenant.tenant.as_deref().unwrap_or_default());
            Sample {
                name,
                help,
                is_counter: *is_counter,
                labels: core::iter::once(tenant).chain(more).collect(),
                value,
            }
        };
        match of {
            Of::Count(of) => vec![sample(None, integer(of(tenant)))],
            Of::Units(of) => of(tenant)
                .named()
                .map(|(unit, sum)| sample(Some(("unit", unit)), sum))
                .collect(),
            Of::Reasons(of) => of(tenant)
                .iter()
                .map(|(reason, count)| sample(Some(("reason", reason)), integer(count)))
                .collect(),
        }
    }
}

/// A line of the text format of Prometheus.
impl fmt::Display for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for (at, (label, value)) in self.labels.iter().enumerate() {
            let value = value
                .replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace('\n', r"\n");
            write!(f, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' })?;
        }
        f.write_str(if self.labels.is_empty() { " " } else { "} " })?;
        write!(f, "{}", self.value)
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
