//! Free-form JSON objects: metadata, custom metrics, error details.

use core::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::{RawValue, Value, to_raw_value};

use super::field_checks::{InvalidRequest, MAX_NESTING};

/// A JSON object that keeps the order of its members and the spelling of their values.
///
/// The server compares a repeated request byte by byte inside such objects, so the order of members and the spelling
/// of numbers must not change between an attempt and its repetition.
///
/// ```
/// use cycles_proto::models::JsonObject;
///
/// let metadata = JsonObject::new().with("request_id", "req-abc-123").with("attempt", 2);
/// assert_eq!(metadata.to_string(), r#"{"request_id":"req-abc-123","attempt":2}"#);
/// assert_eq!(metadata.get::<u32>("attempt"), Some(2));
/// ```
#[derive(Clone, Default)]
pub struct JsonObject(Vec<(String, Box<RawValue>)>);

impl JsonObject {
    /// Creates an object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the object with this member added; it replaces an earlier member of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Adds a member; it replaces an earlier member of the same name, at the same position.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        // A `Value` has string keys and finite numbers, so writing it cannot fail.
        let raw = to_raw_value(&value.into()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        self.insert_raw(name.into(), raw);
    }

    /// Serializes `value`; `None` if the result is not an object.
    pub fn from_serialize(value: &impl Serialize) -> Option<Self> {
        serde_json::from_str(&serde_json::to_string(value).ok()?).ok()
    }

    /// The member called `name`, if it exists and decodes as `T`. If the name is repeated, the last one counts.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.get_raw(name)?).ok()
    }

    /// The JSON text of the member called `name`. If the name is repeated, the last one counts.
    pub fn get_raw(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.get())
    }

    /// Iterates over the names and JSON texts of the members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The size of the members in bytes.
    pub(crate) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.get().len())
            .sum()
    }

    /// Checks that the object is not nested deeper than servers accept.
    pub(crate) fn check_nesting(&self, field: &str) -> Result<(), InvalidRequest> {
        let depth = 1 + self.iter().map(|(_, value)| nesting(value)).max().unwrap_or(0);
        if depth <= MAX_NESTING {
            return Ok(());
        }
        let problem = format!("is nested {depth} levels deep: at most {MAX_NESTING} are allowed");
        Err(InvalidRequest::new(field, problem))
    }

    /// Removes the members that are nested deeper than servers accept, and returns the limit that they broke.
    pub(crate) fn leave_out_deep(&mut self, field: &str) -> Option<InvalidRequest> {
        let problem = self.check_nesting(field).err();
        self.0.retain(|(_, value)| nesting(value.get()) < MAX_NESTING);
        problem
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert_raw(&mut self, name: String, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

/// The maximum nesting of objects and lists in a valid JSON text.
fn nesting(json: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' if !in_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

impl From<serde_json::Map<String, Value>> for JsonObject {
    fn from(map: serde_json::Map<String, Value>) -> Self {
        map.into_iter().collect()
    }
}

/// Converts any value, because metadata must never keep a cost out of the ledger: a value that is not an object
/// becomes the member `value` of an object, and null becomes an object without members.
///
/// ```
/// use cycles_proto::models::JsonObject;
/// use serde_json::json;
///
/// assert_eq!(JsonObject::from(json!({"attempt": 2})).to_string(), r#"{"attempt":2}"#);
/// assert_eq!(JsonObject::from(json!("a note")).to_string(), r#"{"value":"a note"}"#);
/// assert_eq!(JsonObject::from(json!(null)).to_string(), "{}");
/// ```
impl From<Value> for JsonObject {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => members.into(),
            Value::Null => Self::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Self::new().with("value", value)
            }
        }
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for JsonObject {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        members
            .into_iter()
            .fold(Self::new(), |object, (name, value)| object.with(name, value))
    }
}

impl PartialEq for JsonObject {
    /// Compares the text: same members, same order, same spelling.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for JsonObject {}

impl fmt::Display for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(JsonObject(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_goes_out_unchanged() {
        let text = r#"{"zeta":1.0,"alpha":{"b":1,"a":1e3},"n":18446744073709551616,"zeta":2}"#;
        let object: JsonObject = serde_json::from_str(text).unwrap();
        assert_eq!(object.to_string(), text);
        assert_eq!(object.get::<i64>("zeta"), Some(2));
    }

    #[test]
    fn deep_nesting_is_carried_without_recursion() {
        // Any depth tests the same, and Miri is slow.
        let depth = if cfg!(miri) { 500 } else { 50_000 };
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let object: JsonObject = serde_json::from_str(&deep).unwrap();
        assert_eq!(object.to_string(), deep);
    }

    #[test]
    fn nesting_is_counted_outside_of_texts() {
        for (json, levels) in [
            ("1", 0),
            (r#""[[[""#, 0),
            ("[]", 1),
            (r#"[{"a":[]},[],{}]"#, 3),
            (r#"["]","\"[","\\",{"[":"{"}]"#, 2),
            (r#"[[1],[2],[[3]]]"#, 3),
        ] {
            assert!(serde_json::from_str::<Value>(json).is_ok());
            assert_eq!(nesting(json), levels, "{json}");
        }
    }

    #[test]
    fn a_member_that_is_set_again_keeps_its_place() {
        let object: JsonObject = [("a", 1), ("b", 2), ("a", 3)].into_iter().collect();
        assert_eq!(object.to_string(), r#"{"a":3,"b":2}"#);
        assert_eq!((object.len(), object.is_empty()), (2, false));
        assert!(JsonObject::new().is_empty());
        let map = serde_json::Map::from_iter([("z".to_owned(), serde_json::json!([1]))]);
        assert_eq!(format!("{:?}", JsonObject::from(map)), r#"{"z":[1]}"#);
    }

    #[test]
    fn only_objects_become_objects() {
        assert!(JsonObject::from_serialize(&[1, 2]).is_none());
        assert_eq!(
            JsonObject::from_serialize(&serde_json::json!({"a": 1})),
            Some(JsonObject::new().with("a", 1))
        );
    }
}
