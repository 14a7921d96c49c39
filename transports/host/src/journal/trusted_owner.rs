//! Checks the owner of files. Records are sent under this program's key, so they must be the program's own: the
//! directory of a server and a principal, and the files in it, must belong to the program's user, and must not be
//! writable by everybody. The base directory may be shared.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use super::disk;
use crate::platform::{self, Access};

/// The owner and mode of files that this process creates in a directory.
#[derive(Default)]
pub(super) struct Owner {
    made: OnceLock<Access>,
}

impl Owner {
    /// Refuses a directory that belongs to another user, or that everybody may write to.
    pub(super) fn check_folder(&self, path: &Path, metadata: &Metadata) -> Result<(), String> {
        let there = platform::access(metadata);
        let user = platform::user();
        let ours = Access {
            owner: user,
            is_open: false,
        };
        if there == ours {
            return Ok(());
        }
        // On shares and volumes that map users or have no modes, compare with a file that this process creates.
        match self.looks(path) {
            Ok(made) if there.owner == made.owner && (!there.is_open || made.is_open) => Ok(()),
            Ok(_) | Err(_) if there.owner != user => Err(format!(
                "it belongs to user {}, and this process runs as user {user}. If its contents are yours: chown -R {user} \
                 {path:?}; if not, set CYCLES_JOURNAL_DIR to another directory",
                there.owner
            )),
            Ok(_) | Err(_) => Err(format!(
                "every user may write there. If its contents are yours: chmod 700 {path:?}"
            )),
        }
    }

    /// Creates a file in the directory to see which owner and mode it gets.
    fn looks(&self, folder: &Path) -> io::Result<Access> {
        if let Some(made) = self.made.get() {
            return Ok(*made);
        }
        let file = folder.join(disk::write(folder, "owner".as_ref(), b"")?);
        let metadata = file.symlink_metadata();
        fs::remove_file(file)?;
        let made = platform::access(&metadata?);
        Ok(*self.made.get_or_init(|| made))
    }
}

/// Refuses a file whose owner is not the directory's, or that is writable by everybody although the directory is not.
pub(super) fn check_file(path: &Path, file: &Metadata) -> Result<(), String> {
    let folder = path.parent().map(Path::symlink_metadata);
    let Some(Ok(folder)) = folder else { return Ok(()) };
    let (there, folder) = (platform::access(file), platform::access(&folder));
    if there.owner != folder.owner {
        let Access { owner, .. } = there;
        return Err(format!(
            "it belongs to user {owner}, so it is not sent: it may be someone else's. If it is yours: chown {} {path:?}",
            folder.owner
        ));
    }
    if there.is_open && !folder.is_open {
        return Err(format!(
            "every user may write to it, so it is not sent: it may be someone else's. If it is yours: chmod 600 {path:?}"
        ));
    }
    Ok(())
}
