//! The soft limits of an `ALLOW_WITH_CAPS` decision.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::decode::non_negative;

/// The soft limits that an `ALLOW_WITH_CAPS` decision asks the action to keep to (schema `Caps`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Caps {
    /// The maximum number of tokens to use.
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
    /// If given and not empty: the only tools that are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_allowlist: Option<Vec<String>>,
    /// If there is no allowlist or it is empty: the tools that are not allowed.
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
    /// Whether the tool may be used (PRECEDENCE RULES). A non-empty allowlist decides alone; otherwise the denylist
    /// decides; otherwise everything is allowed. Names are case-sensitive.
    pub fn is_tool_allowed(&self, tool: &str) -> bool {
        let names =
            |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| list.iter().any(|t| t == tool));
        if self.tool_allowlist.as_ref().is_some_and(|list| !list.is_empty()) {
            return names(&self.tool_allowlist);
        }
        !names(&self.tool_denylist)
    }

    /// Returns the maximum number of tokens to ask a model for: `wanted`, or the cap if it is lower.
    pub fn clamp_max_tokens(&self, wanted: i64) -> i64 {
        self.max_tokens.map_or(wanted, |most| most.min(wanted))
    }

    /// How long to wait before the next action; zero without a cap.
    pub fn cooldown(&self) -> Duration {
        let ms = self.cooldown_ms.and_then(|ms| u64::try_from(ms).ok());
        Duration::from_millis(ms.unwrap_or(0))
    }

    /// How many further steps the agent may take; `None` means no limit.
    pub fn steps_left(&self) -> Option<u64> {
        self.max_steps_remaining
            .map(|steps| u64::try_from(steps).unwrap_or(0))
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
    fn a_tool_is_named_exactly_on_either_list() {
        let allowed = caps(r#"{"tool_allowlist":["web.search"]}"#);
        let denied = caps(r#"{"tool_denylist":["web.search"]}"#);
        for other in ["web", "web.search.images", "Web.Search", " web.search", ""] {
            assert!(!allowed.is_tool_allowed(other), "{other:?}");
            assert!(denied.is_tool_allowed(other), "{other:?}");
        }
        assert!(allowed.is_tool_allowed("web.search") && !denied.is_tool_allowed("web.search"));
    }

    #[test]
    fn numbers_limit_what_they_name_and_nothing_without_them() {
        let capped = caps(r#"{"max_tokens":500,"max_steps_remaining":3,"cooldown_ms":1500}"#);
        assert_eq!(
            [0, 499, 500, 501].map(|wanted| capped.clamp_max_tokens(wanted)),
            [0, 499, 500, 500]
        );
        assert_eq!(capped.cooldown(), Duration::from_millis(1_500));
        assert_eq!(capped.steps_left(), Some(3));

        let free = caps("{}");
        assert_eq!(free.clamp_max_tokens(i64::MAX), i64::MAX);
        assert_eq!((free.cooldown(), free.steps_left()), (Duration::ZERO, None));

        let none = caps(r#"{"max_tokens":0,"max_steps_remaining":0,"cooldown_ms":0}"#);
        assert_eq!(none.clamp_max_tokens(500), 0);
        assert_eq!((none.cooldown(), none.steps_left()), (Duration::ZERO, Some(0)));
    }

    #[test]
    fn a_negative_cap_is_no_cap() {
        assert!(serde_json::from_str::<Caps>(r#"{"max_tokens":-1}"#).is_err());
    }
}
