//! How a scan treats all kinds of files in the directory.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::*;
use cycles_host::Journal;
use cycles_proto::CyclesConfig;
use cycles_proto::journal::JournalWrite;
use cycles_proto::outcome::Aside;

const HOUR: Duration = Duration::from_secs(3600);

fn write(folder: &Path, name: &str, id: &str) {
    fs::write(folder.join(name), record_at(id, 5).to_json()).unwrap();
}

#[test]
fn records_come_oldest_first() {
    let dir = TempDir::new();
    for (id, ms) in [("b", 20), ("a", 30), ("d", 10), ("c", 10)] {
        dir.journal().apply(JournalWrite::Put(record_at(id, ms))).unwrap();
    }
    assert_eq!(ids(&dir.journal().scan().unwrap().records), ["c", "d", "b", "a"]);
}

#[test]
fn what_is_no_record_is_set_aside_and_told_once_and_the_others_are_replayed() {
    let dir = TempDir::new();
    let folder = dir.folder();
    let good = record_at("r-bad", 5).to_json();
    let files: [(&str, Vec<u8>, &str); 7] = [
        ("empty.json", Vec::new(), "cut off after 0 bytes"),
        ("cut.json", good.as_bytes()[..good.len() - 1].to_vec(), "cut off"),
        ("text.json", b"hello".to_vec(), "not a JSON object"),
        ("bytes.json", vec![0xff; 100], "not a JSON object"),
        (
            "newer.json",
            good.replacen(":1,", ":2,", 1).into_bytes(),
            "version 2",
        ),
        ("nobody.json", br#"{"version":1}"#.to_vec(), "no `reservation_id`"),
        (
            "huge.json",
            vec![b' '; (1 << 20) + 1],
            "larger than 1048576 bytes",
        ),
    ];
    for (name, bytes, _) in &files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    write(&folder, &v2_name("r-good"), "r-good");
    let found = dir.journal().scan().unwrap();
    assert_eq!(ids(&found.records), ["r-good"]);
    assert_eq!(found.problems.len(), files.len(), "{:?}", found.problems);
    for (name, bytes, reason) in &files {
        let problem = found
            .problems
            .iter()
            .find(|problem| problem.file.ends_with(name))
            .unwrap();
        let moved = folder.join(name.replace(".json", ".corrupt"));
        assert_eq!(problem.moved_to.as_deref(), Some(&*moved));
        assert!(problem.reason.contains(reason), "{problem}");
        assert!(problem.to_string().contains("not in the ledger"), "{problem}");
        assert_eq!(&fs::read(moved).unwrap(), bytes, "nothing of it is lost");
    }
    let again = dir.journal().scan().unwrap();
    assert_eq!((again.records.len(), again.problems.len()), (1, 0));
}

#[test]
fn what_was_set_aside_before_is_not_overwritten() {
    let dir = TempDir::new();
    let folder = dir.folder();
    for text in ["one", "two", "three"] {
        fs::write(folder.join("x.json"), text).unwrap();
        dir.journal().scan().unwrap();
    }
    assert_eq!(listing(&folder), ["x.2.corrupt", "x.3.corrupt", "x.corrupt"]);
    assert_eq!(fs::read_to_string(folder.join("x.corrupt")).unwrap(), "one");
}

#[test]
#[cfg(unix)]
fn links_directories_and_pipes_are_not_opened_but_moved_out_of_the_way() {
    let dir = TempDir::new();
    let folder = dir.folder();
    write(dir.path(), "elsewhere", "r-elsewhere");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), folder.join("link.json")).unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.join(v2_name("r-dangling"))).unwrap();
    fs::create_dir(folder.join("directory.json")).unwrap();
    fs::write(folder.join("directory.json/inside"), "kept").unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.join("pipe.json"))
        .status()
        .unwrap();
    assert!(made.success());
    write(&folder, &v2_name("r-good"), "r-good");
    let found = dir.journal().scan().unwrap();
    assert_eq!(ids(&found.records), ["r-good"]);
    assert_eq!(found.problems.len(), 4, "{:?}", found.problems);
    assert!(
        found
            .problems
            .iter()
            .all(|problem| problem.reason.contains("not a regular file"))
    );
    assert!(dir.path().join("elsewhere").exists());
    assert!(folder.join("directory.corrupt/inside").exists());
    assert!(dir.journal().scan().unwrap().problems.is_empty());
}

#[test]
#[cfg(unix)]
fn hostile_names_are_told_without_harm() {
    use std::os::unix::ffi::OsStrExt as _;

    let dir = TempDir::new();
    let folder = dir.folder();
    let long = format!("{}.json", "x".repeat(250));
    let names: [&[u8]; 4] = [b"\xff\xfe.json", b"two\nlines.json", b".json", long.as_bytes()];
    for name in names {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), "no record").unwrap();
    }
    write(&folder, &v2_name("r-good"), "r-good");
    let found = dir.journal().scan().unwrap();
    assert_eq!(ids(&found.records), ["r-good"]);
    assert_eq!(found.problems.len(), 4, "{:?}", found.problems);
    for problem in &found.problems {
        assert!(!problem.to_string().contains('\n'), "{problem}");
        assert!(problem.moved_to.is_some(), "{problem}");
    }
}

#[test]
fn a_record_of_another_address_is_left_alone() {
    let dir = TempDir::new();
    let folder = dir.folder();
    let text = record_at("r-1", 5).to_json();
    let theirs = text.replace(URL, "http://127.0.0.1:18787/");
    let nobodys = text.replace(&format!(r#""base_url":"{URL}","#), "");
    assert!(theirs != text && nobodys != text);
    fs::write(folder.join(v2_name("r-1")), theirs).unwrap();
    fs::write(folder.join("nobodys.json"), nobodys).unwrap();
    let before = listing(&folder);
    let found = dir.journal().scan().unwrap();
    assert!(found.records.is_empty() && found.problems.is_empty(), "{found:?}");
    assert_eq!(listing(&folder), before);
}

#[test]
fn a_record_under_an_older_name_gets_its_new_one_and_one_that_shares_the_name_keeps_it() {
    let dir = TempDir::new();
    let folder = dir.folder();
    let journal = dir.journal();
    // Both ids were called rsv_a.json; the file is that of rsv/a.
    write(&folder, "rsv_a.json", "rsv/a");
    journal.apply(put("rsv_a")).unwrap();
    journal.apply(remove("rsv_a")).unwrap();
    assert_eq!(
        listing(&folder),
        ["rsv_a.json"],
        "it holds the cost of another reservation"
    );

    let bytes = fs::read(folder.join("rsv_a.json")).unwrap();
    journal.apply(put("rsv_a")).unwrap();
    assert_eq!(ids(&journal.scan().unwrap().records), ["rsv/a", "rsv_a"]);
    let mut expected = [v2_name("rsv/a"), v2_name("rsv_a")];
    expected.sort();
    assert_eq!(listing(&folder), expected);
    assert_eq!(fs::read(folder.join(v2_name("rsv/a"))).unwrap(), bytes);
}

#[test]
fn removing_a_settled_record_removes_it_under_its_older_name_too() {
    let dir = TempDir::new();
    write(&dir.folder(), "rsv_a.json", "rsv/a");
    dir.journal().apply(put("rsv/a")).unwrap();
    dir.journal().apply(remove("rsv/a")).unwrap();
    assert!(listing(&dir.folder()).is_empty());
}

#[test]
fn of_two_records_of_one_cost_the_one_with_the_newer_name_stays() {
    let dir = TempDir::new();
    let folder = dir.folder();
    let event = record_at("r.1", 9).into_event().unwrap();
    write(&folder, "r_1.json", "r.1");
    dir.journal().apply(JournalWrite::Put(event.clone())).unwrap();
    let found = dir.journal().scan().unwrap();
    assert_eq!((ids(&found.records), found.problems.len()), (vec!["r.1"], 0));
    assert_eq!(found.records[0].to_json(), event.to_json());
    assert_eq!(listing(&folder), [v2_name("r.1")]);
}

#[test]
fn a_record_under_the_name_of_another_goes_to_its_own() {
    let dir = TempDir::new();
    write(&dir.folder(), &v2_name("r-2"), "r-1");
    let journal = dir.journal();
    assert_eq!(ids(&journal.scan().unwrap().records), ["r-1"]);
    assert_eq!(listing(&dir.folder()), [v2_name("r-1")]);
}

#[test]
fn what_an_interrupted_writer_left_is_cleaned_up_when_it_is_old() {
    let dir = TempDir::new();
    let folder = dir.folder();
    let text = record_at("r-1", 5).to_json();
    fs::write(folder.join("r-1.7.0a.tmp"), &text[..40]).unwrap();
    fs::write(folder.join("r-1.7.0b.tmp"), "").unwrap();
    fs::write(folder.join("r-1.7.0c.tmp"), &text[..40]).unwrap();
    age(&folder.join("r-1.7.0a.tmp"), HOUR + Duration::from_secs(60));
    age(&folder.join("r-1.7.0b.tmp"), HOUR + Duration::from_secs(60));
    age(&folder.join("r-1.7.0c.tmp"), HOUR - Duration::from_secs(60));
    let found = dir.journal().scan().unwrap();
    assert!(found.records.is_empty() && found.problems.is_empty(), "{found:?}");
    assert_eq!(listing(&folder), ["r-1.7.0c.tmp"], "its writer may be at it");
}

/// No process has such a number.
const GONE: u32 = 400_000_000;

#[test]
fn a_record_whose_writer_died_before_it_was_named_is_taken_up_at_once() {
    for temp in [
        format!("{}.{GONE}.0000000a.tmp", v2_name("r-1")),
        // Another process, in a container of its own, had the number of this one.
        format!("{}.{}.0000000a.tmp", v2_name("r-1"), std::process::id()),
        format!("r_1.json.{GONE}.deadbeef.tmp"),
        // It ended while the record was on its way to another name.
        format!("{}.{GONE}.0000000a.taken", v2_name("r-1")),
    ] {
        let dir = TempDir::new();
        write(&dir.folder(), &temp, "r-1");
        assert_eq!(ids(&dir.journal().scan().unwrap().records), ["r-1"], "{temp}");
        assert_eq!(listing(&dir.folder()), [v2_name("r-1")]);
    }
}

#[test]
#[cfg(unix)]
fn a_record_whose_writer_may_be_at_it_is_left_to_it_for_a_minute() {
    let running = std::os::unix::process::parent_id();
    for temp in [
        format!("{}.{running}.0000000a.tmp", v2_name("r-1")),
        "r-1.tmp".to_owned(),
    ] {
        let dir = TempDir::new();
        let folder = dir.folder();
        write(&folder, &temp, "r-1");
        assert!(dir.journal().scan().unwrap().records.is_empty(), "{temp}");
        age(&folder.join(&temp), Duration::from_secs(61));
        assert_eq!(ids(&dir.journal().scan().unwrap().records), ["r-1"], "{temp}");
        assert_eq!(listing(&folder), [v2_name("r-1")]);
    }
}

#[test]
fn an_unfinished_change_of_a_record_leaves_the_record_as_it_was() {
    let dir = TempDir::new();
    let folder = dir.folder();
    dir.journal().apply(put("r-1")).unwrap();
    let event = record_at("r-1", 5).into_event().unwrap();
    fs::write(folder.join("r-1.7.0a.tmp"), event.to_json()).unwrap();
    age(&folder.join("r-1.7.0a.tmp"), 2 * HOUR);
    let found = dir.journal().scan().unwrap();
    assert_eq!(found.records[0].to_json(), record_at("r-1", 5).to_json());
    assert_eq!(listing(&folder), [v2_name("r-1")]);
}

#[test]
fn a_file_from_the_future_and_what_is_no_file_are_not_cleaned_up() {
    let dir = TempDir::new();
    let folder = dir.folder();
    fs::write(folder.join("a.tmp"), "x").unwrap();
    let future = std::time::SystemTime::now() + 24 * HOUR;
    fs::File::options()
        .write(true)
        .open(folder.join("a.tmp"))
        .unwrap()
        .set_modified(future)
        .unwrap();
    fs::create_dir(folder.join("b.tmp")).unwrap();
    let found = dir.journal().scan().unwrap();
    assert!(found.records.is_empty() && found.problems.is_empty(), "{found:?}");
    assert_eq!(listing(&folder), ["a.tmp", "b.tmp"]);
}

#[test]
fn what_is_set_aside_is_not_replayed_and_can_be_listed() {
    let dir = TempDir::new();
    let journal = dir.journal();
    for (id, aside) in [("r-1", Aside::Rejected), ("r-2", Aside::Stale)] {
        journal.apply(put(id)).unwrap();
        journal.apply(set_aside(id, aside)).unwrap();
    }
    fs::write(dir.folder().join("x.rejected"), "no record").unwrap();
    assert!(journal.scan().unwrap().records.is_empty());
    let rejected = journal.set_aside(Aside::Rejected).unwrap();
    assert_eq!(rejected.len(), 2);
    assert!(
        rejected[0]
            .path
            .ends_with(v2_name("r-1").replace(".json", ".rejected"))
    );
    assert_eq!(
        rejected[0].record.as_ref().unwrap().reservation_id().as_str(),
        "r-1"
    );
    assert!(rejected[1].record.is_none());
    let stale = journal.set_aside(Aside::Stale).unwrap();
    assert_eq!(stale.len(), 1);
    assert_eq!(
        stale[0].record.as_ref().unwrap().to_json(),
        record_at("r-2", 5).to_json()
    );
}

/// Every name that it could have is taken.
#[test]
fn a_record_that_cannot_be_set_aside_stays_where_it_is() {
    for aside in [Aside::Rejected, Aside::Stale] {
        let dir = TempDir::new();
        let (journal, folder) = (dir.journal(), dir.folder());
        let write = put("r-1");
        journal.apply(write.clone()).unwrap();
        let JournalWrite::Put(record) = write else {
            unreachable!()
        };
        let taken = aside.file_names(record.id());
        for name in &taken {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let failure = journal.apply(JournalWrite::SetAside(record, aside)).unwrap_err();
        assert!(!failure.is_made, "{failure}");
        assert_eq!(ids(&journal.scan().unwrap().records), ["r-1"]);
        let mut expected: Vec<_> = taken.into_iter().chain([v2_name("r-1")]).collect();
        expected.sort();
        assert_eq!(listing(&folder), expected);
    }
}

#[test]
fn setting_aside_twice_is_once_and_without_a_record_it_is_written() {
    let dir = TempDir::new();
    let journal = dir.journal();
    journal.apply(put("r-1")).unwrap();
    journal.apply(set_aside("r-1", Aside::Stale)).unwrap();
    journal.apply(set_aside("r-1", Aside::Stale)).unwrap();
    assert_eq!(journal.set_aside(Aside::Stale).unwrap().len(), 1);
    journal.apply(set_aside("r-2", Aside::Rejected)).unwrap();
    let rejected = journal.set_aside(Aside::Rejected).unwrap();
    let written = rejected[0].record.as_ref().unwrap();
    assert_eq!(written.to_json(), record_at("r-2", 5).to_json());
}

#[test]
fn a_stale_record_that_was_settled_by_force_is_gone_and_one_that_was_refused_is_rejected() {
    let dir = TempDir::new();
    let journal = dir.journal();
    for id in ["r-1", "r-2"] {
        journal.apply(put(id)).unwrap();
        journal.apply(set_aside(id, Aside::Stale)).unwrap();
    }
    journal.apply(remove("r-1")).unwrap();
    journal.apply(set_aside("r-2", Aside::Rejected)).unwrap();
    assert!(journal.set_aside(Aside::Stale).unwrap().is_empty());
    assert_eq!(
        listing(&dir.folder()),
        [v2_name("r-2").replace(".json", ".rejected")]
    );
}

#[test]
fn a_record_under_an_older_name_can_be_set_aside() {
    let dir = TempDir::new();
    write(&dir.folder(), "r_1.json", "r.1");
    let aside = set_aside("r.1", Aside::Rejected);
    dir.journal().apply(aside).unwrap();
    assert_eq!(
        listing(&dir.folder()),
        [v2_name("r.1").replace(".json", ".rejected")]
    );
}

#[test]
fn records_of_other_addresses_are_told_once_with_their_number() {
    let dir = TempDir::new();
    let other = |url: &str, tenant: &str, id: &str| {
        let config = CyclesConfig::builder(KEY, url)
            .tenant(tenant)
            .journal_dir(dir.path());
        Journal::open(&config.build().unwrap()).apply(put(id)).unwrap();
    };
    // With a slash at its end, under another name, and of another tenant.
    other(&format!("{URL}/"), "acme", "r-1");
    other("http://localhost:18787", "acme", "r-2");
    other(URL, "another", "r-3");
    // In this very directory, as somebody may have copied it there.
    let text = record_at("r-4", 5).to_json().replace(URL, "http://elsewhere");
    fs::write(dir.folder().join(v2_name("r-4")), text).unwrap();
    dir.journal().apply(put("r-5")).unwrap();

    let journal = dir.journal();
    let mut told = Vec::new();
    for _ in 0..2 {
        let (reading, _claim) = journal.read(false).unwrap();
        assert_eq!(ids(&reading.records), ["r-5"]);
        told.extend(reading.events.iter().map(|event| format!("{event:?}")));
    }
    // A client of a new address has no directory yet.
    let fresh = CyclesConfig::builder(KEY, "http://new")
        .tenant("acme")
        .journal_dir(dir.path());
    let fresh = Journal::open(&fresh.build().unwrap());
    let (reading, _claim) = fresh.read(false).unwrap();
    assert!(reading.records.is_empty());
    told.extend(reading.events.iter().map(|event| format!("{event:?}")));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("RecordsElsewhere { records: 4"), "{told:?}");
    assert!(told[1].contains("RecordsElsewhere { records: 5"), "{told:?}");
    assert!(!told[0].contains(KEY));
}

#[test]
fn where_all_records_are_ours_nothing_is_told() {
    let dir = TempDir::new();
    dir.journal().apply(put("r-1")).unwrap();
    fs::create_dir(dir.path().join("0123456789abcdef")).unwrap();
    fs::create_dir(dir.path().join("notes")).unwrap();
    fs::write(dir.path().join("notes/v2-1.json"), "").unwrap();
    let (reading, _claim) = dir.journal().read(false).unwrap();
    assert!(reading.events.is_empty());
}

#[test]
fn what_is_no_record_is_quarantined_however_long_its_name_is() {
    for length in [200, 223, 224, 230, 240, 247, 250] {
        let dir = TempDir::new();
        let folder = dir.folder();
        fs::create_dir_all(&folder).unwrap();
        let name = format!("{}.json", "x".repeat(length));
        for corrupt in 1..=2 {
            fs::write(folder.join(&name), "no").unwrap();
            assert_eq!(dir.journal().scan().unwrap().problems.len(), 1);
            let names = listing(&folder);
            assert_eq!(names.len(), corrupt, "{names:?}");
            assert!(names.iter().all(|name| name.ends_with(".corrupt")), "{names:?}");
            assert!(dir.journal().scan().unwrap().problems.is_empty());
        }
    }
}

#[test]
fn a_whole_record_from_the_future_is_taken_up_if_its_writer_is_gone() {
    for ending in ["tmp", "taken"] {
        let dir = TempDir::new();
        let folder = dir.folder();
        let temp = format!("{}.{GONE}.0000000a.{ending}", v2_name("r-1"));
        write(&folder, &temp, "r-1");
        let file = fs::File::options().write(true).open(folder.join(&temp)).unwrap();
        file.set_modified(SystemTime::now() + 100 * 24 * HOUR).unwrap();
        assert_eq!(ids(&dir.journal().scan().unwrap().records), ["r-1"], "{ending}");
    }
}
