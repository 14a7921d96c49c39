//! JSON as text: rewrites integers that a parser refuses, and finds the member that it refuses.

/// Rewrites integers such as `42.0` and `4.2e1` as digits, because some gateways read and write numbers as floats.
/// Returns `None` if there are none to rewrite. No digit passes through a float.
pub(super) fn with_plain_integers(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut kept = 0;
    for token in tokens(text) {
        let (start, end) = (token.start, token.start + token.text.len());
        if let Some(integer) = integer(token.text) {
            plain.push_str(&text[kept..start]);
            plain.push_str(&integer);
            kept = end;
        }
    }
    (kept > 0).then(|| plain + &text[kept..])
}

/// The path of the last member that begins before an offset: `balances[1].remaining.amount`. Returns `None` outside all
/// members.
pub(super) fn member_at(text: &str, offset: usize) -> Option<String> {
    let mut path: Vec<Step> = Vec::new();
    let mut last = "";
    for token in tokens(text).take_while(|token| token.start < offset) {
        match (token.text, path.last_mut()) {
            ("{", _) => path.push(Step::Member(None)),
            ("[", _) => path.push(Step::Item(0)),
            ("}" | "]", _) => drop(path.pop()),
            (":", Some(Step::Member(name))) => *name = Some(last),
            (",", Some(Step::Item(number))) => *number += 1,
            _ => {}
        }
        last = token.text;
    }
    let mut shown = String::new();
    for step in path {
        match step {
            Step::Member(Some(name)) => {
                shown.push_str(if shown.is_empty() { "" } else { "." });
                shown.push_str(name.trim_matches('"'));
            }
            Step::Item(number) => shown.push_str(&format!("[{number}]")),
            Step::Member(None) => {}
        }
    }
    (!shown.is_empty()).then_some(shown)
}

/// The offset of a line and column, which serde_json counts from one and in bytes.
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    before.map(str::len).sum::<usize>() + column
}

enum Step<'a> {
    Member(Option<&'a str>),
    Item(usize),
}

struct Token<'a> {
    start: usize,
    text: &'a str,
}

/// Splits JSON into strings, punctuation, and anything else between those and white space.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes
            .get(at..)?
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let start = at;
        at += match *bytes.get(at)? {
            b'"' => string_length(&bytes[at..]),
            b'{' | b'}' | b'[' | b']' | b':' | b',' => 1,
            _ => bytes[at..].iter().take_while(|byte| !is_end(**byte)).count(),
        };
        // All ends are ASCII, so no character is cut. An unterminated string goes to the end of the text.
        Some(Token {
            start,
            text: text.get(start..at)?,
        })
    })
}

/// The length of a string including both quotes, limited to the text.
fn string_length(bytes: &[u8]) -> usize {
    let mut length = 1;
    while let Some(byte) = bytes.get(length) {
        match byte {
            b'"' => return length + 1,
            b'\\' => length += 2,
            _ => length += 1,
        }
    }
    bytes.len()
}

fn is_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b':' | b',')
}

/// The digits of a number whose value is an integer although it is not written as one.
fn integer(number: &str) -> Option<String> {
    let (sign, rest) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    let magnitude = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_written_otherwise = rest.len() > whole.len();
    let is_a_number = is_digits(whole) && is_digits(magnitude) && (whole == "0" || !whole.starts_with('0'));
    if !is_written_otherwise || !is_a_number {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let zeros = i64::try_from(all.len() - digits.len()).ok()?;
    let moved = exponent.parse::<i32>().ok()?;
    let zeros = zeros + i64::from(moved) - i64::try_from(fraction.len()).ok()?;
    let digits = digits.trim_start_matches('0');
    // Longer numbers do not fit into any member.
    let zeros = usize::try_from(zeros)
        .ok()
        .filter(|zeros| zeros + digits.len() <= 20)?;
    Some(format!("{sign}{digits}{}", "0".repeat(zeros)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        for (written, plain) in [
            ("42.0", "42"),
            ("-42.000", "-42"),
            ("4.2e1", "42"),
            ("42e+0", "42"),
            ("42E-0", "42"),
            ("4200e-2", "42"),
            ("0.042E3", "42"),
            ("0.0", "0"),
            ("-0.0", "0"),
            ("0e99", "0"),
            ("9007199254740993.0", "9007199254740993"),
            ("9.223372036854775807e18", "9223372036854775807"),
            ("-9223372036854775808.0", "-9223372036854775808"),
            ("1.8446744073709551615E19", "18446744073709551615"),
        ] {
            assert_eq!(integer(written).as_deref(), Some(plain), "{written}");
        }
        for other in [
            "42",
            "-1",
            "0",
            "1.5",
            "4.25e1",
            "42e-1",
            "1e-1",
            "1e20",
            "1e400",
            "1e99999999999",
            "042.0",
            "1.",
            ".0",
            "1e",
            "1e+",
            "+1.0",
            "--1.0",
            "1.0.0",
            "0x1.0",
            "NaN",
            "true",
            "null",
            "\"42.0\"",
            "",
            "-",
            "e1",
        ] {
            assert_eq!(integer(other), None, "{other}");
        }
    }

    #[test]
    fn only_numbers_are_written_anew_and_nothing_else_changes() {
        let text = r#"{"a" : 42.0,"s":"7.0, \"8.0","l":[1.0,2, -3e1],"o":{"x":1.5}, "é\"":6.0 }"#;
        let plain = r#"{"a" : 42,"s":"7.0, \"8.0","l":[1,2, -30],"o":{"x":1.5}, "é\"":6 }"#;
        assert_eq!(with_plain_integers(text).as_deref(), Some(plain));
        for text in [r#"{"a":42,"b":"1.0"}"#, "", "{", "\"1.0", "\\", "é1.0é"] {
            assert_eq!(with_plain_integers(text), None, "{text}");
        }
    }

    #[test]
    fn a_member_is_named_by_its_path() {
        let text = "{\"status\":5,\n \"charged\":{\"unit\":\"{[\",\"amount\":1.5},\"balances\":[{\"a\":1},{\"b\":[0,7]}]}";
        for (part, path) in [
            ("5", "status"),
            ("1.5", "charged.amount"),
            ("\"{[", "charged.unit"),
            ("7", "balances[1].b[1]"),
            ("1}", "balances[0].a"),
        ] {
            let at = text.find(part).unwrap() + 1;
            assert_eq!(member_at(text, at).as_deref(), Some(path), "{part}");
        }
        assert_eq!(member_at(text, text.len() + 9), None);
        assert_eq!(member_at("<html>", 6), None);
        assert_eq!(offset(text, 2, 3), text.find("\"charged").unwrap() + 2);
    }
}
