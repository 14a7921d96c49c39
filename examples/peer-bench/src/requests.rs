//! The requests that every contender of ours sends.

use cycles_tokio::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};

pub fn reserve() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(1000))
        .build()
}

pub fn commit() -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(42)).build()
}
