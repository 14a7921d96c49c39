//! Readers that are charged by the byte, and waiting for their end from elsewhere. That a metered stream may be
//! dropped at any item is in the suite.

use std::io::{self, BufRead as _, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use cycles_conformance::{TempDir, request};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use cycles_ureq::models::Amount;
use cycles_ureq::{CyclesClient, Error, InvalidCommit, Reading, ReservationGuard};

struct Scene {
    client: CyclesClient,
    sandbox: Sandbox,
    _dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let (sandbox, dir) = (Sandbox::start().unwrap(), TempDir::new());
        let builder = CyclesClient::builder(sandbox.api_key(), sandbox.base_url());
        let client = builder.tenant(sandbox.tenant()).journal_dir(dir.path()).build();
        Self {
            client,
            sandbox,
            _dir: dir,
        }
    }

    fn reserve(&self) -> ReservationGuard {
        self.client.reserve(request(100)).unwrap()
    }

    #[track_caller]
    fn assert_spent(&self, tokens: i64) {
        let budget = |ledger: &mut cycles_sandbox::Ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens);
        let budget = self.sandbox.with_ledger(budget).unwrap();
        assert_eq!((budget.spent, budget.reserved), (tokens, 0));
    }
}

/// A body that arrives in pieces, some of which are errors.
struct Pieces(Vec<io::Result<&'static str>>);

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = io::Result<&'static str>>) -> Self {
        let mut pieces: Vec<_> = pieces.into_iter().collect();
        pieces.reverse();
        Self(pieces)
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Some(piece) = self.0.pop() else { return Ok(0) };
        let piece = piece?;
        let (now, later) = piece.split_at(piece.len().min(buf.len()));
        buf[..now.len()].copy_from_slice(now.as_bytes());
        if !later.is_empty() {
            self.0.push(Ok(later));
        }
        Ok(now.len())
    }
}

fn bytes(read: &[u8]) -> Amount {
    Amount::tokens(i64::try_from(read.len()).unwrap())
}

fn trouble(kind: io::ErrorKind) -> io::Result<&'static str> {
    Err(kind.into())
}

#[test]
fn every_byte_that_was_read_is_charged() {
    let scene = Scene::new();
    let pieces = Pieces::new([
        Ok("Roses"),
        trouble(io::ErrorKind::Interrupted),
        Ok(" are"),
        Ok(" red"),
    ]);
    let mut body = scene.reserve().meter_read(pieces, bytes);
    // A read of nothing is not the end.
    assert_eq!(body.read(&mut []).unwrap(), 0);
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "Roses are red");
    assert_eq!(*body.consumed(), Amount::tokens(13));
    // The end waits for the ledger.
    scene.assert_spent(13);
    assert_eq!(body.read(&mut [0; 8]).unwrap(), 0);
    assert!(body.guard().is_none());
    assert!(
        body.settling()
            .wait()
            .unwrap()
            .is_some_and(|receipt| receipt.is_settled())
    );
}

#[test]
fn a_body_that_is_cut_is_charged_up_to_there() {
    let scene = Scene::new();
    let pieces = Pieces::new([Ok("Roses"), trouble(io::ErrorKind::ConnectionReset), Ok(" are")]);
    let mut body = scene.reserve().meter_read(pieces, bytes);
    let mut text = String::new();
    let error = body.read_to_string(&mut text).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    scene.assert_spent(5);
    for _ in 0..2 {
        // Not the end of the body: a second read must not make a truncated body look complete.
        let again = body.read_to_string(&mut text).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::ConnectionReset);
        assert!(
            again.to_string().starts_with("it has already failed: "),
            "{again}"
        );
    }
    assert_eq!(text, "Roses");
    scene.assert_spent(5);
}

#[test]
fn a_body_that_has_to_be_waited_for_goes_on_where_it_was() {
    let scene = Scene::new();
    let pieces = Pieces::new([Ok("Roses"), trouble(io::ErrorKind::WouldBlock), Ok(" are")]);
    let mut body = scene.reserve().meter_read(pieces, bytes);
    let mut text = String::new();
    let error = body.read_to_string(&mut text).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(body.guard().is_some(), "it is not over");
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "Roses are");
    scene.assert_spent(9);
}

#[test]
fn bytes_whose_cost_cannot_be_told_are_not_given_back() {
    let scene = Scene::new();
    let mut body = scene.reserve().meter_read(Pieces::new([Ok("Roses")]), |read| {
        assert!(read.is_empty(), "on purpose");
        bytes(read)
    });
    let settling = body.settling();
    let panicked = catch_unwind(AssertUnwindSafe(move || body.read(&mut [0; 8]).is_ok()));
    assert!(panicked.is_err());
    let error = settling.wait().unwrap_err();
    assert!(
        matches!(error, Error::InvalidCommit(InvalidCommit::NotTold)),
        "{error:?}"
    );
    let budget = |ledger: &mut cycles_sandbox::Ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens);
    let budget = scene.sandbox.with_ledger(budget).unwrap();
    assert_eq!((budget.spent, budget.reserved), (0, 100));
}

#[test]
fn a_reader_that_leaves_is_charged_for_what_was_buffered_too() {
    let scene = Scene::new();
    let pieces = Pieces::new([Ok("one\ntwo\n"), Ok("three\n")]);
    let body = scene.reserve().meter_read(pieces, bytes);
    let settling = body.settling();
    let mut lines = BufReader::new(body).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    drop(lines);
    assert!(settling.wait().unwrap().is_some());
    scene.assert_spent(8);
}

#[test]
fn a_limit_ends_a_body_and_the_rest_is_not_read() {
    let scene = Scene::new();
    let pieces = Pieces::new([Ok("Roses"), Ok(" are"), Ok(" red")]);
    let mut body = scene.reserve().meter_read(pieces, bytes).stop_at_tokens(9);
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "Roses are");
    scene.assert_spent(9);
}

#[test]
fn who_waits_for_the_end_may_be_another_thread() {
    let scene = Scene::new();
    let usage = |tokens: &Option<i64>| match tokens {
        Some(tokens) => Reading::total(Amount::tokens(*tokens)),
        None => Reading::nothing(),
    };
    let words = scene.reserve().meter([None, None, Some(42)], usage);
    let settling = words.settling();
    let waiting = thread::spawn(move || settling.wait());
    assert_eq!(words.count(), 3);
    let receipt = waiting.join().unwrap().unwrap();
    assert!(receipt.is_some_and(|receipt| receipt.is_settled()));
    scene.assert_spent(42);
}

#[test]
fn a_usage_that_is_missing_or_zero_is_not_free() {
    let counting = |tokens: &Option<i64>| match tokens {
        Some(tokens) => Reading::total(Amount::tokens(*tokens)),
        None => Reading::more(Amount::tokens(1)),
    };
    let waiting = |tokens: &Option<i64>| Reading::from(tokens.map(Amount::tokens).map(Reading::total));
    let scene = Scene::new();
    assert_eq!(scene.reserve().meter([None, None, Some(0)], counting).count(), 3);
    scene.assert_spent(2);
    for items in [[None, Some(0)], [None, None]] {
        let scene = Scene::new();
        assert_eq!(scene.reserve().meter(items, waiting).count(), 2);
        scene.assert_spent(100);
    }
}

#[test]
fn tokens_without_a_price_are_not_free() {
    let scene = Scene::new();
    let words = scene
        .reserve()
        .meter([1; 12], |tokens| Reading::nothing().with_tokens(*tokens));
    let settling = words.settling();
    assert_eq!(words.count(), 12);
    assert!(
        settling
            .wait()
            .unwrap()
            .is_some_and(|receipt| receipt.is_settled())
    );
    scene.assert_spent(100);
}

#[test]
fn a_total_covers_an_item_that_could_not_be_counted() {
    let scene = Scene::new();
    let items = [
        Reading::more(Amount::credits(1)),
        Reading::total(Amount::tokens(50)),
    ];
    let words = scene.reserve().meter(items, Clone::clone);
    let settling = words.settling();
    assert_eq!(words.count(), 2);
    assert!(
        settling
            .wait()
            .unwrap()
            .is_some_and(|receipt| receipt.is_settled())
    );
    scene.assert_spent(50);
    let left = scene.client.flush(std::time::Duration::from_secs(10)).unwrap();
    assert!(left.is_complete(), "{left:?}");
}
