//! The API key is never shown.

use super::*;

/// A server, or something in front of it, that echoes the request, in every way of writing such text.
#[test]
fn an_answer_that_repeats_the_api_key_does_not_spread_it() {
    let escaped = KEY.replace('_', "\\u005f");
    let quoted = |key: &str| {
        format!(
            r#"{{"error":"NEW_{key}","message":"no such key: {key}","request_id":"{key}","trace_id":"{key}","details":{{"{key}":["{key}"]}}}}"#
        )
    };
    let by_number: String = KEY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    for body in [
        format!("<html>x-cycles-api-key: {KEY}</html>"),
        quoted(KEY),
        quoted(&escaped),
        // Not JSON, or JSON in a string of JSON, cut off.
        format!(r#"unexpected " in {{"message":"{by_number}"}}"#),
        format!(
            r#"upstream said: {{\"message\":\"{}\"#,
            by_number.replace('\\', r"\\")
        ),
        format!("<pre>GET /?key={}</pre>", KEY.replace('_', "%5F")),
        format!("<pre>{}</pre>", KEY.replace('_', "&#95;")),
    ] {
        for status in [400, 401, 404, 500] {
            let reply = Response::builder()
                .status(status)
                .header("x-request-id", KEY)
                .header("x-cycles-trace-id", KEY)
                .header("location", format!("/login?key={KEY}"))
                .header("content-type", format!("text/{KEY}"))
                .header("content-encoding", KEY)
                .header("retry-after", "3")
                .body(Bytes::from(body.clone()))
                .unwrap();
            let error = done(start().handle(SOON, Ok(&reply))).unwrap_err();
            let info = error.info().unwrap();
            let body = String::from_utf8_lossy(info.body()).into_owned();
            for text in [
                format!("{error}"),
                format!("{error:?}"),
                format!("{error:#?}"),
                format!(
                    "{:?} {:?} {:?}",
                    error.code(),
                    error.request_id(),
                    error.trace_id()
                ),
                format!("{:?} {:?}", info.request_id(), info.trace_id()),
                format!("{:?} {:?}", info.location(), info.content_type()),
                format!("{:?}", info.content_encoding()),
                body,
            ] {
                assert!(!text.contains("0123456789") && !text.contains("0030"), "{text}");
                assert!(!text.contains("live"), "{text}");
            }
            assert_eq!(
                error.retry_after(),
                Some(Duration::from_secs(3)),
                "other headers stay"
            );
        }
    }
    for key in [KEY, &escaped] {
        let body = format!(
            r#"{{"decision":"{key}","affected_scopes":["{key}","a\"b"],"retry_after_ms":9007199254740993}}"#
        );
        let reply = Response::builder()
            .header("x-cycles-tenant", KEY)
            .body(Bytes::from(body))
            .unwrap();
        let operation = Operation::decide(&config(), &decide(), SEED).unwrap();
        let decision = done(operation.handle(SOON, Ok(&reply))).unwrap();
        assert!(!format!("{decision:?}").contains("0123456789"), "{decision:?}");
        assert_eq!(decision.affected_scopes.unwrap()[1], "a\"b");
        assert_eq!(
            decision.retry_after_ms,
            Some(9_007_199_254_740_993),
            "numbers are not touched"
        );
    }
    #[derive(Debug, thiserror::Error)]
    #[error("bad header {KEY}")]
    struct Leaky;
    let failure = Failure::caused_by(FailureKind::Connect, &Leaky);
    let error = done(start().handle(SOON, Err(failure))).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("0123456789"));
}

#[test]
fn no_debug_output_holds_the_api_key() {
    let operation = start();
    let call = operation.call();
    for text in [
        format!("{operation:?}"),
        format!("{call:?}"),
        format!("{:?}", call.request),
    ] {
        assert!(!text.contains("0123456789"), "{text}");
    }
}
