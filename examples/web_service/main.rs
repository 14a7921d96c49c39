//! A web service on axum that calls a model for three tenants, each with its own key and budget, on one client. It can be
//! stopped at any time with SIGTERM or Ctrl-C: requests that run are answered, and every cost is in the ledger before the process ends.
//!
//! `cargo run -p cycles-examples --features web --bin web_service` needs no setup: it starts its own Cycles server. Then
//! `curl -d 'What is a budget for?' http://127.0.0.1:8080/ask/acme` asks, and `curl http://127.0.0.1:8080/metrics` shows
//! what was charged. Set `CYCLES_BASE_URL` and `WEB_TENANTS=acme=cyc_live_...,globex=cyc_live_...` to use your own server,
//! and `WEB_ADDRESS` to listen elsewhere.
#![allow(clippy::print_stdout)]

mod model;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use cycles_examples::{Failure, end, journal};
use cycles_sandbox::{ApiKey, Budget, Sandbox};
use cycles_tokio::models::{Amount, CommitOveragePolicy};
use cycles_tokio::{
    Close, CyclesClient, CyclesConfig, Error, NotCompleted, WithCyclesConfig, try_with_cycles,
};
use tokio::net::TcpListener;

/// How long requests may still run after the signal, and how long the costs then have. Together they have to be shorter
/// than the time until the process is killed, which is 30 s on Kubernetes.
const DRAIN: Duration = Duration::from_secs(4);
const CLOSE: Duration = Duration::from_secs(25);

/// The most that one answer may cost.
const ESTIMATE: i64 = 400;

#[tokio::main]
async fn main() -> ExitCode {
    end("web_service", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let (_sandbox, tenants) = tenants()?;
    let service = Arc::new(tenants);

    let app = Router::new()
        .route("/ask/{tenant}", post(ask))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(&service));
    // Before the address is printed: whoever reads it may send a signal at once.
    let mut stop = Stop::listen()?;
    let address = std::env::var("WEB_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // axum accepts no more connections after the signal, and answers the requests that run.
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let deadline = async {
        stop.wait().await;
        println!("stopping");
        let _ = stopping.send(());
        // A request that hangs must not use up the time that the costs need.
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving.into_future() => served?,
        () = deadline => {}
    }

    // Nothing new is reserved from here on, for any tenant. Actions that still run end, and every cost is settled or on
    // disk.
    let left = service.client.close(Close::WhenDone, CLOSE).await?;
    print!("{}", service.client.stats().to_prometheus());
    println!("left: {left:?}");
    if !left.is_complete() {
        println!("The next run settles what is left in the journal.");
    }
    Ok(())
}

/// The tenants, whose clients share connections, timers and the thread of one client.
struct Tenants {
    client: CyclesClient,
    by_name: BTreeMap<String, CyclesClient>,
}

/// Answers a question at the tenant's expense.
async fn ask(
    State(tenants): State<Arc<Tenants>>,
    Path(name): Path<String>,
    question: String,
) -> Result<String, (StatusCode, String)> {
    let unknown = || (StatusCode::NOT_FOUND, format!("no tenant is called {name}\n"));
    let client = tenants.by_name.get(&name).ok_or_else(unknown)?;
    let config = WithCyclesConfig::new(Amount::tokens(ESTIMATE))
        .action("llm.completion", "parrot-1")
        .overage_policy(CommitOveragePolicy::AllowIfAvailable)
        // No answer takes that long: an action that hangs gives its budget back.
        .max_lease_age(Duration::from_secs(300));
    let answering = try_with_cycles(client, config, async |ctx| {
        // The prompt is paid for, even if the reader leaves before the answer is complete.
        ctx.spent(&Amount::tokens(model::tokens(&question)))?;
        let (answer, tokens) = model::answer(&question).await?;
        Ok::<_, Failure>((answer, Amount::tokens(tokens)))
    });
    match answering.await {
        Ok(completed) => Ok(completed.value),
        Err(NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error)) => {
            Err((status(&error), format!("{error}\n")))
        }
        Err(other) => Err((StatusCode::BAD_GATEWAY, format!("{other}\n"))),
    }
}

fn status(error: &Error) -> StatusCode {
    if error.is_denied() {
        StatusCode::PAYMENT_REQUIRED
    } else if matches!(error, Error::Closed | Error::Stopped(_)) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::BAD_GATEWAY
    }
}

/// What each tenant was granted, denied and charged, in the format of Prometheus.
async fn metrics(State(tenants): State<Arc<Tenants>>) -> String {
    tenants.client.stats().to_prometheus()
}

/// Your tenants, or three on a server for this run.
fn tenants() -> Result<(Option<Sandbox>, Tenants), Failure> {
    let (sandbox, keys) = match std::env::var("WEB_TENANTS") {
        Ok(keys) => (None, keys),
        Err(_) => {
            let sandbox = sandbox()?;
            let keys = NAMES.map(|name| format!("{name}={}", key(name))).join(",");
            (Some(sandbox), keys)
        }
    };
    let keys = keys.split(',').map(|pair| pair.split_once('='));
    let keys: Vec<_> = keys
        .collect::<Option<_>>()
        .ok_or("WEB_TENANTS is a list of tenant=key")?;
    let &[(first, first_key), ..] = &*keys else {
        return Err("WEB_TENANTS is empty".into());
    };
    let config = CyclesConfig::from_lookup("CYCLES_", |variable| match (variable, &sandbox) {
        ("CYCLES_API_KEY", _) => Some(first_key.into()),
        ("CYCLES_TENANT", _) => Some(first.into()),
        ("CYCLES_BASE_URL", Some(sandbox)) => Some(sandbox.base_url().into()),
        ("CYCLES_JOURNAL_DIR", Some(_)) => {
            let given = std::env::var_os(variable);
            given.or_else(|| Some(journal("web_service").into_os_string()))
        }
        _ => std::env::var_os(variable),
    });
    let client = CyclesClient::new(config?);
    let by_name = keys.into_iter().map(|(name, key)| {
        let client = client.with_credentials(key, name)?;
        Ok((name.to_owned(), client))
    });
    let by_name = by_name.collect::<Result<_, Error>>()?;
    Ok((sandbox, Tenants { client, by_name }))
}

const NAMES: [&str; 3] = ["acme", "globex", "initech"];

fn key(name: &str) -> String {
    format!("cyc_live_{name}_0123456789abcdef")
}

fn sandbox() -> std::io::Result<Sandbox> {
    let add = |server: cycles_sandbox::SandboxBuilder, name| {
        let scope = format!("tenant:{name}");
        server.api_key(ApiKey::new(key(name), name)).budget(Budget::new(
            scope,
            cycles_sandbox::Unit::Tokens,
            100_000,
        ))
    };
    NAMES.into_iter().fold(Sandbox::builder(), add).start()
}

/// The signals that stop the service.
struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
