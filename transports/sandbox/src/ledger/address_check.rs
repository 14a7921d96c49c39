//! The checks in front of the server's own code: a container and a firewall that refuse odd addresses from every
//! caller, without the protocol's error bodies.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;

/// The layer that refuses an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressRefusal {
    /// 400 with a page, after which the connection ends.
    Container,
    /// 403 without a body.
    Firewall,
}

impl AddressRefusal {
    /// The layer that refuses `uri`, if any.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let (path, query) = (uri.path(), uri.query().unwrap_or(""));
        let lower = path.to_ascii_lowercase();
        let has_any = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
        let is_raw = |text: &str| text.contains(['"', '<', '>', '[', '\\', ']', '^', '`', '{', '|', '}']);
        let is_decodable = is_escaped(path) && percent_decode_str(path).decode_utf8().is_ok();
        if is_raw(path)
            || is_raw(query)
            || !query.is_ascii()
            || !is_decodable
            || has_any(&["%2f", "%5c", "%00"])
        {
            return Some(Self::Container);
        }
        let is_dotted = path.split('/').any(|segment| matches!(segment, "." | ".."));
        let is_odd = has_any(&[
            ";",
            "//",
            "%3b",
            "%2e",
            "%25",
            "%0a",
            "%0d",
            "%e2%80%a8",
            "%e2%80%a9",
        ]);
        (is_dotted || is_odd).then_some(Self::Firewall)
    }

    /// The container's error page, or the firewall's empty answer.
    pub(super) fn response(self) -> Response<Bytes> {
        match self {
            Self::Container => {
                let page = "<!doctype html><html lang=\"en\"><head><title>HTTP Status 400 – Bad Request</title>\
                            </head><body><h1>HTTP Status 400 – Bad Request</h1></body></html>";
                let mut response = Response::new(Bytes::from_static(page.as_bytes()));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html;charset=utf-8"));
                headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
            Self::Firewall => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::FORBIDDEN;
                response
            }
        }
    }
}

/// Whether every percent sign is followed by two hexadecimal digits.
pub(super) fn is_escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
