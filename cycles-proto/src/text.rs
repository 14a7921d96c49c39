//! Text from outside, as it is shown.

/// Text from outside on one line and of bounded length.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(EXCERPT, text)
}

/// The same, of another length.
pub(crate) fn shortened_to(length: usize, text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(length)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(length).is_some() {
        line.push('…');
    }
    line
}

/// How much of a foreign text is shown.
pub(crate) const EXCERPT: usize = 300;
