//! The trace of the caller: the header `traceparent`.

use core::fmt;
use core::str::FromStr;

/// The caller's place in a distributed trace (W3C Trace Context, version 00).
///
/// ```
/// use cycles_proto::trace_parent::TraceParent;
///
/// let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// # Ok::<(), cycles_proto::trace_parent::InvalidTraceParent>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(String);

/// The error for text that is not a `traceparent`, which a server would silently ignore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a traceparent: it must be 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, in lower case, with a trace id and a span id that are not all zeros"
)]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace id: 32 lower-case hex digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
        let valid = version == Some("00")
            && trace.is_some_and(|id| is_hex(id, 32) && !is_zero(id))
            && span.is_some_and(|id| is_hex(id, 16) && !is_zero(id))
            && flags.is_some_and(|flags| is_hex(flags, 2))
            && parts.next().is_none();
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTraceParent)
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_that_a_server_would_ignore_is_refused() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(good.parse::<TraceParent>().unwrap().as_str(), good);
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad}");
        }
    }
}
