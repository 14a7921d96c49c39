//! Soft limits that come with a permission.

use serde::{Deserialize, Serialize};

use super::decode::non_negative;

/// What the holder of an `ALLOW_WITH_CAPS` decision is asked to keep to (schema `Caps`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Caps {
    /// The most tokens to use.
    #[serde(
        default,
        deserialize_with = "non_negative",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tokens: Option<i64>,
    /// How many further steps the agent may take.
    #[serde(
        default,
        deserialize_with = "non_negative",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_steps_remaining: Option<i64>,
    /// When it is there and not empty: the only tools allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_allowlist: Option<Vec<String>>,
    /// When no allowlist counts: the tools that are not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_denylist: Option<Vec<String>>,
    /// How long to wait before the next action, in milliseconds.
    #[serde(
        default,
        deserialize_with = "non_negative",
        skip_serializing_if = "Option::is_none"
    )]
    pub cooldown_ms: Option<i64>,
}

impl Caps {
    /// Whether the tool may be used (PRECEDENCE RULES): a non-empty allowlist decides alone, otherwise the
    /// denylist does, otherwise everything is allowed. Names are case-sensitive.
    pub fn is_tool_allowed(&self, tool: &str) -> bool {
        let names =
            |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| list.iter().any(|t| t == tool));
        if self.tool_allowlist.as_ref().is_some_and(|list| !list.is_empty()) {
            return names(&self.tool_allowlist);
        }
        !names(&self.tool_denylist)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(json: &str) -> Caps {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_non_empty_allowlist_wins_over_the_denylist() {
        let caps = caps(r#"{"tool_allowlist":["a"],"tool_denylist":["a"]}"#);
        assert!(caps.is_tool_allowed("a"));
        assert!(!caps.is_tool_allowed("b"));
        assert!(!caps.is_tool_allowed("A"));
    }

    #[test]
    fn an_empty_allowlist_allows_what_the_denylist_does_not_name() {
        let caps = caps(r#"{"tool_allowlist":[],"tool_denylist":["a"]}"#);
        assert!(!caps.is_tool_allowed("a"));
        assert!(caps.is_tool_allowed("b"));
    }

    #[test]
    fn no_lists_allow_everything() {
        assert!(caps("{}").is_tool_allowed("a"));
        assert!(caps(r#"{"tool_allowlist":null,"tool_denylist":[]}"#).is_tool_allowed("a"));
    }

    #[test]
    fn a_negative_cap_is_no_cap() {
        assert!(serde_json::from_str::<Caps>(r#"{"max_tokens":-1}"#).is_err());
    }
}
