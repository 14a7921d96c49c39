//! The owner of runs: a client, known by a lock that it holds as long as it lives.
//!
//! A lock ends with the process, however it ends, so it is safe against a process id that is used again and against a
//! process that only sleeps. Two things could still make a lock look free while its owner lives:
//!
//! - The file system has no locks. Then nobody is known to be gone.
//! - Another machine has the lock on a shared file system, and its locks are not seen here. So on a file system that
//!   may be shared, only the owners of this machine, since it was started, can be known to be gone.
//!
//! In these cases, and if somebody removed the lock file, the file of a run stays until a person looks at it.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use cycles_proto::journal::{Owner, owner_lock_name};

use crate::platform::{self, Lock, Locked};

/// This client as an owner of runs, once it has had one.
#[derive(Debug, Default)]
pub(super) struct RunOwner(Mutex<Option<Owning>>);

#[derive(Debug)]
struct Owning {
    name: String,
    folder: PathBuf,
    /// Locked as long as it is open.
    lock: File,
}

impl RunOwner {
    /// Returns the name of this client as an owner of runs in this directory, and makes sure that its lock is there.
    pub(super) fn own(&self, folder: &Path) -> io::Result<String> {
        let mut owning = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owning) = &*owning
            && platform::is_at(&owning.lock, &folder.join(owner_lock_name(&owning.name)))
        {
            return Ok(owning.name.clone());
        }
        // If somebody removed the lock file, it comes back under the same name.
        let name = owning.take().map_or_else(fresh_name, |before| before.leave());
        let lock = locked(&folder.join(owner_lock_name(&name)))?;
        *owning = Some(Owning {
            name: name.clone(),
            folder: folder.to_owned(),
            lock,
        });
        Ok(name)
    }
}

impl Owning {
    /// Gives up the lock, and returns the owner's name.
    fn leave(mut self) -> String {
        // Nothing is left to remove.
        self.folder = PathBuf::new();
        core::mem::take(&mut self.name)
    }
}

impl Drop for Owning {
    /// Removes the lock file, unless a run needs it to be found: then the next scan does that.
    fn drop(&mut self) {
        let ending = format!(".{}.run", self.name);
        let is_needed = |entry: io::Result<fs::DirEntry>| {
            entry.map_or(true, |entry| {
                entry.file_name().as_encoded_bytes().ends_with(ending.as_bytes())
            })
        };
        if let Ok(mut entries) = fs::read_dir(&self.folder)
            && !entries.any(is_needed)
        {
            let _ = fs::remove_file(self.folder.join(owner_lock_name(&self.name)));
        }
    }
}

/// Creates the lock file and locks it.
fn locked(path: &Path) -> io::Result<File> {
    // A scan that looks at the file may have the lock for a moment, or may have removed the file.
    for _ in 0..1_000 {
        let file = platform::open_lock(path)?;
        if platform::lock(&file, Lock::Exclusive)? != Locked::ByAnother && platform::is_at(&file, path) {
            return Ok(file);
        }
        std::thread::yield_now();
    }
    Err(io::Error::other(
        "another process has the lock of this client's runs",
    ))
}

/// A name that no other owner has: the machine's start, the process, and a random number.
fn fresh_name() -> String {
    let boot = platform::boot().unwrap_or_default();
    let process = std::process::id();
    let number = RandomState::new().hash_one((process, SystemTime::now()));
    format!("{boot}-{process}-{number:016x}")
}

/// Finds out whether an owner is gone.
pub(super) fn look_for(folder: &Path, owner: &str) -> Owner {
    let path = folder.join(owner_lock_name(owner));
    let Ok(file) = platform::open_existing_lock(&path) else {
        return Owner::Unknown;
    };
    // Shared, so that another process that looks at the same time does not seem to be the owner.
    match platform::lock(&file, Lock::Shared) {
        Ok(Locked::ByAnother) => Owner::Running,
        Ok(Locked::Now) if platform::is_at(&file, &path) && is_seen_here(folder, owner) => Owner::Gone,
        Ok(Locked::Now | Locked::Never) | Err(_) => Owner::Unknown,
    }
}

/// Whether a lock of this owner would be seen here.
fn is_seen_here(folder: &Path, owner: &str) -> bool {
    let is_of_this_start = || {
        let boot = owner.split('-').next().filter(|boot| !boot.is_empty());
        boot.is_some() && boot == platform::boot().as_deref()
    };
    platform::is_of_this_machine(folder) || is_of_this_start()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cycles-run-owner-{}-{name}", std::process::id()));
            let _ = fs::create_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_owner_runs_until_its_client_is_gone_and_leaves_its_lock_only_where_a_run_needs_it() {
        let dir = Dir::new("gone");
        let owner = RunOwner::default();
        let name = owner.own(&dir.0).unwrap();
        assert_eq!(owner.own(&dir.0).unwrap(), name);
        assert_eq!(look_for(&dir.0, &name), Owner::Running);
        let other = RunOwner::default();
        assert_ne!(other.own(&dir.0).unwrap(), name);
        fs::write(dir.0.join(format!("v2-x.{name}.run")), "{}").unwrap();
        drop((owner, other));
        assert_eq!(look_for(&dir.0, &name), Owner::Gone);
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
        let path = dir.0.join(owner_lock_name(&name));
        let looking = platform::open_existing_lock(&path).unwrap();
        assert_eq!(platform::lock(&looking, Lock::Shared).unwrap(), Locked::Now);
        assert_eq!(
            look_for(&dir.0, &name),
            Owner::Gone,
            "although another looks as well"
        );
    }

    #[test]
    fn an_owner_whose_lock_file_was_removed_gets_it_back_and_counts_as_unknown_meanwhile() {
        let dir = Dir::new("removed");
        let owner = RunOwner::default();
        let name = owner.own(&dir.0).unwrap();
        fs::remove_file(dir.0.join(owner_lock_name(&name))).unwrap();
        assert_eq!(look_for(&dir.0, &name), Owner::Unknown);
        assert_eq!(owner.own(&dir.0).unwrap(), name);
        assert_eq!(look_for(&dir.0, &name), Owner::Running);
    }
}
