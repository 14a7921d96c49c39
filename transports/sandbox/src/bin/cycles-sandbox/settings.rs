//! What a client needs to reach the sandbox, in the forms in which clients read it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cycles_sandbox::Sandbox;

use crate::args::Format;

/// The settings of a client.
#[derive(Clone)]
pub(crate) struct Settings {
    base_url: String,
    api_key: String,
    tenant: String,
    admin_url: Option<String>,
    /// URL and key of the control plane.
    control: Option<(String, String)>,
    page_url: Option<String>,
}

impl Settings {
    /// All variables that it may set.
    pub(crate) const NAMES: [&str; 7] = [
        "CYCLES_BASE_URL",
        "CYCLES_API_KEY",
        "CYCLES_TENANT",
        "CYCLES_SANDBOX_ADMIN_URL",
        "CYCLES_SANDBOX_CONTROL_URL",
        "CYCLES_SANDBOX_CONTROL_KEY",
        "CYCLES_SANDBOX_PAGE_URL",
    ];

    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self {
            base_url: sandbox.base_url(),
            api_key: sandbox.api_key().to_owned(),
            tenant: sandbox.tenant().to_owned(),
            admin_url: sandbox.admin_url(),
            control: sandbox
                .control_url()
                .zip(sandbox.control_key().map(str::to_owned)),
            page_url: sandbox.page_url(),
        }
    }

    /// The variables that clients read.
    pub(crate) fn variables(&self) -> Vec<(&'static str, &str)> {
        let mut variables = vec![
            ("CYCLES_BASE_URL", self.base_url.as_str()),
            ("CYCLES_API_KEY", &self.api_key),
            ("CYCLES_TENANT", &self.tenant),
        ];
        if let Some(url) = &self.admin_url {
            variables.push(("CYCLES_SANDBOX_ADMIN_URL", url));
        }
        if let Some((url, key)) = &self.control {
            variables.push(("CYCLES_SANDBOX_CONTROL_URL", url));
            variables.push(("CYCLES_SANDBOX_CONTROL_KEY", key));
        }
        if let Some(url) = &self.page_url {
            variables.push(("CYCLES_SANDBOX_PAGE_URL", url));
        }
        variables
    }

    /// The text for standard output.
    pub(crate) fn text(&self, format: Format) -> String {
        match format {
            Format::Shell => self.lines("export "),
            Format::Json => {
                let object = serde_json::json!({
                    "base_url": self.base_url,
                    "api_key": self.api_key,
                    "tenant": self.tenant,
                    "admin_url": self.admin_url,
                    "control_url": self.control.as_ref().map(|(url, _)| url),
                    "control_key": self.control.as_ref().map(|(_, key)| key),
                    "page_url": self.page_url,
                    "pid": std::process::id(),
                });
                format!("{object}\n")
            }
        }
    }

    fn lines(&self, before: &str) -> String {
        let variables = self.variables().into_iter();
        let lines = variables.map(|(name, value)| match name {
            // A URL of this program needs no quotes.
            name if name.ends_with("_URL") => format!("{before}{name}={value}\n"),
            name => format!("{before}{name}={}\n", quoted(value)),
        });
        lines.collect()
    }

    /// Writes the file, which then has all lines at once. Only its owner can read it, because it contains a key.
    ///
    /// # Errors
    /// If it cannot be written. The error names the file.
    pub(crate) fn write_to(&self, file: &Path) -> io::Result<()> {
        let parts = with_ending(file, ".tmp");
        let mut options = std::fs::File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options
            .open(&parts)
            .and_then(|mut open| open.write_all(self.lines("").as_bytes()))
            .and_then(|()| std::fs::rename(&parts, file));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&parts);
            cannot("write", file, "--env-file", &error)
        })
    }
}

/// Removes the file of an earlier run, so that whoever waits for it does not read that.
///
/// # Errors
/// If it is there and cannot be removed. The error names the file.
pub(crate) fn remove_old(file: &Path) -> io::Result<()> {
    // A device or a pipe is no file of an earlier run.
    if std::fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "it is there, and not a regular file");
        return Err(cannot("replace", file, "--env-file", &problem));
    }
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(cannot("replace", file, "--env-file", &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn cannot(what: &str, file: &Path, flag: &str, error: &io::Error) -> io::Error {
    let text = format!("cannot {what} {} ({flag}): {error}", file.display());
    io::Error::new(error.kind(), text)
}

/// The file that a link leads to.
pub(crate) fn meant(file: PathBuf) -> PathBuf {
    std::fs::canonicalize(&file).unwrap_or(file)
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    name.into()
}

/// Returns `text` as one word for a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(quoted("cyc_live_a-b.1"), "cyc_live_a-b.1");
        assert_eq!(quoted("a$b"), "'a$b'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
