//! Runs a command beside the sandbox: it has the settings in its environment, and the program ends with it and with its
//! exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::log;
use crate::settings::Settings;
use crate::shutdown::{Reason, Stop};

/// How long a command may take to end once nobody waits for it any more.
const LAST_TIME: Duration = Duration::from_secs(5);

/// Starts the command and waits for its end. Stop requests are passed on to it.
pub(crate) fn run(
    runtime: &Runtime,
    (program, args): (OsString, Vec<OsString>),
    settings: &Settings,
    stop: Stop,
) -> ExitCode {
    let started = Command::new(&program)
        .args(args)
        .envs(settings.variables())
        .spawn();
    match started {
        Ok(child) => runtime.block_on(wait(child, stop)),
        Err(error) => {
            log::note(&format!(
                "cycles-sandbox: cannot run `{}`: {error}\n",
                program.to_string_lossy().replace(char::is_control, "?")
            ));
            // As shells do.
            ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            })
        }
    }
}

async fn wait(mut child: Child, mut stop: Stop) -> ExitCode {
    let process = Process::of(&child);
    let (sender, mut ended) = oneshot::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    loop {
        tokio::select! {
            status = &mut ended => return code(status),
            reason = stop.next() => match reason {
                // A terminal has already interrupted the command.
                Reason::Interrupt if io::stdin().is_terminal() => {}
                Reason::Interrupt => process.interrupt(),
                Reason::Terminate => process.terminate(),
                Reason::Orphaned => {
                    process.terminate();
                    if tokio::time::timeout(LAST_TIME, &mut ended).await.is_err() {
                        process.kill();
                    }
                    return ExitCode::FAILURE;
                }
            },
        }
    }
}

fn code(ended: Result<io::Result<ExitStatus>, oneshot::error::RecvError>) -> ExitCode {
    let Ok(Ok(status)) = ended else {
        log::note("cycles-sandbox: the end of the command cannot be waited for\n");
        return ExitCode::FAILURE;
    };
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    // As shells say it.
    let code = status.code().or_else(|| signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command's process, to send signals to.
#[derive(Clone, Copy, Debug)]
struct Process {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Process {
    fn of(child: &Child) -> Self {
        Self {
            id: rustix::process::Pid::from_child(child).into(),
        }
    }

    fn interrupt(self) {
        self.send(rustix::process::Signal::INT);
    }

    fn terminate(self) {
        self.send(rustix::process::Signal::TERM);
    }

    fn kill(self) {
        self.send(rustix::process::Signal::KILL);
    }

    /// It may have ended already.
    fn send(self, signal: rustix::process::Signal) {
        if let Some(id) = self.id {
            let _ = rustix::process::kill_process(id, signal);
        }
    }
}

/// There are no signals here: what stops the program stops the command too.
#[cfg(not(unix))]
impl Process {
    const fn of(_: &Child) -> Self {
        Self {}
    }

    const fn interrupt(self) {}

    const fn terminate(self) {}

    const fn kill(self) {}
}
