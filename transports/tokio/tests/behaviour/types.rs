//! What programs may do with the types: name them, print them, send them, share them, hold them in a struct.

use core::fmt::Debug;

use cycles_tokio::models::{Amount, CommitRequest};
use cycles_tokio::{
    Committing, CyclesClient, CyclesClientBuilder, EntryError, Error, Event, Flushed, GuardContext,
    HttpOptions, Journal, JournalEntry, Lease, NotCompleted, Receipt, Releasing, ReservationGuard,
    WithCyclesConfig, with_cycles,
};

fn is_at_home_anywhere<T: Debug + Send + Sync + Unpin + 'static>() {}
fn is_shared_by_clones<T: Clone>() {}
fn is_send<T: Send>(_: &T) {}

#[test]
fn all_of_them_go_anywhere_and_can_be_printed() {
    is_at_home_anywhere::<CyclesClient>();
    is_at_home_anywhere::<CyclesClientBuilder>();
    is_at_home_anywhere::<ReservationGuard>();
    is_at_home_anywhere::<Committing>();
    is_at_home_anywhere::<Releasing>();
    is_at_home_anywhere::<GuardContext>();
    is_at_home_anywhere::<Lease>();
    is_at_home_anywhere::<Receipt>();
    is_at_home_anywhere::<Flushed>();
    is_at_home_anywhere::<Error>();
    is_at_home_anywhere::<NotCompleted<String>>();
    is_at_home_anywhere::<Event>();
    is_at_home_anywhere::<HttpOptions>();
    is_at_home_anywhere::<Journal>();
    is_at_home_anywhere::<JournalEntry>();
    is_at_home_anywhere::<EntryError>();
    is_shared_by_clones::<(CyclesClient, GuardContext, Lease, Error, Receipt)>();
}

#[tokio::test]
async fn what_a_task_awaits_may_move_between_threads() {
    let client = CyclesClient::builder("", "").build();
    let config = WithCyclesConfig::new(Amount::tokens(1));
    is_send(&client.reserve(config.request()));
    is_send(&client.flush(core::time::Duration::ZERO));
    is_send(&with_cycles(&client, config, |_ctx| async {
        Ok(((), Amount::tokens(1)))
    }));
}

#[expect(dead_code, reason = "it has to compile")]
fn what_an_operator_awaits_may_move_between_threads(journal: &Journal, entry: &JournalEntry) {
    is_send(&journal.entries());
    is_send(&journal.elsewhere());
    is_send(&journal.retry(entry));
    is_send(&journal.as_event(entry));
    is_send(&journal.discard(entry));
}

/// A commit that a program stores, to poll it sometimes.
#[expect(dead_code, reason = "it has to compile")]
struct Later {
    guard: Option<ReservationGuard>,
    committing: Option<Committing>,
    releasing: Option<Releasing>,
}

impl Later {
    #[expect(dead_code, reason = "it has to compile")]
    fn commit(&mut self, cost: CommitRequest) {
        self.committing = self.guard.take().map(|guard| guard.commit(cost));
    }
}
