//! The values of flags, each with the sentence that says what is wrong with it.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use cycles_sandbox::DEFAULT_API_KEY;
use lexopt::Parser;

use super::Format;
use crate::log::LogFormat;

pub(super) fn once<T>(flag: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{flag} is given twice: give it once")),
    }
}

pub(super) fn value(flag: &str, parser: &mut Parser) -> Result<String, String> {
    let value = parser.value().map_err(sentence)?;
    let text = value
        .into_string()
        .map_err(|bytes| sentence(lexopt::Error::NonUnicodeValue(bytes)))?;
    // No value begins with `--`: the value was forgotten, and this is the next flag.
    if text.starts_with("--") {
        return Err(missing(flag));
    }
    Ok(text)
}

pub(super) fn parsed<T: FromStr<Err: Display>>(flag: &str, parser: &mut Parser) -> Result<T, String> {
    value(flag, parser)?
        .parse()
        .map_err(|problem| format!("{flag}: {problem}"))
}

pub(super) fn address(flag: &str, parser: &mut Parser) -> Result<SocketAddr, String> {
    let text = value(flag, parser)?;
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    numeric.as_deref().unwrap_or(&text).parse().map_err(|_| {
        format!("{flag}: `{text}` is not an address: use IP:PORT or localhost:PORT, such as 127.0.0.1:7878")
    })
}

/// Checks that only this machine can reach the address. Whoever has the key of the control plane can do anything with the
/// sandbox.
pub(super) fn loopback(addr: SocketAddr) -> Result<SocketAddr, String> {
    match addr.ip().to_canonical().is_loopback() {
        true => Ok(addr),
        false => Err(format!(
            "--control-listen: {addr} is not a loopback address: use 127.0.0.1:PORT"
        )),
    }
}

pub(super) fn file_name(flag: &str, parser: &mut Parser) -> Result<PathBuf, String> {
    match value(flag, parser)? {
        empty if empty.is_empty() => Err(missing(flag)),
        name => Ok(PathBuf::from(name)),
    }
}

pub(super) fn port_number(parser: &mut Parser) -> Result<u16, String> {
    let text = value("--port", parser)?;
    text.parse()
        .map_err(|_| format!("--port: `{text}` is not a port: use 0 to 65535; 0 picks a free port"))
}

pub(super) fn count(flag: &str, parser: &mut Parser) -> Result<usize, String> {
    let text = value(flag, parser)?;
    text.parse()
        .map_err(|_| format!("{flag}: `{text}` is not a count: use digits only, such as 5000"))
}

pub(super) fn format_named(parser: &mut Parser) -> Result<Format, String> {
    match value("--format", parser)?.as_str() {
        "shell" => Ok(Format::Shell),
        "json" => Ok(Format::Json),
        other => Err(format!("--format: `{other}` is not a format: use shell or json")),
    }
}

pub(super) fn log_format_named(parser: &mut Parser) -> Result<LogFormat, String> {
    match value("--log", parser)?.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("--log: `{other}` is not a format: use text or json")),
    }
}

/// Checks a tenant id, within the protocol's limits for a subject level.
pub(crate) fn id(of: &str, text: String) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (3..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(format!(
            "{of}: `{text}` is not a tenant id: use 3 to 64 lower-case letters, digits and hyphens"
        ))
    }
}

pub(super) fn key(flag: &str, parser: &mut Parser) -> Result<String, String> {
    usable_key(flag, value(flag, parser)?)
}

/// Checks that a key is valid in a header. The key is a secret, so the error does not quote it.
pub(crate) fn usable_key(of: &str, text: String) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(format!(
            "{of} takes a key of ASCII letters, digits and punctuation, such as {DEFAULT_API_KEY}"
        ))
    }
}

pub(super) fn missing(flag: &str) -> String {
    let example = match flag {
        "--listen" => "ADDR, such as 127.0.0.1:7878",
        "--admin-listen" => "ADDR, such as 127.0.0.1:7979",
        "--control-listen" => "ADDR, such as 127.0.0.1:0",
        "--dump-on-exit" => "FILE, such as ledger.json",
        "--retain" => "COUNT, such as 5000",
        "--port" => "PORT, such as 7878",
        "--format" => "FORMAT, which is shell or json",
        "--cors" => "ORIGIN, such as http://localhost:5173",
        "--log" => "FORMAT, which is text or json",
        "--env-file" => "FILE, such as cycles.env",
        "--config" => "FILE, such as cycles-sandbox.toml",
        "--tenant" => "ID, such as acme-corp",
        "--budget" => "BUDGET, such as tenant:acme-corp=TOKENS:6000",
        "--fault" => "RULE, such as commit:lose-response@1",
        _ => "KEY",
    };
    format!("{flag} needs a value: {example}")
}

pub(super) fn sentence(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::MissingValue { option: Some(flag) } => missing(&flag),
        lexopt::Error::MissingValue { option: None } => "a flag needs a value".to_owned(),
        lexopt::Error::UnexpectedOption(flag) => format!("unknown flag {flag}"),
        lexopt::Error::UnexpectedArgument(text) => {
            format!("`{}` is not an argument of any flag", text.to_string_lossy())
        }
        lexopt::Error::UnexpectedValue { option, .. } => format!("{option} takes no value"),
        lexopt::Error::NonUnicodeValue(text) => format!("`{}` is not UTF-8", text.to_string_lossy()),
        lexopt::Error::ParsingFailed { error, .. } | lexopt::Error::Custom(error) => error.to_string(),
    }
}
