//! Suggestions for misspelled names.

/// The name in `names` that is closest to `word`, if one is close enough.
pub(crate) fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let (distance, name) = names.iter().map(|name| (distance(word, name), *name)).min()?;
    let is_near = distance <= word.len().min(name.len()).div_ceil(3);
    is_near.then_some(name)
}

/// The number of letters to insert, remove or replace to turn one word into the other, ignoring case.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.to_lowercase(), to.to_lowercase());
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_name_and_another_word_none() {
        let names = ["estimate", "actual", "ttl_ms", "tenant"];
        assert_eq!(nearest("estimat", &names), Some("estimate"));
        assert_eq!(nearest("ESTIMATE", &names), Some("estimate"));
        assert_eq!(nearest("ttlms", &names), Some("ttl_ms"));
        assert_eq!(nearest("tenent", &names), Some("tenant"));
        assert_eq!(nearest("model", &names), None);
        assert_eq!(nearest("", &names), None);
    }
}
