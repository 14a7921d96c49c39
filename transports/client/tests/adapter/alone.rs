//! A test that needs a process of its own, as it changes what belongs to the whole process, runs itself again. The tests
//! of each adapter have it as a module.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::process::Command;

const IS_ALONE: &str = "CYCLES_TEST_ALONE";

/// A process that runs one test of this program, named by its path in it, and nothing else.
pub fn process(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture"]);
    command
}

/// Runs the test that asks in a process of its own, and asserts that it passed there. False in that process, where the
/// test is to go on.
#[track_caller]
pub fn ran_elsewhere(test: &str) -> bool {
    if std::env::var_os(IS_ALONE).is_some() {
        return false;
    }
    let output = process(test).env(IS_ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{complained}"
    );
    true
}
