//! What the metadata of a run's commit says about its steps.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::outcome::ActualSource;

/// How many names a summary has. The steps under further names are counted together.
const NAMES: usize = 32;

/// The longest name, in bytes; a longer one is cut.
const LONGEST: usize = 64;

/// The member of a commit's metadata that has the summary.
pub(crate) const SUMMARY: &str = "cycles_run";

/// The member of the summary with the estimates of the steps whose requests have left.
pub(crate) const DISPATCHED: &str = "dispatched";

/// The finished steps of a run, by name.
#[derive(Debug, Default)]
pub(super) struct Summary {
    steps: u64,
    names: BTreeMap<Box<str>, Sum>,
    /// The steps under names that came when there were enough.
    others: Sum,
    /// The steps that ended without a cost of their own, and are charged what they had reported.
    partial: u64,
    /// The steps that ended without a cost of their own, and are charged their estimates.
    estimated: u64,
    /// The steps that ended without a cost, and are not charged although something may have been spent.
    unknown: u64,
}

#[derive(Debug, Default)]
struct Sum {
    steps: u64,
    amount: i64,
}

impl Sum {
    fn add(&mut self, amount: i64) {
        self.steps += 1;
        // Never more than the total of the run, which is a valid amount.
        self.amount = self.amount.saturating_add(amount);
    }

    fn to_json(&self) -> Value {
        json!({"steps": self.steps, "amount": self.amount})
    }
}

impl Summary {
    pub(super) fn note(&mut self, name: Option<&str>, amount: i64, source: ActualSource) {
        self.steps += 1;
        match source {
            ActualSource::Action => {}
            ActualSource::Partial => self.partial += 1,
            ActualSource::Estimate => self.estimated += 1,
        }
        let Some(name) = name.map(cut) else { return };
        if let Some(sum) = self.names.get_mut(name) {
            sum.add(amount);
        } else if self.names.len() < NAMES {
            let mut sum = Sum::default();
            sum.add(amount);
            self.names.insert(name.into(), sum);
        } else {
            self.others.add(amount);
        }
    }

    pub(super) fn note_unknown(&mut self) {
        self.unknown += 1;
    }

    /// Where the total comes from, if some steps did not report their cost.
    pub(super) fn source(&self) -> Option<ActualSource> {
        match (self.estimated, self.partial + self.unknown) {
            (1.., _) => Some(ActualSource::Estimate),
            (0, 1..) => Some(ActualSource::Partial),
            (0, 0) => None,
        }
    }

    /// `{"steps": 3, "by_name": {"search": {"steps": 2, "amount": 40}}, "other_names": {"steps": 1, "amount": 7},
    /// "partial_steps": 1, "estimated_steps": 1, "unknown_steps": 1, "dispatched": 90}`; all but the first only if there are
    /// any. The last are the estimates of steps whose requests had left and whose cost is not known yet.
    pub(super) fn to_json(&self, dispatched: i64) -> Value {
        let mut json = Map::new();
        json.insert("steps".to_owned(), self.steps.into());
        if !self.names.is_empty() {
            let names = self
                .names
                .iter()
                .map(|(name, sum)| (name.to_string(), sum.to_json()));
            json.insert("by_name".to_owned(), Value::Object(names.collect()));
        }
        if self.others.steps > 0 {
            json.insert("other_names".to_owned(), self.others.to_json());
        }
        for (name, steps) in [
            ("partial_steps", self.partial),
            ("estimated_steps", self.estimated),
            ("unknown_steps", self.unknown),
        ] {
            if steps > 0 {
                json.insert(name.to_owned(), steps.into());
            }
        }
        if dispatched > 0 {
            json.insert(DISPATCHED.to_owned(), dispatched.into());
        }
        Value::Object(json)
    }
}

/// The name, cut at the end of a character.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
