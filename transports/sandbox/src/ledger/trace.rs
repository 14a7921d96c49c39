//! The trace id of an exchange: the caller's, if it sent a valid one.

use http::HeaderMap;

/// The trace id of `traceparent`, else of `X-Cycles-Trace-Id`, in lower case. Invalid values count as absent.
pub(super) fn select(headers: &HeaderMap) -> Option<String> {
    let lowered = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.trim().to_ascii_lowercase())
    };
    lowered("traceparent")
        .and_then(|text| from_traceparent(&text))
        .or_else(|| lowered("x-cycles-trace-id").filter(|text| is_id(text, 32)))
}

/// Parses version 00 only: `00-<trace id>-<span id>-<flags>`.
fn from_traceparent(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let flags_fit = flags.len() == 2 && flags.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = version == "00" && is_id(trace, 32) && is_id(span, 16) && flags_fit && parts.next().is_none();
    fits.then(|| trace.to_owned())
}

fn is_id(text: &str, length: usize) -> bool {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.len() == length && is_hex && text.bytes().any(|byte| byte != b'0')
}
