//! The guard of the crate `runcycles`.

use std::path::PathBuf;

use runcycles::CyclesClient;
use runcycles::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};

use crate::on_tokio::Contender;

pub struct Peer(CyclesClient);

impl Peer {
    pub fn new(url: &str, journal: Option<PathBuf>) -> Self {
        let builder = CyclesClient::builder("cyc_live_0123456789abcdef", url).tenant("acme-corp");
        let client = match journal {
            Some(dir) => builder.journal_dir(dir).build(),
            None => builder.journal_enabled(false).build(),
        };
        Self(client)
    }
}

impl Contender for Peer {
    async fn reservation(&self) {
        let reserve = ReservationCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(1000))
            .build();
        let guard = self.0.reserve(reserve).await.unwrap();
        let commit = CommitRequest::builder().actual(Amount::tokens(42)).build();
        guard.commit(commit).await.unwrap();
    }
}
