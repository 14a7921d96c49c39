//! Actions, which spend budget.

use serde::{Deserialize, Serialize};

use super::field_checks::{InvalidRequest, not_blank};

/// An action that spends budget (schema `Action`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The kind of action, `<category>.<operation>`: `llm.completion`, `tool.search`; 1 to 64 characters.
    pub kind: String,
    /// The model or tool: `gpt-4o`, `web.search`; 1 to 256 characters.
    pub name: String,
    /// Up to 10 tags of at most 64 characters, for policies and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

impl Action {
    /// Creates an action without tags.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
            tags: None,
        }
    }

    /// Returns the same action with these tags.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        not_blank("action.kind", &self.kind, 64)?;
        not_blank("action.name", &self.name, 256)?;
        let tags = self.tags.as_deref().unwrap_or_default();
        if tags.len() > 10 {
            let problem = format!("has {} entries: at most 10 are allowed", tags.len());
            return Err(InvalidRequest::new("action.tags", problem));
        }
        for (index, tag) in tags.iter().enumerate() {
            super::field_checks::length(&format!("action.tags[{index}]"), tag, 0, 64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_an_action_names_its_field() {
        let field = |action: Action| action.check().unwrap_err().field().to_owned();
        assert_eq!(field(Action::new(" ", "m")), "action.kind");
        assert_eq!(field(Action::new("k".repeat(65), "m")), "action.kind");
        assert_eq!(field(Action::new("k", "")), "action.name");
        assert_eq!(field(Action::new("k", "\0\u{1f} \u{3000}")), "action.name");
        assert_eq!(field(Action::new("k", "m".repeat(257))), "action.name");
        assert_eq!(
            field(Action::new("k", "m").with_tags(vec!["t"; 11])),
            "action.tags"
        );
        assert_eq!(
            field(Action::new("k", "m").with_tags(["ok".to_owned(), "t".repeat(65)])),
            "action.tags[1]"
        );
        Action::new("k".repeat(64), "é".repeat(256))
            .with_tags(vec!["t".repeat(64); 10])
            .check()
            .unwrap();
    }
}
