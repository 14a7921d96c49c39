//! Which process something belongs to.

use core::cell::Cell;

use cycles_proto::ConfigError;

/// The process that made something. A fork copies neither its threads nor those who held its locks, so what belongs to
/// the parent must not be used in the child. It is asked before any lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

thread_local! {
    static IS_FORKED: Cell<bool> = const { Cell::new(false) };
}

impl Process {
    /// The one that runs.
    pub fn current() -> Self {
        let id = if cfg!(target_family = "wasm") {
            0
        } else {
            std::process::id()
        };
        // No other process has the number of this one, and numbers are far from their end.
        Self(id ^ (u32::from(IS_FORKED.get()) << 31))
    }

    /// Whether it is the one that runs.
    pub fn is_current(self) -> bool {
        self == Self::current()
    }

    /// Passes in the process that it is.
    ///
    /// # Errors
    /// [`ConfigError::Forked`] in a child of it.
    pub fn check(self) -> Result<(), ConfigError> {
        if self.is_current() {
            Ok(())
        } else {
            Err(ConfigError::Forked)
        }
    }

    /// Runs `child` as if it were in a process that was forked just now. For tests, which cannot fork.
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
