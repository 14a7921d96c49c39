//! The structures of public prices, each with a cost that was computed by hand. Prices change: these are examples.

use cycles_proto::money::{CacheLifetime, Part, PriceTable, Usage};

const TABLE: &str = r#"
version = "2026-11"

[models.claude-sonnet-4-5]
input = 3
cached_input = 0.30
cache_write = 3.75
cache_write_1h = 6
output = 15
tool_calls.web_search = 0.01

[[models.claude-sonnet-4-5.above]]
tokens = 200_000
input = 6
cached_input = 0.60
cache_write = 7.50
cache_write_1h = 12
output = 22.50

[models.claude-sonnet-4-5.service_tiers]
batch.factor = 0.5
fast.factor = 6

[models."gpt-5.4"]
aliases = ["gpt-5.4-2026-03-05"]
input = 2.50
cached_input = 0.25
output = 15

[[models."gpt-5.4".above]]
tokens = 272_000
input = 5
cached_input = 0.50
output = 22.50

[models."gpt-5.4".service_tiers.batch]
factor = 0.5

[models."gpt-5.4".service_tiers.priority]
input = 5
cached_input = 0.50
output = 30

[[models."gpt-5.4".service_tiers.priority.above]]
tokens = 272_000
input = 10
cached_input = 1
output = 45

[models.o3]
input = 2
cached_input = 0.50
output = 8

[models.o3.service_tiers.flex]
input = 1
cached_input = 0.25
output = 4

[models.qwen-plus]
input = 0.40
output = 1.20
reasoning = 4

[models.gpt-4o-audio]
input = 2.50
audio_input = 40
output = 10
audio_output = 80

[models."gemini-2.5-flash-image"]
input = 0.30
output = 2.50
image_output = 30

[models.imagen]
per_output_image = 0.04

[models.sonar]
input = 1
output = 1
per_request = 0.005

[models.by-the-part]
input = 1
cached_input = 0.10
output = 4

[[models.by-the-part.above]]
applies_to = "part"
tokens = 128_000
input = 2
cached_input = 0.20


[models.whisper]
per_input_second = 0.0001

[models.tts]
input_characters = 15

[models.rerank]
per_query = 0.002

[models."gpt-4.1-nano"]
input = 0.10
cached_input = 0.025
output = 0.40
"#;

const WRITE: Part = Part::CacheWrite(CacheLifetime::Default);
const WRITE_1H: Part = Part::CacheWrite(CacheLifetime::OneHour);

#[test]
fn each_structure_of_prices_costs_what_the_provider_bills() {
    let table: PriceTable = TABLE.parse().unwrap();
    let rows: [(&str, &str, Usage, i64); 24] = [
        (
            // 20,000 × 3 + 100,000 × 0.30 + 20,000 × 3.75 + 10,000 × 6 + 2,000 × 15 = 255,000 millionths
            "writes to the cache for 5 minutes and for an hour",
            "claude-sonnet-4-5",
            Usage::tokens(150_000, 2_000)
                .of_which(Part::CachedInput, 100_000)
                .of_which(WRITE, 20_000)
                .of_which(WRITE_1H, 10_000),
            25_500_000,
        ),
        (
            // 200,000 × 3 + 1,000 × 15 = 615,000
            "a prompt of exactly 200k tokens is not above it",
            "claude-sonnet-4-5",
            Usage::tokens(200_000, 1_000),
            61_500_000,
        ),
        (
            // 200,001 × 6 + 1,000 × 22.50 = 1,222,506
            "one token more makes the whole request dearer, with its answer",
            "claude-sonnet-4-5",
            Usage::tokens(200_001, 1_000),
            122_250_600,
        ),
        (
            // 1 × 6 + 190,000 × 0.60 + 10,000 × 12 = 234,006
            "cached and written tokens count for the size",
            "claude-sonnet-4-5",
            Usage::tokens(200_001, 0)
                .of_which(Part::CachedInput, 190_000)
                .of_which(WRITE_1H, 10_000),
            23_400_600,
        ),
        (
            // 50,000 × 5 + 250,000 × 0.50 + 10,000 × 22.50 = 600,000
            "a threshold of 272k, cached input, reasoning billed as output",
            "gpt-5.4",
            Usage::tokens(300_000, 10_000)
                .of_which(Part::CachedInput, 250_000)
                .of_which(Part::Reasoning, 8_000),
            60_000_000,
        ),
        (
            // 1,000 × 1.25 + 500 × 7.50 = 5,000
            "batch at half",
            "gpt-5.4",
            Usage::tokens(1_000, 500).in_service_tier("batch"),
            500_000,
        ),
        (
            // 300,000 × 2.50 + 100 × 11.25 = 751,125
            "batch at half above the threshold",
            "gpt-5.4-2026-03-05",
            Usage::tokens(300_000, 100).in_service_tier("Batch"),
            75_112_500,
        ),
        (
            // 1,000 × 5 + 1,000 × 30 = 35,000
            "priority",
            "gpt-5.4",
            Usage::tokens(1_000, 1_000).in_service_tier("priority"),
            3_500_000,
        ),
        (
            // 300,000 × 10 + 1,000 × 45 = 3,045,000
            "priority above the threshold",
            "gpt-5.4",
            Usage::tokens(300_000, 1_000).in_service_tier("priority"),
            304_500_000,
        ),
        (
            // 1,000 × 2.50 + 1,000 × 15 = 17,500
            "`default` is the standard tier",
            "gpt-5.4",
            Usage::tokens(1_000, 1_000).in_service_tier("default"),
            1_750_000,
        ),
        (
            // 6,000 × 1 + 4,000 × 0.25 + 3,000 × 4 = 19,000
            "flex",
            "o3",
            Usage::tokens(10_000, 3_000)
                .of_which(Part::CachedInput, 4_000)
                .in_service_tier("flex"),
            1_900_000,
        ),
        (
            // 100 × 2 + 2,000 × 8 = 16,200
            "reasoning billed as output",
            "o3",
            Usage::tokens(100, 2_000).of_which(Part::Reasoning, 1_900),
            1_620_000,
        ),
        (
            // 1,000 × 0.40 + 100 × 1.20 + 400 × 4 = 2,120
            "reasoning with a price of its own",
            "qwen-plus",
            Usage::tokens(1_000, 500).of_which(Part::Reasoning, 400),
            212_000,
        ),
        (
            // 5,000 × 3 + 300 × 15 = 19,500, and two searches for 20,000
            "per search call",
            "claude-sonnet-4-5",
            Usage::tokens(5_000, 300).with(Part::tool_call("web_search"), 2),
            3_950_000,
        ),
        (
            // 1,000 × 18 + 100 × 90 = 27,000, and a search, which is not faster, for 10,000
            "a factor is of tokens, and not of tools",
            "claude-sonnet-4-5",
            Usage::tokens(1_000, 100)
                .with(Part::tool_call("web_search"), 1)
                .in_service_tier("fast"),
            3_700_000,
        ),
        (
            // 400 × 2.50 + 600 × 40 + 100 × 10 + 300 × 80 = 50,000
            "audio tokens",
            "gpt-4o-audio",
            Usage::tokens(1_000, 400)
                .of_which(Part::AudioInput, 600)
                .of_which(Part::AudioOutput, 300),
            5_000_000,
        ),
        (
            // 20 × 0.30 + 1,290 × 30 = 38,706
            "images by their tokens",
            "gemini-2.5-flash-image",
            Usage::tokens(20, 1_290).of_which(Part::ImageOutput, 1_290),
            3_870_600,
        ),
        (
            // 3 × 0.04
            "per image",
            "imagen",
            Usage::new().with(Part::OutputImage, 3),
            12_000_000,
        ),
        (
            // 200 × 1 + 300 × 1 = 500, and the request for 5,000
            "per request",
            "sonar",
            Usage::tokens(200, 300),
            550_000,
        ),
        (
            // Cached first: 100,000 × 0.10 + 28,000 × 1 + 72,000 × 2 + 1,000 × 4 = 186,000
            "only the part above the threshold is dearer",
            "by-the-part",
            Usage::tokens(200_000, 1_000).of_which(Part::CachedInput, 100_000),
            18_600_000,
        ),
        (
            // 61 × 0.0001
            "per second",
            "whisper",
            Usage::new().with(Part::InputSecond, 61),
            610_000,
        ),
        (
            // 1,234 × 15 = 18,510
            "per character",
            "tts",
            Usage::new().with(Part::InputCharacter, 1_234),
            1_851_000,
        ),
        (
            // 7 × 0.002
            "per query",
            "rerank",
            Usage::new().with(Part::Query, 7),
            1_400_000,
        ),
        (
            // 1 × 0.025 = 2.5 microcents
            "half a microcent is rounded up",
            "gpt-4.1-nano",
            Usage::tokens(1, 0).of_which(Part::CachedInput, 1),
            3,
        ),
    ];
    for (structure, model, usage, microcents) in rows {
        let cost = table.cost(model, &usage).map(|cost| cost.amount);
        assert_eq!(cost, Ok(microcents), "{structure}");
    }
}

#[test]
fn what_has_no_price_is_not_free() {
    let table: PriceTable = TABLE.parse().unwrap();
    for (model, usage, words) in [
        (
            "gpt-5.5",
            Usage::tokens(1, 1),
            "the price table `2026-11` has no model `gpt-5.5`",
        ),
        (
            "o3",
            Usage::tokens(1, 1).with(Part::tool_call("web_search"), 1),
            "model `o3`: there is no price for `tool_calls.web_search`: add it to the price table, 0 if it is free",
        ),
        (
            "o3",
            Usage::tokens(1, 1).of_which(WRITE, 1),
            "there is no price for `cache_write`",
        ),
        (
            "claude-sonnet-4-5",
            Usage::tokens(1, 1).of_which(Part::CacheWrite(CacheLifetime::TwelveHours), 1),
            "there is no price for `cache_write_12h`",
        ),
        (
            "o3",
            Usage::tokens(1, 1).in_service_tier("priority"),
            "model `o3`: there are no prices for the service tier `priority`: the model has standard, flex",
        ),
        (
            "tts",
            Usage::new().with(Part::InputCharacter, 1).in_service_tier("flex"),
            "the model has only the standard one",
        ),
        (
            "o3",
            Usage::unknown(),
            "model `o3`: the usage is not known: it does not say how much input there was. Charge what was counted, or the estimate",
        ),
        (
            "o3",
            Usage::unknown().with(Part::Input, 1),
            "it does not say how much output there was",
        ),
        ("o3", Usage::tokens(0, 0), "it is all zero"),
        (
            "o3",
            Usage::tokens(10, 0).with_an_answer(),
            "it does not say how much output there was",
        ),
        (
            "whisper",
            Usage::new().with(Part::Page, 1),
            "it does not say how many `per_input_second` there were, 0 if none",
        ),
        (
            "imagen",
            Usage::tokens(10, 0),
            "it does not say how many `per_output_image` there were",
        ),
        ("o3", Usage::new(), "it is all zero"),
    ] {
        let error = table.cost(model, &usage).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    // What costs nothing need not be known.
    let usage = Usage::unknown().with(Part::OutputImage, 1);
    assert!(table.cost("imagen", &usage).is_ok());
}
