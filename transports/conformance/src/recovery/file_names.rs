//! The scenario for the journal's file names: each reservation has its own file, whatever its id looks like, and the
//! end of one does not affect another.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cycles_proto::UnixMillis;
use cycles_proto::models::{Action, Subject};
use cycles_proto::parts::AT_A_TIME;
use cycles_proto::record::{JournalRecord, Purpose, legacy_file_name};
use cycles_sandbox::Operation::CreateEvent;
use cycles_sandbox::{DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Unit};
use sha2::{Digest as _, Sha256};

use super::setup::RecoverySetup;
use crate::Adapter;
use crate::test_setup::commit;

/// Ids that would collide if a client sanitised names for paths, folded case, trimmed, or normalised. There are as many
/// as a client settles at a time.
const IDS: [&str; AT_A_TIME] = [
    "rsv/a",
    "rsv_a",
    "rsv_A",
    "rsv_a ",
    "rsv_\u{e4}",
    "rsv_a\u{308}",
    "rsv_\u{ff41}",
    "../../etc",
];

pub fn cr_durable_007_journal_filenames_preserve_distinct_arbitrary_reservation_identifiers<A: Adapter>() {
    the_first_record_has_the_standard_name::<A>();
    each_identifier_has_a_file_of_its_own_and_is_settled::<A>();
    a_record_under_an_old_name_gets_its_new_one_beside_one_that_shared_it::<A>();
    for refusal in [None, Some("event:400@1")] {
        the_end_of_one_leaves_another_that_shares_its_old_name::<A>(refusal);
    }
}

/// `standard_filename_is_sha256_of_exact_utf8_identifier`
fn the_first_record_has_the_standard_name<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    let id = setup.crash_committing(40, false);
    assert_eq!(setup.files("json"), [setup.folder().join(name(id.as_str()))]);
}

/// `distinct_identifiers_never_share_a_journal_file`
fn each_identifier_has_a_file_of_its_own_and_is_settled<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    let folder = folder(&setup);
    let mut expected: Vec<PathBuf> = IDS.iter().map(|id| folder.join(name(id))).collect();
    expected.sort();
    expected.dedup();
    assert_eq!(expected.len(), IDS.len());
    // Each costs a different power of two, so that the sum shows which of them were charged.
    let write_all = || {
        for (place, id) in IDS.iter().enumerate() {
            fs::write(folder.join(name(id)), event(&setup, id, 1 << place).to_json()).unwrap();
        }
    };
    write_all();
    // The client finds all of them, and rewrites each of them in place, because the server asks for a pause.
    setup.inject("event:429=600");
    let mut throttled = setup.process();
    throttled.flush();
    setup.wait_until("all of them are paused", || {
        let records = setup.records();
        let mut pauses = records
            .iter()
            .map(|record| record.not_before(SystemTime::now().into()));
        records.len() == IDS.len() && pauses.all(|pause| pause.is_some())
    });
    throttled.kill();
    assert_eq!(setup.files("json"), expected);
    for id in IDS {
        let text = fs::read(folder.join(name(id))).unwrap();
        assert_eq!(JournalRecord::parse(&text).unwrap().reservation_id().as_str(), id);
    }
    setup.sandbox.clear_faults();
    write_all();
    let before = setup.settlements().len();
    setup.flush();

    let sent = setup.settlements().split_off(before);
    for seen in &sent {
        let event: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        let id = event["metadata"]["recovered_reservation_id"].as_str().unwrap();
        let mut there = seen.records.iter().map(|record| record.reservation_id().as_str());
        assert!(
            there.any(|there| there == id),
            "{id:?} is recorded until it is settled"
        );
    }
    assert_eq!(sent.len(), IDS.len());
    let (events, budget) = setup.sandbox.with_ledger(|ledger| {
        let budget = ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens);
        (ledger.events_applied(), budget.unwrap())
    });
    let all = (1 << IDS.len()) - 1;
    assert_eq!((events, budget.spent), (IDS.len() as u64, MADE_BY + all));
    assert!(setup.files("json").is_empty());
}

/// `matching_legacy_record_migrates_without_deleting_collision`: two records whose old names are the same; one already
/// has its new name. Both are paused, so that nothing is sent.
fn a_record_under_an_old_name_gets_its_new_one_beside_one_that_shared_it<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    let folder = folder(&setup);
    let (slash, line) = ("rsv/a", "rsv_a");
    let (of_slash, of_line) = (paused(&setup, slash), paused(&setup, line));
    fs::write(folder.join(old_name(slash)), &of_slash).unwrap();
    fs::write(folder.join(name(line)), &of_line).unwrap();
    let before = setup.settlements().len();
    let mut fresh = setup.process();
    fresh.flush();
    let left = fresh.flushed();
    assert_eq!((left.ending, left.recorded), (0, 2));
    let read = |id| fs::read_to_string(folder.join(name(id))).unwrap();
    assert_eq!((read(slash), read(line)), (of_slash, of_line));
    assert_eq!(setup.files("json").len(), 2, "the old name is gone");
    assert_eq!(setup.settlements().len(), before, "nothing is sent");
}

/// While the first cost is being sent, an older program writes another cost's record under the old name that both
/// share. Then the first is settled, or refused and set aside.
fn the_end_of_one_leaves_another_that_shares_its_old_name<A: Adapter>(refusal: Option<&str>) {
    let setup = RecoverySetup::<A>::new();
    let folder = folder(&setup);
    let (slash, line) = ("rsv/a", "rsv_a");
    assert_eq!(old_name(slash), old_name(line));
    fs::write(folder.join(name(line)), event(&setup, line, 7).to_json()).unwrap();
    if let Some(fault) = refusal {
        setup.inject(fault);
    }
    let before = setup.settlements().len();
    let in_flight = setup.hold(CreateEvent);
    let mut process = setup.process();
    process.flush();
    in_flight.wait();
    let other = paused(&setup, slash);
    fs::write(folder.join(old_name(slash)), &other).unwrap();
    drop(in_flight);
    process.flushed();

    let is_there = |name: &str| fs::read_to_string(folder.join(name)).is_ok_and(|text| text == other);
    assert!(
        is_there(&old_name(slash)) || is_there(&name(slash)),
        "{refusal:?}: {}",
        setup.journal_text()
    );
    assert_eq!(setup.files("json").len(), 1, "and it alone");
    assert_eq!(setup.files("rejected").len(), usize::from(refusal.is_some()));
    assert_eq!(setup.settlements().len(), before + 1);
}

/// The journal's folder, created by a cost of 40 that is already settled.
fn folder<A: Adapter>(setup: &RecoverySetup<A>) -> PathBuf {
    setup.crash_committing(MADE_BY, true);
    let folder = setup.folder();
    setup.flush();
    folder
}

const MADE_BY: i64 = 40;

/// The record of a cost in event mode.
fn event<A: Adapter>(setup: &RecoverySetup<A>, id: &str, tokens: i64) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant(DEFAULT_TENANT),
        action: Action::new("llm.completion", "gpt-4o"),
    };
    let (url, key) = (setup.sandbox.base_url(), format!("key-{tokens}"));
    let commit = commit(tokens);
    let now = SystemTime::now().into();
    let record = JournalRecord::new(
        &url,
        &id.into(),
        &Arc::new(purpose),
        key.as_str().into(),
        commit,
        now,
    );
    record.unwrap().into_event().unwrap()
}

/// The file of a record that must not be sent for an hour.
fn paused<A: Adapter>(setup: &RecoverySetup<A>, id: &str) -> String {
    let in_an_hour = UnixMillis::from(SystemTime::now()).saturating_add(Duration::from_secs(3_600));
    event(setup, id, 5).with_not_before(in_an_hour).to_json()
}

/// The name of a reservation's file, computed from the profile rather than by the client.
fn name(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v2-{hex}.json")
}

fn old_name(id: &str) -> String {
    legacy_file_name(&id.into())
}
