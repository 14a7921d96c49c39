//! Unusable directories: the reported errors, and that the journal works again once they are repaired.

use std::fs;

use crate::support::*;
use cycles_host::{Journal, JournalError, Process};
use cycles_proto::outcome::Aside;

/// A failed put says what to do, and always what it means.
#[track_caller]
fn assert_fails(journal: &Journal, parts: &[&str]) {
    let failure = journal.apply(put("r-1")).unwrap_err().message;
    for part in parts.iter().chain(&["only this process knows of it"]) {
        assert!(failure.contains(part), "{part}: {failure}");
    }
}

#[test]
fn a_journal_that_is_switched_off_keeps_nothing_and_says_so() {
    let dir = TempDir::new();
    let journal = Journal::open(&dir.config().journal_enabled(false).build().unwrap());
    assert!(!journal.is_enabled() && dir.journal().is_enabled());
    assert_fails(&journal, &["switched off"]);
    assert!(matches!(journal.dir(), Err(JournalError::Off)));
    assert!(journal.scan().unwrap().records.is_empty());
    assert!(journal.set_aside(Aside::Stale).unwrap().is_empty());
    assert!(journal.claim().is_some());
    assert!(listing(dir.path()).is_empty());
}

#[test]
fn a_file_where_the_directory_should_be_is_told_and_once_it_is_gone_all_is_well() {
    for place in ["base", "base/journal", &format!("base/journal/{ACME}")] {
        let dir = TempDir::new();
        let file = dir.path().join(place);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "in the way").unwrap();
        let journal = journal(&dir.path().join("base/journal"));
        assert_fails(&journal, &["move what is in the way", "CYCLES_JOURNAL_DIR"]);
        let error = journal.scan().unwrap_err().to_string();
        assert!(error.contains("move what is in the way"), "{error}");
        fs::remove_file(&file).unwrap();
        journal.apply(put("r-1")).unwrap();
        assert_eq!(ids(&journal.scan().unwrap().records), ["r-1"]);
    }
}

#[test]
#[cfg(unix)]
fn a_directory_that_is_a_link_to_elsewhere_is_not_used() {
    let dir = TempDir::new();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(dir.path().join("base")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("base").join(ACME)).unwrap();
    let journal = journal(&dir.path().join("base"));
    assert_fails(&journal, &["move what is in the way"]);
    assert!(journal.scan().is_err());
    assert!(listing(&elsewhere).is_empty());
}

#[test]
fn a_directory_that_was_deleted_meanwhile_is_made_again() {
    let dir = TempDir::new();
    let journal = journal(&dir.path().join("base"));
    journal.apply(put("r-1")).unwrap();
    fs::remove_dir_all(dir.path().join("base")).unwrap();
    journal.apply(remove("r-1")).unwrap();
    journal.apply(put("r-2")).unwrap();
    assert_eq!(ids(&journal.scan().unwrap().records), ["r-2"]);
}

#[test]
fn a_directory_where_the_record_should_be_is_in_the_way_of_no_cost() {
    let dir = TempDir::new();
    let (journal, folder) = (dir.journal(), dir.folder());
    fs::create_dir(folder.join(v2_name("r-1"))).unwrap();
    for write in [put("r-1"), remove("r-1"), put("r-1"), put("r-2")] {
        journal.apply(write).unwrap();
    }
    let found = journal.scan().unwrap();
    assert_eq!(
        (ids(&found.records), found.problems.len()),
        (vec!["r-1", "r-2"], 1)
    );
    assert!(folder.join(v2_name("r-1")).is_file());
}

/// The directory may be read and not written, by whoever this process is.
#[test]
#[cfg(unix)]
fn without_permission_to_write_the_records_that_are_there_are_found_all_the_same() {
    use std::os::unix::fs::PermissionsExt as _;

    let test = "failures::without_permission_to_write_the_records_that_are_there_are_found_all_the_same";
    if let Some(dir) = child_dir() {
        let journal = journal(&dir);
        assert_fails(
            &journal,
            &["give this user write access there, or set CYCLES_JOURNAL_DIR"],
        );
        for write in [remove("r-there"), set_aside("r-there", Aside::Stale)] {
            let failure = journal.apply(write).unwrap_err().message;
            assert!(failure.contains("give this user write access there"), "{failure}");
        }
        let found = journal.scan().unwrap();
        assert_eq!(ids(&found.records), ["r-old", "r-there"], "{:?}", found.problems);
        let told: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].contains("broken.json") && told[0].contains("cannot be renamed"),
            "{told:?}"
        );
        assert!(
            told[1].contains("secret.json") && told[1].contains("cannot be read"),
            "{told:?}"
        );
        assert!(
            told[2].contains("r-old.json") && told[2].contains("proper name"),
            "{told:?}"
        );
        assert!(
            journal.claim().is_some(),
            "a claim that cannot be had is not disputed"
        );
        return;
    }
    let dir = TempDir::new();
    let mode = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let folder = dir.folder();
    for (name, text) in [
        (v2_name("r-there"), record_at("r-there", 9).to_json()),
        ("r-old.json".to_owned(), record_at("r-old", 5).to_json()),
        ("broken.json".to_owned(), "no record".to_owned()),
        ("secret.json".to_owned(), "secret".to_owned()),
    ] {
        fs::write(folder.join(&name), text).unwrap();
        mode(folder.join(name), 0o644);
    }
    mode(folder.join("secret.json"), 0o000);
    mode(folder.clone(), 0o500);
    mode(dir.path().to_owned(), 0o755);
    let output = if is_root() {
        give_to_nobody(&folder);
        as_nobody(test, dir.path()).output()
    } else {
        as_child(test, dir.path()).output()
    };
    mode(folder, 0o755);
    assert_passed(&output.unwrap());
}

/// A small disk of this test's own, seen by no other process; without the right to mount one it is skipped.
#[cfg(target_os = "linux")]
fn on_a_small_disk(script: &str, test: &str, child: fn(&Journal, &std::path::Path)) {
    if let Some(dir) = child_dir() {
        return child(&journal(&dir), &dir);
    }
    let dir = TempDir::new();
    let script = format!("mount -t tmpfs -o size=64k none \"$1\" || exit 77; {script}");
    let unshare = ["unshare", "--map-root-user", "--mount"];
    match as_child_after(&script, &unshare, test, dir.path()).output() {
        Ok(output) if output.status.code() == Some(77) || output.stdout.is_empty() => println!(
            "skipped: nothing can be mounted here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Ok(output) => assert_passed(&output),
        Err(error) => println!("skipped: there is no unshare here: {error}"),
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_and_leaves_nothing_half_written() {
    let test = "failures::a_full_disk_is_told_and_leaves_nothing_half_written";
    on_a_small_disk(":", test, |journal, dir| {
        journal.apply(put("r-0")).unwrap();
        let filler = vec![0; 1 << 20];
        let _ = fs::write(dir.join("filler"), filler);
        assert_fails(journal, &["free some space"]);
        let folder = dir.join(ACME);
        assert_eq!(listing(&folder), [v2_name("r-0")], "no temporary file stays");
        // What needs no space still works.
        let aside = set_aside("r-0", Aside::Rejected);
        journal.apply(aside).unwrap();
        fs::remove_file(dir.join("filler")).unwrap();
        journal.apply(put("r-1")).unwrap();
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_cannot_be_written_is_told() {
    let script = "mount -o remount,ro \"$1\"";
    on_a_small_disk(
        script,
        "failures::a_disk_that_cannot_be_written_is_told",
        |journal, _| {
            assert_fails(
                journal,
                &["Read-only", "set CYCLES_JOURNAL_DIR to a writable directory"],
            );
            assert!(journal.scan().unwrap().records.is_empty());
        },
    );
}

#[test]
#[cfg(unix)]
fn a_limit_on_file_sizes_is_told_and_leaves_nothing_half_written() {
    let test = "failures::a_limit_on_file_sizes_is_told_and_leaves_nothing_half_written";
    if let Some(dir) = child_dir() {
        assert_fails(&journal(&dir), &["limit on file sizes"]);
        return assert!(listing(&dir.join(ACME)).is_empty());
    }
    let dir = TempDir::new();
    let output = as_child_after("trap '' XFSZ; ulimit -f 0", &[], test, dir.path()).output();
    assert_passed(&output.unwrap());
}

#[test]
#[cfg(target_os = "linux")]
fn where_no_thread_can_be_started_the_caller_writes_itself() {
    let test = "failures::where_no_thread_can_be_started_the_caller_writes_itself";
    if let Some(dir) = child_dir() {
        let started = std::thread::Builder::new().spawn(|| ());
        assert!(started.is_err(), "threads can be started here");
        let journal = journal(&dir);
        for id in ["r-1", "r-2", "r-3"] {
            journal.apply(put(id)).unwrap();
        }
        journal.apply(remove("r-2")).unwrap();
        return assert_eq!(ids(&journal.scan().unwrap().records), ["r-1", "r-3"]);
    }
    let dir = TempDir::new();
    // No address space has room for a stack of 64 TiB; with one thread the test runs on the main one.
    let output = as_child(test, dir.path())
        .arg("--test-threads=1")
        .env("RUST_MIN_STACK", (1_u64 << 46).to_string())
        .output();
    assert_passed(&output.unwrap());
}

#[test]
fn a_child_of_the_process_that_opened_the_journal_is_told_so_and_touches_nothing() {
    let dir = TempDir::new();
    let journal = dir.journal();
    journal.apply(put("r-1")).unwrap();
    let before = listing(&dir.folder());
    Process::as_if_forked(|| {
        let failure = journal.apply(put("r-2")).unwrap_err();
        assert!(failure.message.contains("after the fork"), "{failure}");
        assert!(matches!(journal.scan(), Err(JournalError::Forked)));
        assert!(journal.set_aside(Aside::Stale).is_err());
        assert!(journal.claim().is_none());
    });
    assert_eq!(listing(&dir.folder()), before);
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let dir = TempDir::new();
    // Only a server could make an id of this size.
    let id = "r".repeat(600_000);
    let failure = dir.journal().apply(put(&id)).unwrap_err().message;
    assert!(
        failure.contains("could be read back") && failure.contains("only this process knows"),
        "{failure}"
    );
    assert!(listing(&dir.folder()).is_empty());
}
