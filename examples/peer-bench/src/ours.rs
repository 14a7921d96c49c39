//! This project's guard on tokio.

use std::path::PathBuf;

use cycles_tokio::CyclesClient;
use cycles_tokio::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};

use crate::on_tokio::Contender;

pub struct Ours(CyclesClient);

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
    async fn lifecycle(&self) {
        let reserve = ReservationCreateRequest::builder()
            .subject(Subject::tenant("acme-corp"))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(1000))
            .build();
        let guard = self.0.reserve(reserve).await.unwrap();
        let commit = CommitRequest::builder().actual(Amount::tokens(42)).build();
        assert!(guard.commit(commit).await.unwrap().is_settled());
    }
}
