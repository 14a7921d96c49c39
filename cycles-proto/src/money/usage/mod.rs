//! What a request has used, by part.

mod providers;

use std::collections::BTreeMap;

use super::model_prices::{STANDARD, service_tier};
use super::part::{CacheLifetime, Part, Side};
use crate::models::CyclesMetrics;

/// What one request has used, by [`Part`].
///
/// Missing is not zero: a usage that the provider does not report is [unknown](Self::unknown), and has no cost until
/// [`or_counted`](Self::or_counted) says what was counted.
///
/// ```
/// use cycles_proto::money::{Part, Usage};
/// use serde_json::json;
///
/// let usage = Usage::tokens(1_000, 200)
///     .of_which(Part::CachedInput, 800)
///     .of_which(Part::Reasoning, 150);
/// assert_eq!(usage.count(&Part::Input), 200);
///
/// // Or from what the provider says.
/// let usage = Usage::from_anthropic(&json!({"usage": {
///     "input_tokens": 200, "cache_read_input_tokens": 800, "output_tokens": 200,
/// }}));
/// assert_eq!((usage.input_tokens(), usage.output_tokens()), (1_000, 200));
///
/// // A server that reports nothing: what was counted holds.
/// let usage = Usage::from_openai(&json!({"choices": []})).or_counted(&Usage::tokens(1_000, 12));
/// assert_eq!(usage.output_tokens(), 12);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a usage costs nothing until its cost is charged"]
pub struct Usage {
    counts: BTreeMap<Part, u64>,
    knows_input: bool,
    knows_output: bool,
    service_tier: Option<String>,
    /// Whether each part was reported by itself, so that a later report replaces part by part. Otherwise plain tokens
    /// are what is left of a total.
    is_by_part: bool,
    /// Whether something was used that these numbers cannot tell, whatever else is known.
    is_incomplete: bool,
    contradictions: Vec<String>,
}

impl Default for Usage {
    fn default() -> Self {
        Self::new()
    }
}

impl Usage {
    /// Nothing was used, until [`with`](Self::with) says more.
    pub fn new() -> Self {
        Self {
            counts: BTreeMap::new(),
            knows_input: true,
            knows_output: true,
            service_tier: None,
            is_by_part: false,
            is_incomplete: false,
            contradictions: Vec::new(),
        }
    }

    /// It is not known what was used.
    pub fn unknown() -> Self {
        Self {
            knows_input: false,
            knows_output: false,
            ..Self::new()
        }
    }

    /// A prompt of `input` tokens and an answer of `output` tokens, each in total.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self::new().with(Part::Input, input).with(Part::Output, output)
    }

    /// Adds this many of a part, beside what is counted already: see [`of_which`](Self::of_which) for a part of it.
    pub fn with(mut self, part: Part, count: u64) -> Self {
        match part.side() {
            Side::Input => self.knows_input = true,
            Side::Output => self.knows_output = true,
            Side::Count => {}
        }
        let counted = self.counts.entry(part).or_default();
        *counted = counted.saturating_add(count);
        self
    }

    /// Says that this many of the tokens that are counted as plain input or output are of this part, as a cached or a
    /// reasoning part is reported beside its total. If there are not as many, that is a
    /// [contradiction](Self::contradictions), and both numbers count in full, so that neither is undercounted.
    pub fn of_which(mut self, part: Part, count: u64) -> Self {
        let whole = match part.side() {
            Side::Input => Part::Input,
            Side::Output => Part::Output,
            Side::Count => return self.with(part, count),
        };
        if part == whole {
            return self;
        }
        let plain = self.count(&whole);
        match plain.checked_sub(count) {
            Some(left) => {
                self.counts.insert(whole, left);
            }
            None => self.contradict(format!(
                "{count} {part} tokens are more than the {plain} {whole} tokens that they are part of"
            )),
        }
        self.with(part, count)
    }

    /// Says which service tier the request was served in, if that is not in the provider's answer.
    pub fn in_service_tier(mut self, name: &str) -> Self {
        self.service_tier = Some(service_tier(name));
        self
    }

    /// The service tier in lower case, `standard` for the default one; `None` if nothing says which, which costs as the
    /// standard one.
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// How many of this part were used.
    pub fn count(&self, part: &Part) -> u64 {
        self.counts.get(part).copied().unwrap_or_default()
    }

    /// All tokens of the prompt: plain, from the cache, written to it, and of media.
    pub fn input_tokens(&self) -> u64 {
        self.sum(Side::Input)
    }

    /// All tokens of the answer, with reasoning and media.
    pub fn output_tokens(&self) -> u64 {
        self.sum(Side::Output)
    }

    /// Whether both the prompt's tokens and the answer's are known.
    pub fn is_known(&self) -> bool {
        self.knows(Side::Input) && self.knows(Side::Output)
    }

    /// Whether nothing at all is counted, which is not the usage of any request.
    pub fn is_zero(&self) -> bool {
        self.counts.values().all(|count| *count == 0)
    }

    /// What does not fit together in the numbers that were reported, as sentences. Both numbers were counted.
    pub fn contradictions(&self) -> &[String] {
        &self.contradictions
    }

    /// Says that an answer was seen: then an answer of no tokens is one whose size is not known.
    pub fn with_an_answer(mut self) -> Self {
        self.knows_output &= self.output_tokens() > 0;
        self
    }

    /// Fills in what was counted while the answer came: the prompt's tokens where the provider reports none, and the
    /// answer's tokens where it reports fewer, or none.
    pub fn or_counted(mut self, counted: &Self) -> Self {
        if self.input_tokens() == 0 {
            self.take(Side::Input, counted);
        }
        match counted.output_tokens().checked_sub(self.output_tokens()) {
            Some(_) if self.output_tokens() == 0 => self.take(Side::Output, counted),
            Some(more) => self = self.with(Part::Output, more),
            None => {}
        }
        for (part, count) in counted
            .counts
            .iter()
            .filter(|(part, _)| part.side() == Side::Count)
        {
            self.counts.entry(part.clone()).or_insert(*count);
        }
        self.service_tier = self.service_tier.or_else(|| counted.service_tier.clone());
        self
    }

    /// The usage after a later report about the same request, as streams send them. Each report holds the totals so
    /// far: what the later one says about the prompt or the answer replaces what was said before, unless it is zero.
    pub fn followed_by(mut self, later: &Self) -> Self {
        if later.is_by_part {
            self.replace_parts(later);
        } else {
            for side in [Side::Input, Side::Output] {
                if later.knows(side) && (later.sum(side) > 0 || !self.knows(side)) {
                    self.take(side, later);
                }
            }
            let counted = later.counts.iter().filter(|(part, _)| part.side() == Side::Count);
            self.counts
                .extend(counted.map(|(part, count)| (part.clone(), *count)));
        }
        self.is_incomplete |= later.is_incomplete;
        // A stream's last event tells where the request was served; Anthropic's tells of one peculiarity of several.
        let is_plain = later.service_tier.as_deref() == Some(STANDARD) && later.is_by_part;
        if later.service_tier.is_some() && !(is_plain && self.service_tier.is_some()) {
            self.service_tier.clone_from(&later.service_tier);
        }
        for problem in &later.contradictions {
            self.contradict(problem.clone());
        }
        self
    }

    /// Replaces the parts that a later report has, unless they are zero there.
    fn replace_parts(&mut self, later: &Self) {
        let hour = Part::CacheWrite(CacheLifetime::OneHour);
        for (part, count) in later.counts.iter().filter(|(_, count)| **count > 0) {
            let mut known = 0;
            // A total of the writes, if the report does not say for how long: those for an hour are known.
            if *part == Part::CacheWrite(CacheLifetime::Default) && later.count(&hour) == 0 {
                known = self.count(&hour);
            }
            // Likewise the answer, if the report does not say how much of it is reasoning.
            if *part == Part::Output && later.count(&Part::Reasoning) == 0 {
                known = self.count(&Part::Reasoning);
            }
            self.counts.insert(part.clone(), count.saturating_sub(known));
        }
        self.knows_input |= later.knows_input;
        self.knows_output |= later.knows_output;
        self.is_by_part = true;
    }

    fn contradict(&mut self, problem: String) {
        if !self.contradictions.contains(&problem) {
            self.contradictions.push(problem);
        }
    }

    /// The metrics for a commit: all input tokens, and all output tokens including reasoning.
    pub fn metrics(&self) -> CyclesMetrics {
        let tokens = |side| {
            self.knows(side)
                .then(|| i64::try_from(self.sum(side)).ok())
                .flatten()
        };
        CyclesMetrics {
            tokens_input: tokens(Side::Input),
            tokens_output: tokens(Side::Output),
            ..Default::default()
        }
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&Part, u64)> {
        self.counts.iter().map(|(part, count)| (part, *count))
    }

    /// Whether it does not say how many of a counted part there were. Where the tokens of the same side are known, they
    /// stand for its images and seconds.
    pub(super) fn leaves_open(&self, part: &Part) -> bool {
        let by_input = matches!(part, Part::InputImage | Part::InputSecond | Part::InputCharacter);
        let by_output = matches!(
            part,
            Part::OutputImage | Part::OutputSecond | Part::OutputCharacter
        );
        let by_tokens = by_input && self.input_tokens() > 0 || by_output && self.output_tokens() > 0;
        !by_tokens && !self.counts.contains_key(part)
    }

    pub(super) fn knows(&self, side: Side) -> bool {
        match side {
            Side::Input => self.knows_input && !self.is_incomplete,
            Side::Output => self.knows_output && !self.is_incomplete,
            Side::Count => true,
        }
    }

    fn sum(&self, side: Side) -> u64 {
        let counts = self.counts.iter().filter(|(part, _)| part.side() == side);
        counts.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Takes over everything that `other` knows about a side.
    fn take(&mut self, side: Side, other: &Self) {
        self.counts.retain(|part, _| part.side() != side);
        let theirs = other.counts.iter().filter(|(part, _)| part.side() == side);
        self.counts
            .extend(theirs.map(|(part, count)| (part.clone(), *count)));
        match side {
            Side::Input => self.knows_input = other.knows_input,
            Side::Output => self.knows_output = other.knows_output,
            Side::Count => {}
        }
    }
}
