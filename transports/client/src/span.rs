//! The span of a guarded action, with the names of OpenTelemetry's conventions for generative AI where they exist.

use std::panic::{RefUnwindSafe, UnwindSafe};

use cycles_proto::models::{Action, CyclesMetrics};
use tracing::Span;
use tracing::field::Empty;

use crate::guard::ReservationGuard;

/// The span of an action. Clones are the same span.
#[derive(Clone)]
pub(crate) struct ActionSpan(Span);

/// A panic in a subscriber of the log breaks nothing here.
impl UnwindSafe for ActionSpan {}
impl RefUnwindSafe for ActionSpan {}

impl ActionSpan {
    /// The span, to enter it.
    pub(crate) fn get(&self) -> &Span {
        &self.0
    }
}

/// Returns a span called `cycles.action`, at info level with the target `cycles`, for the action of this reservation.
pub(crate) fn of_action(guard: &ReservationGuard) -> ActionSpan {
    let (subject, action) = (guard.subject(), guard.action());
    let span = tracing::info_span!(
        target: "cycles",
        "cycles.action",
        otel.name = Empty,
        cycles.reservation_id = guard.reservation_id().as_str(),
        cycles.action.kind = action.kind,
        cycles.action.name = action.name,
        cycles.subject.tenant = subject.tenant,
        gen_ai.operation.name = Empty,
        gen_ai.request.model = Empty,
        gen_ai.tool.name = Empty,
        gen_ai.agent.name = subject.agent,
        gen_ai.response.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
    );
    if !span.is_disabled() {
        name(&span, action);
    }
    ActionSpan(span)
}

/// Names the operation, if the kind of the action is one that the conventions have: `chat gpt-4o`, `execute_tool
/// search`.
fn name(span: &Span, action: &Action) {
    let (operation, of) = match action.kind.split_once('.') {
        Some(("llm", "embedding" | "embeddings")) => ("embeddings", "gen_ai.request.model"),
        Some(("llm", _)) => ("chat", "gen_ai.request.model"),
        Some(("tool", _)) => ("execute_tool", "gen_ai.tool.name"),
        Some(_) | None => return,
    };
    span.record("gen_ai.operation.name", operation);
    span.record(of, action.name.as_str());
    span.record("otel.name", format!("{operation} {}", action.name));
}

/// Adds what the action reported about its consumption.
pub(crate) fn record(span: &Span, metrics: Option<&CyclesMetrics>) {
    let Some(metrics) = metrics.filter(|_| !span.is_disabled()) else {
        return;
    };
    if let Some(tokens) = metrics.tokens_input {
        span.record("gen_ai.usage.input_tokens", tokens);
    }
    if let Some(tokens) = metrics.tokens_output {
        span.record("gen_ai.usage.output_tokens", tokens);
    }
    if let Some(model) = &metrics.model_version {
        span.record("gen_ai.response.model", model.as_str());
    }
}
