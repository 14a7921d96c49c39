//! The Python SDK, to try things against.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of a virtual environment with `runcycles==0.5.3` in this directory, made at first use. It takes a while, so
/// it has to be asked for with `CYCLES_PYTHON=1`. If it was not, or cannot be had, this says so and returns `None`.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub fn python_with_sdk(directory: &Path) -> Option<PathBuf> {
    if std::env::var_os("CYCLES_PYTHON").is_none() {
        println!("SKIPPED: without CYCLES_PYTHON=1 no Python SDK is installed");
        return None;
    }
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let venv = directory.join("runcycles-0.5.3");
    let python = venv.join("bin/python");
    let is_there = || run(Command::new(&python).args(["-c", "import runcycles"])).is_ok();
    if !is_there() {
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).and_then(|()| {
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "runcycles==0.5.3"]))
        });
        if let Err(why) = made {
            println!("SKIPPED: Python or PyPI is out of reach: {why}");
            return None;
        }
    }
    Some(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}
