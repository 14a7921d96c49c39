//! Finds the violations in a request or an answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Violation;
use super::spec::{Operation, Place, Spec};

/// The headers that HTTP itself defines.
const OF_HTTP: [&str; 5] = ["accept", "content-length", "content-type", "host", "user-agent"];
/// The headers that any request may have, by the section CORRELATION AND TRACING.
const OF_TRACING: [&str; 2] = ["traceparent", "x-cycles-trace-id"];

impl Spec {
    /// The violations of a request. A request that matches no operation counts as a violation.
    pub fn request(&self, request: &Request<Bytes>) -> Vec<Violation> {
        let Some((operation, path)) = self.find(request.method(), request.uri().path()) else {
            let found = Found::new(request.method().as_str(), request, None);
            return found.with("path", "there is no such operation").0;
        };
        let mut found = Found::new(&operation.id, request, None);
        let mut given: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
        for (name, value) in path {
            given
                .entry(("path", name.to_owned()))
                .or_default()
                .push(decoded(value));
        }
        for pair in request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            given
                .entry(("query", decoded(name)))
                .or_default()
                .push(decoded(value));
        }
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            given
                .entry(("header", name.as_str().to_owned()))
                .or_default()
                .push(value);
        }
        for parameter in &operation.parameters {
            let place = match parameter.place {
                Place::Path => "path",
                Place::Query => "query",
                Place::Header => "header",
            };
            let part = format!("{place} {}", parameter.name);
            match given.remove(&(place, parameter.name.clone())).as_deref() {
                None if parameter.is_required => found.add(&part, "it is missing"),
                None => {}
                Some([value]) => parameter
                    .text
                    .problem(value)
                    .into_iter()
                    .for_each(|problem| found.add(&part, &problem)),
                Some(_) => found.add(&part, "it is given more than once"),
            }
        }
        found.check_headers(operation, request, &given);
        for (place, name) in given.into_keys().filter(|(place, _)| *place != "header") {
            found.add(&format!("{place} {name}"), "there is no such parameter");
        }
        match &operation.body {
            Some(validator) => found.check_body(validator, request.body()),
            None if request.body().is_empty() => {}
            None => found.add("body", "the operation takes no body"),
        }
        found.0
    }

    /// The violations of an answer; none if its request matches no operation.
    pub fn answer(&self, request: &Request<Bytes>, response: &Response<Bytes>) -> Vec<Violation> {
        let Some((operation, _)) = self.find(request.method(), request.uri().path()) else {
            return Vec::new();
        };
        let status = response.status().as_u16();
        let mut found = Found::new(&operation.id, request, Some(status));
        let Some(rule) = operation.answers.get(&status) else {
            return found.with("status", "the operation has no such answer").0;
        };
        for (name, text) in &rule.headers {
            for value in response.headers().get_all(name) {
                let value = String::from_utf8_lossy(value.as_bytes());
                let problem = text.problem(&value);
                problem
                    .into_iter()
                    .for_each(|problem| found.add(&format!("header {name}"), &problem));
            }
        }
        if !is_json(response.headers()) {
            found.add("header content-type", "it is not application/json");
        }
        found.check_body(&rule.body, response.body());
        found.0
    }
}

/// The violations of one exchange.
struct Found(Vec<Violation>, Violation);

impl Found {
    fn new(operation: &str, request: &Request<Bytes>, status: Option<u16>) -> Self {
        let target = request.uri().path_and_query();
        let blank = Violation {
            operation: operation.to_owned(),
            target: target.map_or_else(String::new, ToString::to_string),
            status,
            part: String::new(),
            at: String::new(),
            problem: String::new(),
        };
        Self(Vec::new(), blank)
    }

    fn with(mut self, part: &str, problem: &str) -> Self {
        self.add(part, problem);
        self
    }

    fn add(&mut self, part: &str, problem: &str) {
        self.add_at(part, String::new(), problem);
    }

    fn add_at(&mut self, part: &str, at: String, problem: &str) {
        self.0.push(Violation {
            part: part.to_owned(),
            at,
            problem: problem.to_owned(),
            ..self.1.clone()
        });
    }

    fn check_headers(
        &mut self,
        operation: &Operation,
        request: &Request<Bytes>,
        given: &BTreeMap<(&str, String), Vec<String>>,
    ) {
        let has_key = operation
            .credentials
            .iter()
            .any(|name| request.headers().contains_key(name));
        if !operation.credentials.is_empty() && !has_key {
            self.add(
                "header",
                &format!("one of {:?} is missing", operation.credentials),
            );
        }
        for ((_, name), values) in given.iter().filter(|((place, _), _)| *place == "header") {
            let part = format!("header {name}");
            let is_known = OF_HTTP.contains(&name.as_str())
                || OF_TRACING.contains(&name.as_str())
                || operation.credentials.contains(name);
            if !is_known {
                self.add(&part, "there is no such parameter");
            }
            let is_hex = |text: &str, length: usize| {
                text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            };
            let is_trace = match (name.as_str(), values[0].split('-').collect::<Vec<_>>().as_slice()) {
                ("x-cycles-trace-id", [id]) => is_hex(id, 32),
                ("traceparent", [version, id, span, flags]) => {
                    *version == "00" && is_hex(id, 32) && is_hex(span, 16) && is_hex(flags, 2)
                }
                (name, _) => !OF_TRACING.contains(&name),
            };
            if !is_trace {
                self.add(&part, &format!("{:?} is not a trace", values[0]));
            }
        }
        if operation.body.is_some() && !is_json(request.headers()) {
            self.add("header content-type", "it is not application/json");
        }
        if let Some(key) = request.headers().get("x-idempotency-key") {
            // IDEMPOTENCY: if the header and the body both contain a key, the keys must agree.
            let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            if body["idempotency_key"].as_str().map(str::as_bytes) != Some(key.as_bytes()) {
                self.add("header x-idempotency-key", "it differs from the key in the body");
            }
        }
    }

    fn check_body(&mut self, validator: &Validator, body: &[u8]) {
        let body: Value = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(error) => return self.add("body", &format!("it is not JSON: {error}")),
        };
        for error in validator.iter_errors(&body) {
            let at = error.instance_path().as_str().split('/');
            let at = at.map(|piece| if piece.parse::<u32>().is_ok() { "*" } else { piece });
            self.add_at("body", at.collect::<Vec<_>>().join("/"), &error.to_string());
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get("content-type").and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.split(';').next() == Some("application/json"))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
