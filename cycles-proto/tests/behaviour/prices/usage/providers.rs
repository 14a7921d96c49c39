//! The shapes of each provider's documentation, part by part.

use cycles_proto::money::{Part, Usage};
use serde_json::{Value, json};

use super::{WRITE, WRITE_1H, check, counts};

#[test]
fn openai() {
    check(
        |answer: &Value| Usage::from_openai(answer),
        &[
            // Chat completions.
            (
                json!({"id": "chatcmpl-1", "object": "chat.completion", "choices": [], "usage": {
                    "prompt_tokens": 1_000, "completion_tokens": 300, "total_tokens": 1_300,
                    "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 0},
                    "completion_tokens_details": {
                        "reasoning_tokens": 200, "audio_tokens": 0,
                        "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 50,
                    },
                }}),
                &[
                    (Part::Input, 600),
                    (Part::CachedInput, 400),
                    (Part::Output, 100),
                    (Part::Reasoning, 200),
                ],
            ),
            // The last chunk of a stream; the usage alone; nulls.
            (
                json!({"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}),
                &[(Part::Input, 10), (Part::Output, 5)],
            ),
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": null, "completion_tokens_details": {"reasoning_tokens": null}}),
                &[(Part::Input, 10), (Part::Output, 5)],
            ),
            // Audio in and out, of which the cached tokens are not told apart: none is counted at less than its price.
            (
                json!({"usage": {
                    "prompt_tokens": 100, "completion_tokens": 50,
                    "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 50},
                    "completion_tokens_details": {"audio_tokens": 40},
                }}),
                &[
                    (Part::CachedInput, 50),
                    (Part::AudioInput, 50),
                    (Part::Output, 10),
                    (Part::AudioOutput, 40),
                ],
            ),
            // Responses: the answer, and the last event of its stream.
            (
                json!({"object": "response", "output": [
                    {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}, {"type": "message"},
                {"type": "web_search_call"}, {"type": "web_search_call", "action": {"type": "open_page"}},
                    {"type": "file_search_call"},
                ], "usage": {
                    "input_tokens": 1_000, "input_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 200},
                    "output_tokens": 100, "output_tokens_details": {"reasoning_tokens": 60}, "total_tokens": 1_100,
                    "some_tokens_to_come": {"a": 1},
                }}),
                &[
                    (Part::Input, 500),
                    (Part::CachedInput, 300),
                    (WRITE, 200),
                    (Part::Output, 40),
                    (Part::Reasoning, 60),
                    (Part::tool_call("web_search"), 2),
                    (Part::tool_call("file_search"), 1),
                ],
            ),
            (
                json!({"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 3}}}),
                &[(Part::Input, 7), (Part::Output, 3)],
            ),
            // Realtime.
            (
                json!({"response": {"usage": {
                    "input_tokens": 100, "output_tokens": 80,
                    "input_token_details": {"text_tokens": 40, "audio_tokens": 60, "cached_tokens": 50,
                        "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 30}},
                    "output_token_details": {"text_tokens": 20, "audio_tokens": 60},
                }}}),
                &[
                    (Part::Input, 20),
                    (Part::CachedInput, 20),
                    (Part::AudioInput, 30),
                    (Part::CachedAudioInput, 30),
                    (Part::Output, 20),
                    (Part::AudioOutput, 60),
                ],
            ),
            // Embeddings, transcriptions by time, and servers of other makers.
            (
                json!({"usage": {"prompt_tokens": 12, "total_tokens": 12}}),
                &[(Part::Input, 12)],
            ),
            (
                json!({"response": {"status_code": 200, "body": {"usage": {"prompt_tokens": 12, "completion_tokens": 3}}}}),
                &[(Part::Input, 12), (Part::Output, 3)],
            ),
            (
                json!({"choices": [], "x_groq": {"usage": {"prompt_tokens": 12, "completion_tokens": 3}}}),
                &[(Part::Input, 12), (Part::Output, 3)],
            ),
            // Perplexity, and a gateway that ran a search.
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, "reasoning_tokens": 500,
                "num_search_queries": 3}}),
                &[
                    (Part::Input, 10),
                    (Part::Output, 20),
                    (Part::Reasoning, 500),
                    (Part::tool_call("web_search"), 3),
                ],
            ),
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 20, "server_tool_use": {"web_search_requests": 1}}}),
                &[
                    (Part::Input, 10),
                    (Part::Output, 20),
                    (Part::tool_call("web_search"), 1),
                ],
            ),
            // Anthropic's shape behind a server that speaks OpenAI's.
            (
                json!({"usage": {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50}}),
                &[
                    (Part::Input, 10),
                    (Part::CachedInput, 100),
                    (WRITE, 50),
                    (Part::Output, 20),
                ],
            ),
            (
                json!({"text": "…", "usage": {"type": "duration", "seconds": 12.4}}),
                &[(Part::InputSecond, 13)],
            ),
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4}}),
                &[(Part::Input, 4), (Part::CachedInput, 6), (Part::Output, 4)],
            ),
            (
                json!({"usage": {"prompt_tokens": 10.0, "completion_tokens": null, "total_tokens": 14}}),
                &[(Part::Input, 10), (Part::Output, 4)],
            ),
        ],
    );
}

#[test]
fn anthropic() {
    check(
        |answer: &Value| Usage::from_anthropic(answer),
        &[
            (
                json!({"type": "message", "usage": {
                    "input_tokens": 100, "cache_creation_input_tokens": 900, "cache_read_input_tokens": 5_000,
                    "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 600},
                    "output_tokens": 400, "output_tokens_details": {"thinking_tokens": 250},
                    "server_tool_use": {
                    "web_search_requests": 2, "web_fetch_requests": 3, "tool_search_requests": 1, "code_execution_requests": 1,
                },
                    "service_tier": "standard", "inference_geo": "not_available", "speed": "standard",
                }}),
                &[
                    (Part::Input, 100),
                    (Part::CachedInput, 5_000),
                    (WRITE, 300),
                    (WRITE_1H, 600),
                    (Part::Output, 150),
                    (Part::Reasoning, 250),
                    (Part::tool_call("web_search"), 2),
                    (Part::tool_call("code_execution"), 1),
                ],
            ),
            // Without the lifetimes, with nulls; the first event of a stream.
            (
                json!({"type": "message_start", "message": {"usage": {
                    "input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": null,
                    "cache_creation": null, "output_tokens": 1, "server_tool_use": null, "service_tier": null,
                }}}),
                &[(Part::Input, 10), (WRITE, 20), (Part::Output, 1)],
            ),
            // Compaction: the totals hold the last pass, and all are billed.
            (
                json!({"usage": {"input_tokens": 23, "output_tokens": 10, "iterations": [
                    {"type": "compaction", "input_tokens": 180, "output_tokens": 35},
                    {"type": "message", "input_tokens": 23, "output_tokens": 10},
                ]}}),
                &[(Part::Input, 203), (Part::Output, 45)],
            ),
            (
                json!({"usage": {"input_tokens": 23, "output_tokens": 10, "iterations": [{"type": "message", "input_tokens": 23, "output_tokens": 10}]}}),
                &[(Part::Input, 23), (Part::Output, 10)],
            ),
        ],
    );
}

#[test]
fn an_anthropic_stream_is_its_start_followed_by_its_deltas() {
    let read = |answer: &Value| Usage::from_anthropic(answer);
    let usage = read(&json!({"type": "message_start", "message": {"usage": {
        "input_tokens": 25, "cache_read_input_tokens": 100, "output_tokens": 1, "service_tier": "priority"}}}))
    .followed_by(&read(&json!({"type": "content_block_delta", "delta": {"text": "a"}})))
    .followed_by(&read(&json!({"type": "message_delta", "usage": {"output_tokens": 15}})))
    .followed_by(&read(&json!({"type": "message_delta", "usage": {
        "input_tokens": 0, "output_tokens": 30, "server_tool_use": {"web_search_requests": 1}}})))
    .followed_by(&read(&json!({"type": "message_stop"})));
    assert_eq!(
        counts(&usage),
        [
            (Part::Input, 25),
            (Part::CachedInput, 100),
            (Part::Output, 30),
            (Part::tool_call("web_search"), 1),
        ]
    );
    assert_eq!(usage.service_tier(), Some("priority"));
    // A delta that repeats the totals without their lifetimes, or leaves members out, takes nothing back.
    let start = read(&json!({"message": {"usage": {
        "input_tokens": 10, "cache_read_input_tokens": 100_000, "cache_creation_input_tokens": 700,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 500}, "output_tokens": 1}}}));
    for delta in [
        json!({"usage": {"input_tokens": 10, "output_tokens": 5}}),
        json!({"usage": {"input_tokens": 10, "cache_creation_input_tokens": 700, "cache_read_input_tokens": 100_000, "output_tokens": 5}}),
    ] {
        let usage = start.clone().followed_by(&read(&delta));
        assert_eq!(
            counts(&usage),
            [
                (Part::Input, 10),
                (Part::CachedInput, 100_000),
                (WRITE, 200),
                (WRITE_1H, 500),
                (Part::Output, 5),
            ],
            "{delta}"
        );
    }
    // Only the deltas: the prompt is not known.
    let late = read(&json!({"type": "message_delta", "usage": {"output_tokens": 30}}));
    assert!(!late.is_known());
    assert_eq!(late.metrics().tokens_input, None);
}

#[test]
fn gemini() {
    check(
        |answer: &Value| Usage::from_gemini(answer),
        &[
            (
                json!({"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}], "usageMetadata": {"promptTokenCount": 1_000, "cachedContentTokenCount": 400, "candidatesTokenCount": 50,
                    "toolUsePromptTokenCount": 30, "thoughtsTokenCount": 200, "totalTokenCount": 1_280,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 800}, {"modality": "AUDIO", "tokenCount": 200}],
                    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 300}, {"modality": "AUDIO", "tokenCount": 100}],
                    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 50}],
                    "trafficType": "ON_DEMAND",
                }}),
                &[
                    (Part::Input, 530),
                    (Part::CachedInput, 300),
                    (Part::AudioInput, 100),
                    (Part::CachedAudioInput, 100),
                    (Part::Output, 50),
                    (Part::Reasoning, 200),
                    (Part::tool_call("web_search"), 2),
                ],
            ),
            // An image as the answer, and one in the prompt.
            (
                json!({"promptTokenCount": 300, "candidatesTokenCount": 1_300, "totalTokenCount": 1_600,
                "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 258}, {"modality": "TEXT", "tokenCount": 42}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_290}]}),
                &[
                    (Part::Input, 42),
                    (Part::ImageInput, 258),
                    (Part::Output, 10),
                    (Part::ImageOutput, 1_290),
                ],
            ),
            // The first chunk of a stream has no answer yet, and later ones have the totals so far.
            (
                json!({"usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10, "promptTokensDetails": null}}),
                &[(Part::Input, 10)],
            ),
            (
                json!({"usageMetadata": {"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 22}}),
                &[(Part::Input, 10), (Part::Output, 7), (Part::Reasoning, 5)],
            ),
        ],
    );
    let first =
        Usage::from_gemini(&json!({"usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}}));
    let last = Usage::from_gemini(
        &json!({"usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 8, "candidatesTokenCount": 4}}),
    );
    assert_eq!(
        counts(&first.followed_by(&last)),
        [(Part::Input, 2), (Part::CachedInput, 8), (Part::Output, 4)]
    );
}

#[test]
fn bedrock() {
    check(
        |answer: &Value| Usage::from_bedrock(answer),
        &[
            (
                json!({"output": {}, "stopReason": "end_turn", "usage": {
                    "inputTokens": 100, "outputTokens": 50, "totalTokens": 1_150,
                    "cacheReadInputTokens": 700, "cacheWriteInputTokens": 300,
                    "cacheDetails": [{"inputTokens": 100, "ttl": "1h"}, {"inputTokens": 200, "ttl": "5m"}],
                }}),
                &[
                    (Part::Input, 100),
                    (Part::CachedInput, 700),
                    (WRITE, 200),
                    (WRITE_1H, 100),
                    (Part::Output, 50),
                ],
            ),
            (
                json!({"metadata": {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 12}}}),
                &[(Part::Input, 10), (Part::Output, 5)],
            ),
            (
                json!({"usage": {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": null, "serverToolUsage": {"webSearchRequests": 2}}}),
                &[
                    (Part::Input, 10),
                    (Part::Output, 5),
                    (Part::tool_call("web_search"), 2),
                ],
            ),
        ],
    );
}

#[test]
fn the_service_tier_is_the_one_that_served_the_request() {
    let openai = |tier: Value| {
        Usage::from_openai(
            &json!({"service_tier": tier, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
        )
    };
    let anthropic = |usage: Value| Usage::from_anthropic(&json!({"usage": usage}));
    let gemini = |usage: Value| Usage::from_gemini(&json!({"usageMetadata": usage}));
    for (usage, tier) in [
        (openai(json!("default")), Some("standard")),
        (openai(json!("auto")), None),
        (openai(json!(null)), None),
        (openai(json!("flex")), Some("flex")),
        (openai(json!("priority")), Some("priority")),
        (anthropic(json!({"service_tier": "standard"})), Some("standard")),
        (anthropic(json!({"service_tier": "batch"})), Some("batch")),
        (
            anthropic(json!({"service_tier": "standard", "speed": "fast"})),
            Some("fast"),
        ),
        (
            anthropic(json!({"service_tier": "batch", "inference_geo": "us"})),
            Some("batch+us"),
        ),
        (gemini(json!({"serviceTier": "SERVICE_TIER_FLEX"})), Some("flex")),
        (gemini(json!({"trafficType": "TRAFFIC_TYPE_UNSPECIFIED"})), None),
        (gemini(json!({"trafficType": "ON_DEMAND"})), Some("standard")),
        (gemini(json!({"trafficType": "ON_DEMAND_FLEX"})), Some("flex")),
        (
            gemini(json!({"trafficType": "PROVISIONED_THROUGHPUT"})),
            Some("provisioned_throughput"),
        ),
        (
            Usage::from_bedrock(&json!({"usage": {}, "serviceTier": {"type": "priority"}})),
            Some("priority"),
        ),
        (
            Usage::from_bedrock(&json!({"usage": {}, "serviceTier": {"type": "default"}})),
            Some("standard"),
        ),
    ] {
        assert_eq!(usage.service_tier(), tier, "{usage:?}");
    }
}
