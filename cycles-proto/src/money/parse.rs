//! Price tables from TOML. Numbers are parsed from their text, so that they never pass through a float.

use core::ops::Range;
use core::str::FromStr;

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::prices::Prices;
use super::scale;
use super::table::{PriceError, PriceTable};
use super::usd::Usd;
use crate::text::shortened;

/// Parses a table of prices in TOML; see [`PriceTable`]. Unknown keys are errors, because a misspelt key would change
/// a price.
impl FromStr for PriceTable {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let place = Place::new(text);
        let document = DeTable::parse(text).map_err(|error| {
            let place = place.at(error.span().unwrap_or_default());
            place.invalid(shortened(error.message()))
        })?;
        let (mut version, mut models) = (None, None);
        for (key, value) in document.get_ref().iter() {
            let place = place.at(key.span()).key(key.get_ref());
            match key.get_ref().as_ref() {
                "version" => version = Some(place.version(value)?),
                "models" => models = Some(place.table(value)?),
                _ => return Err(place.invalid("is not known: a table has `version` and `models`")),
            }
        }
        let missing = |key, problem| place.at(0..0).key(key).invalid(problem);
        let version = version.ok_or_else(|| missing("version", "is missing: give the table a version"))?;
        let models = models.filter(|models| !models.is_empty());
        let models = models.ok_or_else(|| missing("models", "is missing: no model has a price"))?;
        let mut table = Self::new(version);
        for (name, prices) in models.iter() {
            let place = place.at(name.span()).model(name.get_ref());
            if name.get_ref().trim().is_empty() {
                return Err(place.invalid("has no name: write the name that the program asks for"));
            }
            let prices = place.prices(place.table(prices)?)?;
            table = table.with_model(name.get_ref().as_ref(), prices);
        }
        Ok(table)
    }
}

/// A place in the text, for errors.
#[derive(Clone, Debug)]
struct Place<'a> {
    text: &'a str,
    span: Range<usize>,
    model: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            span: 0..0,
            model: None,
            key: None,
        }
    }

    fn at(&self, span: Range<usize>) -> Self {
        Self { span, ..self.clone() }
    }

    fn model(self, model: &'a str) -> Self {
        Self {
            model: Some(model),
            ..self
        }
    }

    fn key(self, key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    fn invalid(&self, problem: impl Into<String>) -> PriceError {
        let before = self.text.as_bytes().iter().take(self.span.start);
        PriceError::Invalid {
            line: 1 + before.filter(|byte| **byte == b'\n').count(),
            model: self.model.map(shortened),
            key: self.key.map(shortened),
            problem: problem.into(),
        }
    }

    fn version(&self, value: &Spanned<DeValue<'_>>) -> Result<String, PriceError> {
        let version = value.get_ref().as_str().filter(|text| !text.trim().is_empty());
        version
            .map(str::to_owned)
            .ok_or_else(|| self.invalid("must be text, as in \"2026-11-22\""))
    }

    fn table<'t, 'i>(&self, value: &'t Spanned<DeValue<'i>>) -> Result<&'t DeTable<'i>, PriceError> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.invalid("must be a table of prices, as in [models.\"gpt-4o\"]"))
    }

    fn prices(&self, table: &DeTable<'_>) -> Result<Prices, PriceError> {
        let (mut input, mut cached_input, mut output, mut reasoning) = (None, None, None, None);
        for (key, value) in table.iter() {
            let place = Place {
                key: Some(key.get_ref()),
                ..self.at(key.span())
            };
            let price = match key.get_ref().as_ref() {
                "input" => &mut input,
                "cached_input" => &mut cached_input,
                "output" => &mut output,
                "reasoning" => &mut reasoning,
                _ => {
                    let known = "is not known: a model has `input`, `cached_input`, `output` and `reasoning`, each per million tokens, and a name with dots must be in quotes";
                    return Err(place.invalid(known));
                }
            };
            *price = Some(place.at(value.span()).price(value)?);
        }
        let missing = |key| {
            let place = self.clone().key(key);
            move || place.invalid("is missing: write US dollars per million tokens")
        };
        Ok(Prices {
            cached_input,
            reasoning,
            ..Prices::new(
                input.ok_or_else(missing("input"))?,
                output.ok_or_else(missing("output"))?,
            )
        })
    }

    fn price(&self, value: &Spanned<DeValue<'_>>) -> Result<Usd, PriceError> {
        let value = value.get_ref();
        let integer = value.as_integer().filter(|number| number.radix() == 10);
        let number = value.as_float().map(DeFloat::as_str);
        let number = number.or_else(|| integer.map(DeInteger::as_str));
        let Some(text) = value.as_str().or(number) else {
            return Err(self.invalid("must be US dollars per million tokens, as in 2.50"));
        };
        match scale::problem(text) {
            Some(problem) => Err(self.invalid(problem)),
            None => text
                .parse::<Usd>()
                .map_err(|error| self.invalid(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::Amount;

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
            .with_cached_input(Usd::cents(125))
            .with_reasoning(Usd::from_microcents(1_200_000_001).unwrap());
        assert_eq!(*gpt_4o, expected);
        assert_eq!(
            table.estimate("small", 1_000_000, 1_000_000),
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
            let prices = table.model("m").unwrap();
            assert_eq!(
                (prices.input.microcents(), prices.output.microcents()),
                (microcents, microcents)
            );
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
            ("input = 1", 2, "model `m`, key `output`: is missing"),
            ("output = 1", 2, "model `m`, key `input`: is missing"),
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
}
