//! The command line. Each error is a sentence that also says how to fix it.

mod tenants;
pub(crate) mod values;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use cycles_sandbox::{Budget, CorsOrigin, FaultRule};
use lexopt::{Arg, Parser};

use self::tenants::Flags;
use self::values::{
    address, count, file_name, format_named, id, key, log_format_named, loopback, once, parsed, port_number,
    sentence, value,
};
use crate::config_file::{ConfigFile, TenantSetup};
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
  --config FILE        Tenants with their keys and budgets, and faults, in TOML. The settings are
                       those of its first tenant, or of --tenant, with its first key, or
                       --api-key; flags count more than the file, and the file more than the
                       environment
  --control-listen ADDR
                       Address of the control plane, with which tests reset the ledger, move the
                       clock, set faults and see the state; on loopback [default: none]
  --control-key KEY    Its key [default: a new one each time]
  --cors ORIGIN        An origin whose pages may call from a browser, such as
                       http://localhost:5173, or * for all; repeat the flag for more
  --retain COUNT       How many ended reservations and events lists, look-ups and the dump still
                       have; the keys of all others live as long as the protocol says
                       [default: 5000, which keeps a million reservations under 200 MB]
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
    /// The tenant of which the settings for clients are, and its key.
    pub(crate) tenant: String,
    pub(crate) api_key: String,
    pub(crate) tenants: Vec<TenantSetup>,
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
    /// What was made of the variables of the environment, in a line each.
    pub(crate) variables: Vec<String>,
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
    let (mut retain, mut log, mut config) = (None, None, None);
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
            Arg::Long("config") => once("--config", &mut config, file_name("--config", &mut parser)?)?,
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
    let default_port = if command.is_some() { 0 } else { 7878 };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(default_port)));
    let file = config
        .map(|file| ConfigFile::read(&file))
        .transpose()?
        .unwrap_or_default();
    let flags = Flags {
        tenant,
        api_key,
        budgets,
    };
    let resolved = tenants::resolve(flags, file.tenants, variable)?;
    let faults = file.faults.into_iter().chain(faults).collect();
    let admin_key = admin_key.or(file.admin_key);
    Ok(Command::Serve(Box::new(Args {
        listen: listen.unwrap_or(local),
        tenant: resolved.tenant,
        api_key: resolved.api_key,
        tenants: resolved.tenants,
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
        variables: resolved.variables,
        exit_with_parent: exit_with_parent || (command.is_some() && cfg!(unix)),
        command,
    })))
}

#[cfg(test)]
mod tests;
