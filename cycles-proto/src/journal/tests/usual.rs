//! The usual changes: how few operations they need, and their results.

use super::*;

/// The operations of a change.
fn operations(files: &mut Memory, write: &JournalWrite) -> Vec<&'static str> {
    let mut operations = Vec::new();
    let changed = change(write, URL, &Seen::default()).run(|op| {
        operations.push(match op {
            FileOp::Prepare => "prepare",
            FileOp::List { .. } => "list",
            FileOp::Neighbours => "neighbours",
            FileOp::Look { .. } => "look",
            FileOp::Read { .. } => "read",
            FileOp::Write { .. } => "write",
            FileOp::Take { .. } => "take",
            FileOp::Rename { .. } => "rename",
            FileOp::Link { .. } => "link",
            FileOp::Remove { .. } => "remove",
            FileOp::IsWriterAlive { .. } => "is at work",
            FileOp::Own => "own",
            FileOp::LookForOwner { .. } => "look for owner",
            FileOp::Sync => "sync",
        });
        files.execute(1, op)
    });
    assert_eq!(
        changed.unwrap().needs_sync(),
        !matches!(write, JournalWrite::Remove(_))
    );
    operations
}

#[test]
fn the_usual_changes_take_few_operations() {
    let mut files = Memory::default();
    let [put, switch] = [record("K1"), event("K1")].map(JournalWrite::Put);
    assert_eq!(
        operations(&mut files, &put),
        ["prepare", "write", "read", "rename", "read"]
    );
    assert_eq!(
        operations(&mut files, &switch),
        ["prepare", "write", "read", "rename", "read", "read", "remove"]
    );
    let removed = JournalWrite::Remove(record("K1"));
    assert_eq!(
        operations(&mut files, &removed),
        ["read", "take", "read", "remove", "read", "read", "read", "read"]
    );
    assert_eq!(files.iter().count(), 0);
}

#[test]
fn a_record_that_could_not_be_read_again_is_not_written() {
    let large = record_of(URL, &"r".repeat(600_000), "K1");
    let mut files = Memory::default();
    let failure = change(&JournalWrite::Put(large), URL, &Seen::default()).run(|op| files.execute(1, op));
    let failure = failure.unwrap_err();
    assert!(failure.to_string().contains("could be read back"), "{failure}");
    assert!(!failure.is_made);
    assert_eq!(files.iter().count(), 0);
}

#[test]
fn a_sync_that_fails_says_that_the_change_was_made() {
    let failure = ChangeFailure::not_durable(std::io::ErrorKind::StorageFull.into());
    assert!(failure.to_string().contains("sync the directory"), "{failure}");
    let told = failure.into_store_failure(|_| "cannot sync \"/a/journal\"");
    assert!(told.is_made);
    assert!(
        told.message
            .starts_with("cannot sync \"/a/journal\". The record is written"),
        "{told}"
    );
}

#[test]
fn a_driver_that_answers_something_else_is_told_so_and_nothing_is_lost() {
    let mut files = Memory::default();
    files.insert(home(), record("K1").to_json());
    for write in [
        JournalWrite::Put(event("K1")),
        JournalWrite::SetAside(record("K1"), Aside::Rejected),
    ] {
        for wrong in [
            OpOutcome::Done,
            OpOutcome::IsSo(true),
            OpOutcome::Names(Vec::new()),
        ] {
            let before = files.clone();
            let result = change(&write, URL, &Seen::default()).run(|op| {
                if op == FileOp::Prepare {
                    return files.execute(1, op);
                }
                Ok(wrong.clone())
            });
            let failure = result.unwrap_err();
            assert!(failure.to_string().contains("wrong kind of outcome"), "{failure}");
            assert_eq!(files, before);
        }
    }
}

#[test]
fn what_lies_beside_the_directory_is_counted_by_names_and_told_once() {
    let mut files = Memory::default();
    files.insert(home(), record_of(ELSEWHERE, RESERVATION, "K1").to_json());
    let mut seen = Seen::default();
    let names = |names: [&str; 4]| Ok(OpOutcome::Names(names.map(OsString::from).to_vec()));
    let mut execute = |op| {
        if op == FileOp::Neighbours {
            return names([
                "0123456789abcdef",
                "0123456789ABCDEF",
                "0123456789abcdeg",
                "notes",
            ]);
        }
        if let FileOp::List { beside: Some(_) } = op {
            return names(["v2-a.json", "v2-b.waiting", "v2-c.stale", "d.json"]);
        }
        files.execute(1, op)
    };
    for expected in [Some(5), None] {
        let reading = read(URL, false, &seen).run(&mut execute).unwrap();
        let events = reading.events(&mut seen, "/base/0000000000000000".as_ref());
        let told = events.iter().find_map(|event| {
            let crate::Event::RecordsElsewhere { records, directory } = event else {
                return None;
            };
            Some((*records, directory.as_str()))
        });
        assert_eq!(told, expected.map(|records| (records, "/base")));
        assert!(reading.into_records().is_empty());
    }
}
