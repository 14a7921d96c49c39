//! From a subject to the scopes that it touches.

use super::shapes::{LEVELS, Subject};

/// The full paths of the scopes of `subject`, broadest first: one per level that is given, values in
/// lower case. The tenant is not added when the subject leaves it out.
pub(super) fn derive(subject: &Subject) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for (name, level) in LEVELS.iter().zip(&subject.levels) {
        let Some(value) = level else { continue };
        let segment = format!("{name}:{}", value.to_lowercase());
        scopes.push(match scopes.last() {
            Some(parent) => format!("{parent}/{segment}"),
            None => segment,
        });
    }
    scopes
}

/// The last of `scopes`, which names the whole path.
pub(super) fn deepest(scopes: &[String]) -> &str {
    scopes.last().map_or("", String::as_str)
}

/// The last segment of a path.
pub(super) fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether `path` has exactly the segment `level:value`, whatever the case of `value`.
pub(super) fn has_segment(path: &str, level: &str, value: &str) -> bool {
    let segment = format!("{level}:{}", value.to_lowercase());
    path.split('/').any(|candidate| candidate == segment)
}
