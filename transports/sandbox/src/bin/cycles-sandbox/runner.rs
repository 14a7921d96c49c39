//! Runs a command beside the sandbox: it has the settings in its environment, and the program ends with it and with its
//! exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::log;
use crate::settings::Settings;
use crate::shutdown::{Reason, Signal, Stop};

/// How long a command may take to end once nobody waits for it any more.
const LAST_TIME: Duration = Duration::from_secs(5);

/// Starts the command and waits for its end. Stop requests are passed on to it.
pub(crate) fn run(
    runtime: &Runtime,
    (program, args): (OsString, Vec<OsString>),
    settings: &Settings,
    stop: Stop,
) -> u8 {
    let mut command = Command::new(&program);
    for name in Settings::NAMES {
        // What another sandbox set is not for this one.
        command.env_remove(name);
    }
    let started = command.args(args).envs(settings.variables()).spawn();
    match started {
        Ok(child) => runtime.block_on(wait(child, stop)),
        Err(error) => {
            log::note(&format!(
                "cycles-sandbox: cannot run `{}`: {error}\n",
                program.to_string_lossy().replace(char::is_control, "?")
            ));
            // As shells do.
            if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            }
        }
    }
}

async fn wait(mut child: Child, mut stop: Stop) -> u8 {
    let process = Process::of(&child);
    let (sender, mut ended) = oneshot::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    loop {
        tokio::select! {
            status = &mut ended => return code(status),
            reason = stop.next() => match reason {
                // A terminal has already sent these to the command.
                Reason::Interrupt | Reason::Signal(Signal::Quit) if io::stdin().is_terminal() => {}
                Reason::Interrupt => process.interrupt(),
                Reason::Terminate => process.terminate(),
                Reason::Signal(signal) => process.pass_on(signal),
                Reason::Orphaned => {
                    process.terminate();
                    if tokio::time::timeout(LAST_TIME, &mut ended).await.is_err() {
                        process.kill();
                    }
                    return 1;
                }
            },
        }
    }
}

fn code(ended: Result<io::Result<ExitStatus>, oneshot::error::RecvError>) -> u8 {
    let Ok(Ok(status)) = ended else {
        log::note("cycles-sandbox: the end of the command cannot be waited for\n");
        return 1;
    };
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    // As shells say it.
    let code = status.code().or_else(|| signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
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

    fn pass_on(self, signal: Signal) {
        self.send(match signal {
            Signal::HangUp => rustix::process::Signal::HUP,
            Signal::Quit => rustix::process::Signal::QUIT,
            Signal::User1 => rustix::process::Signal::USR1,
            Signal::User2 => rustix::process::Signal::USR2,
        });
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

    const fn pass_on(self, _: Signal) {}

    const fn kill(self) {}
}
