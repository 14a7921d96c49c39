//! Checks values for text that was accidentally copied along with them.

/// The first problem with a value, worded to follow the value's name, without quoting the value. Values from container
/// env files keep their quotes, from heredocs a line break, from web pages zero-width characters, and from templates
/// their placeholders.
pub(super) fn along_with(text: &str) -> Option<&'static str> {
    in_any(text)
        .or_else(|| line_break_as_code(text))
        .or_else(|| end_of_an_item(text))
}

/// Checks an API key, and refuses only what cannot be one: a gateway's key may be any text.
pub(super) fn along_with_key(text: &str) -> Option<&'static str> {
    let is_of_the_protocol = text.starts_with("cyc_");
    let problem = in_any(text).or_else(|| line_break_as_code(text));
    if problem.is_some() {
        return problem;
    }
    if is_path(text) {
        return Some("is a file path: read the file, and use the key in it");
    }
    if is_of_the_protocol && (text.contains('<') || text.ends_with('>')) {
        return Some(PLACEHOLDER);
    }
    end_of_an_item(text).filter(|_| is_of_the_protocol)
}

/// Checks a directory, and also refuses anything that only a shell would expand: it would become part of the name.
pub(super) fn along_with_directory(text: &str) -> Option<&'static str> {
    // On Windows, a directory's name may look like an escaped line break.
    let code = line_break_as_code(text).filter(|_| !cfg!(windows));
    let problem = in_any(text).or(code).or_else(|| end_of_an_item(text));
    if problem.is_some() {
        return problem;
    }
    if text.contains("://") || starts_with(text, "file:") {
        return Some("is a URL: write the path alone");
    }
    let mut parts = text.split(['/', '\\']);
    if parts.clone().any(is_bracketed) {
        return Some(PLACEHOLDER);
    }
    if parts.any(is_windows_variable) {
        return Some(VARIABLE);
    }
    if text.contains('$') {
        return Some("contains a `$`, which only a shell would expand: write the full path");
    }
    if text.starts_with('~') && text != "~" && !text.starts_with("~/") {
        return Some(
            "starts with another user's home directory, which only a shell would look up: write the full path",
        );
    }
    None
}

/// Whether an API key is an example from a README, or only part of a key. It is refused only in the environment,
/// because a program may use such a key in an example of its own.
pub(super) fn as_an_example(key: &str) -> Option<&'static str> {
    let has_gap = key.starts_with("cyc_") && ["...", "***"].iter().any(|gap| key.contains(gap));
    (has_gap || key == "...").then_some("is an example, or only part of a key: write the whole key")
}

const PLACEHOLDER: &str = "still contains a placeholder: write the actual value";

const VARIABLE: &str = "contains the name of a variable instead of its value: write the actual value";

fn in_any(text: &str) -> Option<&'static str> {
    if text.contains(is_invisible) {
        return Some("contains an invisible character, probably picked up when copying: retype the value");
    }
    if text.contains(['\n', '\r']) {
        return Some("contains a line break, probably picked up when copying: remove it");
    }
    if text.contains(char::is_control) {
        return Some("contains a control character: remove it");
    }
    if text.trim().starts_with(is_quote) || text.trim().ends_with(is_quote) {
        return Some("is in quotes: remove them");
    }
    if text.starts_with('$')
        || ["${", "$(", "{{"].iter().any(|open| text.contains(open))
        || is_windows_variable(text)
    {
        return Some(VARIABLE);
    }
    if is_bracketed(text) {
        return Some(PLACEHOLDER);
    }
    if is_assignment(text) {
        return Some("starts with the variable's name and `=`: keep only what follows");
    }
    if text.trim() != text {
        return Some("starts or ends with white space: remove it");
    }
    None
}

/// Checks for an escaped line break, as `echo` may leave it.
fn line_break_as_code(text: &str) -> Option<&'static str> {
    let is_there = text.ends_with("\\n") || text.ends_with("\\r");
    is_there.then_some("ends in an escaped line break (a backslash and a letter): remove both characters")
}

/// Checks for the separator after an item in a list or in code.
fn end_of_an_item(text: &str) -> Option<&'static str> {
    let is_there = text.ends_with([',', ';']);
    is_there.then_some("ends in a comma or semicolon, probably picked up when copying: remove it")
}

/// Whether the text is a line of an env file, `CYCLES_TENANT=acme`. Other names may be part of a value.
fn is_assignment(text: &str) -> bool {
    let text = text.strip_prefix("export ").unwrap_or(text);
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    // Base64 may end in `=`, too.
    let is_value = !value.is_empty() && !value.starts_with('=');
    is_value
        && is_name(name)
        && super::env::NAMES
            .iter()
            .any(|known| is_behind_a_prefix(name, known))
}

fn is_behind_a_prefix(name: &str, known: &str) -> bool {
    let prefix = name.strip_suffix(known);
    prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('_'))
}

/// Whether the whole text is `<..>`.
fn is_bracketed(text: &str) -> bool {
    text.starts_with('<') && text.ends_with('>')
}

/// Whether the whole text is `%NAME%`.
pub(super) fn is_windows_variable(text: &str) -> bool {
    let inner = text.strip_prefix('%').and_then(|text| text.strip_suffix('%'));
    inner.is_some_and(is_name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether the text is a file path. A base64 key may contain slashes, but it also contains capital letters.
fn is_path(text: &str) -> bool {
    let is_relative = ["./", "../", "~/", "/Users/"]
        .iter()
        .any(|start| text.starts_with(start));
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_absolute = text.strip_prefix('/').is_some_and(|rest| {
        let mut parts = rest.split('/');
        rest.contains('/') && parts.all(|part| !part.is_empty() && part.bytes().all(fits))
    });
    let bytes = text.as_bytes();
    let has_drive = bytes.first().is_some_and(u8::is_ascii_alphabetic) && text[1..].starts_with(":\\");
    is_relative || is_absolute || has_drive || starts_with(text, "file:/")
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Whether the character is a byte order mark or has no width, like some spaces, joiners and direction marks.
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
