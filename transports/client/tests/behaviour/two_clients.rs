//! Two clients in one program; one of them works inside the other's transport.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Virtual;
use bytes::Bytes;
use cycles_client::proto::Call;
use cycles_client::{Done, Transport};
use futures::future::join;
use http::Response;

fn up() -> Response<Bytes> {
    Response::new(Bytes::from_static(br#"{"status":"UP"}"#))
}

/// Keeps its calls for another transport to answer.
#[derive(Clone, Default)]
struct Keeping(Arc<Mutex<Vec<Done>>>);

impl Transport for Keeping {
    fn start(&self, _: Call, mut done: Done) {
        assert!(done.begin());
        self.0.lock().unwrap().push(done);
    }
}

/// Answers at once; first the calls that the other one has kept.
struct Answering(Keeping);

impl Transport for Answering {
    fn start(&self, _: Call, mut done: Done) {
        let kept = core::mem::take(&mut *self.0.0.lock().unwrap());
        for other in kept {
            other.finish(Ok(up()));
        }
        assert!(done.begin());
        done.finish(Ok(up()));
    }
}

#[test]
fn an_answer_that_comes_while_another_client_starts_a_call_is_handed_in_at_once() {
    let world = Virtual::default();
    let keeping = Keeping::default();
    let one = world.client_on(Arc::new(keeping.clone()), |config| config);
    let other = world.client_on(Arc::new(Answering(keeping)), |config| config);
    let later = Duration::from_millis(10);
    let asking = async {
        // By then only the next timer looks at the first client.
        world.sleep(later).await;
        other.health().await
    };
    let (first, second) = world.block_on(join(one.health(), asking));
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_eq!(world.passed(), later, "nobody had to wait for a timer");
}
