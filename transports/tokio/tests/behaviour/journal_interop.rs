//! Records that cross from one SDK to another: those of the Python SDK are settled with the bytes that they hold,
//! and it settles ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::executor::current_thread;
use crate::scene::{PATIENCE, Scene};
use crate::support::{KEY, Scripted, http};
use cycles_conformance::{TempDir, commit, files, python_with_sdk, request};
use cycles_tokio::models::{Amount, CyclesMetrics};
use cycles_tokio::proto::record::{JournalRecord, Mode, waiting_file_name};
use cycles_tokio::{CyclesClient, CyclesConfig, OnError, Receipt, RunConfig, UnixMillis};

const PYTHON_RECORDS: [&str; 3] = [
    include_str!("../../../host/tests/data/journal/python-commit.json"),
    include_str!("../../../host/tests/data/journal/python-event.json"),
    include_str!("../../../host/tests/data/journal/python-429.json"),
];

/// What each of them cost is charged.
const PAID: &str = r#"{"status":"COMMITTED","charged":{"unit":"USD_MICROCENTS","amount":420}}"#;

#[test]
fn records_of_the_python_sdk_are_settled_with_the_bytes_that_they_hold() {
    let server = Scripted::start(|connection| {
        while let Some(request) = connection.read_request() {
            let is_event = request.starts_with("POST /v1/events ");
            connection.write(match is_event {
                true => http(201, "", r#"{"status":"APPLIED","event_id":"e-1"}"#),
                false => http(200, "", PAID),
            });
        }
    });
    let dir = TempDir::new();
    let config = CyclesConfig::builder(KEY, &server.url)
        .tenant("acme")
        .journal_dir(dir.path());
    let config = config.build().unwrap();
    let folder = cycles_host::Journal::open(&config).dir().unwrap().to_owned();
    fs::create_dir_all(&folder).unwrap();
    for (number, text) in PYTHON_RECORDS.into_iter().enumerate() {
        fs::write(
            folder.join(format!("record-{number}.json")),
            as_of_now(text, &server.url),
        )
        .unwrap();
    }
    let flushed = current_thread()
        .block_on(CyclesClient::new(config).flush(PATIENCE))
        .unwrap();
    assert!(flushed.is_complete(), "{flushed:?}");
    let left = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["claim.lock"], "which no SDK looks at");

    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (text, target, member) in [
        (
            PYTHON_RECORDS[0],
            "POST /v1/reservations/rsv_0001/commit ",
            "commit_body",
        ),
        (PYTHON_RECORDS[1], "POST /v1/events ", "event_fallback_body"),
        (
            PYTHON_RECORDS[2],
            "POST /v1/reservations/rsv_0003/commit ",
            "commit_body",
        ),
    ] {
        let request = requests
            .iter()
            .find(|request| request.starts_with(target))
            .unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(text.contains(&format!(r#""{member}": {body}, ""#)), "{body}");
        let key = body.split('"').nth(3).unwrap();
        assert!(head.contains(&format!("x-idempotency-key: {key}\r\n")), "{head}");
    }
}

/// Journals as they were written by others, and by this project before.
#[test]
fn journals_that_exist_are_settled_with_the_bytes_that_they_hold() {
    let journals = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/tests/data/journals");
    for (name, count) in [("python-0.5.3", 4), ("rust-0.3.2", 3), ("cycles-145cb5f", 3)] {
        let server = Scripted::start(|connection| {
            while let Some(request) = connection.read_request() {
                let is_event = request.starts_with("POST /v1/events ");
                connection.write(match is_event {
                    true => http(201, "", r#"{"status":"APPLIED","event_id":"e-1"}"#),
                    false => http(
                        200,
                        "",
                        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":42}}"#,
                    ),
                });
            }
        });
        let dir = TempDir::new();
        let config = CyclesConfig::builder(KEY, &server.url)
            .tenant("acme")
            .journal_dir(dir.path());
        let config = config.build().unwrap();
        let folder = cycles_host::Journal::open(&config).dir().unwrap().to_owned();
        fs::create_dir_all(&folder).unwrap();
        let mut bodies = Vec::new();
        for file in fs::read_dir(journals.join(name)).unwrap() {
            let file = file.unwrap();
            let text = as_of_now(&fs::read_to_string(file.path()).unwrap(), &server.url);
            let record = JournalRecord::parse(text.as_bytes()).unwrap();
            bodies.push(record.body().to_owned());
            fs::write(folder.join(file.file_name()), text).unwrap();
        }
        assert_eq!(bodies.len(), count, "{name}");
        let flushed = current_thread()
            .block_on(CyclesClient::new(config).flush(PATIENCE))
            .unwrap();
        assert!(flushed.is_complete(), "{name}: {flushed:?}");
        let mut sent: Vec<_> = server
            .requests()
            .iter()
            .map(|request| request.split_once("\r\n\r\n").unwrap().1.to_owned())
            .collect();
        sent.sort();
        bodies.sort();
        assert_eq!(sent, bodies, "{name}");
    }
}

/// The record, written just now by a client of this server.
fn as_of_now(text: &str, url: &str) -> String {
    let now = UnixMillis::from(SystemTime::now()).0;
    let mut text = with_member(text, "base_url", &format!(r#""{url}""#));
    text = with_member(&text, "recorded_at_ms", &now.to_string());
    with_member(&text, "not_before_ms", &(now - 1).to_string())
}

/// The record with another value of a member, which is a plain text or a number.
fn with_member(text: &str, name: &str, value: &str) -> String {
    let (before, after) = text.split_once(&format!(r#""{name}":"#)).unwrap();
    let end = after.find([',', '}']).unwrap();
    format!(r#"{before}"{name}": {value}{}"#, &after[end..])
}

fn python() -> Option<PathBuf> {
    python_with_sdk(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// Runs a script that finds an engine for this journal as `engine`.
fn run_python(python: &Path, scene: &Scene, tenant: bool, retries: bool, script: &str) {
    let (url, key, dir) = (
        scene.sandbox.base_url(),
        scene.sandbox.api_key(),
        scene.dir.path(),
    );
    let tenant = match tenant {
        true => format!("tenant='{}',", scene.sandbox.tenant()),
        false => String::new(),
    };
    let retries = if retries { "True" } else { "False" };
    let program = format!(
        "from runcycles import CyclesClient, CyclesConfig\n\
         from runcycles.retry import CommitRetryEngine\n\
         config = CyclesConfig(base_url='{url}', api_key='{key}', {tenant} journal_dir='{dir}',\n\
         \x20   retry_enabled={retries}, retry_initial_delay=0.01)\n\
         engine = CommitRetryEngine(config)\n\
         engine.set_client(CyclesClient(config))\n\
         {script}\n",
        dir = dir.display()
    );
    let done = Command::new(python).args(["-c", &program]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn client(scene: &Scene, tenant: bool) -> CyclesClient {
    if tenant {
        return scene.client();
    }
    CyclesClient::builder(scene.sandbox.api_key(), scene.sandbox.base_url())
        .journal_dir(scene.dir.path())
        .retry_enabled(false)
        .build()
}

/// Another process has the rest to settle, for a while.
fn tries_no_more(client: &CyclesClient) {
    while current_thread().block_on(client.flush(PATIENCE)).unwrap().ending > 0 {}
}

#[test]
fn our_records_are_settled_by_the_python_sdk_in_both_modes_with_and_without_a_tenant() {
    let Some(python) = python() else { return };
    for tenant in [true, false] {
        for mode in [Mode::Commit, Mode::Event] {
            let scene = Scene::new();
            let client = client(&scene, tenant);
            current_thread().block_on(async {
                let guard = client.reserve(request(100)).await.unwrap();
                scene.inject(if mode == Mode::Commit {
                    "commit:503"
                } else {
                    "event:503"
                });
                if mode == Mode::Event {
                    scene.sandbox.advance(std::time::Duration::from_secs(120));
                }
                let mut cost = commit(42);
                cost.metrics = Some(CyclesMetrics {
                    tokens_input: Some(40),
                    model_version: Some("gpt-4o-mini".into()),
                    ..Default::default()
                });
                cost.metadata = Some(
                    cycles_tokio::models::JsonObject::new()
                        .with("zeta", 1)
                        .with("alpha", "é"),
                );
                let receipt = guard.commit(cost).await.unwrap();
                assert!(
                    matches!(
                        receipt,
                        Receipt::Pending {
                            is_recorded: true,
                            ..
                        }
                    ),
                    "{receipt:?}"
                );
            });
            let records = scene.records();
            assert!(records.len() == 1 && records[0].mode() == mode, "{records:?}");
            tries_no_more(&client);
            scene.sandbox.clear_faults();
            run_python(&python, &scene, tenant, true, "engine.flush(20)");
            assert!(scene.records().is_empty(), "{mode}, with a tenant: {tenant}");
            assert_eq!(scene.budget(), (42, 0), "{mode}, with a tenant: {tenant}");
            let events = scene.sandbox.with_ledger(|ledger| ledger.events_applied());
            assert_eq!(events, u64::from(mode == Mode::Event));
        }
    }
}

#[test]
fn records_that_the_python_sdk_writes_now_are_settled_by_us_with_and_without_a_tenant() {
    let Some(python) = python() else { return };
    for tenant in [true, false] {
        let scene = Scene::new();
        let client = client(&scene, tenant);
        let runtime = current_thread();
        let id = runtime
            .block_on(client.create_reservation(&request(100)))
            .unwrap()
            .reservation_id
            .unwrap();
        let script = format!(
            "cost = {{'idempotency_key': 'k-{id}', 'actual': {{'unit': 'TOKENS', 'amount': 42}}}}\n\
             about = {{'subject': {{'tenant': 'acme-corp'}}, 'action': {{'kind': 'k', 'name': 'n'}}}}\n\
             engine.schedule('{id}', cost, {{**cost, **about}})\n\
             event = {{**cost, **about, 'idempotency_key': 'e-{id}', 'actual': {{'unit': 'TOKENS', 'amount': 5}}}}\n\
             engine.schedule_event('another', event)"
        );
        run_python(&python, &scene, tenant, false, &script);
        assert_eq!(scene.records().len(), 2, "with a tenant: {tenant}");
        let flushed = runtime.block_on(client.flush(PATIENCE)).unwrap();
        assert!(
            flushed.is_complete() && scene.records().is_empty(),
            "{flushed:?}, with a tenant: {tenant}"
        );
        assert_eq!(scene.budget(), (47, 0), "with a tenant: {tenant}");
    }
}

#[test]
fn a_second_cost_that_waits_is_not_touched_by_the_python_sdk_and_ends_where_it_belongs() {
    let Some(python) = python() else { return };
    let scene = Scene::new();
    scene.inject("commit:503");
    let client = client(&scene, true);
    let runtime = current_thread();
    let mut job = request(100);
    job.idempotency_key = Some("job-7".into());
    for cost in [42, 77] {
        runtime.block_on(async {
            let guard = client.reserve(job.clone()).await.unwrap();
            assert!(!guard.commit(commit(cost)).await.unwrap().is_settled());
        });
    }
    let journal = cycles_host::Journal::open(&client.config().clone().check().unwrap());
    let found = journal.scan().unwrap();
    let [(second, file)] = found.waiting.as_slice() else {
        panic!("{found:?}")
    };
    assert!(file.ends_with(waiting_file_name(second)));
    let waiting = fs::read_to_string(file).unwrap();
    tries_no_more(&client);
    scene.sandbox.clear_faults();
    run_python(&python, &scene, true, true, "engine.flush(20)");
    assert!(scene.records().is_empty(), "it settled the first");
    assert_eq!(scene.budget(), (42, 0));
    assert_eq!(fs::read_to_string(file).unwrap(), waiting, "and left the second");

    let flushed = runtime.block_on(client.flush(PATIENCE)).unwrap();
    assert_eq!((flushed.recorded, flushed.set_aside), (0, 1), "{flushed:?}");
    assert_eq!(scene.budget(), (42, 0));
    let refused = journal
        .set_aside(cycles_tokio::proto::outcome::Aside::Rejected)
        .unwrap();
    assert_eq!(refused[0].record.as_ref().unwrap().id(), second);
}

#[test]
fn what_is_ours_alone_is_not_touched_by_the_python_sdk_that_replays_the_same_directory() {
    let Some(python) = python() else { return };
    let scene = Scene::new();
    let client = client(&scene, true);
    let runtime = current_thread();
    let (guard, held, run) = runtime.block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        guard.dispatched_durably().await.unwrap();
        let held = client.reserve(request(100)).await.unwrap();
        held.set_on_error(OnError::Hold);
        held.dispatched_durably().await.unwrap();
        let run = client.run(RunConfig::new(Amount::tokens(500))).await.unwrap();
        run.step(Amount::tokens(50), async |_| Ok(((), Amount::tokens(7))))
            .await
            .unwrap();
        (guard, held, run)
    });
    drop(held);
    let ours = || {
        let endings = ["dispatched", "run"].map(|ending| files(scene.dir.path(), ending));
        let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
        endings.into_iter().flatten().map(read).collect::<Vec<_>>()
    };
    let before = runtime.block_on(async {
        let flushed = client.flush(PATIENCE).await.unwrap();
        assert_eq!((flushed.unrecorded, flushed.unknown), (1, 0), "{flushed:?}");
        ours()
    });
    assert_eq!(before.len(), 3);
    run_python(&python, &scene, true, true, "engine.flush(20)");
    assert_eq!(ours(), before);
    assert_eq!(scene.budget().0, 0);
    runtime.block_on(async {
        assert!(guard.commit(commit(42)).await.unwrap().is_settled());
        assert!(run.finish().await.unwrap().unwrap().is_settled());
    });
    assert_eq!(
        (scene.budget().0, ours().len()),
        (49, 1),
        "the one on hold is left"
    );
}
