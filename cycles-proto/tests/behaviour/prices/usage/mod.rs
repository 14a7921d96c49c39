//! What providers report, in the shapes of their documentation: streaming and not, with nulls, missing members and
//! members to come.

mod providers;

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
