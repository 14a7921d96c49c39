//! Scopes: the scopes of a subject, and the syntax of scope paths.

use super::shared_types::{LEVELS, Subject};

/// The full paths of the scopes of `subject`, broadest first: one per level in the subject, with values in lower case.
/// A tenant that the subject omits is not added.
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

/// The scopes whose deepest one is `path`.
pub(super) fn up_to(path: &str) -> Vec<String> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let scopes = ends.filter_map(|end| path.get(..end)).map(str::to_owned);
    scopes.collect()
}

/// The last of `scopes`, which is the whole path.
pub(super) fn deepest(scopes: &[String]) -> &str {
    scopes.last().map_or("", String::as_str)
}

/// The last segment of a path.
pub(super) fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The segment of a path for a value in any case.
pub(super) fn segment(level: &str, value: &str) -> String {
    format!("{level}:{}", value.to_lowercase())
}

/// Whether `path` has this complete segment.
pub(super) fn has(path: &str, segment: &str) -> bool {
    path.split('/').any(|candidate| candidate == segment)
}

/// The tenant that a path begins with.
pub(super) fn tenant_of(path: &str) -> Option<&str> {
    let tenant = path.split('/').next()?.strip_prefix("tenant:")?;
    (!tenant.is_empty()).then_some(tenant)
}

/// Checks that `path` can have a budget: it must be `tenant:ID`, then further levels in their order.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    let mut next_level = 0;
    for segment in path.split('/') {
        let (name, id) = segment
            .split_once(':')
            .ok_or_else(|| format!("`{segment}` in `{path}` is not of the form LEVEL:ID"))?;
        let level = LEVELS.iter().position(|level| *level == name).ok_or_else(|| {
            format!(
                "`{name}` in `{path}` is not a level; the levels are {}",
                LEVELS.join(", ")
            )
        })?;
        if next_level == 0 && level > 0 {
            return Err(format!("`{path}` does not begin with tenant:ID"));
        }
        if level < next_level {
            let order = LEVELS.join(", ");
            return Err(format!(
                "`{name}` in `{path}` comes too late; the order is {order}"
            ));
        }
        if !is_id(id) {
            return Err(format!(
                "`{id}` in `{path}` is not an id: up to 128 letters, digits, dots, hyphens and underscores, \
                 with a letter or digit at both ends"
            ));
        }
        next_level = level + 1;
    }
    Ok(())
}

/// Whether `text` can be the id of a level in a budget's scope.
fn is_id(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let ends_fit = ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
    bytes.len() <= 128 && ends_fit && bytes.iter().copied().all(inner)
}
