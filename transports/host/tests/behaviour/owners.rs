//! Owners of directories and records: what may be another user's is neither written to nor sent.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::support::*;
use cycles_host::Journal;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Fails unless every use of the journal is refused in these words.
fn assert_refused(journal: &Journal, words: &[&str]) {
    let put = journal.apply(put("r-new")).unwrap_err().message;
    let scan = journal.scan().unwrap_err().to_string();
    for word in words {
        assert!(put.contains(word), "{put}");
        assert!(scan.contains(word), "{scan}");
    }
    assert!(put.contains("only this process knows of it"), "{put}");
}

#[test]
fn a_directory_of_another_user_is_refused_with_what_mends_it() {
    if !is_root() {
        return println!("SKIPPED: only root can give a directory away");
    }
    let dir = TempDir::new();
    let folder = dir.folder();
    fs::write(
        folder.join(v2_name("r-planted")),
        record_at("r-planted", 5).to_json(),
    )
    .unwrap();
    give_to_nobody(&folder);
    assert_refused(&dir.journal(), &["belongs to user 65534", "chown -R 0"]);
    assert_eq!(listing(&folder), [v2_name("r-planted")]);
    // The command that it names.
    chown(&folder, Some(0), None).unwrap();
    chown(folder.join(v2_name("r-planted")), Some(0), None).unwrap();
    assert_eq!(ids(&dir.journal().scan().unwrap().records), ["r-planted"]);
}

#[test]
fn a_directory_that_was_ours_is_looked_at_again_before_every_change() {
    if !is_root() {
        return println!("SKIPPED: only root can give a directory away");
    }
    let dir = TempDir::new();
    let journal = dir.journal();
    journal.apply(put("r-1")).unwrap();
    give_to_nobody(&dir.folder());
    assert_refused(&journal, &["belongs to user 65534"]);
}

#[test]
fn a_directory_that_everybody_may_write_is_refused_and_one_for_a_group_is_not() {
    let dir = TempDir::new();
    let folder = dir.folder();
    dir.journal().apply(put("r-1")).unwrap();
    for open in [0o777, 0o1777, 0o702] {
        mode(&folder, open);
        assert_refused(&dir.journal(), &["every user may write", "chmod 700"]);
    }
    // As where a volume is given to the group of a container.
    for shared in [0o2770, 0o775, 0o750] {
        mode(&folder, shared);
        assert_eq!(ids(&dir.journal().scan().unwrap().records), ["r-1"]);
        dir.journal().apply(put("r-1")).unwrap();
    }
}

#[test]
fn a_record_of_another_user_is_told_and_not_replayed_and_the_rest_is() {
    let dir = TempDir::new();
    let folder = dir.folder();
    let journal = dir.journal();
    for id in ["r-1", "r-open", "r-planted", "r-temp"] {
        journal.apply(put(id)).unwrap();
    }
    mode(&folder.join(v2_name("r-open")), 0o666);
    let mut refused = vec![("chmod 600", folder.join(v2_name("r-open")))];
    if is_root() {
        chown(folder.join(v2_name("r-planted")), Some(NOBODY), None).unwrap();
        refused.push(("chown 0", folder.join(v2_name("r-planted"))));
    } else {
        mode(&folder.join(v2_name("r-planted")), 0o602);
        refused.push(("chmod 600", folder.join(v2_name("r-planted"))));
    }
    let (reading, _claim) = journal.read(false).unwrap();
    assert_eq!(ids(&reading.records), ["r-1", "r-temp"]);
    assert_eq!((reading.quarantined, reading.unread), (0, 2));
    let told: Vec<_> = reading.events.iter().map(|event| format!("{event:?}")).collect();
    for (command, file) in refused {
        assert!(file.exists());
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_told = |line: &String| line.contains(name) && line.contains(command);
        assert!(told.iter().any(is_told), "{told:?}");
    }
}

#[test]
fn the_directory_above_may_belong_to_anybody() {
    let test = "owners::the_directory_above_may_belong_to_anybody";
    if let Some(dir) = child_dir() {
        let journal = journal(&dir);
        journal.apply(put("r-1")).unwrap();
        journal.apply(put("r-1")).unwrap();
        return assert_eq!(ids(&journal.scan().unwrap().records), ["r-1"]);
    }
    // As a volume of root's that a container mounts.
    for shared in [0o777, 0o1777] {
        let dir = TempDir::new();
        mode(dir.path(), shared);
        let output = if is_root() {
            as_nobody(test, dir.path()).output()
        } else {
            as_child(test, dir.path()).output()
        };
        assert_passed(&output.unwrap());
    }
}
