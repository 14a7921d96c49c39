//! `cycles-sandbox -- COMMAND`, and the other ways in which a program learns where the sandbox is.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

#[cfg(unix)]
use crate::common::program::shell;
use crate::common::program::{LONG, Program, ask, command, lines, run, within_a_minute};

#[cfg(unix)]
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[cfg(unix)]
#[test]
fn a_command_has_the_settings_in_its_environment_and_its_exit_code_is_passed_on() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
        let script = format!(r#"echo "$CYCLES_BASE_URL $CYCLES_API_KEY $CYCLES_TENANT"; {script}"#);
        let mut command = command(&["--tenant", "a-b", "--", "sh", "-c", &script]);
        let output = within_a_minute(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert_eq!(output.status.code(), Some(code), "{script}");
        let said = text(output.stdout);
        assert!(said.starts_with("http://127.0.0.1:"), "{said}");
        assert!(
            said.ends_with(" cyc_live_sandbox_0123456789abcdef a-b\n"),
            "{said}"
        );
    }
}

#[cfg(unix)]
#[test]
fn the_sandbox_listens_before_its_command_starts_and_stops_when_it_has_ended() {
    // Another sandbox on the same port can only start once the first one is gone.
    const SCRIPT: &str = r#"
        port() { "$0" --quiet -- sh -c 'echo "${CYCLES_BASE_URL##*:}"'; }
        port=$(port "$0")
        "$0" --quiet --port "$port" -- sh -c 'echo "$CYCLES_BASE_URL"'
    "#;
    let output = within_a_minute(shell(SCRIPT).stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert!(output.status.success(), "{output:?}");
    assert!(text(output.stdout).starts_with("http://127.0.0.1:"));
}

#[cfg(unix)]
#[test]
fn a_command_that_cannot_be_started_is_a_sentence_and_the_exit_code_of_a_shell() {
    for (program, code) in [("no-such-command", 127), ("/dev/null", 126)] {
        let mut command = command(&["--quiet", "--", program]);
        let output = within_a_minute(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert_eq!(output.status.code(), Some(code), "{program}");
        let said = text(output.stderr);
        assert!(
            said.starts_with(&format!("cycles-sandbox: cannot run `{program}`: ")),
            "{said}"
        );
        assert!(output.stdout.is_empty());
    }
}

/// A program that runs a command which says when it has started.
#[cfg(unix)]
struct Running {
    child: std::process::Child,
    out: std::sync::mpsc::Receiver<String>,
}

#[cfg(unix)]
impl Running {
    fn start(mut command: std::process::Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        assert_eq!(out.recv_timeout(LONG).unwrap(), "started");
        Self { child, out }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args([name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The rest of what the command says, once all of its processes have ended.
    fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.out.recv_timeout(LONG) {
                Ok(line) => rest.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return rest,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the command runs on"),
            }
        }
    }
}

/// Waits for a signal, and says which one it got.
#[cfg(unix)]
const WAITS: &str = r#"
    trap 'echo interrupted; exit 3' INT
    trap 'echo terminated; exit 4' TERM
    trap 'echo hung up; exit 5' HUP
    trap 'echo told; exit 6' USR1
    echo started
    while :; do sleep 0.05; done
"#;

#[cfg(unix)]
#[test]
fn a_signal_is_passed_on_to_the_command_whose_end_is_waited_for() {
    for (signal, said, code) in [
        ("-INT", "interrupted", 3),
        ("-TERM", "terminated", 4),
        ("-HUP", "hung up", 5),
        ("-USR1", "told", 6),
    ] {
        let mut running = Running::start(command(&["--quiet", "--", "sh", "-c", WAITS]));
        running.signal(signal);
        assert_eq!(running.rest(), [said]);
        assert_eq!(running.child.wait().unwrap().code(), Some(code));
    }
}

#[cfg(unix)]
#[test]
fn a_command_ends_with_the_process_that_started_the_sandbox() {
    let script = format!(
        r#""$0" --quiet -- sh -c '{}' & wait"#,
        WAITS.replace('\'', r"'\''")
    );
    let mut running = Running::start(shell(&script));
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert_eq!(running.rest(), ["terminated"]);
}

#[cfg(unix)]
#[test]
fn what_another_sandbox_has_set_does_not_reach_a_command() {
    let script = "env | grep ^CYCLES_SANDBOX_ || exit 0";
    let mut command = command(&["--quiet", "--", "sh", "-c", script]);
    command
        .env("CYCLES_SANDBOX_CONTROL_URL", "http://127.0.0.1:1")
        .env("CYCLES_SANDBOX_CONTROL_KEY", "k");
    let output = within_a_minute(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[cfg(unix)]
#[test]
fn settings_replace_a_file_also_behind_a_link_and_nothing_else() {
    let directory = cycles_conformance::TempDir::new();
    let (file, link) = (directory.path().join("cycles.env"), directory.path().join("link"));
    let folder = directory.path().to_owned();
    std::fs::write(&file, "of an earlier run").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for (given, code) in [(&link, 0), (&folder, 1)] {
        let mut command = command(&["--quiet"]);
        command.arg("--env-file").arg(given).args(["--", "true"]);
        let output = within_a_minute(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(text(output.stderr).contains("not a regular file"), code == 1);
    }
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("CYCLES_BASE_URL=")
    );
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        2,
        "nothing is left behind"
    );
}

#[test]
fn settings_are_json_if_that_is_asked_for() {
    let mut child = command(&["--port", "0", "--format", "json", "--admin-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = lines(child.stdout.take().unwrap());
    let said: Value = serde_json::from_str(&out.recv_timeout(LONG).unwrap()).unwrap();
    assert!(out.recv_timeout(LONG).is_err(), "one object, and then the end");
    assert_eq!(said["tenant"], "acme-corp");
    assert_eq!(said["pid"], child.id());
    assert!(
        said["admin_url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    let key = format!("x-cycles-api-key: {}", said["api_key"].as_str().unwrap());
    let url = said["base_url"].as_str().unwrap();
    assert_eq!(ask(url, &key, "GET", "/actuator/health", "").0, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn settings_go_to_a_file_that_is_complete_once_it_is_there() {
    let directory = cycles_conformance::TempDir::new();
    let file = directory.path().join("cycles.env");
    std::fs::write(&file, "of an earlier run").unwrap();
    let mut program = Program::start(&["--env-file", file.to_str().unwrap(), "--api-key", "a'b"]);
    let written = std::fs::read_to_string(&file).unwrap();
    let url = &program.exports["CYCLES_BASE_URL"];
    assert_eq!(
        written,
        format!("CYCLES_BASE_URL={url}\nCYCLES_API_KEY='a'\\''b'\nCYCLES_TENANT=acme-corp\n")
    );
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "it contains a key");
    }
    program.child.kill().unwrap();
    let nowhere = directory.path().join("none").join("cycles.env");
    let output = within_a_minute(
        command(&["--port", "0", "--quiet", "--env-file", nowhere.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot write") && said.contains("none"), "{said}");
    assert!(output.stdout.is_empty(), "nobody is told that it listens");
}

#[test]
fn tenant_and_key_of_the_environment_are_those_of_the_sandbox() {
    let mut started = command(&["--port", "0"]);
    started
        .env("CYCLES_TENANT", "from-env")
        .env("CYCLES_API_KEY", "key-from-env");
    let program = Program::of(&mut started);
    assert_eq!(program.exports["CYCLES_TENANT"], "from-env");
    assert_eq!(program.exports["CYCLES_API_KEY"], "key-from-env");
    assert_eq!(program.ask("GET", "/v1/balances?tenant=from-env", "").0, 200);
    let banner = program.logged("CYCLES_");
    assert!(banner.contains("CYCLES_TENANT and CYCLES_API_KEY"), "{banner}");
    assert!(!banner.contains("key-from-env"), "{banner}");
}

#[cfg(unix)]
#[test]
fn a_server_that_has_no_descriptors_left_says_so_and_goes_on_when_there_are_some() {
    let program = Program::of(&mut shell(
        r#"ulimit -n 32; exec "$0" --listen 127.0.0.1:0 --quiet"#,
    ));
    let address = program.exports["CYCLES_BASE_URL"].replace("http://", "");
    let connections: Vec<_> = (0..40).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let line = program.logged("cannot be accepted");
    assert!(
        line.starts_with("warning: ") && line.contains("ulimit -n"),
        "{line}"
    );
    drop(connections);
    assert_eq!(program.ask("GET", "/actuator/health", "").0, 200);
}

#[test]
fn the_head_of_a_request_has_to_come_within_its_time() {
    use std::io::Read as _;
    let builder = cycles_sandbox::Sandbox::builder();
    let sandbox = builder
        .head_timeout(std::time::Duration::from_millis(200))
        .start()
        .unwrap();
    let mut stream = TcpStream::connect(sandbox.addr()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
        .write_all(b"GET /actuator/health HTTP/1.1\r\nhost: x\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        !answer.starts_with(b"HTTP/1.1 200"),
        "it was not asked completely"
    );
}

#[test]
fn the_file_of_the_documentation_sets_the_sandbox_up() {
    let text = include_str!("../../README.md");
    let file = text
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let directory = cycles_conformance::TempDir::new();
    let path = directory.path().join("cycles-sandbox.toml");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let mut command = command(&["--config", path, "--quiet", "--port", "0"]);
    // The file counts more.
    let program = Program::of(command.env("CYCLES_TENANT", "somebody-else"));
    assert_eq!(
        (
            program.exports["CYCLES_TENANT"].as_str(),
            program.exports["CYCLES_API_KEY"].as_str()
        ),
        ("acme-corp", "cyc_live_acme_0001")
    );
    let reserve = r#"{"idempotency_key":"1","subject":{"tenant":"acme-corp","agent":"support-bot"},
        "action":{"kind":"k","name":"n"},"estimate":{"unit":"TOKENS","amount":6000}}"#;
    let (status, answer) = program.ask("POST", "/v1/reservations", reserve);
    assert!(
        status == 200 && answer.contains(r#""tool_allowlist":["search"]"#),
        "{answer}"
    );
    let other = Program::of(&mut self::command(&[
        "--config",
        path,
        "--quiet",
        "--port",
        "0",
        "--tenant",
        "rival",
        "--budget",
        "tenant:rival=TOKENS:5",
    ]));
    assert_eq!(other.exports["CYCLES_API_KEY"], "cyc_live_rival_003");
    let (_, balances) = other.ask("GET", "/v1/balances?tenant=rival", "");
    assert!(
        balances.contains(r#""allocated":{"unit":"TOKENS","amount":5}"#),
        "{balances}"
    );
    for (args, said) in [
        (["--tenant", "third"], "has no tenant third"),
        (
            ["--budget", "tenant:rival=TOKENS:5"],
            "begin the scope with tenant:acme-corp",
        ),
    ] {
        let output = run(&[&["--config", path][..], &args].concat());
        let problem = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && problem.contains(said),
            "{problem}"
        );
    }
    for (flags, said) in [
        (
            ["--api-key", "cyc_live_acme_0001x"],
            "same 14 characters as a key of acme-corp",
        ),
        (
            ["--api-key", "cyc_live_rival_003"],
            "same 14 characters as a key of rival",
        ),
    ] {
        let output = run(&[&["--config", path][..], &flags].concat());
        let problem = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && problem.contains(said),
            "{problem}"
        );
    }
    let output = run(&["--config", "/nowhere.toml"]);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nowhere.toml cannot be read")
    );
}

#[test]
fn a_tenant_without_keys_has_that_of_the_environment_or_the_default_and_a_key_that_ended_is_passed_over() {
    let directory = cycles_conformance::TempDir::new();
    let path = directory.path().join("cycles-sandbox.toml");
    for (keys, variable, exported, said) in [
        (
            "",
            "",
            "cyc_live_sandbox_0123456789abcdef",
            "CYCLES_TENANT of the environment: not used",
        ),
        (
            "",
            "from-outside",
            "from-outside",
            "CYCLES_API_KEY of the environment: used",
        ),
        (
            r#"api_keys = [{ secret = "cyc_live_old", status = "REVOKED" }, { secret = "cyc_live_new" }]"#,
            "from-outside",
            "cyc_live_new",
            "CYCLES_API_KEY of the environment: not used",
        ),
    ] {
        std::fs::write(&path, format!("[[tenants]]\nid = \"acme\"\n{keys}\n")).unwrap();
        let mut command = command(&["--port", "0", "--config", path.to_str().unwrap()]);
        command
            .env("CYCLES_TENANT", "elsewhere")
            .env("CYCLES_API_KEY", variable);
        let program = Program::of(&mut command);
        assert_eq!(program.exports["CYCLES_API_KEY"], exported);
        program.logged(said);
        assert_eq!(program.ask("GET", "/v1/balances?tenant=acme", "").0, 200);
    }
}
