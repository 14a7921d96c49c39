//! The program that sets up an external server for the tests.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The variable that names the program.
pub const SEED: &str = "CYCLES_SEED";

/// Sends a line to the program in `CYCLES_SEED`, which is started once for the whole test process.
pub fn set_up(line: &str) {
    type Program = (Child, ChildStdin, BufReader<ChildStdout>);
    static PROGRAM: Mutex<Option<Program>> = Mutex::new(None);
    let mut program = PROGRAM.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, lines, replies) = program.get_or_insert_with(|| {
        let command = variable(SEED).unwrap();
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        let (lines, replies) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (child, lines, BufReader::new(replies))
    });
    let mut reply = String::new();
    let sent = writeln!(lines, "{line}").and_then(|()| replies.read_line(&mut reply));
    assert!(
        matches!(sent, Ok(1..)),
        "the program of {SEED} did not do {line:?}: {sent:?}"
    );
}

/// The value of an environment variable, if it is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
