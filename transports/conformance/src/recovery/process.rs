//! A process of its own with a client in it: the test binary, started once more. It does what it is told line by
//! line on its standard input, and says on its standard output what came of it and what its observer was told.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use cycles_proto::models::ReservationId;

use super::scene::config;
use crate::stage::{PATIENCE, commit, request};
use crate::{Adapter, Client as _, Guard as _, Left};

const URL: &str = "CYCLES_RECOVERY_URL";
const KEY: &str = "CYCLES_RECOVERY_KEY";
const DIR: &str = "CYCLES_RECOVERY_DIR";

/// A running one, which is killed when it is dropped.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Process {
    /// A fresh client of this server over this journal; it has done nothing yet.
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
            heard: Vec::new(),
        };
        process.hear("ready");
        process
    }

    /// Reserves 100 tokens and holds them.
    pub(super) fn reserve(&mut self) -> ReservationId {
        self.tell("reserve");
        ReservationId::from(self.hear("reserved "))
    }

    /// Hands over what it cost, and waits for nothing.
    pub(super) fn commit(&mut self, tokens: i64) {
        self.tell(&format!("commit {tokens}"));
    }

    /// Settles what is left of all processes before it; [`flushed`](Self::flushed) waits for that.
    pub(super) fn flush(&mut self) {
        self.tell("flush");
    }

    pub(super) fn flushed(&mut self) -> Left {
        let left = self.hear("left ");
        let mut numbers = left.split(' ').map(|number| number.parse().unwrap());
        let mut next = || -> usize { numbers.next().unwrap() };
        Left {
            ending: next(),
            recorded: next(),
            unrecorded: next(),
            charged_less: next(),
            set_aside: next(),
            is_certain: next() == 1,
        }
    }

    /// Waits until its observer was told something that contains all of these, and says what.
    pub(super) fn told(&mut self, words: &[&str]) -> String {
        self.hear_one(|line| line.starts_with("told ") && words.iter().all(|word| line.contains(word)))
    }

    /// The end, at once and without a word: nothing of it gets a chance to tidy up.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
        self.stdin.flush().unwrap();
    }

    /// The rest of the next line that begins so.
    fn hear(&mut self, start: &str) -> String {
        let line = self.hear_one(|line| line.starts_with(start));
        line[start.len()..].to_owned()
    }

    fn hear_one(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        if let Some(found) = self.heard.iter().position(|line| is_it(line)) {
            return self.heard.remove(found);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return line,
                Ok(line) => self.heard.push(line),
                Err(error) => panic!("the process did not say it ({error}): {:#?}", self.heard),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side: a client that is told what to do. Without an address there is nobody to tell it.
pub fn another_process<A: Adapter>() {
    let Ok(url) = env::var(URL) else { return };
    let (key, dir) = (env::var(KEY).unwrap(), env::var_os(DIR).unwrap());
    let config = config(&url, &key, Path::new(&dir)).build().unwrap();
    let client = A::client(config, |event| say(&format!("told {event:?}")));
    say("ready");
    let mut held = None;
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["reserve"] => {
                let guard = client.reserve(request(100)).unwrap();
                say(&format!("reserved {}", guard.reservation_id()));
                held = Some(guard);
            }
            ["commit", tokens] => {
                let guard = held.take().expect("nothing is reserved");
                let receipt = guard.commit(commit(tokens.parse().unwrap())).unwrap();
                say(&format!("receipt {receipt:?}"));
            }
            ["flush"] => {
                let left = client.flush(Duration::from_secs(20)).unwrap();
                let Left {
                    ending,
                    recorded,
                    unrecorded,
                    charged_less,
                    set_aside,
                    is_certain,
                } = left;
                let is_certain = u8::from(is_certain);
                say(&format!(
                    "left {ending} {recorded} {unrecorded} {charged_less} {set_aside} {is_certain}"
                ));
            }
            _ => panic!("{line}"),
        }
    }
}

/// One line in one piece, though the test harness and other threads write as well.
fn say(line: &str) {
    let mut text = String::new();
    write!(text, "\n{line}\n").unwrap();
    let mut stdout = stdout().lock();
    // Nobody listens any more: the process is about to be killed.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
