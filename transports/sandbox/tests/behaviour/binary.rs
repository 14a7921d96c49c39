//! The program `cycles-sandbox`, as shells and clients use it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;

#[cfg(unix)]
use crate::common::program::shell;
use crate::common::program::{LONG, Program, answered, ask, command, lines, run, within_a_minute};

fn reserve(key: &str, amount: i64) -> String {
    format!(
        r#"{{"idempotency_key":"{key}","subject":{{"tenant":"acme-corp","agent":"a1"}},
        "action":{{"kind":"llm.completion","name":"m"}},"estimate":{{"unit":"TOKENS","amount":{amount}}}}}"#
    )
}

#[test]
fn a_session_from_the_printed_lines_to_the_log() {
    let program = Program::start(&[
        "--budget",
        "tenant:acme-corp/agent:a1=TOKENS:6000,overdraft=500",
        "--fault",
        "commit:lose-response@1",
    ]);
    assert_eq!(program.exports["CYCLES_TENANT"], "acme-corp");
    assert_eq!(
        program.exports["CYCLES_API_KEY"],
        "cyc_live_sandbox_0123456789abcdef"
    );
    let health = program.ask("GET", "/actuator/health", "");
    assert_eq!(health, (200, r#"{"status":"UP"}"#.to_owned()));

    let (status, body) = program.ask("POST", "/v1/reservations", &reserve("1", 1_000));
    assert_eq!(status, 200, "{body}");
    let line = program.logged("reserve");
    let told = "tenant:acme-corp/agent:a1  ALLOW  1000 TOKENS  remaining 5000";
    assert!(line.ends_with(told), "{line}");

    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let path = format!(
        "/v1/reservations/{}/commit",
        body["reservation_id"].as_str().unwrap()
    );
    let commit = r#"{"idempotency_key":"2","actual":{"unit":"TOKENS","amount":400}}"#;
    assert_eq!(program.ask("POST", &path, commit).0, 0);
    let line = program.logged("commit");
    assert!(
        line.ends_with("no answer  400 TOKENS  fault lose-response"),
        "{line}"
    );
    assert_eq!(program.ask("POST", &path, commit).0, 200);
    let line = program.logged("commit");
    assert!(line.ends_with("COMMITTED  400 TOKENS  remaining 5600"), "{line}");

    assert_eq!(
        program.ask("POST", "/v1/reservations", &reserve("3", 9_000)).0,
        409
    );
    let line = program.logged("reserve");
    assert!(
        line.ends_with("409 BUDGET_EXCEEDED  9000 TOKENS  remaining 5600"),
        "{line}"
    );
}

#[test]
fn no_line_has_the_key_of_a_client_nor_what_a_terminal_would_obey() {
    let program = Program::start(&["--api-key", "cyc_live_very_secret"]);
    for (path, body) in [
        ("/v1/balances?tenant=acme-corp&key=cyc_live_very_secret", ""),
        ("/cyc_live_very_secret", ""),
        ("/%63yc_live_very%5Fsecret", ""),
        ("/v1/balances?agent=CYC_LIVE_VERY_SECRET", ""),
        ("/v1/balances?key=cyc_live_somebody_elses_very_secret", ""),
        (
            "/v1/decide",
            r#"{"subject":{"tenant":"cyc_live_very_secret","agent":"\u001b[31m\n"}}"#,
        ),
        ("/end", ""),
    ] {
        program.ask(if body.is_empty() { "GET" } else { "POST" }, path, body);
    }
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.contains("/end")) {
        lines.push(program.log.recv_timeout(LONG).unwrap());
    }
    let log = lines.join("\n");
    let log = log.to_lowercase();
    assert!(!log.contains("secret") && !log.contains('\u{1b}'), "{log}");
    assert_eq!(log.matches("[key]").count(), 6, "{log}");
}

/// A read with a timeout can be interrupted when the machine is suspended.
#[cfg(unix)]
fn read(stream: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(unix)]
#[test]
fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let mut child = command(&["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = lines(child.stdout.take().unwrap());
    let line = out.recv_timeout(LONG).unwrap();
    let url = line.strip_prefix("export CYCLES_BASE_URL=").unwrap().to_owned();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // Far more than a pipe and the queue before it can hold.
    let mut answer = [0; 1 << 14];
    for _ in 0..8_000 {
        stream
            .write_all(b"GET /actuator/health HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        assert!(read(&mut stream, &mut answer).unwrap() > 0);
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_admin_port_makes_keys_for_the_other_one() {
    let program = Program::start(&["--admin-listen", "127.0.0.1:0", "--admin-key", "boss"]);
    let line = program.logged("admin plane at ");
    let (_, url) = line.rsplit_once(' ').unwrap();
    let body = r#"{"tenant_id":"acme-corp","name":"dev-key"}"#;
    let (status, body) = ask(url, "x-admin-api-key: boss", "POST", "/v1/admin/api-keys", body);
    assert_eq!(status, 201, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let key = format!("x-cycles-api-key: {}", body["key_secret"].as_str().unwrap());
    let path = "/v1/balances?tenant=acme-corp";
    assert_eq!(
        ask(&program.exports["CYCLES_BASE_URL"], &key, "GET", path, "").0,
        200
    );
    assert!(program.logged("admin ").ends_with("POST /v1/admin/api-keys  201"));
}

#[test]
fn quiet_logs_nothing() {
    let mut program = Program::start(&["--quiet"]);
    assert_eq!(program.ask("GET", "/actuator/health", "").0, 200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    assert_eq!(program.log.iter().collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_json_log_has_an_object_for_everything_with_the_ids_of_each_request_and_without_a_key() {
    let program = Program::start(&[
        "--log",
        "json",
        "--api-key",
        "very-secret",
        "--fault",
        "commit:503@1",
    ]);
    let answer = answered(
        &program.exports["CYCLES_BASE_URL"],
        "x-cycles-api-key: very-secret",
        "POST",
        "/v1/reservations",
        &reserve("order-7", 400),
    );
    let sent = |name: &str| {
        answer
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    let id = answer.split(r#""reservation_id":""#).nth(1).unwrap()[..36].to_owned();
    let path = format!("/v1/reservations/{id}/commit");
    program.ask(
        "POST",
        &path,
        r#"{"idempotency_key":"ключ very-secret\u001b","actual":{"unit":"TOKENS","amount":9}}"#,
    );
    program.ask("POST", "/v1/reservations", &reserve("order-8", 999_999_999));
    let mut lines: Vec<String> = Vec::new();
    while !lines.iter().any(|line| line.contains("order-8")) {
        lines.push(program.log.recv_timeout(LONG).unwrap());
    }
    assert!(!lines.concat().contains("secret"), "{lines:?}");
    let lines = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (said, requests): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("level").is_some());
    assert!(
        said[0]["message"]
            .as_str()
            .unwrap()
            .starts_with("cycles-sandbox 0"),
        "{said:?}"
    );
    let [reserved, committed, denied] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(reserved["request_id"], sent("x-request-id:"));
    assert_eq!(reserved["trace_id"], sent("x-cycles-trace-id:"));
    for (member, value) in [
        ("operation", "reserve"),
        ("plane", "runtime"),
        ("method", "POST"),
        ("path", "/v1/reservations"),
        ("outcome", "ALLOW"),
        ("scope", "tenant:acme-corp/agent:a1"),
        ("unit", "TOKENS"),
        ("reservation_id", id.as_str()),
        ("idempotency_key", "order-7"),
    ] {
        assert_eq!(reserved[member], value, "{member}");
    }
    assert_eq!(
        (reserved["amount"].as_i64(), reserved["status"].as_i64()),
        (Some(400), Some(200))
    );
    assert_eq!(
        (&committed["fault"], &committed["reservation_id"]),
        (&"503".into(), &id.as_str().into())
    );
    assert_eq!(committed["idempotency_key"], "ключ [key]\u{1b}");
    assert_eq!(
        (&denied["error"], denied["status"].as_i64()),
        (&"BUDGET_EXCEEDED".into(), Some(409))
    );
    assert!(
        denied["message"].is_string() && denied.get("outcome").is_none(),
        "{denied}"
    );
}

#[test]
fn it_says_once_that_it_forgets_ended_reservations() {
    let mut program = Program::start(&["--quiet", "--retain", "1"]);
    let reserve = |key: usize| {
        let body = format!(
            r#"{{"idempotency_key":"{key}","subject":{{"tenant":"acme-corp"}},"action":{{"kind":"k","name":"n"}},"estimate":{{"unit":"TOKENS","amount":1}}}}"#
        );
        program.ask("POST", "/v1/reservations", &body)
    };
    let mut first = String::new();
    for key in 0..4 {
        let (status, reply) = reserve(key);
        assert_eq!(status, 200, "{reply}");
        let id = reply.split(r#""reservation_id":""#).nth(1).unwrap()[..36].to_owned();
        let path = format!("/v1/reservations/{id}/release");
        assert_eq!(program.ask("POST", &path, r#"{"idempotency_key":"r"}"#).0, 200);
        if key == 0 {
            first = id;
        }
    }
    let (_, list) = program.ask("GET", "/v1/reservations", "");
    assert_eq!(list.matches("reservation_id").count(), 1, "{list}");
    assert!(reserve(0).1.contains(&first), "its key is not forgotten");
    program.logged("--retain keeps more");
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    assert!(program.log.iter().all(|line| !line.contains("--retain")));
}

#[cfg(unix)]
#[test]
fn it_stops_in_peace_when_it_is_told_to() {
    for signal in ["-INT", "-TERM"] {
        let mut program = Program::start(&[]);
        let id = program.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        assert_eq!(program.child.wait().unwrap().code(), Some(0), "{signal}");
        let url = program.exports["CYCLES_BASE_URL"].clone();
        assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).is_err());
    }
}

#[test]
fn a_head_is_answered_as_a_get_without_its_body() {
    let program = Program::start(&["--fault", "get:503@2"]);
    let key = format!("x-cycles-api-key: {}", program.exports["CYCLES_API_KEY"]);
    for (key, path) in [
        ("x: x", "/actuator/health"),
        (&*key, "/v1/balances?tenant=acme-corp"),
        (&*key, "/v1/reservations/00000000-0000-4000-8000-000000000000"),
        (
            &*key,
            "/v1/reservations/00000000-0000-4000-8000-000000000000/commit",
        ),
        (&*key, "/nowhere"),
        ("x: x", "/v1/balances?tenant=acme-corp"),
    ] {
        // The parts that differ have the same length each time.
        let ask = |method| {
            let answer = answered(&program.exports["CYCLES_BASE_URL"], key, method, path, "");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines().map(str::to_lowercase);
            let length = lines.find(|line| line.starts_with("content-length:")).unwrap();
            (head[9..12].to_owned(), length, body.to_owned())
        };
        // The second `get` is one that fails on purpose.
        let (head, get) = (ask("HEAD"), ask("GET"));
        if !path.ends_with("4000-8000-000000000000") {
            assert_eq!((&head.0, &head.1), (&get.0, &get.1), "{path}");
        } else {
            assert_eq!((&*head.0, &*get.0), ("404", "503"), "a `HEAD` counts as a call");
        }
        assert_eq!(head.2, "", "{path}");
        assert!(head.1 != "content-length: 0" && !get.2.is_empty(), "{path}");
    }
}

#[test]
fn what_listens_everywhere_names_an_address_to_connect_to_and_warns_of_its_keys() {
    let program = Program::listening("0.0.0.0:0", &["--quiet", "--admin-listen", "0.0.0.0:0"]);
    let url = program.exports["CYCLES_BASE_URL"].clone();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(program.ask("GET", "/actuator/health", "").0, 200);
    let port = url.rsplit_once(':').unwrap().1;
    let line = program.logged("--api-key");
    assert!(
        line.starts_with(&format!(
            "warning: 0.0.0.0:{port} is reachable from other machines"
        )),
        "{line}"
    );
    assert!(program.logged("warning").contains("--admin-key"));

    let own = ["--api-key", "cyc_live_own", "--admin-listen", "127.0.0.1:0"];
    let program = Program::listening("0.0.0.0:0", &own);
    program.ask("GET", "/end", "");
    let lines: Vec<String> = std::iter::from_fn(|| program.log.recv_timeout(LONG).ok())
        .take_while(|line| !line.contains("/end"))
        .collect();
    assert!(!lines.iter().any(|line| line.contains("warning")), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("admin plane at http://127.0.0.1:")),
        "{lines:?}"
    );

    // Without IPv6 there is nothing to test.
    if TcpListener::bind("[::1]:0").is_ok() {
        let program = Program::listening("[::]:0", &[]);
        let url = &program.exports["CYCLES_BASE_URL"];
        assert!(url.starts_with("http://[::1]:"), "{url}");
        assert_eq!(program.ask("GET", "/actuator/health", "").0, 200);
        program.logged("warning: [::]:");
        let program = Program::listening("[::1]:0", &[]);
        program.ask("GET", "/end", "");
        assert!(!program.logged("/end").contains("warning"));
    }
}

#[cfg(unix)]
#[test]
fn a_shell_that_evaluates_what_it_prints_goes_on_while_it_runs() {
    const SCRIPT: &str = r#"
        eval "$("$0" --listen 127.0.0.1:0 --tenant a-b --quiet & echo "SANDBOX=$!")"
        kill "$SANDBOX" && echo "$CYCLES_BASE_URL $CYCLES_API_KEY $CYCLES_TENANT"
    "#;
    let output = within_a_minute(shell(SCRIPT).stderr(Stdio::piped()).stdout(Stdio::piped()));
    let text = String::from_utf8(output.stdout).unwrap();
    let end = "cyc_live_sandbox_0123456789abcdef a-b\n";
    assert!(
        text.starts_with("http://127.0.0.1:") && text.ends_with(end),
        "{text}"
    );
    assert!(output.stderr.is_empty());
}

#[cfg(unix)]
#[test]
fn exports_that_cannot_be_written_are_a_sentence_and_exit_code_1() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let (read, broken) = std::io::pipe().unwrap();
    drop(read);
    // Not every system has a device that is always full.
    let outputs = [full.ok().map(Stdio::from), Some(broken.into())];
    for stdout in outputs.into_iter().flatten() {
        let output = within_a_minute(
            command(&["--listen", "127.0.0.1:0", "--quiet"])
                .stdout(stdout)
                .stderr(Stdio::piped()),
        );
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.starts_with("cycles-sandbox: cannot write to standard output: "),
            "{text}"
        );
    }
}

#[cfg(unix)]
#[test]
fn it_ends_with_a_parent_that_is_killed_if_that_is_asked_for() {
    const SCRIPT: &str = r#""$0" --listen 127.0.0.1:0 --exit-with-parent & exec > /dev/null; wait"#;
    let mut program = Program::of(&mut shell(SCRIPT));
    assert_eq!(program.ask("GET", "/actuator/health", "").0, 200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let end = std::iter::from_fn(|| Some(program.log.recv_timeout(LONG)))
        .find_map(Result::err)
        .unwrap();
    assert_eq!(end, RecvTimeoutError::Disconnected, "it runs on");
}

#[test]
fn a_bad_flag_is_a_sentence_and_exit_code_2() {
    let output = run(&["--budget", "tenant:acme-corp=TOKENS"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("`TOKENS` is not UNIT:AMOUNT, such as TOKENS:6000"),
        "{text}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_taken_port_is_a_sentence_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flags in [
        vec!["--listen", &address],
        vec!["--listen", "127.0.0.1:0", "--admin-listen", &address],
    ] {
        let output = run(&flags);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("cannot listen on {address}")), "{text}");
        assert!(text.contains("give another port"), "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--admin-listen ADDR")
    );
    let version = run(&["--version"]);
    let text = String::from_utf8(version.stdout).unwrap();
    assert_eq!(text, concat!("cycles-sandbox ", env!("CARGO_PKG_VERSION"), "\n"));
}
