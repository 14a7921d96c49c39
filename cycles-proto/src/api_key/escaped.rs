//! Finds a word in text, however its characters are escaped.

use core::ops::Range;

/// The first range at or after `from` in which `text` spells `word`, which is ASCII. Each character may be plain or
/// escaped as in JSON, Rust, C, URLs or HTML, even twice. The surrounding text does not matter, so an extra quote
/// hides nothing.
pub(super) fn find(text: &str, from: usize, word: &str) -> Option<Range<usize>> {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let first = *word.first()?;
    let starts = |byte: &u8| *byte == first || ESCAPES.contains(byte);
    let mut start = from;
    loop {
        start += text.get(start..)?.iter().position(starts)?;
        if let Some(end) = end(text, start, word) {
            return Some(start..end);
        }
        start += 1;
    }
}

/// Whether the text may contain escaped characters.
pub(super) fn has_escapes(text: &[u8]) -> bool {
    text.iter().any(|byte| ESCAPES.contains(byte))
}

const ESCAPES: &[u8] = br"\%&";

/// The most backslashes that may represent one: their number doubles each time the text is quoted.
const MOST_BACKSLASHES: usize = 8;

/// An escape that writes a character as a number.
struct Form {
    prefix: &'static [u8],
    /// Without a suffix the number of digits is exact; with one it is the maximum.
    suffix: &'static [u8],
    radix: u32,
    digits: usize,
}

const fn form(prefix: &'static [u8], suffix: &'static [u8], radix: u32, digits: usize) -> Form {
    Form {
        prefix,
        suffix,
        radix,
        digits,
    }
}

const AFTER_A_BACKSLASH: [Form; 4] = [
    form(b"u", b"", 16, 4),
    form(b"u{", b"}", 16, 6),
    form(b"x", b"", 16, 2),
    form(b"", b"", 8, 3),
];

const ALONE: [Form; 4] = [
    form(b"%", b"", 16, 2),
    form(b"&#x", b";", 16, 6),
    form(b"&#X", b";", 16, 6),
    form(b"&#", b";", 10, 7),
];

/// The end of the word, if it starts at `start`.
fn end(text: &[u8], start: usize, word: &[u8]) -> Option<usize> {
    let mut ends = vec![start];
    for byte in word {
        let mut next = Vec::new();
        for at in ends {
            spellings(text.get(at..)?, *byte, |length| next.push(at + length));
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends.last().copied()
}

/// Reports the length of each spelling of the character at the start of `text`.
fn spellings(text: &[u8], byte: u8, mut found: impl FnMut(usize)) {
    let backslashes = text.iter().take_while(|byte| **byte == b'\\').count();
    for skipped in 0..=backslashes.min(MOST_BACKSLASHES) {
        let text = &text[skipped..];
        if text.first() == Some(&byte) {
            found(skipped + 1);
        }
        let forms = if skipped == 0 { &ALONE } else { &AFTER_A_BACKSLASH };
        for length in forms.iter().filter_map(|form| form.length(text, byte)) {
            found(skipped + length);
        }
    }
}

impl Form {
    /// The length of the character at the start of `text`, if it is written in this form.
    fn length(&self, text: &[u8], byte: u8) -> Option<usize> {
        let rest = text.strip_prefix(self.prefix)?;
        let mut number = 0_u32;
        let mut digits = 0;
        for digit in rest.iter().take(self.digits) {
            let Some(digit) = char::from(*digit).to_digit(self.radix) else {
                break;
            };
            number = number.saturating_mul(self.radix).saturating_add(digit);
            digits += 1;
        }
        let is_whole = digits == self.digits || (digits > 0 && !self.suffix.is_empty());
        let is_it = is_whole && number == u32::from(byte) && rest[digits..].starts_with(self.suffix);
        is_it.then_some(self.prefix.len() + digits + self.suffix.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "cyc_1";

    #[test]
    fn a_word_is_found_however_it_is_escaped_and_whatever_stands_before_it() {
        let json = r"\u0063\u0079\u0063\u005F\u0031";
        let twice = json.replace('\\', r"\\");
        for spelled in [
            WORD,
            json,
            &twice,
            &twice.replace('\\', r"\\"),
            r"cyc\u005f1",
            r"\u{63}yc\u{5f}1",
            r"cyc\x5f1",
            r"\143yc\1371",
            "cyc%5f1",
            "%63%79%63%5F%31",
            "&#99;y&#x63;&#X5F;&#0049;",
            r"c\y\c\_1",
        ] {
            for before in ["", "\"", r#"" in ""#, r"\", r#"\""#, "%", "&", "ü"] {
                let text = format!("{before}{spelled}\"é");
                let found = find(&text, 0, WORD).unwrap_or_else(|| panic!("not in {text}"));
                assert!(
                    text[found.start..].contains(spelled.trim_start_matches('\\'))
                        && found.end == text.len() - 3,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_found() {
        for text in [
            "",
            "cyc_",
            r"\u0063yc\u005",
            "cyc%5",
            "cyc&#95",
            r"cyc\u{5f1",
            "cyc%5g1",
            "cyc&#x;1",
        ] {
            assert_eq!(find(text, 0, WORD), None, "{text}");
        }
        let backslashes = "\\".repeat(1 << 16);
        assert_eq!(find(&backslashes, 0, WORD), None);
    }

    #[test]
    fn a_word_of_backslashes_and_quotes_is_found_as_it_is_and_escaped() {
        for text in [r#"x\"y"#, r#"x\\\"y"#] {
            assert!(find(text, 0, r#"\"y"#).is_some(), "{text}");
        }
    }
}
