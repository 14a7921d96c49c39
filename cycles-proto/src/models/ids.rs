//! Ids and keys: opaque strings that the ledger compares byte by byte.

use std::sync::Arc;

use super::field_checks::{InvalidRequest, length};

/// Declares a string newtype. Its values are checked when they are sent, not when they are created, so that request
/// builders stay infallible and any id that a server returns is kept.
macro_rules! string_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        ///
        /// Clones share one text.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Creates a value from its text on the wire.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into().into())
            }

            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text on the wire.
            pub fn into_inner(self) -> String {
                self.into()
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl core::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text).map(Self)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

string_id! {
    /// A reservation's id, chosen by the server; 1 to 128 characters when sent.
    ReservationId
}
string_id! {
    /// A direct debit's id, chosen by the server.
    EventId
}
string_id! {
    /// The content hash of an evidence envelope: 64 lower-case hex digits.
    EvidenceId
}
string_id! {
    /// The key by which the server recognizes a repeated call (IDEMPOTENCY): 1 to 256 characters.
    ///
    /// The server compares the whole request under a key, so a repeat must carry the same body.
    IdempotencyKey
}

/// Reads a string without an intermediate copy.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

impl ReservationId {
    /// Checks the limits of the path parameter `reservation_id`. `.` and `..` are refused, because no encoding stops
    /// every proxy from resolving them to another route.
    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        length("reservation_id", &self.0, 1, 128)?;
        if matches!(self.as_str(), "." | "..") {
            return Err(InvalidRequest::new(
                "reservation_id",
                "is a relative path segment, which would address another route",
            ));
        }
        Ok(())
    }
}

impl EvidenceId {
    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if self.0.len() == 64 && self.0.bytes().all(hex) {
            return Ok(());
        }
        Err(InvalidRequest::new(
            "evidence_id",
            "must be 64 lower-case hex digits",
        ))
    }
}

impl IdempotencyKey {
    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        length("idempotency_key", &self.0, 1, 256)
    }
}
