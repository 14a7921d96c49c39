//! A guard on ureq, and a bare ureq agent without any time limit (with one it starts a thread for every call) that
//! sends the same bytes.

use cycles_ureq::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_ureq::{CyclesClient, HttpOptions};
use ureq::Agent;

use crate::in_turn::{self, Contender};
use crate::{Settings, recorded};

pub fn repeat(only: &str, url: &str, settings: &Settings) -> bool {
    with_contenders(url, |contenders| in_turn::repeat(only, contenders, settings))
}

pub fn measure(url: &str, settings: &Settings) {
    with_contenders(url, |contenders| in_turn::measure("ureq", contenders, settings));
}

fn with_contenders<T>(url: &str, act: impl FnOnce(&[Contender<'_>]) -> T) -> T {
    let requests = recorded::requests(url, |url| life(&client(url)));
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let bare = || {
        for request in &requests {
            let (head, body) = request.clone().into_parts();
            let request = http::Request::from_parts(head, &body[..]);
            let mut response = agent.run(request).unwrap();
            let body = response.body_mut().with_config().limit(1 << 20).read_to_vec();
            assert!(body.unwrap().len() > 90);
        }
    };
    let client = client(url);
    act(&[
        Contender {
            name: "bare ureq agent",
            only: "ureq-bare",
            life: &bare,
        },
        Contender {
            name: "ours, no journal",
            only: "ureq",
            life: &|| life(&client),
        },
    ])
}

fn client(url: &str) -> CyclesClient {
    CyclesClient::builder("cyc_live_0123456789abcdef", url)
        .tenant("acme-corp")
        .journal_enabled(false)
        .http(HttpOptions::new().no_proxy())
        .build()
}

fn life(client: &CyclesClient) {
    let reserve = ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(1000))
        .build();
    let guard = client.reserve(reserve).unwrap();
    let commit = CommitRequest::builder().actual(Amount::tokens(42)).build();
    assert!(guard.commit(commit).unwrap().is_settled());
}
