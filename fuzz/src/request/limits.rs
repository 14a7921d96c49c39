//! A second implementation of the protocol's limits.

use cycles_proto::models::*;

pub(super) fn fits_key(key: Option<&IdempotencyKey>) -> bool {
    key.is_none_or(|key| (1..=256).contains(&key.as_str().chars().count()))
}

pub(super) fn fits_path(id: &ReservationId) -> bool {
    (1..=128).contains(&id.as_str().chars().count()) && !matches!(id.as_str(), "." | "..")
}

pub(super) fn fits_subject(subject: &Subject) -> bool {
    let levels = [&subject.tenant, &subject.workspace, &subject.toolset];
    let fits = |level: &str| {
        (1..=128).contains(&level.len())
            && level
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    levels.iter().any(|level| level.is_some())
        && levels.iter().all(|level| level.as_deref().is_none_or(fits))
        && subject.dimensions.as_ref().is_none_or(|dimensions| {
            dimensions.len() <= 16 && dimensions.values().all(|value| value.chars().count() <= 256)
        })
}

pub(super) fn fits_action(action: &Action) -> bool {
    let text = |text: &str, most| {
        !text.chars().all(|c| c <= ' ' || c.is_whitespace()) && text.chars().count() <= most
    };
    let tags = action.tags.as_deref().unwrap_or_default();
    text(&action.kind, 64)
        && text(&action.name, 256)
        && tags.len() <= 10
        && tags.iter().all(|tag| tag.chars().count() <= 64)
}

pub(super) fn fits_amount(amount: &Amount) -> bool {
    amount.amount >= 0 && amount.unit.is_known()
}

pub(super) fn fits_metrics(metrics: &CyclesMetrics) -> bool {
    let counts = [metrics.tokens_input, metrics.tokens_output, metrics.latency_ms];
    counts
        .iter()
        .flatten()
        .all(|count| (0..=i64::from(i32::MAX)).contains(count))
        && metrics
            .model_version
            .as_ref()
            .is_none_or(|version| version.chars().count() <= 128)
}
