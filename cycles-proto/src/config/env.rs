//! Configuration from environment variables.

use core::time::Duration;
use std::ffi::OsString;

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
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the core looks outside"
    )]
    pub fn from_env_with_prefix(prefix: &str) -> Result<Self, ConfigError> {
        Self::from_lookup(prefix, |name| std::env::var_os(name))
    }

    /// [`from_env_with_prefix`](Self::from_env_with_prefix) over any source of named values.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup<V: Into<OsString>>(
        prefix: &str,
        lookup: impl Fn(&str) -> Option<V>,
    ) -> Result<Self, ConfigError> {
        let vars = Variables {
            prefix,
            lookup: |name: &str| lookup(name).map(Into::into),
        };
        let base_url = vars.required("BASE_URL")?;
        let mut builder = Self::builder(vars.required("API_KEY")?, base_url);

        builder.subject.tenant = vars.text("TENANT")?;
        builder.subject.workspace = vars.text("WORKSPACE")?;
        builder.subject.app = vars.text("APP")?;
        builder.subject.workflow = vars.text("WORKFLOW")?;
        builder.subject.agent = vars.text("AGENT")?;
        builder.subject.toolset = vars.text("TOOLSET")?;
        vars.read("CONNECT_TIMEOUT", timeout, &mut builder.connect_timeout)?;
        vars.read("READ_TIMEOUT", timeout, &mut builder.read_timeout)?;
        vars.read("RETRY_ENABLED", boolean, &mut builder.retry.enabled)?;
        vars.read("RETRY_MAX_ATTEMPTS", count, &mut builder.retry.max_attempts)?;
        vars.read("RETRY_INITIAL_DELAY", duration, &mut builder.retry.initial_delay)?;
        vars.read("RETRY_MULTIPLIER", factor, &mut builder.retry.multiplier)?;
        vars.read("RETRY_MAX_DELAY", duration, &mut builder.retry.max_delay)?;
        vars.read("RETRY_FLUSH_TIMEOUT", duration, &mut builder.retry.flush_timeout)?;
        vars.read("JOURNAL_ENABLED", boolean, &mut builder.journal.enabled)?;
        builder.journal.dir = vars.set("JOURNAL_DIR").map(Into::into);
        builder.build().map_err(|error| vars.blamed(error))
    }
}

struct Variables<'a, F> {
    prefix: &'a str,
    lookup: F,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<'_, F> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The value, unless it is blank.
    fn set(&self, name: &str) -> Option<OsString> {
        (self.lookup)(&self.name(name)).filter(|value| !value.to_string_lossy().trim().is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let text = self.set(name).map(OsString::into_string).transpose();
        text.map_err(|_| self.malformed(name, "is not UTF-8"))
    }

    fn required(&self, name: &str) -> Result<String, ConfigError> {
        self.text(name)?
            .ok_or_else(|| ConfigError::Missing(self.name(name)))
    }

    fn malformed(&self, name: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Malformed {
            variable: self.name(name),
            problem: problem.into(),
        }
    }

    /// The error in terms of the variable that it comes from.
    fn blamed(&self, error: ConfigError) -> ConfigError {
        match &error {
            ConfigError::ApiKey(problem) => self.malformed("API_KEY", *problem),
            ConfigError::BaseUrl(problem) => self.malformed(
                "BASE_URL",
                format!("{problem}; it should look like http://localhost:7878"),
            ),
            ConfigError::Swapped => {
                let other = self.name("BASE_URL");
                self.malformed("API_KEY", format!("holds the URL and {other} the key: swap them"))
            }
            ConfigError::Subject(invalid) => match invalid.field().strip_prefix("subject.") {
                Some(level) => self.malformed(&level.to_uppercase(), invalid.problem()),
                None => error,
            },
            ConfigError::Missing(_)
            | ConfigError::Malformed { .. }
            | ConfigError::OutOfRange { .. }
            | ConfigError::Adapter(_) => error,
        }
    }

    /// Reads the variable into `target`, which keeps its default if the variable is not set.
    fn read<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, &'static str>,
        target: &mut T,
    ) -> Result<(), ConfigError> {
        if let Some(text) = self.text(name)? {
            *target = parse(text.trim()).map_err(|problem| self.malformed(name, problem))?;
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

fn timeout(text: &str) -> Result<Duration, &'static str> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than 0"),
        timeout => Ok(timeout),
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
