//! Subjects: who spends budget.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::field_checks::{InvalidRequest, length};

/// The subject that spends (schema `Subject`): up to six levels from the tenant down, each of them a budget scope.
///
/// At least one level is required. A value has at most 128 characters, each one of `A-Z a-z 0-9 _ . -`; the server
/// lower-cases it in scope paths.
///
/// ```
/// use cycles_proto::models::Subject;
///
/// let subject = Subject { tenant: Some("acme-corp".into()), agent: Some("bot".into()), ..Default::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The customer; must be the tenant that the API key belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// A part of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// A program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// A run or a kind of run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// An agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A group of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolset: Option<String>,
    /// Up to 16 values of at most 256 characters, for reports; they never select a budget.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "dimensions",
        default
    )]
    pub dimensions: Option<BTreeMap<String, String>>,
}

impl Subject {
    /// Creates the subject of a whole tenant.
    pub fn tenant(tenant: impl Into<String>) -> Self {
        Self {
            tenant: Some(tenant.into()),
            ..Self::default()
        }
    }

    /// Fills in the missing levels from `defaults`. Dimensions are merged by name.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        let mut dimensions = defaults.dimensions.clone().unwrap_or_default();
        dimensions.extend(self.dimensions.unwrap_or_default());
        Self {
            tenant: self.tenant.or_else(|| defaults.tenant.clone()),
            workspace: self.workspace.or_else(|| defaults.workspace.clone()),
            app: self.app.or_else(|| defaults.app.clone()),
            workflow: self.workflow.or_else(|| defaults.workflow.clone()),
            agent: self.agent.or_else(|| defaults.agent.clone()),
            toolset: self.toolset.or_else(|| defaults.toolset.clone()),
            dimensions: (!dimensions.is_empty()).then_some(dimensions),
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        let mut empty = true;
        for (field, value) in self.levels() {
            if let Some(value) = value {
                empty = false;
                check_level(field, value)?;
            }
        }
        if empty {
            return Err(InvalidRequest::new(
                "subject",
                "is empty: give at least one of tenant, workspace, app, workflow, agent, toolset",
            ));
        }
        self.check_dimensions()
    }

    /// Like [`Self::check`], for defaults that a request completes: no level is required.
    pub(crate) fn check_partial(&self) -> Result<(), InvalidRequest> {
        if self.levels().iter().all(|(_, value)| value.is_none()) {
            self.check_dimensions()
        } else {
            self.check()
        }
    }

    fn check_dimensions(&self) -> Result<(), InvalidRequest> {
        let Some(dimensions) = &self.dimensions else {
            return Ok(());
        };
        if dimensions.len() > 16 {
            let problem = format!("has {} entries: at most 16 are allowed", dimensions.len());
            return Err(InvalidRequest::new("subject.dimensions", problem));
        }
        dimensions
            .iter()
            .try_for_each(|(name, value)| length(&format!("subject.dimensions.{name}"), value, 0, 256))
    }

    pub(crate) fn levels(&self) -> [(&'static str, &Option<String>); 6] {
        let Self {
            tenant,
            workspace,
            app,
            workflow,
            agent,
            toolset,
            dimensions: _,
        } = self;
        [
            ("subject.tenant", tenant),
            ("subject.workspace", workspace),
            ("subject.app", app),
            ("subject.workflow", workflow),
            ("subject.agent", agent),
            ("subject.toolset", toolset),
        ]
    }
}

fn check_level(field: &str, value: &str) -> Result<(), InvalidRequest> {
    length(field, value, 1, 128)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match value.chars().find(|&c| !allowed(c)) {
        None => Ok(()),
        Some(c) => {
            let problem = format!("contains {c:?}: a scope path may contain only A-Z a-z 0-9 _ . -");
            Err(InvalidRequest::new(field, problem))
        }
    }
}

/// Leaves out dimensions that are null: a server returns those that were sent as null.
fn dimensions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let given = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?;
    Ok(given.map(|map| {
        map.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_needs_one_level_and_levels_that_fit_into_a_path() {
        assert_eq!(Subject::default().check().unwrap_err().field(), "subject");
        for bad in ["", "a/b", "a:b", "ä", "a b", "a\n", &"x".repeat(129)] {
            let subject = Subject {
                agent: Some(bad.to_owned()),
                ..Default::default()
            };
            assert_eq!(subject.check().unwrap_err().field(), "subject.agent", "{bad:?}");
        }
        Subject::tenant("Acme_corp.eu-1").check().unwrap();
    }

    #[test]
    fn dimensions_alone_are_nobody_and_are_limited() {
        let mut subject = Subject {
            dimensions: Some([("k".into(), "v".into())].into()),
            ..Default::default()
        };
        assert_eq!(subject.check().unwrap_err().field(), "subject");
        subject.tenant = Some("acme".into());
        subject.check().unwrap();
        subject.dimensions = Some([("region".into(), "x".repeat(257))].into());
        assert_eq!(subject.check().unwrap_err().field(), "subject.dimensions.region");
        subject.dimensions = Some((0..17).map(|n| (n.to_string(), String::new())).collect());
        assert_eq!(subject.check().unwrap_err().field(), "subject.dimensions");
    }

    #[test]
    fn defaults_fill_only_what_is_missing() {
        let defaults = Subject {
            app: Some("app".into()),
            ..Subject::tenant("acme")
        };
        let merged = Subject::tenant("other").or(&defaults);
        assert_eq!(
            merged,
            Subject {
                app: Some("app".into()),
                ..Subject::tenant("other")
            }
        );
    }

    #[test]
    fn nulls_of_the_server_are_absences() {
        let text = r#"{"tenant":"acme","workspace":null,"dimensions":{"a":null,"b":"c"},"new":1}"#;
        let subject: Subject = serde_json::from_str(text).unwrap();
        assert_eq!(subject.dimensions.as_ref().unwrap().len(), 1);
        assert_eq!(
            serde_json::to_string(&subject).unwrap(),
            r#"{"tenant":"acme","dimensions":{"b":"c"}}"#
        );
    }
}
