//! The directory of one server and one principal, inside the base directory.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use cycles_proto::CyclesConfig;
use cycles_proto::journal::record::Partition;

use super::JournalError;
use super::directory_name;
use super::trusted_owner::Owner;
use crate::platform;

/// The directory of a configuration's records. Nothing is read or created before it is needed.
pub(super) struct Folder {
    /// The base directory of all partitions; `None` if there is no home directory for it.
    base: Option<PathBuf>,
    /// Whether the base is the SDKs' default directory in the user's home, rather than a configured one.
    is_base_ours: bool,
    partition: Partition,
    path: OnceLock<PathBuf>,
    is_made: AtomicBool,
    owner: Owner,
}

impl Folder {
    pub(super) fn of(config: &CyclesConfig, home: Option<PathBuf>) -> Self {
        let home = home.filter(|home| home.is_absolute());
        let base = match &config.journal_dir {
            None => home.map(|home| home.join(DEFAULT)),
            Some(dir) => match dir.strip_prefix("~") {
                // Expanded here, because no shell does that in a configuration.
                Ok(in_home) => home.map(|home| home.join(in_home)),
                // Absolute, so that a program that changes its working directory keeps its journal.
                Err(_) => Some(std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())),
            },
        };
        Self {
            base,
            is_base_ours: config.journal_dir.is_none(),
            partition: Partition::of(config),
            path: OnceLock::new(),
            is_made: AtomicBool::new(false),
            owner: Owner::default(),
        }
    }

    /// The directory, whether or not it exists. The first call takes milliseconds, because its name is a slow hash.
    pub(super) fn path(&self) -> Result<&Path, JournalError> {
        let base = self.base.as_ref().ok_or(JournalError::NoHome)?;
        Ok(self
            .path
            .get_or_init(|| base.join(directory_name::of(base, &self.partition))))
    }

    /// The directory, if it exists.
    pub(super) fn existing(&self) -> Result<Option<&Path>, JournalError> {
        let path = self.path()?;
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => match self.owner.check_folder(path, &metadata) {
                Ok(()) => Ok(Some(path)),
                Err(reason) => Err(JournalError::NotOurs {
                    path: path.to_owned(),
                    reason,
                }),
            },
            // Links are not followed: one may lead into another user's directory.
            Ok(_) => {
                let cause = io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory");
                Err(JournalError::io("use", path)(cause))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(JournalError::io("use", path)(error)),
        }
    }

    /// The directory, created by the first call. Its owner is checked each time: if the parent directory is writable by
    /// everybody, another directory may have taken this one's name.
    pub(super) fn made(&self) -> Result<&Path, JournalError> {
        let path = self.path()?;
        if self.is_made.load(Ordering::Relaxed) && self.existing()?.is_some() {
            return Ok(path);
        }
        self.make(path)?;
        self.is_made.store(true, Ordering::Relaxed);
        Ok(path)
    }

    fn make(&self, path: &Path) -> Result<(), JournalError> {
        create_all(path).map_err(JournalError::io("create the directory", path))?;
        self.existing()?;
        // May fail on file systems without modes. The mode of a configured base directory is the user's choice.
        let _ = platform::make_private(path);
        if let (Some(base), true) = (&self.base, self.is_base_ours) {
            let _ = platform::make_private(base);
        }
        if let (Some(base), Some(name)) = (&self.base, path.file_name().and_then(OsStr::to_str)) {
            directory_name::keep(base, &self.partition, name);
        }
        Ok(())
    }
}

/// The default base directory of all Cycles SDKs, in the home directory.
const DEFAULT: &str = ".runcycles/commit-journal";

/// Creates a directory and its parents, and makes their names durable.
fn create_all(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_all(parent)?;
    }
    match platform::create_private_dir(dir) {
        // Another thread or process was faster, or something else has the name; the caller detects that.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    parent.map_or(Ok(()), platform::sync_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(url: &str, key: &str, tenant: Option<&str>) -> Folder {
        let mut builder = CyclesConfig::builder(key, url);
        if let Some(tenant) = tenant {
            builder = builder.tenant(tenant);
        }
        Folder::of(&builder.build().unwrap(), Some(PathBuf::from("/home/somebody")))
    }

    #[test]
    fn the_directory_is_the_one_that_other_sdks_use() {
        for (url, key, tenant, expected) in [
            ("http://localhost", "test-key", None, "68c905017df7dbfc"),
            ("http://localhost", "any", Some("acme"), "8baba538fb970da4"),
            (
                "http://127.0.0.1:18787",
                "cyc_live_test",
                Some("acme"),
                "3308cc382c49a04a",
            ),
            (
                "http://127.0.0.1:18787",
                "cyc_live_test",
                None,
                "20fc5d45841fa126",
            ),
            (
                "http://localhost:7878",
                "any",
                Some("acme-corp"),
                "43fe9948c3c64529",
            ),
            (
                "http://localhost:7878/",
                "any",
                Some("acme-corp"),
                "0345994bda6ac35b",
            ),
            ("http://localhost", "k", None, "a9790590125e7323"),
        ] {
            let path = folder(url, key, tenant);
            let expected = Path::new("/home/somebody/.runcycles/commit-journal").join(expected);
            assert_eq!(path.path().unwrap(), expected, "{url} {key} {tenant:?}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_directory_and_only_where_a_shell_has_it_so() {
        for (dir, expected) in [
            ("~/journal", "/home/somebody/journal"),
            ("~", "/home/somebody"),
            ("~//a/b/", "/home/somebody/a/b"),
            ("/var/~/journal", "/var/~/journal"),
            ("/var/lib/journal", "/var/lib/journal"),
        ] {
            let builder = CyclesConfig::builder("any", "http://localhost:7878").journal_dir(dir);
            let config = builder.build().unwrap();
            let folder = Folder::of(&config, Some(PathBuf::from("/home/somebody")));
            let path = folder.path().unwrap();
            assert_eq!(path.parent(), Some(Path::new(expected)), "{dir}");
            let homeless = Folder::of(&config, None);
            assert_eq!(homeless.path().is_err(), dir.starts_with('~'), "{dir}");
        }
    }

    #[test]
    fn without_a_home_directory_the_error_says_what_to_set() {
        let config = CyclesConfig::new("cyc_live_k", "http://localhost").unwrap();
        for home in [None, Some(PathBuf::new()), Some(PathBuf::from("relative"))] {
            let error = Folder::of(&config, home).made().unwrap_err();
            assert!(matches!(error, JournalError::NoHome));
            assert!(error.to_string().contains("CYCLES_JOURNAL_DIR"), "{error}");
        }
    }
}
