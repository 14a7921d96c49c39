//! Reads the usage that providers report. Members that are null or missing are not known, unknown members are ignored,
//! and nothing here fails: a usage that cannot be read is unknown.

use serde::Serialize;
use serde_json::Value;

use super::Usage;
use crate::money::part::{CacheLifetime, Part};

impl Usage {
    /// Reads OpenAI's `usage`, and that of the many servers that speak its protocols: of chat completions, responses,
    /// embeddings, transcriptions and images. Takes the answer, a chunk or an event of a stream, or the `usage` object
    /// alone; the answer also has the service tier, and the calls of web and file search among its `output`.
    pub fn from_openai(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let response = answer.object("response").unwrap_or(answer);
        let told = response.object("usage").or_else(|| answer.object("usage"));
        let usage = told.unwrap_or(answer);
        let input = usage.number(&["prompt_tokens", "input_tokens"]);
        let total = usage.number(&["total_tokens"]);
        let output = usage.number(&["completion_tokens", "output_tokens"]).or_else(|| {
            // Embeddings have no answer; some servers give the total only.
            Some(total?.saturating_sub(input?))
        });
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
        let written = details.count("cache_write_tokens");
        let mut read = Self::unknown();
        read.input(
            input,
            &[
                (Part::AudioInput, audio.saturating_sub(cached_audio)),
                (Part::ImageInput, image.saturating_sub(cached_image)),
                (Part::CachedAudioInput, cached_audio),
                (Part::CachedImageInput, cached_image),
                (Part::CacheWrite(CacheLifetime::Default), written),
                (Part::CachedInput, cached_text),
            ],
        );
        let details = usage.first(&[
            "completion_tokens_details",
            "output_tokens_details",
            "output_token_details",
        ]);
        read.output(
            output,
            &[
                (Part::AudioOutput, details.count("audio_tokens")),
                (Part::ImageOutput, details.count("image_tokens")),
                (Part::Reasoning, details.count("reasoning_tokens")),
            ],
        );
        // Transcriptions that are priced by time.
        if let Some(seconds) = usage.number(&["seconds"]) {
            read = read
                .with(Part::InputSecond, seconds)
                .with(Part::Input, 0)
                .with(Part::Output, 0);
        }
        for (kind, tool) in [
            ("web_search_call", "web_search"),
            ("file_search_call", "file_search"),
        ] {
            let calls = response
                .list("output")
                .filter(|item| item.text("type") == Some(kind));
            read.tool_calls(tool, u64::try_from(calls.count()).unwrap_or(u64::MAX));
        }
        read.told_tier(response.text("service_tier"))
    }

    /// Reads Anthropic's `usage`: of a message, of a `message_start` or `message_delta` of a stream, or the object
    /// alone. See [`followed_by`](Self::followed_by) for streams. Web fetches are left out, as they have no price; what
    /// compaction and advisors used is included.
    pub fn from_anthropic(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let message = answer.object("message").unwrap_or(answer);
        let told = message.object("usage").or_else(|| answer.object("usage"));
        let usage = told.unwrap_or(answer);
        let mut read = Self::anthropic_tokens(usage);
        // Each pass of the model, if there were several: their sum is billed, and the totals hold the last one only.
        let passes = usage.list("iterations").map(Self::anthropic_tokens);
        if let Some(passes) = passes.reduce(Self::plus)
            && passes.input_tokens().saturating_add(passes.output_tokens())
                > read.input_tokens().saturating_add(read.output_tokens())
        {
            read = passes;
        }
        if let Some(Value::Object(tools)) = usage.0.get("server_tool_use") {
            for (name, count) in tools {
                let tool = name.strip_suffix("_requests").unwrap_or(name);
                if tool != "web_fetch" {
                    read.tool_calls(tool, number(count).unwrap_or_default());
                }
            }
        }
        let speed = usage.text("speed").filter(|speed| *speed != "standard");
        read.told_tier(speed.or_else(|| usage.text("service_tier")))
    }

    fn anthropic_tokens(usage: Node<'_>) -> Self {
        let lifetimes = usage.first(&["cache_creation"]);
        let hour = lifetimes.count("ephemeral_1h_input_tokens");
        let written = usage.count("cache_creation_input_tokens").saturating_sub(hour);
        let short = written.max(lifetimes.count("ephemeral_5m_input_tokens"));
        let mut read = Self::unknown();
        if let Some(input) = usage.number(&["input_tokens"]) {
            read = read
                .with(Part::Input, input)
                .with(Part::CachedInput, usage.count("cache_read_input_tokens"))
                .with(Part::CacheWrite(CacheLifetime::Default), short)
                .with(Part::CacheWrite(CacheLifetime::OneHour), hour);
        }
        let thinking = usage.first(&["output_tokens_details"]).count("thinking_tokens");
        read.output(usage.number(&["output_tokens"]), &[(Part::Reasoning, thinking)]);
        read
    }

    /// Reads Gemini's `usageMetadata`, of the developer API or Vertex AI: of an answer, of a chunk of a stream, or the
    /// object alone. Grounding with Google's search is not in it: add it [`with`](Self::with) `Part::tool_call`.
    pub fn from_gemini(answer: &impl Serialize) -> Self {
        let answer = json(answer);
        let answer = Node(&answer);
        let usage = answer.object("usageMetadata").unwrap_or(answer);
        let (tools, thoughts) = (
            usage.count("toolUsePromptTokenCount"),
            usage.count("thoughtsTokenCount"),
        );
        let prompt = usage.number(&["promptTokenCount"]);
        let input = prompt.map(|prompt| prompt.saturating_add(tools));
        let output = usage
            .number(&["candidatesTokenCount", "responseTokenCount"])
            .or_else(|| {
                let rest = usage.number(&["totalTokenCount"])?.saturating_sub(input?);
                Some(rest.saturating_sub(thoughts))
            });
        let of = |lists: &[&str], kind: &str| {
            let items = lists.iter().flat_map(|list| usage.list(list));
            let items = items.filter(|item| item.text("modality") == Some(kind));
            items.fold(0_u64, |sum, item| sum.saturating_add(item.count("tokenCount")))
        };
        let prompts = ["promptTokensDetails", "toolUsePromptTokensDetails"];
        let cached = ["cacheTokensDetails"];
        let (cached_audio, cached_image) = (of(&cached, "AUDIO"), of(&cached, "IMAGE"));
        let from_cache = usage.count("cachedContentTokenCount");
        let cached_text = from_cache
            .saturating_sub(cached_audio)
            .saturating_sub(cached_image);
        let mut read = Self::unknown();
        read.input(
            input,
            &[
                (
                    Part::AudioInput,
                    of(&prompts, "AUDIO").saturating_sub(cached_audio),
                ),
                (Part::VideoInput, of(&prompts, "VIDEO")),
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
        read.output(
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
        let traffic = usage.text("trafficType").map(str::to_ascii_lowercase);
        let traffic = traffic
            .as_deref()
            .map(|name| name.strip_prefix("on_demand_").unwrap_or(name));
        read.told_tier(usage.text("serviceTier").or(traffic))
    }

    /// Reads the `usage` of Amazon Bedrock's Converse: of an answer, of the `metadata` of a stream, or the object
    /// alone. `InvokeModel` answers as the model's provider does: read those with the other functions.
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
        read.output(usage.number(&["outputTokens"]), &[]);
        read.tool_calls(
            "web_search",
            usage.first(&["serverToolUsage"]).count("webSearchRequests"),
        );
        let tier = event.object("serviceTier").and_then(|tier| tier.text("type"));
        read.told_tier(tier.or_else(|| event.text("serviceTier")))
    }

    /// Counts the prompt, and which of its tokens are of these parts: the dearest parts first, because they may overlap
    /// (cached audio, if the provider reports the audio and the cached tokens only).
    fn input(&mut self, total: Option<u64>, parts: &[(Part, u64)]) {
        self.split(Part::Input, total, parts);
    }

    fn output(&mut self, total: Option<u64>, parts: &[(Part, u64)]) {
        self.split(Part::Output, total, parts);
    }

    fn split(&mut self, whole: Part, total: Option<u64>, parts: &[(Part, u64)]) {
        let Some(total) = total else { return };
        let mut left = total;
        for (part, count) in parts.iter().filter(|(_, count)| *count > 0) {
            let counted = if *count > total {
                self.contradictions.push(format!(
                    "{count} {part} tokens are more than the {total} {whole} tokens that they are part of"
                ));
                *count
            } else {
                left.min(*count)
            };
            left = left.saturating_sub(counted);
            self.counts.insert(part.clone(), counted);
        }
        *self = core::mem::replace(self, Self::unknown()).with(whole, left);
    }

    fn tool_calls(&mut self, tool: &str, count: u64) {
        if count > 0 {
            self.counts.insert(Part::tool_call(tool.to_owned()), count);
        }
    }

    /// `auto` is what was asked for, and not where the request was served.
    fn told_tier(self, tier: Option<&str>) -> Self {
        match tier.filter(|tier| !tier.is_empty() && *tier != "auto") {
            Some(tier) => self.in_service_tier(tier),
            None => self,
        }
    }

    fn plus(mut self, other: Self) -> Self {
        for (part, count) in &other.counts {
            let sum = self.counts.entry(part.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.knows_input |= other.knows_input;
        self.knows_output |= other.knows_output;
        self.contradictions.extend(other.contradictions);
        self
    }
}

/// What cannot be JSON reports no usage.
fn json(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

/// A JSON value of which nothing is certain.
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

    /// The member, or 0.
    fn count(self, name: &str) -> u64 {
        self.number(&[name]).unwrap_or_default()
    }

    fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    fn list(self, name: &str) -> impl Iterator<Item = Self> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().map(Node)
    }
}

/// A count. Fractions, which seconds may have, are rounded up.
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
