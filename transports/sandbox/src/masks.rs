//! Hides keys in text that is about to be shown.

/// The keys to hide: in lower case, because scopes are lower-cased; longest first, because one may be another's prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks(Vec<String>);

/// Shorter keys are not hidden: they are not secret, and they occur in too many words.
const SHORTEST: usize = 6;

/// The prefix of the protocol's keys. Text that begins with it is always hidden, even if the key is not known here.
const PREFIX: &str = "cyc_";

impl Masks {
    pub(crate) fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self::default().and(keys)
    }

    /// Returns these masks with `keys` added.
    pub(crate) fn and<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = self.0.clone();
        all.extend(
            keys.into_iter()
                .filter(|key| key.len() >= SHORTEST)
                .map(str::to_ascii_lowercase),
        );
        all.sort_by_key(|key| std::cmp::Reverse(key.len()));
        Self(all)
    }

    /// Replaces every key in `text`, in any case, by `[key]`.
    pub(crate) fn hide(&self, text: &str) -> String {
        // Lower-casing ASCII does not move bytes, so an offset in `lower` is valid in `text` too.
        let lower = text.to_ascii_lowercase();
        let (mut shown, mut at) = (String::new(), 0);
        while let Some(c) = text[at..].chars().next() {
            match self.length_at(&lower[at..]) {
                Some(length) => {
                    shown.push_str("[key]");
                    at += length;
                }
                None => {
                    shown.push(c);
                    at += c.len_utf8();
                }
            }
        }
        shown
    }

    /// The length of the key that `lower` begins with, if any.
    fn length_at(&self, lower: &str) -> Option<usize> {
        if let Some(key) = self.0.iter().find(|key| lower.starts_with(key.as_str())) {
            return Some(key.len());
        }
        let of_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        lower
            .starts_with(PREFIX)
            .then(|| lower.bytes().take_while(of_key).count())
    }
}

#[cfg(test)]
mod tests {
    use super::Masks;

    #[test]
    fn a_key_is_hidden_in_whatever_case_and_place() {
        let masks = Masks::of(["Secret-Key", "secret-key-2", "abc"]);
        assert_eq!(masks.hide("x=SECRET-KEY&y=secret-key-2é"), "x=[key]&y=[key]é");
        assert_eq!(masks.hide("agent:CYC_live_0a-b_c/x cyc_"), "agent:[key]/x [key]");
        assert_eq!(masks.hide("abc and nothing else"), "abc and nothing else");
    }
}
