//! What providers report, in the shapes of their documentation: streaming and not, with nulls, missing members and
//! members to come.

use cycles_proto::money::{CacheLifetime, Part, Usage};
use serde_json::{Value, json};

const WRITE: Part = Part::CacheWrite(CacheLifetime::Default);
const WRITE_1H: Part = Part::CacheWrite(CacheLifetime::OneHour);

/// The counts that are not 0.
fn counts(usage: &Usage) -> Vec<(Part, u64)> {
    let parts = [
        Part::Input,
        Part::CachedInput,
        WRITE,
        WRITE_1H,
        Part::AudioInput,
        Part::CachedAudioInput,
        Part::ImageInput,
        Part::VideoInput,
        Part::Output,
        Part::Reasoning,
        Part::AudioOutput,
        Part::ImageOutput,
        Part::InputSecond,
        Part::tool_call("web_search"),
        Part::tool_call("file_search"),
        Part::tool_call("code_execution"),
    ];
    let counts = parts.into_iter().map(|part| (part.clone(), usage.count(&part)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn check(read: impl Fn(&Value) -> Usage, rows: &[(Value, &[(Part, u64)])]) {
    for (answer, expected) in rows {
        let usage = read(answer);
        assert!(usage.is_known(), "{answer}");
        assert_eq!(counts(&usage), *expected, "{answer}");
        assert!(usage.contradictions().is_empty(), "{:?}", usage.contradictions());
    }
}

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

#[test]
fn a_usage_that_is_missing_is_not_zero() {
    let nothing = [
        json!(null),
        json!("x"),
        json!([]),
        json!({}),
        json!({"usage": null}),
        json!({"usage": {}}),
        json!({"usage": {"prompt_tokens": null, "input_tokens": "12", "inputTokens": -1}}),
        json!({"usageMetadata": null, "message": {"usage": null}, "response": {"usage": 5}}),
    ];
    for answer in nothing {
        for usage in [
            Usage::from_openai(&answer),
            Usage::from_anthropic(&answer),
            Usage::from_gemini(&answer),
            Usage::from_bedrock(&answer),
        ] {
            assert!(!usage.is_known(), "{answer}");
            assert_eq!(usage.metrics().tokens_input, None);
        }
    }
}

#[test]
fn what_was_counted_fills_in_for_what_is_not_reported() {
    let tokens = Usage::tokens;
    // 12 pieces were counted, and an upper bound of 40 for the prompt.
    let counted = tokens(40, 12);
    for (told, expected) in [
        (tokens(21, 0), tokens(21, 12)),
        (tokens(0, 0), counted.clone()),
        (Usage::unknown(), counted.clone()),
        (Usage::unknown().with(Part::Input, 21), tokens(21, 12)),
        (tokens(0, 15), tokens(40, 15)),
        (tokens(21, 15), tokens(21, 15)),
        (
            tokens(21, 7).of_which(Part::Reasoning, 3),
            tokens(21, 12).of_which(Part::Reasoning, 3),
        ),
        (
            tokens(21, 30).of_which(Part::Reasoning, 25),
            tokens(21, 30).of_which(Part::Reasoning, 25),
        ),
        (
            tokens(21, 15).of_which(Part::CachedInput, 21),
            tokens(21, 15).of_which(Part::CachedInput, 21),
        ),
    ] {
        assert_eq!(told.clone().or_counted(&counted), expected, "{told:?}");
    }
    assert!(!Usage::unknown().or_counted(&Usage::unknown()).is_known());
    // With its parts, its tools and its tier.
    let counted = tokens(1_000, 0)
        .with(Part::AudioOutput, 500)
        .with(Part::tool_call("web_search"), 2)
        .in_service_tier("flex");
    assert_eq!(Usage::unknown().or_counted(&counted), counted);
    assert_eq!(tokens(9, 0).or_counted(&counted).count(&Part::AudioOutput), 500);
}

#[test]
fn a_part_that_is_larger_than_its_whole_counts_beside_it_and_is_told() {
    let usage = Usage::tokens(100, 20)
        .of_which(Part::CachedInput, 150)
        .of_which(Part::Reasoning, 30);
    let both = [
        (Part::Input, 100),
        (Part::CachedInput, 150),
        (Part::Output, 20),
        (Part::Reasoning, 30),
    ];
    assert_eq!(counts(&usage), both);
    let told = Usage::from_openai(&json!({"usage": {
        "prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 150},
        "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 30},
    }}));
    assert_eq!(counts(&told), both);
    for usage in [usage.clone(), told.clone(), told.clone().followed_by(&told)] {
        assert_eq!(
            usage.contradictions(),
            [
                "150 cached_input tokens are more than the 100 input tokens that they are part of",
                "30 reasoning tokens are more than the 20 output tokens that they are part of",
            ]
        );
    }
    // Twice the same part, and the plain part of itself.
    let usage = Usage::tokens(1_000, 5)
        .of_which(Part::CachedInput, 800)
        .of_which(Part::CachedInput, 100)
        .of_which(Part::Output, 2);
    assert_eq!(
        counts(&usage),
        [(Part::Input, 100), (Part::CachedInput, 900), (Part::Output, 5)]
    );
}

#[test]
fn reasoning_that_stands_beside_the_answer_is_found_by_the_total() {
    for (usage, output, reasoning) in [
        (
            json!({"prompt_tokens": 10_120, "completion_tokens": 1_499, "total_tokens": 14_428, "completion_tokens_details": {"reasoning_tokens": 2_809}}),
            1_499,
            2_809,
        ),
        (
            json!({"prompt_tokens": 4_643, "completion_tokens": 1_187, "total_tokens": 6_690, "completion_tokens_details": {"reasoning_tokens": 860}}),
            1_187,
            860,
        ),
        (
            json!({"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 1_530}),
            1_510,
            0,
        ),
    ] {
        let usage = Usage::from_openai(&json!({ "usage": usage }));
        assert_eq!(
            (usage.count(&Part::Output), usage.count(&Part::Reasoning)),
            (output, reasoning)
        );
        assert_eq!(usage.contradictions().len(), 1, "{usage:?}");
    }
}

#[test]
fn a_usage_that_one_model_s_prices_cannot_cover_is_unknown() {
    let usage = Usage::from_anthropic(
        &json!({"usage": {"input_tokens": 51_000, "output_tokens": 100, "iterations": [
            {"type": "message", "input_tokens": 51_000, "output_tokens": 100},
            {"type": "advisor_message", "model": "claude-opus", "input_tokens": 30_000, "output_tokens": 300},
        ]}}),
    );
    assert!(!usage.is_known());
    assert_eq!(
        usage.contradictions(),
        ["another model worked on the answer, at prices of its own"]
    );
    // Whatever else is known or counted, also in a stream.
    let start =
        Usage::from_anthropic(&json!({"message": {"usage": {"input_tokens": 51_000, "output_tokens": 1}}}));
    assert!(
        !start
            .followed_by(&usage)
            .or_counted(&Usage::tokens(51_000, 100))
            .is_known()
    );
    // An answer to no prompt: the server did not count the prompt.
    assert!(!Usage::from_openai(&json!({"usage": {"prompt_tokens": 0, "completion_tokens": 12}})).is_known());
}

#[test]
fn a_total_that_is_larger_than_its_parts_counts() {
    for usage in [
        Usage::from_openai(
            &json!({"usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 1_110}}),
        ),
        Usage::from_gemini(
            &json!({"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 1_110}),
        ),
        Usage::from_bedrock(
            &json!({"usage": {"inputTokens": 100, "outputTokens": 10, "totalTokens": 1_110}}),
        ),
    ] {
        assert_eq!(
            (usage.output_tokens(), usage.contradictions().len()),
            (1_010, 1),
            "{usage:?}"
        );
    }
    let written = Usage::from_openai(&json!({"usage": {"prompt_tokens": 1_000, "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 600}}}));
    assert_eq!(
        (written.count(&Part::CachedInput), written.count(&WRITE)),
        (800, 600)
    );
    assert_eq!(written.contradictions().len(), 1);
}

#[test]
fn a_usage_of_zeros_is_one_that_was_not_counted() {
    for usage in [
        Usage::from_openai(
            &json!({"usage": {"input_tokens": 0, "output_tokens": 0}, "output": [{"type": "web_search_call"}]}),
        ),
        Usage::from_anthropic(&json!({"usage": {"input_tokens": 0, "output_tokens": 50}})),
        Usage::from_gemini(&json!({"promptTokenCount": 0, "candidatesTokenCount": 50})),
        Usage::from_bedrock(&json!({"usage": {"inputTokens": 0, "outputTokens": 0}})),
    ] {
        assert!(!usage.is_known(), "{usage:?}");
    }
}

#[test]
fn the_tier_that_a_later_event_tells_replaces_the_one_that_was_asked_for() {
    let event = |tier: &str| {
        Usage::from_openai(
            &json!({"response": {"service_tier": tier, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        )
    };
    assert_eq!(
        event("flex").followed_by(&event("default")).service_tier(),
        Some("standard")
    );
    let batch = json!({"response": {"body": {"usage": {"prompt_tokens": 1, "completion_tokens": 1}, "service_tier": "default"}}});
    assert_eq!(Usage::from_openai(&batch).service_tier(), Some("batch"));
}

#[test]
fn a_type_of_a_provider_is_read_as_its_json() {
    #[derive(serde::Serialize)]
    struct Answer {
        usage: Option<Reported>,
    }
    #[derive(serde::Serialize)]
    struct Reported {
        prompt_tokens: u32,
        completion_tokens: u32,
    }
    let usage = Some(Reported {
        prompt_tokens: 3,
        completion_tokens: 2,
    });
    assert_eq!(
        Usage::from_openai(&Answer { usage }),
        Usage::from_openai(&json!({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}))
    );
    assert!(!Usage::from_openai(&Answer { usage: None }).is_known());
}
