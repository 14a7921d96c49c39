//! Without an observer, the log at its default level reports every cost that is left to a person.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::alone::ran_elsewhere;
use crate::executor::current_thread;
use crate::scene::{PATIENCE, Scene};
use cycles_conformance::{commit, request};
use cycles_host::Journal;
use cycles_tokio::models::{Action, Amount, CommitRequest, CyclesMetrics, Subject};
use cycles_tokio::proto::journal::JournalWrite;
use cycles_tokio::proto::record::{JournalRecord, Purpose};
use cycles_tokio::{Mode, Receipt, UnixMillis, WithCyclesConfig, with_cycles};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log of this process, at its default level.
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    #[track_caller]
    fn assert_warns(&self, words: [&str; 2]) {
        let text = self.text();
        let is_told = |line: &str| {
            let is_loud = line.contains(" WARN ") || line.contains("ERROR ");
            is_loud && words.iter().all(|word| line.contains(word))
        };
        assert!(text.lines().any(is_told), "{words:?} in\n{text}");
    }
}

/// In a process of its own, which has one log.
#[test]
fn a_cost_that_is_left_to_a_person_is_in_the_log() {
    if ran_elsewhere("log::a_cost_that_is_left_to_a_person_is_in_the_log") {
        return;
    }
    let log = Log::start();
    let scene = Scene::new();
    let client = scene.client();

    // A file that is not a record any more, and a record that is too old to be sent without the risk that it counts twice.
    let journal = Journal::open(&client.config().clone().check().unwrap());
    let week_ago = SystemTime::now() - Duration::from_secs(7 * 86_400);
    let old = JournalRecord::new(
        &scene.sandbox.base_url(),
        &"r-old".into(),
        &Arc::new(Purpose {
            subject: Subject::tenant("acme-corp"),
            action: Action::new("llm.completion", "gpt-4o"),
        }),
        "key-old".into(),
        CommitRequest::builder().actual(Amount::tokens(5)).build(),
        UnixMillis::from(week_ago),
    );
    let old = old.unwrap().into_event().unwrap();
    journal.apply(JournalWrite::Put(old)).unwrap();
    std::fs::write(journal.dir().unwrap().join("v2-torn.json"), "{").unwrap();

    let refused = current_thread().block_on(async {
        let left = client.flush(PATIENCE).await.unwrap();
        assert!(left.set_aside == 2 && !left.is_complete(), "{left:?}");
        // A reservation that another caller released while it was spent.
        let guard = client.reserve(request(10)).await.unwrap();
        let id = guard.reservation_id().clone();
        client
            .release_reservation(&id, &Default::default())
            .await
            .unwrap();
        let receipt = guard.commit(commit(5)).until_settled().await;
        assert!(!receipt.is_ok_and(|receipt| matches!(receipt, Receipt::Committed(_))));
        id
    });
    log.assert_warns(["v2-torn.corrupt", "cut off"]);
    log.assert_warns(["r-old", ".stale"]);
    log.assert_warns([refused.as_str(), ".rejected"]);
}

/// In a process of its own, which has one log.
#[test]
fn an_action_runs_in_a_span_with_its_model_and_a_denial_says_who_wanted_what() {
    if ran_elsewhere("log::an_action_runs_in_a_span_with_its_model_and_a_denial_says_who_wanted_what") {
        return;
    }
    let log = Log::start();
    let scene = Scene::new();
    let client = scene.client();
    let config = |tokens| WithCyclesConfig::new(Amount::tokens(tokens)).action("llm.completion", "gpt-4o");
    let (done, denied) = current_thread().block_on(async {
        let done = with_cycles(&client, config(100), async |ctx| {
            ctx.set_metrics(CyclesMetrics {
                tokens_input: Some(12),
                ..Default::default()
            });
            tokio::task::yield_now().await;
            tracing::info!("inside");
            Ok(((), Amount::tokens(5)))
        });
        let done = done.await;
        tracing::info!("outside");
        (
            done,
            with_cycles(&client, config(i64::MAX), async |_| Ok(((), Amount::tokens(5)))).await,
        )
    });
    assert!(done.is_ok() && denied.unwrap_err().is_denied());
    let text = log.text();
    let line = |word: &str| {
        text.lines()
            .find(|line| line.contains(word))
            .unwrap_or_else(|| panic!("{word}: {text}"))
    };
    for part in [
        "cycles.action{",
        "gen_ai.operation.name=\"chat\"",
        "gen_ai.request.model=\"gpt-4o\"",
        "cycles.subject.tenant=\"acme-corp\"",
    ] {
        assert!(line("inside").contains(part), "{part}: {text}");
    }
    assert!(!line("outside").contains("cycles.action"), "{text}");
    let denial = line("event=\"denied\"");
    assert!(
        denial.contains(" INFO ") && denial.contains("cycles: denied"),
        "{denial}"
    );
    assert!(
        denial.contains("of=9223372036854775807 TOKENS, llm.completion gpt-4o, tenant:acme-corp"),
        "{denial}"
    );
    assert!(
        !text.contains("event=\"committed\""),
        "the usual course is at debug level: {text}"
    );
}

/// In a process of its own, which has one log.
#[test]
fn shadow_mode_is_a_warning_at_the_start_and_so_is_what_would_have_been_denied() {
    if ran_elsewhere("log::shadow_mode_is_a_warning_at_the_start_and_so_is_what_would_have_been_denied") {
        return;
    }
    let log = Log::start();
    let scene = Scene::new();
    let client = scene.builder().mode(Mode::Shadow).build();
    log.assert_warns(["shadow mode", "CYCLES_MODE=shadow"]);
    let config = |tokens| WithCyclesConfig::new(Amount::tokens(tokens)).action("llm.completion", "gpt-4o");
    current_thread().block_on(async {
        for tokens in [100, i64::MAX] {
            let run = with_cycles(&client, config(tokens), async |_| Ok(((), Amount::tokens(5))));
            run.await.unwrap();
        }
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        scene.inject("reserve:503");
        let run = with_cycles(&client, config(100), async |_| Ok(((), Amount::tokens(6))));
        run.await.unwrap();
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    });
    log.assert_warns(["shadow_started", "nothing is denied"]);
    log.assert_warns(["would have been denied", "reason=\"BUDGET_EXCEEDED\""]);
    log.assert_warns(["would have been denied", "scopes=\"tenant:acme-corp\""]);
    log.assert_warns(["would have been denied", "actual=5 TOKENS"]);
    log.assert_warns(["is not known", "actual=6 TOKENS"]);
    let text = log.text();
    assert_eq!(text.matches("shadow_started").count(), 1, "{text}");
    assert!(
        !text.contains("would have been allowed"),
        "at debug level: {text}"
    );
}
