//! The error of a guarded action.

use core::fmt;
use std::error::Error as StdError;
use std::sync::Arc;

/// The error of a guarded action, as the action returned it.
#[derive(Clone, Debug)]
pub struct ActionError(Arc<dyn StdError + Send + Sync>);

impl ActionError {
    /// The action's own error, to inspect or downcast.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl From<Box<dyn StdError + Send + Sync>> for ActionError {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for ActionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
