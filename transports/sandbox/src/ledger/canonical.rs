//! Canonical JSON (RFC 8785): one text per value. The ids of evidence are hashes of it.

use serde_json::{Map, Value};

/// Writes members in the order of their UTF-16 code units, no blanks, and numbers in the format of ECMAScript doubles.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

/// Removes members that are null, at any depth; nulls in arrays stay.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(kept.map(|(name, member)| (name, without_nulls(member))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        // As RFC 8785 requires, integers are rounded to a double. Every number that was read is finite.
        Value::Number(number) => text.push_str(&ecmascript(number.as_f64().unwrap_or(0.0))),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                write(text, item);
            }
            text.push(']');
        }
        Value::Object(members) => write_members(text, members),
    }
}

fn write_members(text: &mut String, members: &Map<String, Value>) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    text.push('{');
    for (place, (name, value)) in sorted.into_iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write(text, value);
    }
    text.push('}');
}

/// The shortest digits that represent `number`, in the layout of `Number.prototype.toString`.
fn ecmascript(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The number of digits before the decimal point.
    let point = exponent.parse::<i32>().unwrap_or(0).saturating_add(1);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let split = |at: i32| {
        digits
            .split_at_checked(usize::try_from(at).unwrap_or(0))
            .unwrap_or((&digits, ""))
    };
    match point {
        _ if count <= point && point <= 21 => format!("{sign}{digits}{}", zeros(point - count)),
        1..=21 => {
            let (whole, fraction) = split(point);
            format!("{sign}{whole}.{fraction}")
        }
        -5..=0 => format!("{sign}0.{}{digits}", zeros(-point)),
        _ => {
            let (first, rest) = split(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let power = point - 1;
            let plus = if power > 0 { "+" } else { "" };
            format!("{sign}{first}{dot}{rest}e{plus}{power}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, ecmascript, without_nulls};

    #[test]
    fn numbers_are_written_as_ecmascript_does() {
        let rows = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (123.456, "123.456"),
            (9_223_372_036_854_775_807.0, "9223372036854776000"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e22, "1.25e+22"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ];
        for (number, text) in rows {
            assert_eq!(ecmascript(number), text);
        }
    }

    #[test]
    fn members_are_sorted_by_utf16_and_nulls_can_be_left_out() {
        // An astral character sorts before U+FB33 by code units, and after it by code points.
        let value = serde_json::json!({
            "\u{fb33}": 1, "\u{1f600}": 2, "b": [null, {"z": null}], "a": null, "n": "\u{1}\"\u{7f}/",
        });
        let expected = "{\"b\":[null,{}],\"n\":\"\\u0001\\\"\u{7f}/\",\"\u{1f600}\":2,\"\u{fb33}\":1}";
        assert_eq!(canonical(&without_nulls(value)), expected);
    }
}
