//! What a request used, by part.

mod providers;

use std::collections::BTreeMap;

use super::model_prices::{STANDARD, service_tier};
use super::part::{CacheLifetime, Part, Side};
use crate::models::CyclesMetrics;

/// What one request used, by [`Part`].
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
/// // If a server reports nothing, what was counted applies.
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
    /// Whether each part was reported on its own, so that a later report replaces single parts. If not, plain tokens
    /// are what remains of a total.
    is_by_part: bool,
    /// Whether something was used that these numbers do not cover, whatever else is known.
    is_incomplete: bool,
    contradictions: Vec<String>,
}

impl Default for Usage {
    fn default() -> Self {
        Self::new()
    }
}

impl Usage {
    /// Creates a usage of nothing, to which [`with`](Self::with) can add.
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

    /// Creates a usage of which nothing is known.
    pub fn unknown() -> Self {
        Self {
            knows_input: false,
            knows_output: false,
            ..Self::new()
        }
    }

    /// Creates a usage of `input` tokens for the prompt and `output` tokens for the answer, each in total.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self::new().with(Part::Input, input).with(Part::Output, output)
    }

    /// Adds this many of a part to what is already counted. If they are already in a total, use
    /// [`of_which`](Self::of_which).
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

    /// Says that this many of the tokens counted as plain input or output belong to this part: cached and reasoning
    /// tokens, for example, are reported together with the total that includes them. If there are not that many, that
    /// is a [contradiction](Self::contradictions), and both numbers count in full, so that neither is undercounted.
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

    /// Sets the service tier that the request was served in, if the provider's answer does not name it.
    pub fn in_service_tier(mut self, name: &str) -> Self {
        self.service_tier = Some(service_tier(name));
        self
    }

    /// The service tier in lower case, `standard` for the default one; `None` if it is not known, which costs the same
    /// as the standard one.
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// How many of this part were used.
    pub fn count(&self, part: &Part) -> u64 {
        self.counts.get(part).copied().unwrap_or_default()
    }

    /// All tokens of the prompt: plain, read from the cache, written to it, and media.
    pub fn input_tokens(&self) -> u64 {
        self.sum(Side::Input)
    }

    /// All tokens of the answer, including reasoning and media.
    pub fn output_tokens(&self) -> u64 {
        self.sum(Side::Output)
    }

    /// Whether both the prompt's tokens and the answer's are known.
    pub fn is_known(&self) -> bool {
        self.knows(Side::Input) && self.knows(Side::Output)
    }

    /// Whether nothing at all is counted, which cannot be the usage of a request.
    pub fn is_zero(&self) -> bool {
        self.counts.values().all(|count| *count == 0)
    }

    /// The contradictions in the numbers that were reported, as sentences. Both numbers were counted.
    pub fn contradictions(&self) -> &[String] {
        &self.contradictions
    }

    /// Says that an answer was received: if no tokens are counted for it, its size is unknown and not 0.
    pub fn with_an_answer(mut self) -> Self {
        self.knows_output &= self.output_tokens() > 0;
        self
    }

    /// Fills in what you counted while the answer arrived: the prompt's tokens if the provider reports none, and the
    /// answer's tokens if it reports fewer, or none.
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

    /// Updates the usage with a later report about the same request, as streams send them. Each report has the totals
    /// so far: what the later one says about the prompt or the answer replaces the earlier numbers, unless it is zero.
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
        // A stream's last event names the service tier. Anthropic's may name only one of several peculiarities, so a
        // `standard` in it does not replace what is known.
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
            // If the report does not say how long writes are kept, this is their total; those for an hour are known.
            if *part == Part::CacheWrite(CacheLifetime::Default) && later.count(&hour) == 0 {
                known = self.count(&hour);
            }
            // Likewise for the answer, if the report does not say how much of it is reasoning.
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

    /// Whether the usage lacks the number of a counted part. If it has tokens of the same side, they cover its images
    /// and seconds too.
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
