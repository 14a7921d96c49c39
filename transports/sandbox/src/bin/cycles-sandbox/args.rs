//! The command line. Each error is a sentence that also says how to fix it.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use cycles_sandbox::{Budget, DEFAULT_API_KEY, DEFAULT_TENANT, FaultRule, default_budgets};
use lexopt::{Arg, Parser};

pub(crate) const DEFAULT_ADMIN_KEY: &str = "admin-bootstrap-key";

pub(crate) const HELP: &str = "\
A Cycles server for tests and experiments; it keeps its state in memory only. It prints
what clients need as export lines, then closes its standard output and logs to standard error.

Usage: cycles-sandbox [OPTIONS]

Options:
  --listen ADDR        Address for clients [default: 127.0.0.1:7878]; port 0 picks a free port
  --tenant ID          The tenant [default: acme-corp]
  --api-key KEY        The tenant's API key [default: cyc_live_sandbox_0123456789abcdef]
  --budget BUDGET      A budget of the tenant; repeat the flag for more
                       [default: 1000000 TOKENS and 10000000000 USD_MICROCENTS on tenant:ID,
                       a tenth of both on tenant:ID/agent:support-bot]
  --admin-listen ADDR  Address for operators, usually 127.0.0.1:7979 [default: no admin plane]
  --admin-key KEY      The operators' key [default: admin-bootstrap-key]
  --fault RULE         A fault to inject; repeat the flag for more
  --quiet              Do not log requests
  --exit-with-parent   End when the process that started it ends, even if it is killed (Unix only)
  --help               Print this help
  --version            Print the version

BUDGET is SCOPE=UNIT:AMOUNT[,overdraft=N][,status=ACTIVE|FROZEN|CLOSED][,caps=JSON], for example
  'tenant:acme-corp/agent:a1=TOKENS:6000,overdraft=500'
Units are USD_MICROCENTS, TOKENS, CREDITS and RISK_POINTS. caps must come last.

RULE is OPERATIONS:FAULT[@WHEN], for example
  commit:lose-response@1     the first commit is done, but its answer is lost
  'extend,commit:503@p=0.2'  one in five of these calls fails
  '*:delay=2s@for=10s'       every call is slow, for ten seconds from the first one
";

/// The command that the arguments select.
#[derive(Debug)]
pub(crate) enum Command {
    Serve(Args),
    Help,
    Version,
}

/// The settings of the server.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) listen: SocketAddr,
    pub(crate) tenant: String,
    pub(crate) api_key: String,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) admin_key: String,
    pub(crate) faults: Vec<FaultRule>,
    pub(crate) quiet: bool,
    pub(crate) exit_with_parent: bool,
}

/// Parses the arguments after the program's name. The error is a sentence for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_args(args);
    let (mut listen, mut admin_listen, mut admin_key) = (None, None, None);
    let (mut tenant, mut api_key) = (None, None);
    let (mut budgets, mut faults) = (Vec::new(), Vec::new());
    let (mut quiet, mut exit_with_parent) = (false, false);
    while let Some(arg) = parser.next().map_err(sentence)? {
        match arg {
            Arg::Long("listen") => once("--listen", &mut listen, address("--listen", &mut parser)?)?,
            Arg::Long("tenant") => once("--tenant", &mut tenant, id(&mut parser)?)?,
            Arg::Long("api-key") => once("--api-key", &mut api_key, key("--api-key", &mut parser)?)?,
            Arg::Long("budget") => budgets.push(parsed::<Budget>("--budget", &mut parser)?),
            Arg::Long("admin-listen") => {
                let addr = address("--admin-listen", &mut parser)?;
                once("--admin-listen", &mut admin_listen, addr)?;
            }
            Arg::Long("admin-key") => once("--admin-key", &mut admin_key, key("--admin-key", &mut parser)?)?,
            Arg::Long("fault") => faults.push(parsed::<FaultRule>("--fault", &mut parser)?),
            Arg::Long("quiet") => quiet = true,
            Arg::Long("exit-with-parent") if cfg!(unix) => exit_with_parent = true,
            Arg::Long("exit-with-parent") => {
                return Err(
                    "--exit-with-parent works on Unix only: here the process that starts the program has to end it"
                        .to_owned(),
                );
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Command::Version),
            Arg::Long(_) | Arg::Short(_) | Arg::Value(_) => return Err(sentence(arg.unexpected())),
        }
    }
    let tenant = tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
    check_budgets(&tenant, &budgets)?;
    if budgets.is_empty() {
        budgets.extend(default_budgets(&tenant));
    }
    Ok(Command::Serve(Args {
        listen: listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 7878))),
        tenant,
        api_key: api_key.unwrap_or_else(|| DEFAULT_API_KEY.to_owned()),
        budgets,
        admin_listen,
        admin_key: admin_key.unwrap_or_else(|| DEFAULT_ADMIN_KEY.to_owned()),
        faults,
        quiet,
        exit_with_parent,
    }))
}

/// Checks that every budget belongs to the tenant and that no scope and unit is given twice.
fn check_budgets(tenant: &str, budgets: &[Budget]) -> Result<(), String> {
    let root = format!("tenant:{}", tenant.to_lowercase());
    let below = format!("{root}/");
    for (place, budget) in budgets.iter().enumerate() {
        let (scope, unit) = (budget.scope(), budget.unit());
        if scope != root && !scope.starts_with(&below) {
            return Err(format!(
                "--budget is for {scope}, but the tenant is {tenant}: begin the scope with {root}, or give another \
                 --tenant"
            ));
        }
        let mut earlier = budgets.iter().take(place);
        if earlier.any(|earlier| (earlier.scope(), earlier.unit()) == (scope, unit)) {
            let unit = unit.name();
            return Err(format!(
                "--budget is given twice for {unit} on {scope}: give each scope and unit once"
            ));
        }
    }
    Ok(())
}

fn once<T>(flag: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{flag} is given twice: give it once")),
    }
}

fn value(flag: &str, parser: &mut Parser) -> Result<String, String> {
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

fn parsed<T: FromStr<Err: Display>>(flag: &str, parser: &mut Parser) -> Result<T, String> {
    value(flag, parser)?
        .parse()
        .map_err(|problem| format!("{flag}: {problem}"))
}

fn address(flag: &str, parser: &mut Parser) -> Result<SocketAddr, String> {
    let text = value(flag, parser)?;
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    numeric.as_deref().unwrap_or(&text).parse().map_err(|_| {
        format!("{flag}: `{text}` is not an address: use IP:PORT or localhost:PORT, such as 127.0.0.1:7878")
    })
}

/// Parses a tenant id, within the protocol's limits for a subject level.
fn id(parser: &mut Parser) -> Result<String, String> {
    let text = value("--tenant", parser)?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (3..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(format!(
            "--tenant: `{text}` is not a tenant id: use 3 to 64 lower-case letters, digits and hyphens"
        ))
    }
}

/// Parses a key that is valid in a header. The key is a secret, so the error does not quote it.
fn key(flag: &str, parser: &mut Parser) -> Result<String, String> {
    let text = value(flag, parser)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(format!(
            "{flag} takes a key of ASCII letters, digits and punctuation, such as {DEFAULT_API_KEY}"
        ))
    }
}

fn missing(flag: &str) -> String {
    let example = match flag {
        "--listen" => "ADDR, such as 127.0.0.1:7878",
        "--admin-listen" => "ADDR, such as 127.0.0.1:7979",
        "--tenant" => "ID, such as acme-corp",
        "--budget" => "BUDGET, such as tenant:acme-corp=TOKENS:6000",
        "--fault" => "RULE, such as commit:lose-response@1",
        _ => "KEY",
    };
    format!("{flag} needs a value: {example}")
}

fn sentence(error: lexopt::Error) -> String {
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

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
