//! A child process with a client: another run of the test binary. It reads commands, one per line, from its standard
//! input, and writes their results and its observer's events to its standard output.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use cycles_proto::models::ReservationId;

use super::setup::config;
use crate::test_setup::{PATIENCE, commit, request};
use crate::{Adapter, Client as _, Guard as _, Unsettled};

const URL: &str = "CYCLES_RECOVERY_URL";
const KEY: &str = "CYCLES_RECOVERY_KEY";
const DIR: &str = "CYCLES_RECOVERY_DIR";

/// A running child process that is killed on drop.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    unread: Vec<String>,
}

impl Process {
    /// Starts a process with a new client for this server and this journal.
    pub(super) fn start(url: &str, key: &str, dir: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "another_process",
                "recovery::another_process",
                "--nocapture",
            ])
            .env(URL, url)
            .env(KEY, key)
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (said, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    break;
                }
            }
        });
        let mut process = Self {
            child,
            stdin,
            lines,
            unread: Vec::new(),
        };
        process.read_line_after("ready");
        process
    }

    /// Reserves 100 tokens and holds them.
    pub(super) fn reserve(&mut self) -> ReservationId {
        self.send_command("reserve");
        ReservationId::from(self.read_line_after("reserved "))
    }

    /// Commits the cost, without waiting for the result.
    pub(super) fn commit(&mut self, tokens: i64) {
        self.send_command(&format!("commit {tokens}"));
    }

    /// Starts to settle the records of all earlier processes; [`flushed`](Self::flushed) waits for the result.
    pub(super) fn flush(&mut self) {
        self.send_command("flush");
    }

    pub(super) fn flushed(&mut self) -> Unsettled {
        let left = self.read_line_after("left ");
        let mut numbers = left.split(' ').map(|number| number.parse().unwrap());
        let mut next = || -> usize { numbers.next().unwrap() };
        Unsettled {
            ending: next(),
            recorded: next(),
            unrecorded: next(),
            charged_less: next(),
            set_aside: next(),
            unknown: next(),
            is_certain: next() == 1,
        }
    }

    /// Waits for an event whose text contains all these words, and returns the text.
    pub(super) fn wait_for_event(&mut self, words: &[&str]) -> String {
        self.read_line_that(|line| line.starts_with("event ") && words.iter().all(|word| line.contains(word)))
    }

    /// Kills the process at once, so that it cannot clean up.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn send_command(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
        self.stdin.flush().unwrap();
    }

    /// The rest of the next line that begins with `start`.
    fn read_line_after(&mut self, start: &str) -> String {
        let line = self.read_line_that(|line| line.starts_with(start));
        line[start.len()..].to_owned()
    }

    fn read_line_that(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        if let Some(found) = self.unread.iter().position(|line| is_it(line)) {
            return self.unread.remove(found);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return line,
                Ok(line) => self.unread.push(line),
                Err(error) => panic!(
                    "the process did not print the expected line ({error}): {:#?}",
                    self.unread
                ),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side: a client that executes commands. Does nothing unless the variable with the server's URL is set.
pub fn another_process<A: Adapter>() {
    let Ok(url) = env::var(URL) else { return };
    let (key, dir) = (env::var(KEY).unwrap(), env::var_os(DIR).unwrap());
    let config = config(&url, &key, Path::new(&dir)).build().unwrap();
    let client = A::client(config, |event| print_line(&format!("event {event:?}")));
    print_line("ready");
    let mut held = None;
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["reserve"] => {
                let guard = client.reserve(request(100)).unwrap();
                print_line(&format!("reserved {}", guard.reservation_id()));
                held = Some(guard);
            }
            ["commit", tokens] => {
                let guard = held.take().expect("nothing is reserved");
                let receipt = guard.commit(commit(tokens.parse().unwrap())).unwrap();
                print_line(&format!("receipt {receipt:?}"));
            }
            ["flush"] => {
                let left = client.flush(Duration::from_secs(20)).unwrap();
                let Unsettled {
                    ending,
                    recorded,
                    unrecorded,
                    charged_less,
                    set_aside,
                    unknown,
                    is_certain,
                } = left;
                let is_certain = u8::from(is_certain);
                print_line(&format!(
                    "left {ending} {recorded} {unrecorded} {charged_less} {set_aside} {unknown} {is_certain}"
                ));
            }
            _ => panic!("{line}"),
        }
    }
}

/// Writes a line in one piece, because the test harness and other threads write as well.
fn print_line(line: &str) {
    let mut text = String::new();
    write!(text, "\n{line}\n").unwrap();
    let mut stdout = stdout().lock();
    // An error means that the parent no longer reads: this process is about to be killed.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
