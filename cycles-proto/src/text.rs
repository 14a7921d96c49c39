//! Shortens text from outside for display.

/// Puts text from outside on one line, cut to [`EXCERPT`] characters.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(EXCERPT, text)
}

/// Puts text from outside on one line, cut to this many characters.
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

/// The maximum number of characters of outside text to show.
pub(crate) const EXCERPT: usize = 300;
