//! Configuration from environment variables.

use core::time::Duration;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{ConfigError, CyclesConfig, Mode, pasted};

/// The names of the variables, without the prefix.
pub(super) const NAMES: [&str; 22] = [
    "BASE_URL",
    "API_KEY",
    "MODE",
    "TENANT",
    "WORKSPACE",
    "APP",
    "WORKFLOW",
    "AGENT",
    "TOOLSET",
    "CONNECT_TIMEOUT",
    "READ_TIMEOUT",
    "RESERVE_TIMEOUT",
    "MAX_LEASE_AGE",
    "MAX_CONCURRENT_CALLS",
    "RETRY_ENABLED",
    "RETRY_MAX_ATTEMPTS",
    "RETRY_INITIAL_DELAY",
    "RETRY_MULTIPLIER",
    "RETRY_MAX_DELAY",
    "RETRY_FLUSH_TIMEOUT",
    "JOURNAL_ENABLED",
    "JOURNAL_DIR",
];

impl CyclesConfig {
    /// Reads the configuration from the `CYCLES_` environment variables.
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `CYCLES_BASE_URL` | the server's address | required |
    /// | `CYCLES_API_KEY` | the key | required |
    /// | `CYCLES_MODE` | `enforce`, or `shadow`: every action runs, and what the ledger would have decided is only reported; see [`Mode`] | enforce |
    /// | `CYCLES_TENANT`, `_WORKSPACE`, `_APP`, `_WORKFLOW`, `_AGENT`, `_TOOLSET` | subject defaults | none |
    /// | `CYCLES_CONNECT_TIMEOUT`, `CYCLES_READ_TIMEOUT` | timeouts | 2 s, 5 s |
    /// | `CYCLES_RESERVE_TIMEOUT` | the longest time of a reservation, with its repetition | twice both timeouts: 14 s |
    /// | `CYCLES_MAX_LEASE_AGE` | when the heartbeat of a running action ends | never |
    /// | `CYCLES_MAX_CONCURRENT_CALLS` | how many attempts are made at the same time | 64 |
    /// | `CYCLES_RETRY_ENABLED` | whether calls are repeated | true |
    /// | `CYCLES_RETRY_MAX_ATTEMPTS` | repetitions after the first attempt | 5 |
    /// | `CYCLES_RETRY_INITIAL_DELAY`, `CYCLES_RETRY_MAX_DELAY` | waits | 500 ms, 30 s |
    /// | `CYCLES_RETRY_MULTIPLIER` | growth of the waits | 2.0 |
    /// | `CYCLES_RETRY_FLUSH_TIMEOUT` | how long a flush waits | 10 s |
    /// | `CYCLES_JOURNAL_ENABLED` | whether unsettled costs are kept on disk | true |
    /// | `CYCLES_JOURNAL_DIR` | where they are kept | `~/.runcycles/commit-journal` |
    ///
    /// Durations are written as `500ms`, `2s` or `0.5s`. A plain number of 1000 or more is in milliseconds, as in the
    /// TypeScript client; a smaller one other than 0 is refused, because it may be in seconds, as in the Python client.
    /// An empty variable counts as not set. A leading `~/` in the directory is the user's home directory.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed. No malformed value is silently replaced by a default.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_env_with_prefix("CYCLES_")
    }

    /// Reads variables with another prefix: `MYAPP_` reads `MYAPP_BASE_URL` and so on. See
    /// [`from_env`](Self::from_env).
    ///
    /// # Errors
    /// The same as for [`from_env`](Self::from_env).
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place where the core reads the environment"
    )]
    pub fn from_env_with_prefix(prefix: &str) -> Result<Self, ConfigError> {
        Self::from_lookup(prefix, |name| std::env::var_os(name))
    }

    /// Reads the variables from any source of named values. See [`from_env`](Self::from_env).
    ///
    /// # Errors
    /// The same as for [`from_env`](Self::from_env).
    pub fn from_lookup<V: Into<OsString>>(
        prefix: &str,
        lookup: impl Fn(&str) -> Option<V>,
    ) -> Result<Self, ConfigError> {
        let vars = Variables {
            prefix,
            lookup: |name: &str| lookup(name).map(Into::into),
        };
        let base_url = vars.required("BASE_URL")?;
        let api_key = vars.required("API_KEY")?;
        if let Some(problem) = pasted::as_an_example(&api_key) {
            return Err(vars.malformed("API_KEY", problem));
        }
        let mut builder = Self::builder(api_key, base_url);

        vars.read("MODE", mode, &mut builder.settings.mode)?;
        builder.settings.tenant = vars.name_in("TENANT")?;
        builder.settings.workspace = vars.name_in("WORKSPACE")?;
        builder.settings.app = vars.name_in("APP")?;
        builder.settings.workflow = vars.name_in("WORKFLOW")?;
        builder.settings.agent = vars.name_in("AGENT")?;
        builder.settings.toolset = vars.name_in("TOOLSET")?;
        vars.read("CONNECT_TIMEOUT", timeout, &mut builder.settings.connect_timeout)?;
        vars.read("READ_TIMEOUT", timeout, &mut builder.settings.read_timeout)?;
        vars.read("RESERVE_TIMEOUT", limit, &mut builder.settings.reserve_timeout)?;
        vars.read("MAX_LEASE_AGE", limit, &mut builder.settings.max_lease_age)?;
        vars.read(
            "MAX_CONCURRENT_CALLS",
            at_least_one,
            &mut builder.settings.max_concurrent_calls,
        )?;
        vars.read("RETRY_ENABLED", boolean, &mut builder.settings.retry_enabled)?;
        vars.read(
            "RETRY_MAX_ATTEMPTS",
            count,
            &mut builder.settings.retry_max_attempts,
        )?;
        vars.read(
            "RETRY_INITIAL_DELAY",
            duration,
            &mut builder.settings.retry_initial_delay,
        )?;
        vars.read("RETRY_MULTIPLIER", factor, &mut builder.settings.retry_multiplier)?;
        vars.read("RETRY_MAX_DELAY", duration, &mut builder.settings.retry_max_delay)?;
        vars.read(
            "RETRY_FLUSH_TIMEOUT",
            duration,
            &mut builder.settings.retry_flush_timeout,
        )?;
        vars.read("JOURNAL_ENABLED", boolean, &mut builder.settings.journal_enabled)?;
        builder.settings.journal_dir = vars.directory("JOURNAL_DIR")?;
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

    /// The variable's value, unless it is blank.
    fn set(&self, name: &str) -> Option<OsString> {
        (self.lookup)(&self.name(name)).filter(|value| !value.to_string_lossy().trim().is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let text = self.set(name).map(OsString::into_string).transpose();
        text.map_err(|_| self.malformed(name, "is not UTF-8"))
    }

    /// The name of one of the subject's levels.
    fn name_in(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let text = self.text(name)?;
        match text.as_deref().and_then(pasted::along_with) {
            Some(problem) => Err(self.malformed(name, problem)),
            None => Ok(text),
        }
    }

    /// A path, which need not be UTF-8.
    fn directory(&self, name: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(path) = self.set(name) else {
            return Ok(None);
        };
        let text = path.to_string_lossy();
        match pasted::along_with_directory(&text) {
            Some(problem) => Err(self.malformed(name, problem)),
            None => Ok(Some(path.into())),
        }
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

    /// Rewords the error in terms of the variable that caused it.
    fn blamed(&self, error: ConfigError) -> ConfigError {
        match &error {
            ConfigError::ApiKey(problem) => self.malformed("API_KEY", *problem),
            ConfigError::BaseUrl(problem) => self.malformed(
                "BASE_URL",
                format!("{problem}; it should look like http://localhost:7878"),
            ),
            ConfigError::BaseUrlWithPath(right) => self.malformed(
                "BASE_URL",
                format!("must end before /v1, which the client adds itself: use {right}"),
            ),
            ConfigError::Swapped => {
                let other = self.name("BASE_URL");
                self.malformed(
                    "API_KEY",
                    format!("contains the URL, and {other} contains the key: swap them"),
                )
            }
            ConfigError::Subject(invalid) => match invalid.field().strip_prefix("subject.") {
                Some(level) => self.malformed(&level.to_uppercase(), invalid.problem()),
                None => error,
            },
            ConfigError::Missing(_)
            | ConfigError::Malformed { .. }
            | ConfigError::OutOfRange { .. }
            | ConfigError::Forked
            | ConfigError::OtherServer
            | ConfigError::Adapter(_) => error,
        }
    }

    /// Reads the variable into `target`, which keeps its default if the variable is not set.
    fn read<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, String>,
        target: &mut T,
    ) -> Result<(), ConfigError> {
        if let Some(text) = self.text(name)? {
            let text = text.trim();
            let parsed = match pasted::along_with(text) {
                Some(problem) => Err(problem.to_owned()),
                None => parse(text),
            };
            *target = parsed.map_err(|problem| self.malformed(name, problem))?;
        }
        Ok(())
    }
}

/// Parses a number and its unit. Without a unit, one client would read it as seconds and another as milliseconds, so
/// only a number that must mean milliseconds is accepted.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let duration = match (decimal(number), unit) {
        (Some((0, 0)), "") => Some(Duration::ZERO),
        (Some((whole, _)), "") if number.contains('.') || whole < 1000 => {
            let number = match number.split_once('.') {
                Some((whole, decimals)) if decimals.bytes().all(|digit| digit == b'0') => whole,
                _ => number,
            };
            return Err(format!(
                "has no unit, and {number} could be seconds or milliseconds: write {number}s or {number}ms"
            ));
        }
        (Some((whole, billionths)), "ms" | "") => {
            // Clocks do not resolve billionths of a millisecond.
            Duration::from_millis(whole).checked_add(Duration::from_nanos(u64::from(billionths / 1000)))
        }
        (Some((whole, billionths)), "s") => Some(Duration::new(whole, billionths)),
        _ => None,
    };
    duration.ok_or_else(|| "is not a duration: write 500ms, 2s or 0.5s".to_owned())
}

/// Parses a decimal number into its whole part and its decimals in billionths.
fn decimal(text: &str) -> Option<(u64, u32)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || decimals.contains('.') {
        return None;
    }
    let nine = format!("{decimals:0<9}");
    Some((whole.parse().ok()?, nine.get(..9)?.parse().ok()?))
}

fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        timeout => Ok(timeout),
    }
}

fn limit(text: &str) -> Result<Option<Duration>, String> {
    timeout(text).map(Some)
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::named(text).ok_or_else(|| "must be enforce or shadow".to_owned())
}

fn count(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "must be a whole number, 0 or more".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number, 1 or more".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 1.0 => Ok(factor),
        _ => Err("must be a number, 1 or more".to_owned()),
    }
}

#[cfg(test)]
mod tests;
