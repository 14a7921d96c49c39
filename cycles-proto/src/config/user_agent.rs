//! The `User-Agent` of every request.

use http::HeaderValue;

use super::CyclesConfig;

impl CyclesConfig {
    /// Returns the same configuration with the adapter's name in the `User-Agent`.
    #[must_use]
    pub fn for_adapter(mut self, adapter: &'static str) -> Self {
        let text = format!("cycles-rust/{} ({adapter})", env!("CARGO_PKG_VERSION"));
        if let Ok(value) = HeaderValue::try_from(text) {
            self.user_agent = value;
        }
        self
    }
}
