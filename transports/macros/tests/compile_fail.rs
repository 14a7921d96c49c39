//! Programs that must not compile, and the errors that the compiler reports for them. The expected texts are those of
//! the current stable compiler: `OVERWRITE=1 cargo test -p cycles-macros --test compile_fail` rewrites them.
//!
//! The programs use the libraries that `cargo test --workspace` has built, so nothing is built twice.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

/// The crates that the programs may use.
const LIBRARIES: [&str; 3] = ["cycles_tokio", "cycles_ureq", "futures"];

/// The path of this crate in the workspace.
const CRATE: &str = "transports/macros/";

/// The placeholder for the path of the workspace in the expected texts.
const WORKSPACE: &str = "$WORKSPACE/";

#[test]
fn what_cannot_work_is_an_error_that_says_what_to_do() {
    let libraries = libraries();
    let programs = fs::read_dir("tests/compile_fail").unwrap();
    let mut programs: Vec<_> = programs.map(|program| program.unwrap().path()).collect();
    programs.retain(|program| program.extension().is_some_and(|ending| ending == "rs"));
    assert!(!programs.is_empty());
    let (programs, problems) = (Mutex::new(programs), Mutex::new(Vec::new()));
    let next = || programs.lock().unwrap().pop();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(program) = next() {
                    let problem = check(&program, &libraries).err();
                    problems.lock().unwrap().extend(problem);
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The compiler's arguments for the libraries. Cargo reports where they are, and builds them if necessary.
fn libraries() -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        // These variables describe the running test; Cargo would rebuild the libraries because of them.
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "LD_LIBRARY_PATH"
        {
            cargo.env_remove(&*name);
        }
    }
    let built = cargo
        .args([
            "test",
            "--workspace",
            "--test",
            "compile_fail",
            "--no-run",
            "--quiet",
        ])
        .args(["--locked", "--message-format=json"])
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let messages = built.stdout.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut arguments = Vec::new();
    for message in messages {
        let (name, files) = (&message["target"]["name"], message["filenames"].as_array());
        let files = files.into_iter().flatten().filter_map(Value::as_str);
        let library = files.clone().find(|file| file.ends_with(".rlib"));
        if let (Some(name), Some(library)) = (LIBRARIES.iter().find(|library| *name == **library), library) {
            let folder = Path::new(library).parent().unwrap().display();
            arguments.extend([
                format!("--extern={name}={library}"),
                format!("-Ldependency={folder}"),
            ]);
        }
    }
    assert_eq!(arguments.len(), 2 * LIBRARIES.len(), "{arguments:?}");
    arguments
}

/// Compiles a program and compares the compiler's output with the expected text beside it.
fn check(program: &Path, libraries: &[String]) -> Result<(), String> {
    let (name, text) = (program.display(), program.with_extension("stderr"));
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition=2024",
            "--emit=metadata",
            "--color=never",
            "--out-dir",
            env!("CARGO_TARGET_TMPDIR"),
        ])
        .args(libraries)
        // The directory in which Cargo compiles the crates of the workspace, so that the compiler finds their sources
        // to quote them.
        .current_dir(workspace())
        .arg(Path::new(CRATE).join(program))
        .output()
        .unwrap();
    if output.status.success() {
        return Err(format!("{name} compiles"));
    }
    let said = in_normal_form(&String::from_utf8(output.stderr).unwrap());
    if std::env::var_os("OVERWRITE").is_some() {
        fs::write(&text, said).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(&text).unwrap_or_default();
    if said == expected {
        return Ok(());
    }
    Err(format!(
        "{name}: expected\n{expected}\nand the compiler says\n{said}"
    ))
}

fn workspace() -> &'static Path {
    let folders = Path::new(CRATE).components().count();
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(folders)
        .unwrap()
}

/// The output without the parts that change for unrelated reasons: line numbers in the workspace, and the number of
/// errors.
fn in_normal_form(said: &str) -> String {
    let is_result = |error: &&str| {
        let words = [
            "error: aborting due to ",
            "Some errors have detailed",
            "For more information about",
        ];
        words.iter().any(|words| error.starts_with(words))
    };
    let errors = said
        .split("\n\n")
        .filter(|error| !is_result(error) && !error.trim().is_empty());
    errors.map(error_in_normal_form).collect::<Vec<_>>().join("\n")
}

/// Removes the line numbers of the workspace's files, and makes the column of the program's line numbers as narrow as
/// they allow.
fn error_in_normal_form(error: &str) -> String {
    let number = |line: &str| {
        let number = line.split('|').next().unwrap_or_default().trim();
        number.parse::<u32>().ok().map(|_| number.len())
    };
    let (mut lines, mut is_elsewhere) = (Vec::new(), false);
    for line in error.trim_matches('\n').lines() {
        if let Some((margin, place)) = line.split_once("--> ") {
            let own = place.strip_prefix(CRATE);
            is_elsewhere = own.is_none();
            let file = place.split(".rs:").next().unwrap_or_default();
            lines.push(match own {
                Some(place) => format!("{margin}--> {place}"),
                None => format!("{margin}--> {WORKSPACE}{file}.rs"),
            });
        } else if is_elsewhere && number(line).is_some() {
            let bar = line.find('|').unwrap_or_default();
            lines.push(format!("{}{}", " ".repeat(bar), &line[bar..]));
        } else {
            lines.push(line.to_owned());
        }
    }
    let wide = error
        .lines()
        .find_map(|line| line.find("--> "))
        .unwrap_or_default();
    let wanted = lines.iter().filter_map(|line| number(line)).max().unwrap_or(1);
    let margin = " ".repeat(wide.saturating_sub(wanted));
    let lines = lines
        .iter()
        .map(|line| line.strip_prefix(&margin).unwrap_or(line));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}
