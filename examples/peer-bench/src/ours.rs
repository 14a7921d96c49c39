//! This project's client on tokio: guards, and plain calls.

use std::path::PathBuf;

use cycles_tokio::CyclesClient;

use crate::on_tokio::Contender;
use crate::requests::{commit, reserve};

/// Guards, which keep their leases alive.
pub struct Ours(CyclesClient);

/// Plain calls, which do not recover from failures, just like the floor.
pub struct Plain(pub Ours);

impl Ours {
    pub fn new(url: &str, journal: Option<PathBuf>) -> Self {
        let builder = CyclesClient::builder("cyc_live_0123456789abcdef", url).tenant("acme-corp");
        let client = match journal {
            Some(dir) => builder.journal_dir(dir).build(),
            None => builder.journal_enabled(false).build(),
        };
        Self(client)
    }
}

impl Contender for Ours {
    async fn reservation(&self) {
        let guard = self.0.reserve(reserve()).await.unwrap();
        assert!(guard.commit(commit()).await.unwrap().is_settled());
    }
}

impl Contender for Plain {
    async fn reservation(&self) {
        let client = &self.0.0;
        let granted = client.create_reservation(&reserve()).await.unwrap();
        let reservation = granted.reservation_id.unwrap();
        let committed = client.commit_reservation(&reservation, &commit()).await.unwrap();
        assert_eq!(committed.charged.amount, 42);
    }
}
