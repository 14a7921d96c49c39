//! `cycles-sandbox`: the embedded server as a program. It prints the settings that a client needs, closes its standard
//! output, logs a line per request, and runs until a signal stops it; or it runs a command that has the settings in its
//! environment, and ends with that.

mod args;
mod config_file;
mod default_key_warning;
mod log;
mod output;
mod runner;
mod settings;
mod shutdown;
mod stderr_writer;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::process::ExitCode;

use cycles_sandbox::{Ledger, Sandbox};

use crate::args::{Args, Command};
use crate::log::Log;
use crate::settings::Settings;
use crate::shutdown::Stop;
use crate::stderr_writer::StderrWriter;

fn main() -> ExitCode {
    let success = |()| ExitCode::SUCCESS;
    let done = match args::parse(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(Command::Help) => output::write(args::HELP).map(success),
        Ok(Command::Version) => {
            output::write(concat!("cycles-sandbox ", env!("CARGO_PKG_VERSION"), "\n")).map(success)
        }
        Ok(Command::Serve(args)) => serve(*args),
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
        Ok(code) => code,
        Err(error) => {
            log::note(&format!("cycles-sandbox: {}\n", explained(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Serves until the program is asked to stop, or until its command ends.
fn serve(mut args: Args) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    // Before anything is printed: a reader of the output may send a signal at once.
    let mut stop = runtime.block_on(async { Stop::listen(args.exit_with_parent, args.command.is_some()) })?;
    let (quiet, published, format) = (args.quiet, args.published_keys(), args.format);
    let (env_file, command) = (args.env_file.take().map(settings::meant), args.command.take());
    let dump_on_exit = args.dump_on_exit.take();
    let variables = std::mem::take(&mut args.variables);
    if let Some(file) = &env_file {
        settings::remove_old(file)?;
    }
    let (lines, written) = StderrWriter::start(args.log);
    let sandbox = start(args, &lines)?;
    if !quiet {
        for line in log::banner(&sandbox, &variables) {
            lines.say("info", &line);
        }
    }
    for warning in published.warnings(&sandbox) {
        lines.say("warning", &warning);
    }
    drop(lines);
    let settings = Settings::of(&sandbox);
    if let Some(file) = &env_file {
        settings.write_to(file)?;
    }
    let code = match command {
        Some(command) => runner::run(&runtime, command, &settings, stop),
        None => {
            output::write(&settings.text(format))?;
            // A shell reads the settings until the output ends: `eval "$(cycles-sandbox &)"`.
            output::close();
            runtime.block_on(stop.next());
            0
        }
    };
    let dumped = dump_on_exit.map(|file| {
        let written = std::fs::write(&file, sandbox.to_json());
        written.map_err(|error| settings::cannot("write", &file, "--dump-on-exit", &error))
    });
    drop(sandbox);
    written.wait();
    match dumped.transpose() {
        // What the command says counts more.
        Err(error) if code != 0 => log::note(&format!("cycles-sandbox: {error}\n")),
        dumped => _ = dumped?,
    }
    Ok(ExitCode::from(code))
}

fn start(args: Args, lines: &StderrWriter) -> io::Result<Sandbox> {
    let log = Log::new(args.log, lines.clone());
    let mut ledger = Ledger::new(RandomState::new().hash_one("cycles-sandbox"));
    ledger.set_admin_key(args.admin_key);
    for setup in args.tenants {
        ledger.add_tenant(setup.tenant);
        for key in setup.keys {
            ledger.add_api_key(key.key);
        }
        for budget in setup.budgets {
            ledger.add_budget(budget);
        }
    }
    if let Some(count) = args.retain {
        ledger.set_retained(count);
    }
    let mut builder = Sandbox::builder()
        .ledger(ledger, args.api_key, args.tenant)
        .addr(args.listen);
    if let Some(addr) = args.admin_listen {
        builder = builder.admin_addr(addr);
    }
    if let Some(addr) = args.control_listen {
        builder = builder.control_addr(addr);
    }
    if let Some(key) = args.control_key {
        builder = builder.control_key(key);
    }
    for origin in args.cors {
        builder = builder.cors(origin);
    }
    for rule in args.faults {
        builder = builder.fault(rule);
    }
    if !args.quiet {
        builder = builder.observe(move |exchange| log.write(exchange));
    }
    let told = lines.clone();
    let builder = builder.forgets(move || {
        told.say(
            "info",
            "from now on, lists, look-ups and the dump have only the events and ended reservations of late: --retain keeps more. \
             Nothing active is forgotten, and no key before its time",
        );
    });
    let lines = lines.clone();
    let builder = builder.accept_failed(move |error| {
        let problem = format!(
            "a connection cannot be accepted: {error}; it waits until others end. If these are too many open files, \
             close connections or permit more (ulimit -n)"
        );
        lines.say("warning", &problem);
    });
    builder.start()
}

fn explained(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        format!(
            "{error}; another program is listening there: stop it, or give another port with --listen, --admin-listen or --control-listen"
        )
    } else {
        error.to_string()
    }
}
