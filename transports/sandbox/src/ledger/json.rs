//! A JSON tree that keeps the details that change the server's hash of a request: the order of members, and whether a
//! number was written as an integer.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// Anything that fits an `i64` or a `u64`.
    Int(i128),
    /// Numbers with a fraction or an exponent, and integers beyond 64 bits.
    Float(f64),
    Text(String),
    Array(Vec<Self>),
    /// In the order of first appearance; a duplicate name keeps its last value.
    Object(Vec<(String, Self)>),
}

/// The request's body does not have the operation's shape: 400, without a hint of where.
#[derive(Debug)]
pub(super) struct Malformed;

impl Json {
    /// Parses the first value in `bytes`, after an optional byte order mark. Like the server's parser, ignores anything
    /// after that value.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let mut source = serde_json::Deserializer::from_slice(bytes);
        Self::deserialize(&mut source).map_err(|_| Malformed)
    }

    /// The text of this member, if this is an object with such a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let Self::Object(members) = self else {
            return None;
        };
        match members.iter().find(|(member, _)| member == name)? {
            (_, Self::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(signed), _) => serializer.serialize_i64(signed),
                (Err(_), Ok(unsigned)) => serializer.serialize_u64(unsigned),
                (Err(_), Err(_)) => Err(S::Error::custom("integers are kept in 64 bits")),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Int(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        if value.is_finite() {
            Ok(Json::Float(value))
        } else {
            Err(E::custom("number out of range"))
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Json>()? {
            if let Some(&place) = places.get(&name) {
                let member = members
                    .get_mut(place)
                    .ok_or_else(|| A::Error::custom("lost member"))?;
                member.1 = value;
            } else {
                places.insert(name.clone(), members.len());
                members.push((name, value));
            }
        }
        Ok(Json::Object(members))
    }
}
