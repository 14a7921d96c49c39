//! With the feature `metrics`, the statistics go to the recorder of the crate of that name.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cycles_sandbox::Sandbox;
use cycles_tokio::models::Amount;
use cycles_tokio::{CyclesClient, WithCyclesConfig, with_cycles};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Every value by its name and labels.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Recorded {
    fn value(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn get(&self, name: &str) -> Option<u64> {
        let values = self.0.lock().unwrap();
        values.get(name).map(|value| value.load(Ordering::SeqCst))
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn the_numbers_of_the_statistics_are_in_the_recorder_after_each_event() {
    let recorded = Recorded::default();
    metrics::set_global_recorder(recorded.clone()).unwrap();
    let sandbox = Sandbox::start().unwrap();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .build();
    for tokens in [3, 5] {
        let config = WithCyclesConfig::new(Amount::tokens(100));
        with_cycles(&client, config, async |_| Ok(((), Amount::tokens(tokens))))
            .await
            .unwrap();
    }
    assert_eq!(recorded.get("cycles_committed_total tenant=acme-corp"), Some(2));
    let charged = recorded.get("cycles_charged_total tenant=acme-corp unit=TOKENS");
    assert_eq!(charged, Some(8));
    let live = recorded.get("cycles_live_reservations tenant=acme-corp");
    assert_eq!(live.map(f64::from_bits), Some(0.0));
}
