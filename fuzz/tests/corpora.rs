//! All files of the corpora, seeds and former findings, pass the checks of the targets.

use std::{fs, panic, path::Path};

fn each(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut count = 0;
    for file in fs::read_dir(&folder).expect("the target has a corpus") {
        let path = file.expect("a file").path();
        let data = fs::read(&path).expect("it can be read");
        if let Err(cause) = panic::catch_unwind(|| check(&data)) {
            eprintln!("{}", path.display());
            panic::resume_unwind(cause);
        }
        count += 1;
    }
    assert!(count >= 5, "{} has {count} files", folder.display());
    check(&[]);
}

#[test]
fn what_was_found_by_reply_stays_mended() {
    each("reply", cycles_fuzz::reply::check);
}

#[test]
fn what_was_found_by_request_stays_mended() {
    each("request", cycles_fuzz::request::check);
}

#[test]
fn what_was_found_by_record_stays_mended() {
    each("record", cycles_fuzz::record::check);
}

#[test]
fn what_was_found_by_lease_stays_mended() {
    each("lease", cycles_fuzz::lease::check);
}

#[test]
fn what_was_found_by_reservation_stays_mended() {
    each("reservation", cycles_fuzz::reservation::check);
}

#[test]
fn what_was_found_by_ledger_stays_mended() {
    each("ledger", cycles_fuzz::ledger::check);
}

#[test]
fn what_was_found_by_session_stays_mended() {
    each("session", cycles_fuzz::session::check);
}
