//! A journal in a directory of its own, records, and the test program as a process of its own.
#![allow(dead_code)] // Not every test file needs all of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use cycles_host::Journal;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{Action, Amount, CommitRequest, IdempotencyKey, ReservationId, Subject};
use cycles_proto::outcome::Aside;
use cycles_proto::record::{JournalRecord, Purpose, file_name};
use cycles_proto::{CyclesConfig, CyclesConfigBuilder, UnixMillis};

pub(crate) const URL: &str = "http://127.0.0.1:18787";
pub(crate) const KEY: &str = "cyc_live_test";
/// The name of the directory for URL and tenant `acme`, as other SDKs compute it.
pub(crate) const ACME: &str = "3308cc382c49a04a";

/// A directory that is removed at the end of the test.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "cycles-host-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn config(&self) -> CyclesConfigBuilder {
        config(&self.0)
    }

    pub(crate) fn journal(&self) -> Journal {
        journal(&self.0)
    }

    /// The directory of the partition, made if it is not there.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.0.join(ACME);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn config(dir: &Path) -> CyclesConfigBuilder {
    CyclesConfig::builder(KEY, URL).tenant("acme").journal_dir(dir)
}

pub(crate) fn journal(dir: &Path) -> Journal {
    Journal::open(&config(dir).build().unwrap())
}

/// The record of a reservation's cost, written so many milliseconds after 1970.
pub(crate) fn record_at(id: &str, ms: u64) -> JournalRecord {
    record_with_key(id, &format!("key-of-{id}"), ms)
}

pub(crate) fn record_with_key(id: &str, key: &str, ms: u64) -> JournalRecord {
    record_of(id, key, 5, ms)
}

pub(crate) fn record_of(id: &str, key: &str, tokens: i64, ms: u64) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("llm.completion", "gpt-4"),
    };
    let commit = CommitRequest::builder().actual(Amount::tokens(tokens)).build();
    let (id, key) = (ReservationId::from(id), IdempotencyKey::from(key));
    JournalRecord::new(URL, &id, &Arc::new(purpose), key, commit, UnixMillis(ms)).unwrap()
}

pub(crate) fn put(id: &str) -> JournalWrite {
    JournalWrite::Put(record_at(id, 5))
}

pub(crate) fn remove(id: &str) -> JournalWrite {
    JournalWrite::Remove(record_at(id, 5))
}

pub(crate) fn set_aside(id: &str, aside: Aside) -> JournalWrite {
    JournalWrite::SetAside(record_at(id, 5), aside)
}

pub(crate) fn v2_name(id: &str) -> String {
    file_name(&ReservationId::from(id))
}

pub(crate) fn ids(records: &[JournalRecord]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.reservation_id().as_str())
        .collect()
}

/// What lies in a directory, in order, besides the file that claims lock.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "claim.lock")
        .collect();
    names.sort();
    names
}

/// Makes a file look as if it was last written so long ago.
pub(crate) fn age(file: &Path, age: Duration) {
    let time = SystemTime::now() - age;
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// The directory handed to this process, if it was started by [`as_child`] for this test.
pub(crate) fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

/// The named test in a process of its own, which finds `dir` with [`child_dir`].
pub(crate) fn as_child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    as_child_arguments(&mut command, test, dir);
    command
}

/// Whether this process runs as root.
#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0)
}

#[cfg(unix)]
pub(crate) const NOBODY: u32 = 65_534;

/// Gives a directory and what is in it to a user without rights. Only root can.
#[cfg(unix)]
pub(crate) fn give_to_nobody(path: &Path) {
    std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten() {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// As [`as_child`], by a user without rights. Only root can.
#[cfg(unix)]
pub(crate) fn as_nobody(test: &str, dir: &Path) -> Command {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    // Others cannot run what lies in root's directories.
    let program = dir.join("program");
    // By another process: a child that a test beside this one starts meanwhile would keep the copy open for writing.
    let exe = std::env::current_exe().unwrap();
    let copied = Command::new("cp").arg(exe).arg(&program).status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    as_child_arguments(&mut command, test, dir);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command
}

/// The same, but run by a shell after `script`, which finds `dir` as `$1`.
pub(crate) fn as_child_after(script: &str, before: &[&str], test: &str, dir: &Path) -> Command {
    let mut words = before.iter().copied().chain(["sh", "-c"]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
        .arg(format!("{script}; shift; exec \"$@\""))
        .arg("sh")
        .arg(dir);
    command.arg(std::env::current_exe().unwrap());
    as_child_arguments(&mut command, test, dir);
    command
}

fn as_child_arguments(command: &mut Command, test: &str, dir: &Path) {
    command.args(["--exact", test, "--nocapture"]).env(CHILD_DIR, dir);
}

const CHILD_DIR: &str = "CYCLES_HOST_TEST_CHILD_DIR";

/// Fails with what the child said, unless it ran its one test and that passed.
pub(crate) fn assert_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
