//! The types that requests and responses share: amount, subject and action.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::coerce::{Members, Violations, utf16_length};
use super::json::{Json, Malformed};
use super::wire_enums::Unit;

/// The levels of a subject, broadest first.
pub(super) const LEVELS: [&str; 6] = ["tenant", "workspace", "app", "workflow", "agent", "toolset"];

/// An amount in one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Amount {
    pub(super) unit: Unit,
    pub(super) amount: i64,
}

/// The subject of a request. It is written with all seven members, including nulls, as in the server's reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subject {
    /// One value per level, in the caller's own case.
    pub(super) levels: [Option<String>; 6],
    /// A map of strings and nulls; never part of a scope.
    pub(super) dimensions: Option<Json>,
}

/// The action of a request.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Action {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) tags: Option<Vec<Option<String>>>,
}

impl Subject {
    /// The tenant as sent; if present, it must be the API key's.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.levels[0].as_deref()
    }

    /// Reads the member `subject`.
    pub(super) fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        const KNOWN: &[&str] = &[
            "tenant",
            "workspace",
            "app",
            "workflow",
            "agent",
            "toolset",
            "dimensions",
        ];
        let mut subject = Self {
            levels: [const { None }; 6],
            dimensions: None,
        };
        let Some(members) = members.nested("subject", KNOWN)? else {
            violations.not_null("subject");
            return Ok(subject);
        };
        for (level, name) in subject.levels.iter_mut().zip(LEVELS) {
            *level = members.text(name)?;
        }
        subject.dimensions = members.text_map("dimensions")?;
        subject.validate(violations);
        Ok(subject)
    }

    fn validate(&self, violations: &mut Violations) {
        for (level, name) in self.levels.iter().zip(LEVELS) {
            let Some(value) = level else { continue };
            let path = format!("subject.{name}");
            violations.size(&path, utf16_length(value), 0, 128);
            if value.is_empty() || !value.bytes().all(is_scope_byte) {
                violations.add(
                    &path,
                    "must contain only alphanumeric, dot, underscore, or hyphen characters",
                );
            }
        }
        let is_blank = |level: &Option<String>| level.as_deref().is_none_or(|value| value.trim().is_empty());
        if self.levels.iter().all(is_blank) {
            violations.add(
                "subject.hasAtLeastOneStandardField",
                "At least one standard field (tenant, workspace, app, workflow, agent, toolset) must be provided",
            );
        }
        if let Some(Json::Object(dimensions)) = &self.dimensions {
            violations.size("subject.dimensions", dimensions.len(), 0, 16);
            for (name, value) in dimensions {
                if let Json::Text(value) = value {
                    violations.size(
                        &format!("subject.dimensions[{name}]"),
                        utf16_length(value),
                        0,
                        256,
                    );
                }
            }
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(LEVELS.len() + 1))?;
        for (name, level) in LEVELS.iter().zip(&self.levels) {
            members.serialize_entry(name, level)?;
        }
        members.serialize_entry("dimensions", &self.dimensions)?;
        members.end()
    }
}

impl Action {
    /// Reads the member `action`.
    pub(super) fn read(members: Members<'_>, violations: &mut Violations) -> Result<Self, Malformed> {
        let mut action = Self {
            kind: String::new(),
            name: String::new(),
            tags: None,
        };
        let Some(members) = members.nested("action", &["kind", "name", "tags"])? else {
            violations.not_null("action");
            return Ok(action);
        };
        for (field, name, max) in [(&mut action.kind, "kind", 64), (&mut action.name, "name", 256)] {
            let value = members.text(name)?.unwrap_or_default();
            let path = format!("action.{name}");
            if value.trim_matches(|c| c <= ' ').is_empty() {
                violations.add(&path, "must not be blank");
            }
            violations.size(&path, utf16_length(&value), 0, max);
            *field = value;
        }
        action.tags = members.texts("tags")?;
        if let Some(tags) = &action.tags {
            violations.size("action.tags", tags.len(), 0, 10);
            for (index, tag) in tags.iter().enumerate() {
                if let Some(tag) = tag {
                    violations.size(&format!("action.tags[{index}]"), utf16_length(tag), 0, 64);
                }
            }
        }
        Ok(action)
    }
}

fn is_scope_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}
