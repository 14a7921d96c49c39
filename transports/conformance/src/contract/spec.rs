//! The parts of the document that concern exchanges: the parameters, bodies and answers of each operation.

use std::collections::BTreeMap;
use std::path::Path;

use http::Method;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

pub struct Spec {
    pub(super) operations: Vec<Operation>,
}

pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: Method,
    /// The segments of its path; `{name}` is a parameter.
    path: Vec<String>,
    pub(super) parameters: Vec<Parameter>,
    /// `None` if the operation takes no body.
    pub(super) body: Option<Validator>,
    /// The rules for its answers, by status.
    pub(super) answers: BTreeMap<u16, AnswerRule>,
    /// The headers of which one must contain a key; empty for a public operation.
    pub(super) credentials: Vec<String>,
}

pub(super) struct Parameter {
    /// The parameter's name; for headers, in lower case.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) is_required: bool,
    pub(super) text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// The rules for a value that is written as text.
pub(super) struct Text {
    kind: String,
    validator: Validator,
}

pub(super) struct AnswerRule {
    pub(super) headers: BTreeMap<String, Text>,
    pub(super) body: Validator,
}

impl Spec {
    pub fn read(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::of(yaml_serde::from_str(&text).unwrap())
    }

    /// Reads a document.
    pub fn of(mut document: Value) -> Self {
        bound_integers(&mut document);
        let document = Document(document);
        let mut operations = Vec::new();
        for (path, methods) in document.object("/paths") {
            for (method, operation) in methods.as_object().unwrap() {
                operations.push(document.operation(path, method, operation));
            }
        }
        assert!(!operations.is_empty(), "no operation is described");
        Self { operations }
    }

    /// The operation for a path and a method, with the path's parameters.
    pub(super) fn find<'a>(
        &self,
        method: &Method,
        path: &'a str,
    ) -> Option<(&Operation, Vec<(&str, &'a str)>)> {
        self.operations.iter().find_map(|operation| {
            let values = operation.matches(path)?;
            (operation.method == *method).then_some((operation, values))
        })
    }

    /// The names of all operations.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().map(|operation| operation.id.as_str())
    }
}

impl Operation {
    fn matches<'a>(&self, path: &'a str) -> Option<Vec<(&str, &'a str)>> {
        let pieces: Vec<&str> = path.split('/').collect();
        let names = |piece: &'_ str| {
            piece
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
                .is_some()
        };
        let is_it = pieces.len() == self.path.len()
            && pieces
                .iter()
                .zip(&self.path)
                .all(|(piece, expected)| names(expected) || piece == expected);
        is_it.then(|| {
            let both = self.path.iter().zip(pieces);
            both.filter(|(expected, _)| names(expected))
                .map(|(expected, piece)| (expected.trim_matches(['{', '}']), piece))
                .collect()
        })
    }
}

impl Text {
    /// The problem with a value, if any.
    pub(super) fn problem(&self, text: &str) -> Option<String> {
        let value = match self.kind.as_str() {
            "integer" => match text.parse::<i64>() {
                Ok(number) => json!(number),
                Err(_) => return Some(format!("{text:?} is not an integer")),
            },
            "boolean" => match text {
                "true" | "false" => json!(text == "true"),
                _ => return Some(format!("{text:?} is not a boolean")),
            },
            // Style `form`, not exploded.
            "array" => text.split(',').collect(),
            _ => json!(text),
        };
        self.validator
            .validate(&value)
            .err()
            .map(|error| error.to_string())
    }
}

/// A document whose references can be resolved.
struct Document(Value);

impl Document {
    fn object(&self, pointer: &str) -> &Map<String, Value> {
        self.0.pointer(pointer).and_then(Value::as_object).unwrap()
    }

    /// The target of a reference, or the value itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.resolve(self.0.pointer(&reference[1..]).unwrap()),
            None => value,
        }
    }

    fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        options.should_validate_formats(true).build(&schema).unwrap()
    }

    fn text(&self, schema: &Value) -> Text {
        Text {
            kind: self.resolve(schema)["type"].as_str().unwrap().to_owned(),
            validator: self.validator(schema),
        }
    }

    fn operation(&self, path: &str, method: &str, operation: &Value) -> Operation {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let schema = |content: &Value| self.validator(&content["content"]["application/json"]["schema"]);
        let body = &operation["requestBody"];
        let security = operation.get("security").unwrap_or(&self.0["security"]);
        let schemes = list(security);
        let schemes = schemes
            .iter()
            .flat_map(|scheme| scheme.as_object().unwrap().keys());
        let answers = operation["responses"].as_object().unwrap().iter();
        Operation {
            id: operation["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            path: path.split('/').map(str::to_owned).collect(),
            parameters: list(&operation["parameters"])
                .iter()
                .map(|parameter| self.parameter(parameter))
                .collect(),
            body: (!body.is_null()).then(|| schema(self.resolve(body))),
            answers: answers
                .map(|(status, answer)| {
                    let answer = self.resolve(answer);
                    let headers = answer["headers"].as_object().into_iter().flatten();
                    let rule = AnswerRule {
                        headers: headers
                            .map(|(name, header)| {
                                (name.to_lowercase(), self.text(&self.resolve(header)["schema"]))
                            })
                            .collect(),
                        body: schema(answer),
                    };
                    (status.parse().unwrap(), rule)
                })
                .collect(),
            credentials: schemes
                .map(|name| {
                    self.0["components"]["securitySchemes"][name]["name"]
                        .as_str()
                        .unwrap()
                        .to_lowercase()
                })
                .collect(),
        }
    }

    fn parameter(&self, parameter: &Value) -> Parameter {
        let parameter = self.resolve(parameter);
        let place = match parameter["in"].as_str().unwrap() {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            other => panic!("no parameter can be in the {other}"),
        };
        let name = parameter["name"].as_str().unwrap();
        Parameter {
            name: match place {
                Place::Header => name.to_lowercase(),
                Place::Path | Place::Query => name.to_owned(),
            },
            place,
            is_required: parameter["required"] == true,
            text: self.text(&parameter["schema"]),
        }
    }
}

/// Replaces the format `int64`, which JSON Schema does not define, with its bounds.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("format").is_some_and(|format| format == "int64") {
                members.entry("minimum").or_insert(json!(i64::MIN));
                members.entry("maximum").or_insert(json!(i64::MAX));
            }
            members.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
