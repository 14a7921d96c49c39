//! What the client has done so far, and what is under way.

use cycles_proto::Stats;

use crate::client::Client;

impl Client {
    /// Returns the statistics of this client and its clones since it was created, by tenant: what was reserved, denied
    /// and charged, and what is under way. Takes no lock and starts nothing, so it can be called as often as you like.
    /// All zero if the client cannot be used.
    ///
    /// [`Stats::to_prometheus`] is the text for a `/metrics` endpoint. With the feature `metrics` the same numbers also
    /// go to the recorder of the [`metrics`](https://docs.rs/metrics) crate, after each event.
    pub fn stats(&self) -> Stats {
        self.shared().map_or_else(Stats::default, |shared| shared.stats())
    }
}

/// Passes the statistics to the recorder of the `metrics` crate.
#[cfg(feature = "metrics")]
pub(crate) fn record(stats: &Stats) {
    for sample in stats.samples() {
        let labels: Vec<metrics::Label> = sample
            .labels
            .iter()
            .map(|(name, value)| metrics::Label::new(*name, (*value).to_owned()))
            .collect();
        if sample.is_counter {
            metrics::describe_counter!(sample.name, sample.help);
            metrics::counter!(sample.name, labels).absolute(u64::try_from(sample.value).unwrap_or(0));
        } else {
            metrics::describe_gauge!(sample.name, sample.help);
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!(sample.name, labels).set(sample.value as f64);
        }
    }
}
