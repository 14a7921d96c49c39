//! What the examples have in common and is not their story: a server for the run, HTTP by hand, and how a program ends.
#![allow(clippy::print_stderr)]

pub mod http10;

use std::path::PathBuf;
use std::process::ExitCode;

use cycles_proto::CyclesConfig;
use cycles_sandbox::{Sandbox, SandboxBuilder};

/// Whatever stops an example.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The server and the journal of one example.
pub struct Scene {
    /// What calls go to.
    pub config: CyclesConfig,
    /// The server that was started for this run, if it is not yours. Dropped, it stops.
    pub sandbox: Option<Sandbox>,
}

impl Scene {
    /// As the environment says (`CYCLES_BASE_URL`, `CYCLES_API_KEY`, `CYCLES_TENANT`, …), or with a server for this
    /// run. The journal is in nobody's home.
    ///
    /// # Errors
    /// What is wrong with the environment, or kept the server from starting.
    pub fn new(example: &str) -> Result<Self, Failure> {
        Self::with(example, Sandbox::builder())
    }

    /// As [`new`](Self::new), with a server of this kind.
    ///
    /// # Errors
    /// As there.
    pub fn with(example: &str, server: SandboxBuilder) -> Result<Self, Failure> {
        Self::make(server, Some(journal(example)))
    }

    /// As [`new`](Self::new), but nothing is kept on disk.
    ///
    /// # Errors
    /// As there.
    pub fn without_journal() -> Result<Self, Failure> {
        Self::make(Sandbox::builder(), None)
    }

    fn make(server: SandboxBuilder, journal: Option<PathBuf>) -> Result<Self, Failure> {
        if std::env::var_os("CYCLES_BASE_URL").is_some() {
            let config = CyclesConfig::from_lookup("CYCLES_", |name| match (name, &journal) {
                ("CYCLES_JOURNAL_ENABLED", None) => Some("false".into()),
                ("CYCLES_JOURNAL_DIR", Some(journal)) => {
                    std::env::var_os(name).or_else(|| Some(journal.into()))
                }
                _ => std::env::var_os(name),
            })?;
            return Ok(Self {
                config,
                sandbox: None,
            });
        }
        let sandbox = server.start()?;
        let config = CyclesConfig::builder(sandbox.api_key(), sandbox.base_url())
            .tenant(sandbox.tenant())
            .journal_enabled(journal.is_some());
        let config = match journal {
            Some(journal) => config.journal_dir(journal),
            None => config,
        };
        Ok(Self {
            config: config.build()?,
            sandbox: Some(sandbox),
        })
    }
}

/// A place for the journal of one run of an example.
pub fn journal(example: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cycles-{example}-{}", std::process::id()))
}

/// What the process answers with; what stopped it is on the standard error.
pub fn end(example: &str, ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{example}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The examples of the project's README are compiled, so that they stay true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
