//! What values have on them that belongs to the place they were copied from.

/// The first such thing in a value, to be read after its name; it quotes nothing. A file for containers keeps quotes, a
/// heredoc its line break, a web page zero-width characters, and a template what nobody filled in.
pub(super) fn along_with(text: &str) -> Option<&'static str> {
    if text.contains(is_invisible) {
        return Some("has an invisible character in it, probably copied along: type the value anew");
    }
    if text.contains(['\n', '\r']) {
        return Some("has a line break in it, probably copied along: remove it");
    }
    if text.contains(char::is_control) {
        return Some("has a control character in it: remove it");
    }
    if text.trim().starts_with(is_quote) || text.trim().ends_with(is_quote) {
        return Some("is in quotes: remove them");
    }
    if text.starts_with('$') || ["${", "$(", "{{"].iter().any(|open| text.contains(open)) {
        return Some(
            "holds the name of a variable that nothing put the value of in its place: write the value itself",
        );
    }
    if text.trim() != text {
        return Some("has white space at its beginning or end: remove it");
    }
    None
}

/// A byte order mark, and what has no width: spaces, joiners, marks of direction.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{feff}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}'
    )
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}'
    )
}
