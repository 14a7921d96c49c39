//! Reads the usage that providers report. Numbers that are null or missing count as unknown, other members are ignored,
//! and nothing here fails: a usage that cannot be read is unknown.

use serde::Serialize;
use serde_json::Value;

use super::Usage;
use crate::money::part::{CacheLifetime, Part, Side};

/// OpenAI's tools that are charged per call, by the type of their items in a response.
const CALLS: [(&str, &str); 4] = [
    ("web_search_call", "web_search"),
    ("file_search_call", "file_search"),
    ("code_interpreter_call", "code_interpreter"),
    ("image_generation_call", "image_generation"),
];

/// Anthropic's tools that cost nothing beyond their tokens.
const FREE: [&str; 2] = ["web_fetch", "tool_search"];

impl Usage {
    /// Reads the `usage` of OpenAI, and of the many servers that speak its protocols. It covers chat completions,
    /// responses, embeddings, transcriptions and images. Takes the answer, a chunk or an event of a stream, a line of a
    /// batch's results, or the `usage` object alone. The answer also has the service tier, and the tool calls in its
    /// `output`.
    pub fn from_openai(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let response = answer.object("response").unwrap_or(answer);
        let batched = response.object("body");
        let response = batched.unwrap_or(response);
        let told = response.object("usage").or_else(|| answer.object("usage"));
        let told = told.or_else(|| answer.object("x_groq")?.object("usage"));
        let usage = told.unwrap_or(answer);
        let prompt = usage.number(&["prompt_tokens"]);
        let written = usage.number(&["cache_creation_input_tokens"]);
        if prompt.is_none() && (written.is_some() || usage.number(&["cache_read_input_tokens"]).is_some()) {
            return Self::from_anthropic(answer.0);
        }
        let input = prompt.or_else(|| usage.number(&["input_tokens"]));
        let reported = usage.number(&["completion_tokens", "output_tokens"]);
        // Embeddings have no answer; some servers report only the total, and some report reasoning separately.
        let rest = usage.number(&["total_tokens"]).zip(input);
        let rest = rest.map(|(total, input)| total.saturating_sub(input));
        let output = reported.max(rest);
        let mut read = Self::unknown();
        read.tell_of_rest(reported, rest);
        let details = usage.first(&[
            "prompt_tokens_details",
            "input_tokens_details",
            "input_token_details",
        ]);
        let cached = details.first(&["cached_tokens_details"]);
        let (audio, image) = (details.count("audio_tokens"), details.count("image_tokens"));
        let from_cache = details.number(&["cached_tokens"]);
        let from_cache = from_cache.unwrap_or_else(|| usage.count("prompt_cache_hit_tokens"));
        let (cached_audio, cached_image) = (cached.count("audio_tokens"), cached.count("image_tokens"));
        let cached_text = from_cache
            .saturating_sub(cached_audio)
            .saturating_sub(cached_image);
        let written = details.number(&["cache_write_tokens"]).or(written);
        let written = written
            .or_else(|| details.number(&["cache_creation_tokens"]))
            .unwrap_or_default();
        let lifetimes = details.first(&["cache_creation_token_details"]);
        let hour = lifetimes.count("ephemeral_1h_input_tokens");
        read.split(
            Part::Input,
            input,
            &[
                (Part::AudioInput, audio.saturating_sub(cached_audio)),
                (Part::CacheWrite(CacheLifetime::OneHour), hour),
                (
                    Part::CacheWrite(CacheLifetime::Default),
                    written.saturating_sub(hour),
                ),
                (Part::ImageInput, image.saturating_sub(cached_image)),
                (Part::CachedAudioInput, cached_audio),
                (Part::CachedImageInput, cached_image),
                (Part::CachedInput, cached_text),
            ],
        );
        // Tokens that were read from the cache were not written to it as well.
        if from_cache.saturating_add(written) > input.unwrap_or(u64::MAX) && read.contradictions.is_empty() {
            read.contradict(format!(
                "{from_cache} cached and {written} written tokens are more than the prompt's tokens"
            ));
            read.counts.insert(Part::CachedInput, cached_text);
        }
        let details = usage.first(&[
            "completion_tokens_details",
            "output_tokens_details",
            "output_token_details",
        ]);
        read.split(
            Part::Output,
            output,
            &[
                (Part::AudioOutput, details.count("audio_tokens")),
                (Part::ImageOutput, details.count("image_tokens")),
                (Part::Reasoning, details.count("reasoning_tokens")),
            ],
        );
        // Perplexity does not include them in the answer's tokens.
        if let Some(reasoning) = usage.number(&["reasoning_tokens"]) {
            read = read.with(Part::Reasoning, reasoning);
        }
        read.doubt_zeros();
        // Transcriptions that are priced by time.
        if let (Some(seconds), false) = (usage.number(&["seconds"]), read.is_known()) {
            read = read.with(Part::InputSecond, seconds);
            (read.knows_input, read.knows_output) = (true, true);
        }
        for (kind, tool) in CALLS {
            let calls = response
                .list("output")
                .filter(|item| item.text("type") == Some(kind));
            // A search may also open a page that it found, which costs nothing extra.
            let calls = calls.filter(|item| {
                let action = item.object("action").and_then(|action| action.text("type"));
                action.is_none_or(|action| action == "search")
            });
            read.tool_calls(tool, u64::try_from(calls.count()).unwrap_or(u64::MAX));
        }
        read.server_tools(usage);
        // Perplexity searches once per request, unless it reports a number.
        let searches = usage.number(&["num_search_queries"]);
        let searches = searches.or_else(|| usage.text("search_context_size").map(|_| 1));
        read.tool_calls("web_search", searches.unwrap_or_default());
        let tier = batched.map(|_| "batch").or_else(|| response.text("service_tier"));
        read.told_tier(tier)
    }

    /// Reads the `usage` that Anthropic reports. Takes a message, a `message_start` or `message_delta` of a stream, a
    /// line of a batch's results, or the `usage` object alone. See [`followed_by`](Self::followed_by) for streams. What
    /// compaction used is included. If another model worked on the answer too (an advisor, a fallback), the usage is
    /// unknown, because one model's prices do not apply to all of it.
    pub fn from_anthropic(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let result = answer.object("result").unwrap_or(answer);
        let message = result.object("message").unwrap_or(result);
        let told = message.object("usage").or_else(|| answer.object("usage"));
        let usage = told.unwrap_or(answer);
        let mut read = Self::anthropic_tokens(usage);
        for pass in usage.list("iterations") {
            match pass.text("type") {
                // Already in the totals.
                Some("message") | None => {}
                Some("compaction") => {
                    for (part, count) in Self::anthropic_tokens(pass).counts {
                        read = read.with(part, count);
                    }
                }
                Some(_) => {
                    read.is_incomplete = true;
                    read.contradict("another model worked on the answer, at prices of its own".to_owned());
                }
            }
        }
        read.doubt_zeros();
        read.server_tools(usage);
        read.is_by_part = true;
        // Anything that differs from the standard has prices of its own, and so does a combination.
        let tier = [
            usage.text("service_tier"),
            usage.text("speed"),
            usage.text("inference_geo").filter(|geo| *geo == "us"),
        ];
        let special: Vec<_> = tier
            .iter()
            .flatten()
            .copied()
            .filter(|name| *name != "standard")
            .collect();
        let standard = tier.iter().flatten().next().map(|_| "standard".to_owned());
        let tier = Some(special.join("+"))
            .filter(|special| !special.is_empty())
            .or(standard);
        read.told_tier(tier.as_deref())
    }

    fn anthropic_tokens(usage: Node<'_>) -> Self {
        let lifetimes = usage.first(&["cache_creation"]);
        let hour = lifetimes.number(&["ephemeral_1h_input_tokens"]);
        let short = lifetimes.number(&["ephemeral_5m_input_tokens"]);
        let total = usage.number(&["cache_creation_input_tokens"]);
        let rest = total.map(|total| total.saturating_sub(hour.unwrap_or_default()));
        let mut read = Self::unknown();
        let parts = [
            (Part::Input, usage.number(&["input_tokens"])),
            (Part::CachedInput, usage.number(&["cache_read_input_tokens"])),
            (Part::CacheWrite(CacheLifetime::Default), rest.max(short)),
            (Part::CacheWrite(CacheLifetime::OneHour), hour),
        ];
        for (part, count) in parts {
            if let Some(count) = count {
                read.counts.insert(part, count);
            }
        }
        // The prompt's other members mean nothing without this one.
        read.knows_input = read.counts.contains_key(&Part::Input);
        let thinking = usage.first(&["output_tokens_details"]).count("thinking_tokens");
        read.split(
            Part::Output,
            usage.number(&["output_tokens"]),
            &[(Part::Reasoning, thinking)],
        );
        read
    }

    /// Reads the `usageMetadata` of Gemini, from the developer API or Vertex AI. Takes an answer, a chunk of a stream,
    /// or the `usageMetadata` object alone. The answer also has the queries of grounding with Google Search, which
    /// count as calls to `web_search`.
    pub fn from_gemini(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let answer = answer.object("response").unwrap_or(answer);
        let usage = answer.object("usageMetadata").unwrap_or(answer);
        let (tools, thoughts) = (
            usage.count("toolUsePromptTokenCount"),
            usage.count("thoughtsTokenCount"),
        );
        let prompt = usage.number(&["promptTokenCount"]);
        let input = prompt.map(|prompt| prompt.saturating_add(tools));
        let reported = usage.number(&["candidatesTokenCount", "responseTokenCount"]);
        let rest = usage.number(&["totalTokenCount"]).zip(input);
        let rest = rest.map(|(total, input)| total.saturating_sub(input).saturating_sub(thoughts));
        let output = reported.max(rest);
        let of = |lists: &[&str], kind: &str| {
            let items = lists.iter().flat_map(|list| usage.list(list));
            let items = items.filter(|item| item.text("modality") == Some(kind));
            items.fold(0_u64, |sum, item| sum.saturating_add(item.count("tokenCount")))
        };
        let prompts = ["promptTokensDetails", "toolUsePromptTokensDetails"];
        let cached = ["cacheTokensDetails"];
        let (cached_audio, cached_image) = (of(&cached, "AUDIO"), of(&cached, "IMAGE"));
        let from_cache = usage.count("cachedContentTokenCount");
        // Cached video costs the same as cached text.
        let cached_text = from_cache
            .saturating_sub(cached_audio)
            .saturating_sub(cached_image);
        let mut read = Self::unknown();
        read.tell_of_rest(reported, rest);
        read.split(
            Part::Input,
            input,
            &[
                (
                    Part::AudioInput,
                    of(&prompts, "AUDIO").saturating_sub(cached_audio),
                ),
                (
                    Part::VideoInput,
                    of(&prompts, "VIDEO").saturating_sub(of(&cached, "VIDEO")),
                ),
                (
                    Part::ImageInput,
                    of(&prompts, "IMAGE").saturating_sub(cached_image),
                ),
                (Part::CachedAudioInput, cached_audio),
                (Part::CachedImageInput, cached_image),
                (Part::CachedInput, cached_text),
            ],
        );
        let answers = ["candidatesTokensDetails", "responseTokensDetails"];
        read.split(
            Part::Output,
            output,
            &[
                (Part::AudioOutput, of(&answers, "AUDIO")),
                (Part::VideoOutput, of(&answers, "VIDEO")),
                (Part::ImageOutput, of(&answers, "IMAGE")),
            ],
        );
        if read.knows_output {
            read = read.with(Part::Reasoning, thoughts);
        }
        read.doubt_zeros();
        let grounding = answer
            .list("candidates")
            .filter_map(|candidate| candidate.object("groundingMetadata"));
        let queries = grounding
            .map(|grounding| grounding.list("webSearchQueries").count())
            .sum::<usize>();
        read.tool_calls("web_search", u64::try_from(queries).unwrap_or(u64::MAX));
        read.told_tier(usage.text("serviceTier").or_else(|| usage.text("trafficType")))
    }

    /// Reads the `usage` of Amazon Bedrock's Converse. Takes an answer, the `metadata` event of a stream, or the
    /// `usage` object alone. `InvokeModel` answers in the format of the model's provider: read those with the other
    /// functions.
    pub fn from_bedrock(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let event = answer.object("metadata").unwrap_or(answer);
        let usage = event.object("usage").unwrap_or(event);
        let details = usage
            .list("cacheDetails")
            .filter(|item| item.text("ttl") == Some("1h"));
        let hour = details.fold(0_u64, |sum, item| sum.saturating_add(item.count("inputTokens")));
        let mut read = Self::unknown();
        if let Some(input) = usage.number(&["inputTokens"]) {
            let written = usage
                .number(&["cacheWriteInputTokens", "cacheWriteInputTokenCount"])
                .unwrap_or_default();
            let cached = usage
                .number(&["cacheReadInputTokens", "cacheReadInputTokenCount"])
                .unwrap_or_default();
            read = read
                .with(Part::Input, input)
                .with(Part::CachedInput, cached)
                .with(
                    Part::CacheWrite(CacheLifetime::Default),
                    written.saturating_sub(hour),
                )
                .with(Part::CacheWrite(CacheLifetime::OneHour), hour);
        }
        let reported = usage.number(&["outputTokens"]);
        let rest = usage.number(&["totalTokens"]).filter(|_| read.knows_input);
        let rest = rest.map(|total| total.saturating_sub(read.input_tokens()));
        read.tell_of_rest(reported, rest);
        read.split(Part::Output, reported.max(rest), &[]);
        read.doubt_zeros();
        read.tool_calls(
            "web_search",
            usage.first(&["serverToolUsage"]).count("webSearchRequests"),
        );
        let tier = event.object("serviceTier").and_then(|tier| tier.text("type"));
        read.told_tier(tier.or_else(|| event.text("serviceTier")))
    }

    /// Counts a side whose parts are reported together with its total. The most expensive parts come first, because
    /// parts may overlap: cached audio does, if the provider reports only the audio tokens and the cached tokens.
    fn split(&mut self, whole: Part, total: Option<u64>, parts: &[(Part, u64)]) {
        let Some(total) = total else { return };
        let mut left = total;
        for (part, count) in parts.iter().filter(|(_, count)| *count > 0) {
            let counted = left.min(*count);
            if *count > total {
                // They cannot be part of the total, so they count in addition to it.
                self.contradict(format!(
                    "{count} {part} tokens are more than the {total} {whole} tokens that they are part of"
                ));
                self.counts.insert(part.clone(), *count);
            } else {
                left -= counted;
                self.counts.insert(part.clone(), counted);
            }
        }
        match whole.side() {
            Side::Input => self.knows_input = true,
            Side::Output => self.knows_output = true,
            Side::Count => {}
        }
        self.counts.insert(whole, left);
    }

    /// Notes the contradiction if the answer is smaller than the total implies. The total counts.
    fn tell_of_rest(&mut self, reported: Option<u64>, rest: Option<u64>) {
        if let (Some(reported), Some(rest)) = (reported, rest)
            && rest > reported
        {
            self.contradict(format!(
                "{reported} output tokens are fewer than the {rest} that remain when the prompt is subtracted from the total"
            ));
        }
    }

    /// Treats zeros as unknown: a request without a prompt has no answer, and one without both was not counted.
    fn doubt_zeros(&mut self) {
        if self.input_tokens() == 0 {
            self.knows_input = false;
            self.knows_output &= self.output_tokens() > 0;
        }
    }

    /// Counts the tools that the provider ran, as reported in Anthropic's format.
    fn server_tools(&mut self, usage: Node<'_>) {
        if let Some(Value::Object(tools)) = usage.0.get("server_tool_use") {
            for (name, count) in tools {
                let tool = name.strip_suffix("_requests").unwrap_or(name);
                if !FREE.contains(&tool) {
                    self.tool_calls(tool, number(count).unwrap_or_default());
                }
            }
        }
    }

    fn tool_calls(&mut self, tool: &str, count: u64) {
        if count > 0 {
            self.counts.insert(Part::tool_call(tool.to_owned()), count);
        }
    }

    /// Sets the service tier that served the request. `auto` is ignored, because it is only what was asked for.
    fn told_tier(self, tier: Option<&str>) -> Self {
        let tier = tier.unwrap_or_default().to_ascii_lowercase();
        let tier = tier.strip_prefix("service_tier_").unwrap_or(&tier);
        let tier = tier.strip_prefix("on_demand_").unwrap_or(tier);
        match tier {
            "" | "auto" | "unspecified" | "traffic_type_unspecified" => self,
            tier => self.in_service_tier(tier),
        }
    }
}

/// Converts the answer to JSON. If that is not possible, it reports no usage.
fn json(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

/// A JSON value about which nothing is assumed.
#[derive(Clone, Copy, Debug)]
struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    /// The member, if it is an object.
    fn object(self, name: &str) -> Option<Self> {
        self.0.get(name).filter(|value| value.is_object()).map(Node)
    }

    /// The first of these members that is an object, or null.
    fn first(self, names: &[&str]) -> Self {
        let found = names.iter().find_map(|name| self.object(name));
        found.unwrap_or(Node(&Value::Null))
    }

    /// The first of these members that is a count.
    fn number(self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| number(self.0.get(name)?))
    }

    /// The member as a count, or 0.
    fn count(self, name: &str) -> u64 {
        self.number(&[name]).unwrap_or_default()
    }

    fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    fn list(self, name: &str) -> impl Iterator<Item = Self> + use<'a> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().map(Node)
    }
}

/// Parses a count. Fractions, which seconds may have, are rounded up.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let float = value.as_f64().filter(|float| (0.0..9e15).contains(float))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is in range and whole"
        )]
        let whole = float.ceil() as u64;
        Some(whole)
    })
}
