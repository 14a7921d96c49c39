//! Deserializers for members that the protocol restricts further than their JSON type.

use core::fmt;
use core::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

/// Reads an optional integer of at least 0.
pub(super) fn non_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Option::<i64>::deserialize(deserializer)? {
        Some(value) if value < 0 => Err(D::Error::invalid_value(
            Unexpected::Signed(value),
            &"an integer that is 0 or more",
        )),
        value => Ok(value),
    }
}

/// Reads a string of at least one character, for ids that a later call must name.
pub(super) fn not_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + AsRef<str>,
{
    let text = T::deserialize(deserializer)?;
    if text.as_ref().is_empty() {
        return Err(D::Error::invalid_length(0, &"a string that is not empty"));
    }
    Ok(text)
}

/// Reads a struct from an object only: by default, serde also accepts a list of the members' values.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Members<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Members(PhantomData))
}

/// Reads a text that is only informative: it is left out if it is not a string, and cut if it is long.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = if_valid(deserializer)?;
    Ok(text.map(|text| cut(&text).to_owned()))
}

/// Like [`text`], but the result is empty if the text is left out.
pub(super) fn text_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(text(deserializer)?.unwrap_or_default())
}

/// Cuts the text after 1,000 characters.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(1_000)
        .map_or(text, |(end, _)| &text[..end])
}

/// Reads a member that is only informative. If it is malformed or larger than 64 KiB, it is left out, so that it does
/// not invalidate the rest.
pub(super) fn if_valid<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(if raw.get().len() > 1 << 16 {
        None
    } else {
        serde_json::from_str(raw.get()).ok()
    })
}
