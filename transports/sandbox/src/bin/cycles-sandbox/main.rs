//! `cycles-sandbox`: the embedded server as a program. It prints the settings that a client needs, closes its standard
//! output, logs a line per request, and runs until a signal stops it.

mod args;
mod default_key_warning;
mod log;
mod masks;
mod output;
mod shutdown;
mod stderr_writer;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::process::ExitCode;

use cycles_sandbox::{ApiKey, Ledger, Sandbox, Tenant};

use crate::args::{Args, Command};
use crate::log::Log;
use crate::shutdown::Stop;
use crate::stderr_writer::StderrWriter;

fn main() -> ExitCode {
    let done = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => output::write(args::HELP),
        Ok(Command::Version) => output::write(concat!("cycles-sandbox ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Serve(args)) => serve(args),
        Err(problem) => {
            // The message quotes the command line, which may contain terminal control sequences.
            let problem = problem.replace(char::is_control, "?");
            log::note(&format!(
                "cycles-sandbox: {problem}\nTry `cycles-sandbox --help`.\n"
            ));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::note(&format!("cycles-sandbox: {}\n", explained(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Serves until the program is asked to stop.
fn serve(args: Args) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    // Before anything is printed: a reader of the output may send a signal at once.
    let stop = runtime.block_on(async { Stop::listen(args.exit_with_parent) })?;
    let (quiet, published) = (args.quiet, args.published_keys());
    let (lines, written) = StderrWriter::start();
    let sandbox = start(args, &lines)?;
    if !quiet {
        lines.write(log::banner(&sandbox));
    }
    for warning in published.warnings(&sandbox) {
        lines.write(warning);
    }
    drop(lines);
    output::write(&format!(
        "export CYCLES_BASE_URL={}\nexport CYCLES_API_KEY={}\nexport CYCLES_TENANT={}\n",
        sandbox.base_url(),
        quoted(sandbox.api_key()),
        quoted(sandbox.tenant()),
    ))?;
    // A shell reads the settings until the output ends: `eval "$(cycles-sandbox &)"`.
    output::close();
    runtime.block_on(stop.wait());
    drop(sandbox);
    written.wait();
    Ok(())
}

fn start(args: Args, lines: &StderrWriter) -> io::Result<Sandbox> {
    let log = Log::new(lines.clone(), [&args.api_key, &args.admin_key]);
    let mut ledger = Ledger::new(RandomState::new().hash_one("cycles-sandbox"));
    ledger.add_tenant(Tenant::new(args.tenant.as_str()));
    ledger.add_api_key(ApiKey::new(args.api_key.as_str(), args.tenant.as_str()));
    ledger.set_admin_key(args.admin_key);
    for budget in args.budgets {
        ledger.add_budget(budget);
    }
    let mut builder = Sandbox::builder()
        .ledger(ledger, args.api_key, args.tenant)
        .addr(args.listen);
    if let Some(addr) = args.admin_listen {
        builder = builder.admin_addr(addr);
    }
    if !args.quiet {
        builder = builder.observe(move |exchange| log.write(exchange));
    }
    let sandbox = builder.start()?;
    for rule in args.faults {
        sandbox.inject(rule);
    }
    Ok(sandbox)
}

fn explained(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        format!(
            "{error}; another program is listening there: stop it, or give another port with --listen or --admin-listen"
        )
    } else {
        error.to_string()
    }
}

/// Returns `text` as one word for a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(quoted("cyc_live_a-b.1"), "cyc_live_a-b.1");
        assert_eq!(quoted("a$b"), "'a$b'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
