//! Cross-origin requests: what a browser asks before it lets the page of another origin call, and what it has to see in
//! the answer.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode, request};

/// An origin whose pages may call the sandbox from a browser, such as `http://localhost:5173`; `*` is all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsOrigin(HeaderValue);

/// The text is not an origin. The message says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsOriginSyntax(String);

impl fmt::Display for CorsOriginSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an origin: use SCHEME://HOST[:PORT] as browsers send it, without a path and without port 80 or 443, \
             such as http://localhost:5173, or *",
            self.0
        )
    }
}

impl std::error::Error for CorsOriginSyntax {}

impl FromStr for CorsOrigin {
    type Err = CorsOriginSyntax;

    fn from_str(text: &str) -> Result<Self, CorsOriginSyntax> {
        let host = text.split_once("://").map_or("", |(scheme, host)| {
            let is_scheme = scheme
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            if is_scheme && !scheme.is_empty() { host } else { "" }
        });
        // Browsers send origins in lower case.
        let fits =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b':' | b'[' | b']');
        let is_origin = text == "*" || !host.is_empty() && host.bytes().all(fits) && has_possible_port(text);
        let value = HeaderValue::from_str(text).ok().filter(|_| is_origin);
        value.map(Self).ok_or_else(|| CorsOriginSyntax(text.to_owned()))
    }
}

/// Whether its port, if it names one, can be that of a page: browsers leave out the one that a scheme has by default.
fn has_possible_port(origin: &str) -> bool {
    let (scheme, host) = origin.split_once("://").unwrap_or_default();
    let after_host = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let Some((_, port)) = after_host.rsplit_once(':') else {
        return true;
    };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => 0,
    };
    port.parse::<u16>().is_ok_and(|port| port != 0 && port != default)
}

impl CorsOrigin {
    /// What the answer to a request with these headers has to say, if one of `permitted` sent it.
    fn of<'a>(permitted: &'a [Self], headers: &HeaderMap) -> Option<&'a HeaderValue> {
        let sent = headers.get(ORIGIN)?;
        let is_it = |origin: &&Self| origin.0 == "*" || origin.0 == *sent;
        permitted.iter().find(is_it).map(|origin| &origin.0)
    }

    /// The answer to a browser that asks whether it may make a request, if it may.
    pub(crate) fn preflight(permitted: &[Self], head: &request::Parts) -> Option<Response<Bytes>> {
        if head.method != Method::OPTIONS || !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        Self::of(permitted, &head.headers)?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(asked) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    /// What is to be added to the answer to a request with these headers.
    pub(crate) fn granted(permitted: &[Self], headers: &HeaderMap) -> Option<Granted> {
        Self::of(permitted, headers).cloned().map(Granted)
    }
}

/// The permission for a page to see an answer.
#[derive(Clone, Debug)]
pub(crate) struct Granted(HeaderValue);

impl Granted {
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        let all = HeaderValue::from_static("*");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, all);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::CorsOrigin;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_nothing_else() {
        for text in [
            "*",
            "http://localhost:5173",
            "https://app.example.com",
            "http://[::1]:8080",
        ] {
            assert!(text.parse::<CorsOrigin>().is_ok(), "{text}");
        }
        for text in [
            "",
            "localhost:5173",
            "http://",
            "http://a/",
            "http://a b",
            "http://A",
            "null",
            "://a",
            "http://localhost:80",
            "https://a:443",
            "http://a:99999",
            "http://a:",
        ] {
            let problem = text.parse::<CorsOrigin>().map_err(|problem| problem.to_string());
            assert!(
                problem.is_err_and(|problem| problem.contains("http://localhost:5173")),
                "{text}"
            );
        }
    }
}
