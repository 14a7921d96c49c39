//! The command line. Each error is a sentence that also says how to fix it.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use cycles_sandbox::{Budget, CorsOrigin, DEFAULT_API_KEY, DEFAULT_TENANT, FaultRule, default_budgets};
use lexopt::{Arg, Parser};

use crate::log::LogFormat;

pub(crate) const DEFAULT_ADMIN_KEY: &str = "admin-bootstrap-key";

pub(crate) const HELP: &str = "\
A Cycles server for tests and experiments; it keeps its state in memory only. It prints
what clients need as export lines, then closes its standard output and logs to standard error.

Usage: cycles-sandbox [OPTIONS]
       cycles-sandbox [OPTIONS] -- COMMAND [ARGS]

With a COMMAND, it runs that once it listens, with CYCLES_BASE_URL, CYCLES_API_KEY and
CYCLES_TENANT in its environment, prints nothing to standard output, and ends with the
command and with its exit code.

Options:
  --listen ADDR        Address for clients [default: 127.0.0.1:7878, with a COMMAND 127.0.0.1:0];
                       port 0 picks a free port
  --port PORT          The same, on 127.0.0.1
  --tenant ID          The tenant [default: $CYCLES_TENANT, or else acme-corp]
  --api-key KEY        The tenant's API key
                       [default: $CYCLES_API_KEY, or else cyc_live_sandbox_0123456789abcdef]
  --budget BUDGET      A budget of the tenant; repeat the flag for more
                       [default: 1000000 TOKENS and 10000000000 USD_MICROCENTS on tenant:ID,
                       a tenth of both on tenant:ID/agent:support-bot]
  --admin-listen ADDR  Address for operators, usually 127.0.0.1:7979 [default: no admin plane]
  --admin-key KEY      The operators' key [default: admin-bootstrap-key]
  --fault RULE         A fault to inject; repeat the flag for more
  --control-listen ADDR
                       Address of the control plane, with which tests reset the ledger, move the
                       clock, set faults and see the state; on loopback [default: none]
  --control-key KEY    Its key [default: a new one each time]
  --cors ORIGIN        An origin whose pages may call from a browser, such as
                       http://localhost:5173, or * for all; repeat the flag for more
  --retain COUNT       How many ended reservations lists, look-ups and the dump still have; the
                       keys of all others live as long as the protocol says [default: 10000,
                       which keeps a million reservations under 200 MB]
  --dump-on-exit FILE  Write the state to FILE, as JSON, when the program ends
  --format FORMAT      What is printed: shell (export lines) or json (one object) [default: shell]
  --env-file FILE      Write the settings to FILE too, as NAME=VALUE lines, once it listens
  --log FORMAT         How requests are logged: text, or json with their ids and keys [default: text]
  --quiet              Do not log requests
  --exit-with-parent   End when the process that started it ends, even if it is killed (Unix only;
                       always with a COMMAND)
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
    Serve(Box<Args>),
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
    pub(crate) control_listen: Option<SocketAddr>,
    pub(crate) control_key: Option<String>,
    pub(crate) cors: Vec<CorsOrigin>,
    pub(crate) retain: Option<usize>,
    pub(crate) dump_on_exit: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) env_file: Option<PathBuf>,
    pub(crate) log: LogFormat,
    pub(crate) quiet: bool,
    pub(crate) exit_with_parent: bool,
    /// The variables of the environment that are used.
    pub(crate) variables: Vec<&'static str>,
    /// The command to run, and its arguments.
    pub(crate) command: Option<(OsString, Vec<OsString>)>,
}

/// How the settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines that a shell evaluates.
    Shell,
    /// One JSON object on one line.
    Json,
}

/// Parses the arguments after the program's name, and what `variable` says the environment has. The error is a sentence
/// for the user.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, String> {
    let mut own: Vec<OsString> = args.into_iter().collect();
    let command = match own.iter().position(|arg| arg == "--") {
        None => None,
        Some(place) => {
            let mut command = own.split_off(place).into_iter().skip(1);
            let program = command
                .next()
                .ok_or("`--` is followed by no command: write one after it, such as -- npm test")?;
            Some((program, command.collect()))
        }
    };
    let mut parser = Parser::from_args(own);
    let (mut listen, mut port, mut admin_listen, mut admin_key) = (None, None, None, None);
    let (mut tenant, mut api_key) = (None, None);
    let (mut format, mut env_file) = (None, None);
    let (mut retain, mut log) = (None, None);
    let (mut control_listen, mut control_key, mut dump_on_exit) = (None, None, None);
    let (mut budgets, mut faults, mut cors) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quiet, mut exit_with_parent) = (false, false);
    while let Some(arg) = parser.next().map_err(sentence)? {
        match arg {
            Arg::Long("listen") => once("--listen", &mut listen, address("--listen", &mut parser)?)?,
            Arg::Long("port") => once("--port", &mut port, port_number(&mut parser)?)?,
            Arg::Long("tenant") => {
                let text = value("--tenant", &mut parser)?;
                once("--tenant", &mut tenant, id("--tenant", text)?)?;
            }
            Arg::Long("api-key") => once("--api-key", &mut api_key, key("--api-key", &mut parser)?)?,
            Arg::Long("control-listen") => {
                let addr = loopback(address("--control-listen", &mut parser)?)?;
                once("--control-listen", &mut control_listen, addr)?;
            }
            Arg::Long("control-key") => {
                let text = key("--control-key", &mut parser)?;
                once("--control-key", &mut control_key, text)?;
            }
            Arg::Long("cors") => cors.push(parsed::<CorsOrigin>("--cors", &mut parser)?),
            Arg::Long("retain") => once("--retain", &mut retain, count("--retain", &mut parser)?)?,
            Arg::Long("dump-on-exit") => {
                let file = file_name("--dump-on-exit", &mut parser)?;
                once("--dump-on-exit", &mut dump_on_exit, file)?;
            }
            Arg::Long("format") => once("--format", &mut format, format_named(&mut parser)?)?,
            Arg::Long("env-file") => {
                let file = file_name("--env-file", &mut parser)?;
                once("--env-file", &mut env_file, file)?;
            }
            Arg::Long("budget") => budgets.push(parsed::<Budget>("--budget", &mut parser)?),
            Arg::Long("admin-listen") => {
                let addr = address("--admin-listen", &mut parser)?;
                once("--admin-listen", &mut admin_listen, addr)?;
            }
            Arg::Long("admin-key") => once("--admin-key", &mut admin_key, key("--admin-key", &mut parser)?)?,
            Arg::Long("fault") => faults.push(parsed::<FaultRule>("--fault", &mut parser)?),
            Arg::Long("log") => once("--log", &mut log, log_format_named(&mut parser)?)?,
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
            Arg::Value(text) => {
                return Err(format!(
                    "`{}` is not an argument of any flag; a command to run comes after --",
                    text.to_string_lossy()
                ));
            }
            Arg::Long(_) | Arg::Short(_) => return Err(sentence(arg.unexpected())),
        }
    }
    if control_key.is_some() && control_listen.is_none() {
        return Err(
            "--control-key is the key of a control plane: ask for one with --control-listen".to_owned(),
        );
    }
    if env_file.is_some() && env_file == dump_on_exit {
        return Err("--env-file and --dump-on-exit name one file: give two".to_owned());
    }
    if listen.is_some() && port.is_some() {
        return Err("--listen and --port are both given: give one of them".to_owned());
    }
    if format.is_some() && command.is_some() {
        return Err(
            "--format is for whoever reads the output, but the command writes it: it has the settings in its \
             environment"
                .to_owned(),
        );
    }
    if log.is_some() && quiet {
        return Err("--log and --quiet are both given: give one of them".to_owned());
    }
    let default_port = if command.is_some() { 0 } else { 7878 };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(default_port)));
    let mut variables = Vec::new();
    let tenant = match tenant {
        Some(tenant) => tenant,
        None => match set("CYCLES_TENANT", &variable, &mut variables)? {
            Some(text) => id("CYCLES_TENANT", text)?,
            None => DEFAULT_TENANT.to_owned(),
        },
    };
    let api_key = match api_key {
        Some(api_key) => api_key,
        None => match set("CYCLES_API_KEY", &variable, &mut variables)? {
            Some(text) => usable_key("CYCLES_API_KEY", text)?,
            None => DEFAULT_API_KEY.to_owned(),
        },
    };
    check_budgets(&tenant, &budgets)?;
    if budgets.is_empty() {
        budgets.extend(default_budgets(&tenant));
    }
    Ok(Command::Serve(Box::new(Args {
        listen: listen.unwrap_or(local),
        tenant,
        api_key,
        budgets,
        admin_listen,
        admin_key: admin_key.unwrap_or_else(|| DEFAULT_ADMIN_KEY.to_owned()),
        faults,
        control_listen,
        control_key,
        cors,
        retain,
        dump_on_exit,
        format: format.unwrap_or(Format::Shell),
        env_file,
        log: log.unwrap_or(LogFormat::Text),
        quiet,
        variables,
        exit_with_parent: exit_with_parent || (command.is_some() && cfg!(unix)),
        command,
    })))
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

/// Checks that other machines cannot reach the address: whoever has the key of the control plane can do anything.
fn loopback(addr: SocketAddr) -> Result<SocketAddr, String> {
    match addr.ip().to_canonical().is_loopback() {
        true => Ok(addr),
        false => Err(format!(
            "--control-listen: {addr} is not a loopback address: use 127.0.0.1:PORT"
        )),
    }
}

fn file_name(flag: &str, parser: &mut Parser) -> Result<PathBuf, String> {
    match value(flag, parser)? {
        empty if empty.is_empty() => Err(missing(flag)),
        name => Ok(PathBuf::from(name)),
    }
}

fn port_number(parser: &mut Parser) -> Result<u16, String> {
    let text = value("--port", parser)?;
    text.parse()
        .map_err(|_| format!("--port: `{text}` is not a port: use 0 to 65535; 0 picks a free port"))
}

fn count(flag: &str, parser: &mut Parser) -> Result<usize, String> {
    let text = value(flag, parser)?;
    text.parse()
        .map_err(|_| format!("{flag}: `{text}` is not a count: use digits only, such as 10000"))
}

fn format_named(parser: &mut Parser) -> Result<Format, String> {
    match value("--format", parser)?.as_str() {
        "shell" => Ok(Format::Shell),
        "json" => Ok(Format::Json),
        other => Err(format!("--format: `{other}` is not a format: use shell or json")),
    }
}

fn log_format_named(parser: &mut Parser) -> Result<LogFormat, String> {
    match value("--log", parser)?.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("--log: `{other}` is not a format: use text or json")),
    }
}

/// The value of an environment variable, unless it is missing or empty. One that has a value is added to `used`.
fn set(
    name: &'static str,
    variable: impl Fn(&str) -> Option<OsString>,
    used: &mut Vec<&'static str>,
) -> Result<Option<String>, String> {
    let Some(value) = variable(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    used.push(name);
    let value = value.into_string();
    value
        .map(Some)
        .map_err(|_| format!("{name} of the environment is not UTF-8: correct or unset it"))
}

/// Checks a tenant id, within the protocol's limits for a subject level.
fn id(of: &str, text: String) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (3..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(format!(
            "{of}: `{text}` is not a tenant id: use 3 to 64 lower-case letters, digits and hyphens"
        ))
    }
}

fn key(flag: &str, parser: &mut Parser) -> Result<String, String> {
    usable_key(flag, value(flag, parser)?)
}

/// Checks that a key is valid in a header. The key is a secret, so the error does not quote it.
fn usable_key(of: &str, text: String) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(format!(
            "{of} takes a key of ASCII letters, digits and punctuation, such as {DEFAULT_API_KEY}"
        ))
    }
}

fn missing(flag: &str) -> String {
    let example = match flag {
        "--listen" => "ADDR, such as 127.0.0.1:7878",
        "--admin-listen" => "ADDR, such as 127.0.0.1:7979",
        "--control-listen" => "ADDR, such as 127.0.0.1:0",
        "--dump-on-exit" => "FILE, such as ledger.json",
        "--retain" => "COUNT, such as 10000",
        "--port" => "PORT, such as 7878",
        "--format" => "FORMAT, which is shell or json",
        "--cors" => "ORIGIN, such as http://localhost:5173",
        "--log" => "FORMAT, which is text or json",
        "--env-file" => "FILE, such as cycles.env",
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
