//! Configuration from environment variables.

use core::time::Duration;

use super::{ConfigError, CyclesConfig};

impl CyclesConfig {
    /// The configuration that the `CYCLES_` variables describe.
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `CYCLES_BASE_URL` | the server's address | required |
    /// | `CYCLES_API_KEY` | the key | required |
    /// | `CYCLES_TENANT`, `_WORKSPACE`, `_APP`, `_WORKFLOW`, `_AGENT`, `_TOOLSET` | subject defaults | none |
    /// | `CYCLES_CONNECT_TIMEOUT`, `CYCLES_READ_TIMEOUT` | time-outs | 2 s, 5 s |
    /// | `CYCLES_RETRY_ENABLED` | whether calls are repeated | true |
    /// | `CYCLES_RETRY_MAX_ATTEMPTS` | repetitions after the first attempt | 5 |
    /// | `CYCLES_RETRY_INITIAL_DELAY`, `CYCLES_RETRY_MAX_DELAY` | waits | 500 ms, 30 s |
    /// | `CYCLES_RETRY_MULTIPLIER` | growth of the waits | 2.0 |
    /// | `CYCLES_RETRY_FLUSH_TIMEOUT` | how long a flush waits | 10 s |
    /// | `CYCLES_JOURNAL_ENABLED` | whether unsettled costs are kept on disk | true |
    /// | `CYCLES_JOURNAL_DIR` | where | `~/.runcycles/commit-journal` |
    ///
    /// Durations are `500ms` or `2s`; a plain number is milliseconds. An empty variable counts as not set.
    ///
    /// # Errors
    /// A variable that is missing or malformed, by its name. Nothing is replaced by a default silently.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_env_with_prefix("CYCLES_")
    }

    /// [`from_env`](Self::from_env) with other names: `MYAPP_` reads `MYAPP_BASE_URL` and so on.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_env_with_prefix(prefix: &str) -> Result<Self, ConfigError> {
        Self::from_lookup(prefix, |name| {
            Some(std::env::var_os(name)?.to_string_lossy().into_owned())
        })
    }

    /// [`from_env_with_prefix`](Self::from_env_with_prefix) over any source of named values.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(prefix: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let vars = Variables { prefix, lookup };
        let required = |name| {
            vars.text(name)
                .ok_or_else(|| ConfigError::Missing(vars.name(name)))
        };
        let base_url = required("BASE_URL")?;
        let mut builder = Self::builder(required("API_KEY")?, base_url);

        builder.subject.tenant = vars.text("TENANT");
        builder.subject.workspace = vars.text("WORKSPACE");
        builder.subject.app = vars.text("APP");
        builder.subject.workflow = vars.text("WORKFLOW");
        builder.subject.agent = vars.text("AGENT");
        builder.subject.toolset = vars.text("TOOLSET");
        vars.read("CONNECT_TIMEOUT", duration, &mut builder.connect_timeout)?;
        vars.read("READ_TIMEOUT", duration, &mut builder.read_timeout)?;
        vars.read("RETRY_ENABLED", boolean, &mut builder.retry.enabled)?;
        vars.read("RETRY_MAX_ATTEMPTS", count, &mut builder.retry.max_attempts)?;
        vars.read("RETRY_INITIAL_DELAY", duration, &mut builder.retry.initial_delay)?;
        vars.read("RETRY_MULTIPLIER", factor, &mut builder.retry.multiplier)?;
        vars.read("RETRY_MAX_DELAY", duration, &mut builder.retry.max_delay)?;
        vars.read("RETRY_FLUSH_TIMEOUT", duration, &mut builder.retry.flush_timeout)?;
        vars.read("JOURNAL_ENABLED", boolean, &mut builder.journal.enabled)?;
        builder.journal.dir = vars.text("JOURNAL_DIR").map(Into::into);
        builder.build()
    }
}

struct Variables<'a, F> {
    prefix: &'a str,
    lookup: F,
}

impl<F: Fn(&str) -> Option<String>> Variables<'_, F> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(&self.name(name)).filter(|value| !value.trim().is_empty())
    }

    /// Reads the variable into `target`, which keeps its default if the variable is not set.
    fn read<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, &'static str>,
        target: &mut T,
    ) -> Result<(), ConfigError> {
        if let Some(text) = self.text(name) {
            *target = parse(text.trim()).map_err(|problem| ConfigError::Malformed {
                variable: self.name(name),
                problem: problem.to_owned(),
            })?;
        }
        Ok(())
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "ms"),
    };
    let number = digits.parse::<u64>();
    match (number, unit) {
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        _ => Err("is no duration: write 500ms or 2s; a plain whole number is milliseconds"),
    }
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true nor false"),
    }
}

fn count(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "is no whole number of 0 or more")
}

fn factor(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 1.0 => Ok(factor),
        _ => Err("is no number of 1 or more"),
    }
}
