//! LiteLLM's price file.

use cycles_proto::models::Amount;
use cycles_proto::money::{Bounds, CacheLifetime, Part, PriceTable, Usage};

const FILE: &str = r#"{
    "sample_spec": {"input_cost_per_token": 0.0, "mode": "one of: chat, embedding"},
    "gpt-5.4": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 922000, "supports_vision": true,
        "supported_endpoints": ["/v1/responses"],
        "input_cost_per_token": 2.5e-06, "cache_read_input_token_cost": 2.5e-07, "output_cost_per_token": 1.5e-05,
        "input_cost_per_token_above_272k_tokens": 5e-06, "cache_read_input_token_cost_above_272k_tokens": 5e-07,
        "output_cost_per_token_above_272k_tokens": 2.25e-05,
        "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_batches": 7.5e-06,
        "input_cost_per_token_above_272k_tokens_batches": 2.5e-06, "output_cost_per_token_above_272k_tokens_batches": 1.125e-05,
        "input_cost_per_token_priority": 5e-06, "cache_read_input_token_cost_priority": 5e-07,
        "output_cost_per_token_priority": 3e-05,
        "regional_processing_uplift_multiplier_eu": 1.1,
        "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01, "search_context_size_high": 0.02}
    },
    "gpt-5.4-latest": {"alias_of": "gpt-5.4"},
    "claude": {
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
        "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_read_input_token_cost": 3e-07,
        "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05
    },
        "image": {
        "input_cost_per_token": 2e-06, "output_cost_per_token": 1.2e-05, "output_cost_per_image_token": 0.00012,
        "input_cost_per_token_priority": 3.6e-06, "output_cost_per_token_priority": 2.16e-05
    },
    "opus": {
        "input_cost_per_token": 5e-06, "output_cost_per_token": 2.5e-05, "provider_specific_entry": {"us": 1.1, "fast": 6.0}
    },
    "only-priority": {"input_cost_per_token_priority": 1e-06},
    "qwen": {"tiered_pricing": [{"range": [0, 256000.0], "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07},
        {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06}
    ]},
    "fine": {"input_cost_per_token": 3.3333333333333335e-05, "output_cost_per_token": "0.000001", "input_cost_per_pixel": 0.0},
    "whisper": {"input_cost_per_second": 0.0001},
    "files": {"input_cost_per_token": 0, "output_cost_per_token": 0, "file_search_cost_per_1k_calls": 2.5},
    "deepseek": {
        "input_cost_per_token": 3e-07, "output_cost_per_token": 1.2e-06, "cache_creation_input_token_cost": 0.0,
        "off_peak_pricing": {"input_cost_per_token": 1.5e-07}
    },
    "dall-e": {"input_cost_per_pixel": 1.9e-08, "output_cost_per_pixel": 0.0},
    "video": {"output_cost_per_second_1080p": 0.16},
    "per-million": {"input_cost_per_token": 2.5, "output_cost_per_token": 10},
    "twice": {"input_cost_per_token": 1e-06, "input_cost_per_token": 2e-06, "output_cost_per_token": 1e-06},
    "negative": {"input_cost_per_token": -1e-06, "output_cost_per_token": 1e-06}
}"#;

fn table() -> PriceTable {
    PriceTable::from_litellm(FILE, "2026-11").unwrap()
}

fn cost(model: &str, usage: &Usage) -> i64 {
    table().cost(model, usage).unwrap().amount
}

#[test]
fn the_prices_of_the_file_are_those_of_the_table() {
    let tokens = Usage::tokens;
    for (model, usage, microcents) in [
        // 500 × 2.50 + 500 × 0.25 + 100 × 15
        (
            "gpt-5.4",
            tokens(1_000, 100).of_which(Part::CachedInput, 500),
            287_500,
        ),
        ("gpt-5.4-latest", tokens(1_000, 100), 400_000),
        // 300,000 × 5 + 100 × 22.50
        ("gpt-5.4", tokens(300_000, 100), 150_225_000),
        ("gpt-5.4", tokens(1_000, 100).in_service_tier("batch"), 200_000),
        (
            "gpt-5.4",
            tokens(300_000, 100).in_service_tier("batch"),
            75_112_500,
        ),
        ("gpt-5.4", tokens(1_000, 100).in_service_tier("priority"), 800_000),
        (
            "gpt-5.4",
            tokens(0, 0).with(Part::tool_call("web_search"), 1),
            2_000_000,
        ),
        (
            "claude",
            tokens(1_000, 0).of_which(Part::CacheWrite(CacheLifetime::OneHour), 1_000),
            600_000,
        ),
        // 256,000 × 0.05
        ("qwen", tokens(256_000, 0), 1_280_000),
        // 256,001 × 0.25
        ("qwen", tokens(256_001, 0), 6_400_025),
        // 33.333333333333335 for a million: three tokens are 100.000000000000005 millionths
        ("fine", tokens(3, 0), 10_001),
        ("fine", tokens(0, 1), 100),
        ("whisper", Usage::new().with(Part::InputSecond, 30), 300_000),
        ("opus", tokens(1_000_000, 0).in_service_tier("us"), 550_000_000),
        (
            "opus",
            tokens(1_000_000, 0).in_service_tier("fast"),
            3_000_000_000,
        ),
        (
            "files",
            tokens(1, 1).with(Part::tool_call("file_search"), 2),
            500_000,
        ),
        ("deepseek", tokens(1_000_000, 0), 30_000_000),
    ] {
        assert_eq!(cost(model, &usage), microcents, "{model}: {usage:?}");
    }
}

#[test]
fn a_price_that_a_dearer_tier_leaves_out_does_not_become_too_low() {
    // Above the threshold input costs twice as much: cached input costs as input, and a write twice as much as before.
    let write = Part::CacheWrite(CacheLifetime::Default);
    assert_eq!(
        cost(
            "claude",
            &Usage::tokens(200_001, 0).of_which(Part::CachedInput, 200_001)
        ),
        120_000_600
    );
    assert_eq!(
        cost("claude", &Usage::tokens(200_001, 0).of_which(write, 200_001)),
        150_000_750
    );
    // In a cheaper tier a part keeps its price: 0.25.
    let cached = Usage::tokens(1_000, 0).of_which(Part::CachedInput, 1_000);
    assert_eq!(cost("gpt-5.4", &cached.in_service_tier("batch")), 25_000);
    // Image tokens of a dearer tier become dearer by as much: 120 × 1.8.
    let image = Usage::tokens(0, 0).with(Part::ImageOutput, 1_000_000);
    assert_eq!(cost("image", &image), 12_000_000_000);
    assert_eq!(cost("image", &image.in_service_tier("priority")), 21_600_000_000);
    // Priority has no prices for long prompts: they cost the dearer of the two, 5 and 30.
    let long = Usage::tokens(300_000, 1_000).in_service_tier("priority");
    assert_eq!(cost("gpt-5.4", &long), 153_000_000);
}

#[test]
fn what_cannot_be_expressed_is_listed_and_too_low_estimates_are_not_made() {
    let table = table();
    for (model, member, problem, is_kept) in [
        ("dall-e", "input_cost_per_pixel", "a table cannot express", false),
        (
            "video",
            "output_cost_per_second_1080p",
            "a table cannot express",
            false,
        ),
        (
            "per-million",
            "input_cost_per_token",
            "looks like the price of a million tokens: if it is, write 2.5e-06",
            false,
        ),
        ("twice", "input_cost_per_token", "appears twice", false),
        (
            "only-priority",
            "input_cost_per_token",
            "is missing, though service tiers have prices",
            false,
        ),
        ("negative", "input_cost_per_token", "is not a price", false),
        (
            "gpt-5.4",
            "regional_processing_uplift_multiplier_eu",
            "is in effect only in some regions",
            true,
        ),
        (
            "deepseek",
            "off_peak_pricing",
            "is in effect only at certain hours",
            true,
        ),
    ] {
        let left = table.left_out().iter().find(|left| left.model == model).unwrap();
        assert_eq!(
            (left.member.as_str(), left.is_model_kept),
            (member, is_kept),
            "{left:?}"
        );
        assert!(left.problem.contains(problem), "{left:?}");
        assert_eq!(table.model(model).is_ok(), is_kept, "{model}");
    }
    let error = table.model("dall-e").unwrap_err().to_string();
    assert_eq!(
        error,
        "the price table `2026-11` has no model `dall-e`: `input_cost_per_pixel` is a price that a table cannot express: set your own prices for the model"
    );
    let own = table.with_model(
        "dall-e",
        cycles_proto::money::Rates::default().with(Part::OutputImage, cycles_proto::money::Usd::cents(4)),
    );
    let bounds = Bounds::default().with(Part::OutputImage, 2);
    assert_eq!(
        own.estimate("dall-e", &bounds),
        Ok(Amount::usd_microcents(8_000_000))
    );
}

#[test]
fn what_is_no_such_file_is_refused() {
    for (text, words) in [
        ("", "line 1: it is not LiteLLM's price file"),
        ("[]", "it is not LiteLLM's price file"),
        ("{\n\"m\": }", "line 2: it is not"),
        ("{}", "no model in it has prices"),
        ("{\"m\": {\"mode\": \"chat\"}}", "no model in it has prices"),
        (
            "{\"m\": {\"input_cost_per_token\": 2.5}}",
            "no model in it has prices that can be read: model `m`: `input_cost_per_token` looks like the price of a million tokens",
        ),
        (
            "{\"m\": {\"input_cost_per_token\": 1e-6},\n\"m\": {\"input_cost_per_token\": 1e-6}}",
            "line 2, model `m`: appears twice",
        ),
    ] {
        let error = PriceTable::from_litellm(text, "v").unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    let odd = PriceTable::from_litellm("{\"m\": 1, \"n\": {\"input_cost_per_token\": 1e-6}}", "v").unwrap();
    assert!(!odd.left_out()[0].is_model_kept);
    assert!(
        odd.model("m")
            .unwrap_err()
            .to_string()
            .ends_with("no model `m`: it is not an object")
    );
    let odd = "{\"m\": {\"input_cost_per_token\": 1e-6, \"provider_specific_entry\": 6}}";
    let error = PriceTable::from_litellm(odd, "v").unwrap_err().to_string();
    assert!(
        error.contains("model `m`: `provider_specific_entry` is not an object of factors"),
        "{error}"
    );
}

#[test]
fn hostile_text_never_panics() {
    let long = "9".repeat(100_000);
    for value in [
        "1e999", "-0", "1e-400", &long, "null", "true", "[]", "{}", "\"\"", "\"x\"", "\"1e30\"",
    ] {
        for member in [
            "input_cost_per_token",
            "input_cost_per_token_above_99999999999999999999k_tokens",
            "input_cost_per_token_above_18446744073709551k_tokens_flex",
            "tiered_pricing",
            "search_context_cost_per_query",
            "alias_of",
            "_above_k_tokens_cost",
        ] {
            let text = format!("{{\"m\": {{\"{member}\": {value}, \"output_cost_per_token\": 1e-6}}}}");
            if let Ok(table) = PriceTable::from_litellm(&text, "v") {
                let _ = table.estimate("m", &Bounds::tokens(u64::MAX, u64::MAX).nothing_else());
            }
        }
    }
}
