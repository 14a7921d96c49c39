//! A guard on ureq, and a bare ureq agent that encodes and decodes the same structs, without any timeout: with a
//! timeout, ureq starts a thread for every call.

use bytes::Bytes;
use cycles_ureq::{CyclesClient, HttpOptions};
use http::{Request, Response};
use ureq::Agent;

use crate::Settings;
use crate::by_hand::{ByHand, committed, granted};
use crate::in_turn::{self, Contender};
use crate::requests::{commit, reserve};

pub fn repeat(only: &str, url: &str, settings: &Settings) -> bool {
    with_contenders(url, |contenders| in_turn::repeat(only, contenders, settings))
}

pub fn measure(url: &str, settings: &Settings) {
    with_contenders(url, |contenders| in_turn::measure("ureq", contenders, settings));
}

fn with_contenders<T>(url: &str, act: impl FnOnce(&[Contender<'_>]) -> T) -> T {
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let by_hand = ByHand {
        base: url.to_owned(),
        host: None,
        user_agent: "cycles-rust/0.1.0 (ureq)",
    };
    let send = |request: Request<Bytes>| {
        let (head, body) = request.into_parts();
        let answer = agent.run(Request::from_parts(head, &body[..])).unwrap();
        let (head, mut body) = answer.into_parts();
        let body = body.with_config().limit(1 << 20).read_to_vec().unwrap();
        Response::from_parts(head, body)
    };
    let bare = || {
        let reservation = granted(send(by_hand.reserve()));
        committed(send(by_hand.commit(&reservation)));
    };
    let client = client(url);
    act(&[
        Contender {
            name: "bare ureq agent",
            only: "ureq-bare",
            reservation: &bare,
        },
        Contender {
            name: "ours, no journal",
            only: "ureq",
            reservation: &|| guarded(&client),
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

fn guarded(client: &CyclesClient) {
    let guard = client.reserve(reserve()).unwrap();
    assert!(guard.commit(commit()).unwrap().is_settled());
}
