//! Simulates a hanging disk, for tests: changes to the journals in a directory wait until the simulation is dropped.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Makes the disk of a directory hang until this is dropped.
#[derive(Debug)]
#[must_use = "when it is dropped, the disk works again"]
pub struct Hanging(PathBuf);

/// The directories whose disks hang, and how many changes wait in each.
static HANGING: Mutex<Vec<(PathBuf, usize)>> = Mutex::new(Vec::new());
static CHANGED: Condvar = Condvar::new();

impl Hanging {
    /// Makes changes to all journals in this directory wait from now on.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        hanging().push((dir.clone(), 0));
        Self(dir)
    }

    /// Blocks until this many changes are waiting. Returns false if that takes longer than `patience`.
    pub fn has_caught(&self, changes: usize, patience: Duration) -> bool {
        let too_few = |hanging: &mut Vec<(PathBuf, usize)>| {
            let ours = hanging.iter().find(|(dir, _)| *dir == self.0);
            ours.is_none_or(|(_, waiting)| *waiting < changes)
        };
        let waited = CHANGED.wait_timeout_while(hanging(), patience, too_few);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        hanging().retain(|(dir, _)| *dir != self.0);
        CHANGED.notify_all();
    }
}

/// Blocks while the disk of this directory hangs.
pub(super) fn wait(folder: &Path) {
    let mut hanging = hanging();
    let ours = hanging.iter_mut().find(|(dir, _)| folder.starts_with(dir));
    let Some((_, waiting)) = ours else { return };
    *waiting += 1;
    CHANGED.notify_all();
    let hangs = |hanging: &mut Vec<(PathBuf, usize)>| hanging.iter().any(|(dir, _)| folder.starts_with(dir));
    drop(
        CHANGED
            .wait_while(hanging, hangs)
            .unwrap_or_else(PoisonError::into_inner),
    );
}

fn hanging() -> MutexGuard<'static, Vec<(PathBuf, usize)>> {
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}
