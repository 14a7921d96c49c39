//! Helpers that the examples share: a server for the run, HTTP by hand, a balance, and the exit code.
#![allow(clippy::print_stderr)]

pub mod http10;

use std::path::PathBuf;
use std::process::ExitCode;

use cycles_proto::CyclesConfig;
use cycles_proto::models::{Balance, BalanceParams, Unit};
use cycles_sandbox::{Sandbox, SandboxBuilder};
use cycles_tokio::CyclesClient;

/// Any error that ends an example.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The server and the journal of one example.
pub struct Scene {
    /// The client's configuration.
    pub config: CyclesConfig,
    /// The server that was started for this run; `None` if the example uses yours. Dropping it stops the server.
    pub sandbox: Option<Sandbox>,
}

impl Scene {
    /// Reads the environment (`CYCLES_BASE_URL`, `CYCLES_API_KEY`, `CYCLES_TENANT`, …), or starts a server for this
    /// run. The journal is in a temporary directory unless `CYCLES_JOURNAL_DIR` names another.
    ///
    /// # Errors
    /// If a variable is invalid, or the server cannot start.
    pub fn new(example: &str) -> Result<Self, Failure> {
        Self::with(example, Sandbox::builder())
    }

    /// Does the same as [`new`](Self::new), but starts the given server.
    ///
    /// # Errors
    /// The same as those of [`new`](Self::new).
    pub fn with(example: &str, server: SandboxBuilder) -> Result<Self, Failure> {
        Self::make(server, Some(journal(example)))
    }

    /// Does the same as [`new`](Self::new), but without a journal on disk.
    ///
    /// # Errors
    /// The same as those of [`new`](Self::new).
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

/// A directory for the journal of one run of an example.
pub fn journal(example: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cycles-{example}-{}", std::process::id()))
}

/// Asks for the balance of the tenant's own budget in this unit.
///
/// # Errors
/// If the balance cannot be fetched, or the tenant has no such budget.
pub async fn own_balance(client: &CyclesClient, unit: Unit) -> Result<Balance, Failure> {
    let tenant = client.config().tenant.clone();
    let tenant = tenant.ok_or("CYCLES_TENANT is not set: it names the tenant whose budget to use")?;
    let scope = format!("tenant:{tenant}").to_lowercase();
    let params = BalanceParams {
        tenant: Some(tenant),
        ..Default::default()
    };
    let mut balances = client.get_balances(&params).await?.balances.into_iter();
    let own = balances.find(|balance| balance.scope_path == scope && balance.remaining.unit == unit);
    own.ok_or_else(|| format!("the tenant has no budget of {unit}").into())
}

/// The amount that the tenant's own budget of tokens has spent so far.
///
/// # Errors
/// The same as those of [`own_balance`].
pub async fn spent_tokens(client: &CyclesClient) -> Result<i64, Failure> {
    let own = own_balance(client, Unit::Tokens).await?;
    Ok(own.spent.map_or(0, |spent| spent.amount))
}

/// Returns the exit code of the process, after printing the error, if there is one, to standard error.
pub fn end(example: &str, ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{example}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compiles the code in the project's README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
