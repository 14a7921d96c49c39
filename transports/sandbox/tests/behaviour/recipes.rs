//! The recipes of the README, as they stand.
#![cfg(unix)]

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use cycles_conformance::{TempDir, python_with_sdk};

use crate::common::program::within_a_minute;

/// The code under this heading of the README.
fn recipe(heading: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, code) = section.split_once("\n```").unwrap();
    let (_, code) = code.split_once('\n').unwrap();
    code.split_once("\n```\n").unwrap().0
}

/// Runs a recipe in a directory of its own, with the program in the path. Returns what it says.
fn run(heading: &str, file: &str, command: &[&str]) -> String {
    let directory = TempDir::new();
    std::fs::write(directory.path().join(file), recipe(heading)).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cycles-sandbox"));
    let mut path = OsString::from(program.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut run = Command::new(command[0]);
    run.args(&command[1..]).arg(file).current_dir(directory.path());
    run.env("PATH", path)
        .env_remove("CYCLES_TENANT")
        .env_remove("CYCLES_API_KEY");
    let output = within_a_minute(
        run.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "{}", said.concat());
    said.concat()
}

/// Whether there is such a program here.
fn is_there(program: &str, version: &str) -> bool {
    let asked = Command::new(program).arg(version).output();
    let is_there = asked.is_ok_and(|output| output.status.success());
    if !is_there {
        println!("SKIPPED: there is no {program} here");
    }
    is_there
}

const RUNNER: [&str; 5] = [
    "cycles-sandbox",
    "--quiet",
    "--control-listen",
    "127.0.0.1:0",
    "--",
];

#[test]
fn python() {
    let Some(python) = python_with_sdk(Path::new(env!("CARGO_TARGET_TMPDIR"))) else {
        return;
    };
    let said = run("Python", "test_agent.py", &[python.to_str().unwrap()]);
    assert!(said.contains("Ran 5 tests") && said.contains("OK"), "{said}");
}

#[test]
fn node() {
    if !is_there("node", "--version") {
        return;
    }
    let said = run(
        "Node",
        "agent.test.mjs",
        &[&RUNNER[..], &["node", "--test"]].concat(),
    );
    assert!(said.contains("pass 2") && said.contains("fail 0"), "{said}");
}

#[test]
fn java() {
    if is_there("java", "-version") {
        run("Java", "AgentTest.java", &[&RUNNER[..], &["java"]].concat());
    }
}

#[test]
fn a_shell() {
    if is_there("curl", "--version") {
        let said = run("A shell", "test.sh", &["sh"]);
        assert!(said.contains("charged once"), "{said}");
    }
}
