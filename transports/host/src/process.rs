//! Identifies the process that a value belongs to, to detect forks.

use core::cell::Cell;

use cycles_proto::ConfigError;

/// The process that created a value. A fork copies neither threads nor the owners of locks, so the parent's values must
/// not be used in the child. Check this before taking any lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

thread_local! {
    static IS_FORKED: Cell<bool> = const { Cell::new(false) };
}

impl Process {
    /// Returns the running process.
    pub fn current() -> Self {
        let id = if cfg!(target_family = "wasm") {
            0
        } else {
            std::process::id()
        };
        // Process ids are far below the highest bit, which marks a simulated fork.
        Self(id ^ (u32::from(IS_FORKED.get()) << 31))
    }

    /// Whether this is the running process.
    pub fn is_current(self) -> bool {
        self == Self::current()
    }

    /// Checks that this is the running process.
    ///
    /// # Errors
    /// [`ConfigError::Forked`] in a forked child.
    pub fn check(self) -> Result<(), ConfigError> {
        if self.is_current() {
            Ok(())
        } else {
            Err(ConfigError::Forked)
        }
    }

    /// Runs `child` as if in a forked process. For tests, which cannot fork.
    #[doc(hidden)]
    pub fn as_if_forked<T>(child: impl FnOnce() -> T) -> T {
        struct Parent;
        impl Drop for Parent {
            fn drop(&mut self) {
                IS_FORKED.set(false);
            }
        }
        let _parent = Parent;
        IS_FORKED.set(true);
        child()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_its_child_is_another() {
        let parent = Process::current();
        assert!(parent.is_current());
        Process::as_if_forked(|| {
            assert_eq!(parent.check(), Err(ConfigError::Forked));
            assert!(Process::current().is_current());
        });
        assert_eq!(parent.check(), Ok(()));
    }
}
