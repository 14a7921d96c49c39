//! Price tables from TOML: what they say, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::models::Amount;
use crate::money::Usage;

const TABLE: &str = r#"
version = "2026-11-22"

[models."gpt-4o"]
input = 2.50
cached_input = 1.25
output = 10
reasoning = "12.00000001"

[models]
small = { input = "0.15", output = 0.60 }
"#;

fn refused(text: &str) -> (usize, String) {
    match text.parse::<PriceTable>() {
        Err(error @ PriceError::Invalid { line, .. }) => (line, error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_is_what_it_says() {
    let table: PriceTable = TABLE.parse().unwrap();
    assert_eq!(table.version(), "2026-11-22");
    let gpt_4o = table.model("gpt-4o").unwrap();
    let expected = Prices::new(Usd::cents(250), Usd::dollars(10))
        .with(Part::CachedInput, Usd::cents(125))
        .with(Part::Reasoning, Usd::from_microcents(1_200_000_001).unwrap());
    let expected = PriceTable::new("").with_model("gpt-4o", expected);
    assert_eq!(Ok(gpt_4o), expected.model("gpt-4o"));
    assert_eq!(
        table.cost("small", &Usage::tokens(1_000_000, 1_000_000)),
        Ok(Amount::usd_microcents(75_000_000))
    );
    assert_eq!(
        table.models().map(|(name, _)| name).collect::<Vec<_>>(),
        ["gpt-4o", "small"]
    );
}

#[test]
fn numbers_are_taken_as_they_are_written() {
    // As a float this would be 0.30000000000000004 and 9007199254740992.
    for (written, microcents) in [
        ("0.30000000", 30_000_000),
        ("90071992.54740993", 9_007_199_254_740_993),
    ] {
        let text = format!("version = 'v'\n[models.m]\ninput = {written}\noutput = '{written}'");
        let table: PriceTable = text.parse().unwrap();
        let million = table.cost("m", &Usage::tokens(1_000_000, 0));
        assert_eq!(million, Ok(Amount::usd_microcents(microcents)));
    }
}

#[test]
fn what_is_wrong_is_named_with_model_key_and_line() {
    for (lines, line, words) in [
        (
            "input = '2,50'\noutput = 1",
            3,
            "model `m`, key `input`: `2,50` is not an amount of US dollars",
        ),
        (
            "input = 1\noutput = -1.5",
            4,
            "model `m`, key `output`: `-1.5` is not an amount",
        ),
        ("input = 1\noutput = nan", 4, "key `output`: `nan`"),
        ("input = 1\noutput = 1e3", 4, "key `output`: `1e3`"),
        ("input = 1\noutput = inf", 4, "key `output`: `inf`"),
        (
            "input = 0.00000015\noutput = 1",
            3,
            "model `m`, key `input`: `0.00000015` looks like the price of one token",
        ),
        (
            "input = 1\noutput = 6e-07",
            4,
            "key `output`: `6e-07` looks like the price of one token, but prices are in US dollars per million tokens: did you mean 0.6?",
        ),
        (
            "input = 1\noutput = 1\ncached_input = '7.5e-8'",
            5,
            "key `cached_input`: `7.5e-8` looks like the price of one token",
        ),
        (
            "input = 1\noutput = 1\nreasoning = '0.0006'",
            5,
            "did you mean 600 (or 0.6, if that is the price of a thousand)?",
        ),
        (
            "input = 0x10\noutput = 1",
            3,
            "key `input`: must be US dollars per million tokens",
        ),
        ("input = true\noutput = 1", 3, "key `input`: must be US dollars"),
        ("input = [1]\noutput = 1", 3, "key `input`: must be US dollars"),
        (
            "input = 1.123456789\noutput = 1",
            3,
            "key `input`: `1.123456789` is not an amount",
        ),
        (
            "input = 92233720369\noutput = 1",
            3,
            "key `input`: `92233720369` is not an amount",
        ),
        (
            "",
            2,
            "model `m`: has no price: write at least `input` and `output`",
        ),
        ("input = 1", 2, "model `m`, key `output`: is missing"),
        ("output = 1", 2, "model `m`, key `input`: is missing"),
        (
            "input = 1\noutput = 1\ntool_calls = 1",
            5,
            "key `tool_calls`: must name the tool, as in tool_calls.web_search = 0.01",
        ),
        (
            "input = 1\noutput = 1\ntool_calls.'' = 1",
            5,
            "key `tool_calls`: has a tool without a name",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.batch = 0.5",
            5,
            "must be prices, or a factor as in batch.factor = 0.5",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.'' = { factor = 1 }",
            5,
            "has no name",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.flex = { factor = 0 }",
            5,
            "must be a number above 0",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1, applies_to = 'part' }]",
            5,
            "key `output`: cannot have a price here",
        ),
        (
            "input = 1\noutput = 0.004",
            4,
            "key `output`: `0.004` looks like the price of a thousand tokens: if it is, write 4",
        ),
        (
            "input = 1\noutput = 1\nper_request = 1e-3",
            5,
            "key `per_request`: `1e-3` has an exponent: write 0.001",
        ),
        (
            "input = 1\noutput = 1\nper_image = 1",
            5,
            "key `per_image`: is not known (did you mean `per_input_image` or `per_output_image`?)",
        ),
        (
            "input = 1\noutput = 1\ncached = 1",
            5,
            "did you mean `cached_input` or `cached_audio_input`?",
        ),
        (
            "input = 0.0025\noutput = 0.01",
            3,
            "key `input`: `0.0025` looks like the price of a thousand tokens: if it is, write 2.5",
        ),
        (
            "input = 2.50\noutput = 10\ncached_input = 0.00125",
            2,
            "key `cached_input`: costs less than a two hundredth of `input`",
        ),
        (
            "input = 3\noutput = 15\nabove = [{ tokens = 9, input = 0.011, output = 0.0225 }]",
            5,
            "key `input`: costs less than a two hundredth of `input`",
        ),
        (
            "input = 1\noutput = 1\ncache_write_5m = 1",
            5,
            "is not known (did you mean `cache_write`?)",
        ),
        (
            "input = 1\noutput = 1\ntool_calls.search = '1 cent'",
            5,
            "key `tool_calls.search`: `1 cent` is not an amount",
        ),
        (
            "input = 1\noutput = 1\naliases = 'n'",
            5,
            "key `aliases`: must be a list of names",
        ),
        (
            "input = 1\noutput = 1\naliases = ['n', 'm']",
            5,
            "`m` names two models",
        ),
        ("input = 1\noutput = 1\naliases = ['n', ' ']", 5, "has no name"),
        (
            "input = 1\noutput = 1\nabove = 1",
            5,
            "key `above`: must be written as [[models.",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ input = 1, output = 1 }]",
            5,
            "key `above`: has no `tokens`",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 2e5, input = 1, output = 1 }]",
            5,
            "key `tokens`: must be a number of tokens, as in 200_000",
        ),
        (
            "input = 1\ncached_input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1 }]",
            6,
            "key `cached_input`: is missing here: the model has a price for it",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1, applies_to = 'rest' }]",
            5,
            "key `applies_to`: must be \"request\"",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1 }, { tokens = 6, input = 1, applies_to = 'part' }]",
            5,
            "has a different `applies_to`",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1 }, { tokens = 5, input = 1, output = 1 }]",
            5,
            "appears twice for 5 tokens",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.standard = { factor = 1 }",
            5,
            "key `service_tiers.standard`: stands for the model's own prices",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.flex = { input = 1 }",
            5,
            "key `output`: is missing here",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.flex = { factor = 'half' }",
            5,
            "key `factor`: must be a number above 0 and below 1000 with at most six decimals",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1 }]\nservice_tiers.flex = { input = 1, output = 1 }",
            6,
            "has no `above`, but the model has one",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.flex = { factor = 1, above = [{ tokens = 5, input = 1, output = 1 }] }",
            5,
            "has both `factor` and `above`",
        ),
        (
            "input = 3\noutput = 15\nservice_tiers.flex = { input = 1.5, output = 0.05 }",
            5,
            "key `output`: costs less than a two hundredth of `output`",
        ),
        (
            "input = 1\noutput = 1\nabove = [{ tokens = 5, input = 1, output = 1 }]\nservice_tiers.flex = { input = 1, output = 1, above = [{ tokens = 5, input = 1, applies_to = 'part' }] }",
            6,
            "has a different `applies_to`",
        ),
        (
            "input = 1\noutput = 1\nservice_tiers.flex = { aliases = [] }",
            5,
            "key `aliases`: is not known",
        ),
        (
            "input = 1\noutput = 1\n\ncached = 1",
            6,
            "model `m`, key `cached`: is not known",
        ),
        ("input = 1\ninput = 2\noutput = 1", 4, "duplicate key"),
        ("input = ", 3, ""),
    ] {
        let (at, error) = refused(&format!("version = 'v'\n[models.m]\n{lines}"));
        assert!(error.contains(words), "{error}");
        assert!(
            at == line && error.contains(&format!("line {line}")),
            "{lines}: {error}"
        );
    }
}

#[test]
fn what_is_no_table_of_prices_is_refused() {
    for (text, words) in [
        ("", "key `version`: is missing"),
        ("version = 1", "key `version`: must be text"),
        ("version = ' '", "key `version`: must be text"),
        ("version = 'v'", "key `models`: is missing"),
        ("version = 'v'\n[models]", "key `models`: is missing"),
        (
            "version = 'v'\nmodels = 1",
            "line 2, key `models`: must be a table",
        ),
        (
            "version = 'v'\nmodels.m = 1",
            "line 2, model `m`: must be a table",
        ),
        (
            "version = 'v'\n[[models.m]]\ninput = 1",
            "model `m`: must be a table",
        ),
        (
            "version = 'v'\n\ncurrency = 'EUR'",
            "line 3, key `currency`: is not known",
        ),
        (
            "version = 'v'\nmodels.' ' = { input = 1, output = 1 }",
            "line 2, model ` `: has no name",
        ),
        ("<html>", "line 1"),
    ] {
        let (_, error) = refused(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn hostile_text_makes_a_short_error_on_one_line() {
    let name = "x\\n".repeat(10_000);
    let deep = "[".repeat(100_000);
    for text in [
        format!("version = 'v'\n[models.\"{name}\"]\ninput = 'y'"),
        format!("version = 'v'\n[models.m]\ninput = \"{name}\"\noutput = 1"),
        format!("version = 'v'\n\"{name}\" = 1"),
        format!("version = 'v'\nmodels = {deep}"),
        "\u{0}\u{1}\r\r\n".repeat(1_000),
    ] {
        let (_, error) = refused(&text);
        assert!(error.len() < 3_000 && !error.contains('\n'), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "(version|models|input|output|m|\\[|\\]|=|\\.|'|\"|[0-9]|\n| |\\{|\\}|.){0,40}") {
        let _ = text.parse::<PriceTable>();
    }
}
