//! The program `cycles-sandbox`, started by a test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

pub const LONG: Duration = Duration::from_secs(60);

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cycles-sandbox"));
    command.args(args).stdin(Stdio::null());
    for name in ["CYCLES_TENANT", "CYCLES_API_KEY"] {
        command.env_remove(name);
    }
    command
}

pub fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// The program on a free port, with its output.
pub struct Program {
    pub child: Child,
    pub log: Receiver<String>,
    pub exports: BTreeMap<String, String>,
}

impl Program {
    pub fn start(args: &[&str]) -> Self {
        Self::listening("127.0.0.1:0", args)
    }

    pub fn listening(addr: &str, args: &[&str]) -> Self {
        Self::of(command(&["--listen", addr]).args(args))
    }

    /// Reads its standard output to the end, which comes before the program ends.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let exports = std::iter::from_fn(|| match out.recv_timeout(LONG) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("standard output stays open"),
        });
        let exports = exports.map(|line| {
            let (name, value) = line
                .strip_prefix("export ")
                .and_then(|rest| rest.split_once('='))
                .unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.to_owned())
        });
        let exports: BTreeMap<String, String> = exports.collect();
        assert!(exports.len() >= 3, "{exports:?}");
        Self { child, log, exports }
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let key = format!("x-cycles-api-key: {}", self.exports["CYCLES_API_KEY"]);
        ask(&self.exports["CYCLES_BASE_URL"], &key, method, path, body)
    }

    /// The first line of the log that contains this text.
    pub fn logged(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(LONG).unwrap();
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines as they arrive, so that a test can wait for each with a timeout.
pub fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

pub fn ask(url: &str, key: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let answer = answered(url, key, method, path, body);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return (0, answer);
    };
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The whole response, to the end of the connection.
pub fn answered(url: &str, key: &str, method: &str, path: &str, body: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{key}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 65_536];
    // To its end: not every server closes the connection then.
    while !is_whole(&answer) {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8(answer).unwrap()
}

/// Whether the answer is as long as its head says. One to HEAD never is.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head.len() + 4 + length)
}

/// Runs a script in which `$0` is the program.
#[cfg(unix)]
pub fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_cycles-sandbox")]);
    command.stdin(Stdio::null());
    for name in ["CYCLES_TENANT", "CYCLES_API_KEY"] {
        command.env_remove(name);
    }
    command
}

pub fn within_a_minute(command: &mut Command) -> Output {
    let child = command.spawn().unwrap();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    ended.recv_timeout(LONG).expect("it does not end").unwrap()
}
