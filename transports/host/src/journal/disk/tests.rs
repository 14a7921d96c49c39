//! The operations on disk do the same as in the core's own in-memory directory, on which its proofs are based.

use std::path::PathBuf;

use cycles_proto::journal::{Lacks, Memory};

use super::*;

/// The same file's name on disk and its name in memory: their temporary names have different numbers.
type Name = (OsString, OsString);

struct Both {
    folder: PathBuf,
    memory: Memory,
    names: Vec<Name>,
}

impl Both {
    fn new(seed: u64) -> Self {
        let name = format!("cycles-host-disk-{}-{seed}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let mut both = Self {
            memory: Memory::lacking(lacks(&folder)),
            folder,
            names: ["a", "b", "c.json", "é.json", "d"]
                .map(|name| (name.into(), name.into()))
                .to_vec(),
        };
        fs::create_dir(both.folder.join("d")).unwrap();
        both.memory.insert_obstacle("d");
        both
    }

    /// Executes an operation on both, and compares the results.
    fn execute(&mut self, op: impl Fn(&dyn Fn(usize) -> OsString) -> FileOp) {
        let on_disk = op(&|name| self.names[name].0.clone());
        let in_memory = op(&|name| self.names[name].1.clone());
        let context = format!("{on_disk:?}");
        let disk = execute(&self.folder, on_disk);
        let memory = self.memory.execute(1, in_memory);
        match (disk, memory) {
            (Ok(OpOutcome::Name(disk)), Ok(OpOutcome::Name(memory))) => self.names.push((disk, memory)),
            (Ok(OpOutcome::Names(disk)), Ok(OpOutcome::Names(memory))) => {
                let mut places: Vec<_> = disk
                    .iter()
                    .map(|name| self.place(|known| &known.0 == name))
                    .collect();
                let mut expected: Vec<_> = memory
                    .iter()
                    .map(|name| self.place(|known| &known.1 == name))
                    .collect();
                places.sort_unstable();
                expected.sort_unstable();
                assert_eq!(places, expected, "{context}");
            }
            (Ok(OpOutcome::Looks(disk)), Ok(OpOutcome::Looks(memory))) => {
                let shape = |looks: Looks| (looks.is_file, looks.written.is_some(), looks.changed.is_some());
                assert_eq!(disk.map(shape), memory.map(shape), "{context}");
            }
            (Ok(disk), Ok(memory)) => assert_eq!(disk, memory, "{context}"),
            (Err(disk), Err(memory)) => assert_eq!(disk.kind(), memory.kind(), "{context}"),
            (disk, memory) => panic!("{context}: {disk:?} on disk and {memory:?} in memory"),
        }
    }

    fn place(&self, is_it: impl Fn(&Name) -> bool) -> usize {
        self.names.iter().position(is_it).unwrap()
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What this directory's file system does not support.
fn lacks(folder: &Path) -> Lacks {
    fs::write(folder.join("one"), "").unwrap();
    fs::write(folder.join("two"), "").unwrap();
    let [one, two, three] = ["one", "two", "three"].map(OsString::from);
    let is_unsupported = |from: &OsString, to: &OsString, how| {
        let (from, to) = (from.clone(), to.clone());
        execute(folder, FileOp::Rename { from, to, how })
            .is_err_and(|error| error.kind() == ErrorKind::Unsupported)
    };
    let lacks = Lacks {
        exchange: is_unsupported(&one, &two, How::Exchange),
        unless_taken: is_unsupported(&one, &three, How::UnlessTaken),
        links: false,
    };
    for name in ["one", "two", "three"] {
        let _ = fs::remove_file(folder.join(name));
    }
    lacks
}

/// Numbers that look random.
fn dice(mut state: u64) -> impl FnMut(usize) -> usize {
    move |end| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    }
}

#[test]
fn every_operation_does_on_disk_what_it_does_in_memory() {
    for seed in 0..40 {
        let mut both = Both::new(seed);
        let mut dice = dice(seed);
        for round in 0..60 {
            let (one, two) = (dice(both.names.len()), dice(both.names.len()));
            // A name that refers to a directory is only looked at, or is in the way.
            let file = if both.names[one].0 == "d" { 0 } else { one };
            let kind = dice(12);
            if matches!(kind, 8 | 9) && both.names[two].0 == "d" {
                continue;
            }
            let is_link = kind == 11 && round % 2 == 0;
            both.execute(|name| match kind {
                0 => FileOp::Prepare,
                1 => FileOp::Sync,
                2 => FileOp::List { beside: None },
                3 => FileOp::Look { name: name(one) },
                4 => FileOp::Read { name: name(one) },
                5 | 6 => FileOp::Write {
                    name: name(file),
                    bytes: format!("{seed} {round}").into(),
                },
                7 => FileOp::Take { name: name(file) },
                8 => FileOp::Rename {
                    from: name(file),
                    to: name(two),
                    how: How::Replace,
                },
                9 => FileOp::Rename {
                    from: name(file),
                    to: name(two),
                    how: How::Exchange,
                },
                10 => FileOp::Rename {
                    from: name(file),
                    to: name(two),
                    how: How::UnlessTaken,
                },
                _ if is_link => FileOp::Link {
                    from: name(file),
                    to: name(two),
                },
                _ => FileOp::Remove { name: name(one) },
            });
            if is_link {
                // A file must not keep two names: renaming one to the other would do nothing.
                both.execute(|name| FileOp::Remove { name: name(file) });
            }
        }
    }
}

#[test]
fn a_process_is_at_the_files_that_it_numbered_itself_and_at_no_others() {
    let folder = std::env::temp_dir();
    let asks = |process, number| {
        let op = FileOp::IsWriterAlive { process, number };
        execute(&folder, op).unwrap() == OpOutcome::IsSo(true)
    };
    let name = temporary(Temporary::Written, "a.json".as_ref());
    let number = name.to_str().unwrap().rsplit('.').nth(1).unwrap().to_owned();
    let number = u32::from_str_radix(&number, 16).unwrap();
    let process = std::process::id();
    assert!(asks(process, Some(number)));
    assert!(!asks(process, Some(number.wrapping_sub(1 << 31))));
    #[cfg(unix)]
    assert!(!asks(400_000_000, Some(number)), "no process has such a number");
}
