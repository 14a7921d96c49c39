//! The journal as other SDKs know it: directory, names and contents of records.

use std::fs;

use crate::support::*;
use cycles_host::Journal;
use cycles_proto::CyclesConfig;
use cycles_proto::journal::JournalWrite;
use cycles_proto::record::Mode;

const COMMIT: &str = include_str!("../data/journal/python-commit.json");
const EVENT: &str = include_str!("../data/journal/python-event.json");
const THROTTLED: &str = include_str!("../data/journal/python-429.json");

#[test]
fn records_of_another_sdk_are_found_where_it_puts_them_and_stay_as_they_are() {
    let dir = TempDir::new();
    let files = [
        (
            "v2-8f8f2347a914389b8185bbd2e0af6194971aa15f85c74e729426a30404a3ac34.json",
            COMMIT,
        ),
        (
            "v2-d17f30c457cebbf669296d9416690535a091d49a533a49128d727dbbda8a2724.json",
            EVENT,
        ),
        (
            "v2-da63eefa56b96246f7309a1d1ff691fe6339b579f671f4df03e77bd4b6d8bc3d.json",
            THROTTLED,
        ),
    ];
    for (name, text) in files {
        fs::write(dir.folder().join(name), text).unwrap();
    }
    let found = dir.journal().scan().unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(ids(&found.records), ["rsv_0001", "rsv_0002", "rsv_0003"]);
    assert_eq!(found.records[1].mode(), Mode::Event);
    for (record, (_, text)) in found.records.iter().zip(files) {
        assert!(text.contains(record.body()), "the body is sent to the byte");
    }
    for (name, text) in files {
        assert_eq!(fs::read_to_string(dir.folder().join(name)).unwrap(), text);
    }
    for record in &found.records {
        let settled = JournalWrite::Remove(record.clone());
        dir.journal().apply(settled).unwrap();
    }
    assert!(listing(&dir.folder()).is_empty());
}

/// Journals as they were written by others, and by this project before.
const JOURNALS: [(&str, usize); 3] = [("python-0.5.3", 4), ("rust-0.3.2", 3), ("cycles-145cb5f", 3)];

#[test]
fn journals_that_exist_are_read_whole_and_stay_as_they_are() {
    let written = |name: &str| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journals");
        let files = fs::read_dir(dir.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    for (name, count) in JOURNALS {
        let dir = TempDir::new();
        let files = written(name);
        assert_eq!(files.len(), count, "{name}");
        for (file, text) in &files {
            fs::write(dir.folder().join(file), text).unwrap();
        }
        let found = dir.journal().scan().unwrap();
        assert!(
            found.problems.is_empty() && found.of_others == 0,
            "{name}: {found:?}"
        );
        assert_eq!((found.records.len(), found.waiting.len()), (count, 0), "{name}");
        let modes: Vec<_> = found.records.iter().map(|record| record.mode()).collect();
        assert!(
            modes.contains(&Mode::Commit) && modes.contains(&Mode::Event),
            "{name}"
        );
        for record in &found.records {
            let file = v2_name(record.reservation_id().as_str());
            let (_, text) = files.iter().find(|(name, _)| *name == file).unwrap();
            assert!(
                text.contains(record.body()),
                "{name}: the body is sent to the byte"
            );
            assert_eq!(&fs::read_to_string(dir.folder().join(&file)).unwrap(), text);
            dir.journal().apply(JournalWrite::Remove(record.clone())).unwrap();
        }
        assert!(listing(&dir.folder()).is_empty(), "{name}");
    }
}

#[test]
fn our_record_lies_where_another_sdk_looks_for_its_owner_only() {
    let dir = TempDir::new();
    let journal = Journal::open(&config(&dir.path().join("new/base")).build().unwrap());
    let record = record_at("rsv_0001", 5);
    journal.apply(JournalWrite::Put(record.clone())).unwrap();
    let folder = dir.path().join("new/base").join(ACME);
    assert_eq!(journal.dir().unwrap(), folder);
    let name = "v2-8f8f2347a914389b8185bbd2e0af6194971aa15f85c74e729426a30404a3ac34.json";
    assert_eq!(listing(&folder), [name], "and nothing else is left there");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(text, record.to_json());
    assert!(!text.contains(KEY), "the API key is in no record");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.join(name)), 0o600);
        for made in [&folder, &dir.path().join("new/base"), &dir.path().join("new")] {
            assert_eq!(mode(made), 0o700, "{made:?}");
        }
    }
}

#[test]
fn the_record_that_switches_to_an_event_replaces_the_one_of_the_commit() {
    let dir = TempDir::new();
    let journal = dir.journal();
    let record = record_at("r-1", 5);
    journal.apply(JournalWrite::Put(record.clone())).unwrap();
    journal
        .apply(JournalWrite::Put(record.into_event().unwrap()))
        .unwrap();
    let found = journal.scan().unwrap();
    assert_eq!(found.records.len(), 1);
    assert_eq!(found.records[0].mode(), Mode::Event);
}

#[test]
fn with_a_tenant_the_records_outlive_an_api_key_and_without_one_they_are_the_keys() {
    let dir = TempDir::new();
    dir.journal().apply(put("r-1")).unwrap();
    let other = |tenant: bool| {
        let mut builder = CyclesConfig::builder("cyc_live_another", URL).journal_dir(dir.path());
        if tenant {
            builder = builder.tenant("acme");
        }
        Journal::open(&builder.build().unwrap()).scan().unwrap().records
    };
    assert_eq!(ids(&other(true)), ["r-1"]);
    assert_eq!(ids(&other(false)), [""; 0]);
}

#[test]
fn removing_what_is_not_there_is_no_error_and_makes_no_directory() {
    let dir = TempDir::new();
    dir.journal().apply(remove("r-1")).unwrap();
    assert!(dir.journal().scan().unwrap().records.is_empty());
    assert!(dir.journal().claim().is_some());
    assert!(listing(dir.path()).is_empty());
}

#[test]
#[cfg(unix)]
fn without_a_directory_of_its_own_the_journal_is_in_the_home_directory() {
    use std::os::unix::fs::PermissionsExt as _;

    if child_dir().is_some() {
        let config = CyclesConfig::builder(KEY, URL).tenant("acme").build().unwrap();
        return Journal::open(&config).apply(put("r-1")).unwrap();
    }
    let dir = TempDir::new();
    let base = dir.path().join(".runcycles/commit-journal");
    fs::create_dir_all(&base).unwrap();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
    let test = "interop::without_a_directory_of_its_own_the_journal_is_in_the_home_directory";
    assert_passed(
        &as_child(test, dir.path())
            .env("HOME", dir.path())
            .output()
            .unwrap(),
    );
    assert_eq!(listing(&base.join(ACME)), [v2_name("r-1")]);
    let mode = fs::metadata(&base).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the SDKs' own directory is closed to others");
}

#[test]
#[cfg(unix)]
fn a_directory_that_somebody_chose_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    dir.journal().apply(put("r-1")).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path().to_owned()), 0o755, "it may be /tmp");
    assert_eq!(mode(dir.folder()), 0o700, "what is in it is closed");
}
