//! Metrics of an action, for reports.

use serde::{Deserialize, Serialize};

use super::field_checks::{InvalidRequest, length, within};
use super::json_object::JsonObject;

/// The metrics of a commit or an event (schema `StandardMetrics`).
///
/// The reference server reads the counts as 32-bit integers, so the limits are 0 to 2,147,483,647.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CyclesMetrics {
    /// Input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_input: Option<i64>,
    /// Output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_output: Option<i64>,
    /// How long the action took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<i64>,
    /// The model or tool version that was used; at most 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<JsonObject>,
}

impl CyclesMetrics {
    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        let counts = [
            ("metrics.tokens_input", self.tokens_input),
            ("metrics.tokens_output", self.tokens_output),
            ("metrics.latency_ms", self.latency_ms),
        ];
        for (field, count) in counts {
            within(field, count.unwrap_or(0), 0..=i64::from(i32::MAX))?;
        }
        length(
            "metrics.model_version",
            self.model_version.as_deref().unwrap_or(""),
            0,
            128,
        )?;
        self.custom
            .as_ref()
            .map_or(Ok(()), |custom| custom.check_nesting("metrics.custom"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_metrics_names_its_field() {
        let field = |metrics: CyclesMetrics| metrics.check().unwrap_err().field().to_owned();
        let base = CyclesMetrics::default;
        assert_eq!(
            field(CyclesMetrics {
                tokens_input: Some(-1),
                ..base()
            }),
            "metrics.tokens_input"
        );
        assert_eq!(
            field(CyclesMetrics {
                tokens_output: Some(1 << 31),
                ..base()
            }),
            "metrics.tokens_output"
        );
        assert_eq!(
            field(CyclesMetrics {
                latency_ms: Some(-5),
                ..base()
            }),
            "metrics.latency_ms"
        );
        let long = Some("v".repeat(129));
        assert_eq!(
            field(CyclesMetrics {
                model_version: long,
                ..base()
            }),
            "metrics.model_version"
        );
        CyclesMetrics {
            tokens_input: Some(0),
            latency_ms: Some(i64::from(i32::MAX)),
            ..base()
        }
        .check()
        .unwrap();
    }
}
