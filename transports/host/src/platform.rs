//! System-specific functions, with fallbacks for systems that lack them.

use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Returns the time since a fixed point, including the time that the machine was suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn boot_time() -> Duration {
    read_clock(rustix::time::ClockId::Boottime)
}

/// Returns the time since a fixed point, including the time that the machine was suspended, which Apple's monotonic
/// clock counts.
#[cfg(target_vendor = "apple")]
pub(crate) fn boot_time() -> Duration {
    read_clock(rustix::time::ClockId::Monotonic)
}

/// Returns the time since the first call.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn boot_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn read_clock(id: rustix::time::ClockId) -> Duration {
    // These clocks have no negative readings.
    Duration::try_from(rustix::time::clock_gettime(id)).unwrap_or_default()
}

/// Opens a file for reading, without following a link and without blocking on a pipe.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;

        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    options.open(path)
}

/// Creates a new file, accessible only to its owner.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    only_for_owner(&mut options);
    options.open(path)
}

/// Opens or creates a lock file, accessible only to its owner. Its content does not matter.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    only_for_owner(&mut options);
    options.open(path)
}

/// Opens a lock file that exists, for either kind of lock.
pub(crate) fn open_existing_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    only_for_owner(&mut options);
    options.open(path)
}

/// Whether a file is still what this path leads to.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(file), Ok(there)) => id(file) == id(there),
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// Assumes it if there is a file.
#[cfg(not(unix))]
pub(crate) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(unix)]
fn only_for_owner(options: &mut OpenOptions) {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt as _;

    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
}

#[cfg(not(unix))]
fn only_for_owner(_options: &mut OpenOptions) {}

/// Creates one directory, accessible only to its owner.
#[cfg(unix)]
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Creates one directory with the permissions of the user's profile.
#[cfg(not(unix))]
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Whether a process with this id runs on this machine, as far as is known.
#[cfg(unix)]
pub(crate) fn is_running(process: u32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Assumes that the process runs.
#[cfg(not(unix))]
pub(crate) fn is_running(_process: u32) -> bool {
    true
}

/// The owner of a file, and whether others may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// The owner's user id.
    pub(crate) owner: u32,
    /// Whether everybody may write to it.
    pub(crate) is_open: bool,
}

#[cfg(unix)]
pub(crate) fn access(metadata: &fs::Metadata) -> Access {
    use std::os::unix::fs::MetadataExt as _;

    Access {
        owner: metadata.uid(),
        is_open: metadata.mode() & 0o002 != 0,
    }
}

/// Files in a user's profile are private, whatever their owner.
#[cfg(not(unix))]
pub(crate) fn access(_metadata: &fs::Metadata) -> Access {
    Access {
        owner: user(),
        is_open: false,
    }
}

/// When a file was last changed in any way, including its name.
#[cfg(unix)]
pub(crate) fn changed(metadata: &fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;

    let seconds = u64::try_from(metadata.ctime()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(not(unix))]
pub(crate) fn changed(metadata: &fs::Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

/// The user that this process acts as.
#[cfg(unix)]
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
pub(crate) fn user() -> u32 {
    0
}

/// A way to rename a file atomically.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rename {
    /// Fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the new name is taken.
    UnlessTaken,
    /// Exchanges the names of two files.
    Exchange,
}

/// Renames atomically. Fails with [`Unsupported`](io::ErrorKind::Unsupported) if this system or this file system cannot
/// do that.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn rename(from: &Path, to: &Path, how: Rename) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    let flags = match how {
        Rename::UnlessTaken => RenameFlags::NOREPLACE,
        Rename::Exchange => RenameFlags::EXCHANGE,
    };
    renameat_with(CWD, from, CWD, to, flags).map_err(|error| match error {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => io::ErrorKind::Unsupported.into(),
        error => error.into(),
    })
}

/// Fails: other systems are not supported.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn rename(_from: &Path, _to: &Path, _how: Rename) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes other users' access to a directory.
#[cfg(unix)]
pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = fs::metadata(dir)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Directories in a user's profile are private already.
#[cfg(not(unix))]
pub(crate) fn make_private(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the names in a directory durable. The listed error kinds count as success: file systems that cannot sync a
/// directory return them, and have no better way.
#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Does nothing: only Unix lets a program open a directory to sync it.
#[cfg(not(unix))]
pub(crate) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// The result of an attempt to lock a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing is locked there"))]
pub(crate) enum Locked {
    /// It is locked, until it is closed.
    Now,
    /// Another process, or another holder in this process, has the lock.
    ByAnother,
    /// This system or this file system has no locks.
    Never,
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// For one holder.
    Exclusive,
    /// For any number of holders, but for none beside an exclusive one.
    Shared,
}

/// Locks a file until it is closed, unless another holder has the lock.
#[cfg(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "aix"))
))]
pub(crate) fn lock(file: &File, how: Lock) -> io::Result<Locked> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;

    let operation = match how {
        Lock::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Lock::Shared => FlockOperation::NonBlockingLockShared,
    };
    match flock(file, operation) {
        Ok(()) => Ok(Locked::Now),
        Err(Errno::WOULDBLOCK) => Ok(Locked::ByAnother),
        Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL) => Ok(Locked::Never),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "aix"))
)))]
pub(crate) fn lock(_file: &File, _how: Lock) -> io::Result<Locked> {
    Ok(Locked::Never)
}

/// Locks a file until it is closed. Returns false if another process, or another holder in this process, has the lock.
/// Without locks every process gets it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    lock(file, Lock::Exclusive).map(|locked| locked != Locked::ByAnother)
}

/// Whether a file system belongs to this machine alone, so that no other machine can have a lock on it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_of_this_machine(path: &Path) -> bool {
    // ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, overlayfs, F2FS, ZFS, bcachefs: see statfs(2).
    const LOCAL: [u64; 9] = [
        0xEF53,
        0x5846_5342,
        0x9123_683E,
        0x0102_1994,
        0x8584_58F6,
        0x794C_7630,
        0xF2F5_2010,
        0x2FC1_2FC1,
        0xCA45_1A4E,
    ];
    // The magic numbers have 32 bits, and the type of the field depends on the architecture.
    rustix::fs::statfs(path).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64 & 0xFFFF_FFFF)))
}

/// Whether a file system belongs to this machine alone, so that no other machine can have a lock on it.
#[cfg(target_vendor = "apple")]
pub(crate) fn is_of_this_machine(path: &Path) -> bool {
    /// `MNT_LOCAL`, of `statfs(2)`.
    const LOCAL: u32 = 0x1000;
    rustix::fs::statfs(path).is_ok_and(|found| found.f_flags & LOCAL != 0)
}

/// Not known: then another machine may have the lock.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn is_of_this_machine(_path: &Path) -> bool {
    false
}

/// A name for the time since this machine was started, which no other machine has, and no other start of this one;
/// `None` if it is not known.
pub(crate) fn boot() -> Option<String> {
    let text = if cfg!(any(target_os = "linux", target_os = "android")) {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?
    } else {
        return None;
    };
    let name: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    (name.len() == 16).then_some(name)
}
