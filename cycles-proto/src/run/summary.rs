//! What the metadata of a run's commit says about its steps.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// How many names a summary has. The steps under further names are counted together.
const NAMES: usize = 32;

/// The longest name, in bytes; a longer one is cut.
const LONGEST: usize = 64;

/// The finished steps of a run, by name.
#[derive(Debug, Default)]
pub(super) struct Summary {
    steps: u64,
    names: BTreeMap<Box<str>, Sum>,
    /// The steps under names that came when there were enough.
    others: Sum,
    /// The steps that ended without a cost of their own, and are charged what they had reported.
    partial: u64,
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
    pub(super) fn note(&mut self, name: Option<&str>, amount: i64) {
        self.steps += 1;
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

    pub(super) fn note_partial(&mut self) {
        self.partial += 1;
    }

    /// `{"steps": 3, "by_name": {"search": {"steps": 2, "amount": 40}}, "other_names": {"steps": 1, "amount": 7},
    /// "partial_steps": 1}`; all but the first only if there are any.
    pub(super) fn to_json(&self) -> Value {
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
        if self.partial > 0 {
            json.insert("partial_steps".to_owned(), self.partial.into());
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
