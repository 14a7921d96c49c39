//! The names of the directories, each for one server and one principal. Each name is a slow hash, so that it does not
//! give away an API key: computing it takes 4 ms in an optimized build, and up to half a second otherwise. A process
//! computes each name once. An unoptimized build also stores the names for tenants, which are not secret, in small
//! files alongside the directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cycles_proto::journal::record::Partition;
use sha2::{Digest as _, Sha256};

use super::{disk, trusted_owner};

/// The names that this process has computed, by the hash of their input.
static KNOWN: Mutex<BTreeMap<[u8; 32], String>> = Mutex::new(BTreeMap::new());

/// The name of the partition's directory in `base`. No code waits for the lock, or holds it while a name is computed:
/// in a forked child, the lock may stay taken forever.
pub(super) fn of(base: &Path, partition: &Partition) -> String {
    let id = id(partition);
    let known = || KNOWN.try_lock().ok();
    if let Some(name) = known().and_then(|known| known.get(&id).cloned()) {
        return name;
    }
    let name = kept(base, partition).unwrap_or_else(|| hashed(partition));
    if let Some(mut known) = known() {
        known.insert(id, name.clone());
    }
    name
}

/// Stores the name for later processes, if this build is slow and the name is not secret. The directory must exist.
pub(super) fn keep(base: &Path, partition: &Partition, name: &str) {
    if let Some(file) = file(base, partition).filter(|file| !file.exists())
        && let Ok(written) = disk::write(base, "name".as_ref(), name.as_bytes())
    {
        // If this fails, the next process computes the name again.
        let _ = fs::rename(base.join(written), file);
    }
}

/// The name that an earlier process stored, if its file and its directory can be trusted.
fn kept(base: &Path, partition: &Partition) -> Option<String> {
    let file = file(base, partition)?;
    let metadata = file.symlink_metadata().ok()?;
    trusted_owner::check_file(&file, &metadata).ok()?;
    let is_plain = metadata.is_file() && metadata.len() == NAME_LENGTH as u64;
    let name = is_plain.then(|| fs::read_to_string(&file)).and_then(Result::ok)?;
    let is_name =
        name.len() == NAME_LENGTH && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_name && base.join(&name).is_dir()).then_some(name)
}

/// The file for the name. `None` if the name is derived from an API key, because the fast hash in the file's name would
/// give that away.
fn file(base: &Path, partition: &Partition) -> Option<PathBuf> {
    let is_kept = cfg!(debug_assertions) && partition.is_of_a_tenant();
    is_kept.then(|| base.join(format!(".name-{}", hex(&id(partition)[..16]))))
}

fn id(partition: &Partition) -> [u8; 32] {
    let hash = Sha256::new()
        .chain_update(partition.salt.as_bytes())
        .chain_update([0])
        .chain_update(partition.password.as_bytes());
    hash.finalize().into()
}

const NAME_LENGTH: usize = 16;

/// The first 16 hex digits of the partition's hash.
fn hashed(partition: &Partition) -> String {
    let mut hash = [0; 32];
    let (password, salt) = (partition.password.as_bytes(), partition.salt.as_bytes());
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, Partition::ROUNDS, &mut hash);
    hex(&hash[..NAME_LENGTH / 2])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test's directory, removed when this is dropped.
    struct Base(PathBuf);

    impl Base {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("cycles-names-{}-{name}", std::process::id()));
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Base {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn partition(password: &str) -> Partition {
        Partition {
            password: password.to_owned(),
            salt: "runcycles-commit-journal\nhttp://localhost".to_owned(),
        }
    }

    #[test]
    fn a_principal_is_hashed_as_it_is() {
        assert_eq!(hashed(&partition("tenant\n acme ")), "44f607a3271b92a5");
    }

    #[test]
    fn a_slow_build_keeps_the_name_of_a_tenant_and_never_one_that_is_made_of_a_key() {
        let base = Base::new("kept");
        let base = base.0.as_path();
        let (tenant, key) = (partition("tenant\nkept"), partition("key\nkept"));
        for partition in [&tenant, &key] {
            keep(base, partition, "0123456789abcdef");
        }
        let files = fs::read_dir(base).unwrap().count();
        assert_eq!(files, usize::from(cfg!(debug_assertions)));
        assert_eq!(kept(base, &tenant), None, "there is no such directory");
        fs::create_dir(base.join("0123456789abcdef")).unwrap();
        let is_kept = cfg!(debug_assertions).then(|| "0123456789abcdef".to_owned());
        assert_eq!(kept(base, &tenant), is_kept);
        assert_eq!(kept(base, &key), None);
    }

    #[test]
    fn a_name_is_computed_though_somebody_else_holds_the_lock_for_ever() {
        let _held = KNOWN.lock();
        let nowhere = Path::new("/nowhere");
        assert_eq!(of(nowhere, &partition("tenant\n acme ")), "44f607a3271b92a5");
    }

    #[test]
    fn what_is_no_name_is_not_believed() {
        let base = Base::new("forged");
        let base = base.0.as_path();
        let tenant = partition("tenant\nforged");
        let Some(file) = file(base, &tenant) else {
            return;
        };
        for forged in [
            "",
            "../../etc",
            "0123456789ABCDEF",
            "0123456789abcde",
            "0123456789abcdef0",
        ] {
            fs::write(&file, forged).unwrap();
            assert_eq!(kept(base, &tenant), None, "{forged:?}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(kept(base, &tenant), None);
    }
}
