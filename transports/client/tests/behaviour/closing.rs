//! Guarded actions of a client that closes.

use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::support::Virtual;
use cycles_client::models::Amount;
use cycles_client::{BoxError, Client, Close, Error, GuardContext, WithCyclesConfig, with_cycles};
use cycles_conformance::request;
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Operation, Unit};
use futures::future::{join, join_all, pending};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> WithCyclesConfig {
    WithCyclesConfig::new(Amount::tokens(10)).action("llm.completion", "gpt-4o")
}

fn budget(world: &Virtual) -> (i64, i64) {
    let budget = world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
    (budget.spent, budget.reserved)
}

/// An action that spends and never ends.
async fn hangs(context: GuardContext) -> Result<((), Amount), BoxError> {
    context.spent(&Amount::tokens(3))?;
    pending().await
}

#[test]
fn actions_are_dropped_when_the_client_stops_them_and_what_they_spent_is_charged() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let acting = join_all((0..100).map(|_| with_cycles(&client, config(), hangs)));
        let closing = async {
            world.sleep(SECOND).await;
            let began = world.passed();
            let left = client.close(Close::Leaving, 60 * SECOND).await.unwrap();
            assert!(left.is_complete(), "{left:?}");
            assert!(
                world.passed() - began < SECOND,
                "nobody waits for the time to be up"
            );
        };
        let (ended, ()) = join(acting, closing).await;
        for ended in ended {
            let error = ended.unwrap_err();
            assert!(matches!(error, Error::Stopped(_)), "{error}");
            assert!(error.to_string().contains("was closed"), "{error}");
        }
    });
    assert_eq!(budget(&world), (300, 0));
}

#[test]
fn an_action_that_ends_in_time_returns_its_value_though_the_client_closes() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let acting = with_cycles(&client, config(), async |_| {
            world.sleep(90 * SECOND).await;
            Ok::<_, BoxError>((42, Amount::tokens(7)))
        });
        let closing = async {
            world.sleep(SECOND).await;
            client.close(Close::WhenDone, 600 * SECOND).await.unwrap()
        };
        let (value, left) = join(acting, closing).await;
        assert_eq!(value.unwrap(), 42);
        assert!(left.is_complete(), "{left:?}");
        assert_eq!(world.passed().as_secs(), 90);
    });
    assert_eq!(budget(&world), (7, 0));
}

#[test]
fn a_close_goes_on_if_nobody_awaits_it_any_more() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let guard = client.reserve(request(10)).await.unwrap();
        let mut closing = Box::pin(client.close(Close::WhenDone, 60 * SECOND));
        let polled = poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        drop(closing);
        world.sleep(61 * SECOND).await;
        let left = client.close(Close::WhenDone, 60 * SECOND).await.unwrap();
        assert_eq!(left.running, 1);
        assert_eq!(world.passed().as_secs(), 61);
        drop(guard);
    });
}

#[test]
fn who_stops_waiting_for_its_close_leaves_no_waker_behind() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let guard = client.reserve(request(10)).await.unwrap();
        let counted = Arc::new(Counted);
        let waker = std::task::Waker::from(Arc::clone(&counted));
        let mut context = std::task::Context::from_waker(&waker);
        for _ in 0..10 {
            let mut closing = Box::pin(client.close(Close::WhenDone, 60 * SECOND));
            assert!(closing.as_mut().poll(&mut context).is_pending());
            let lease = guard.lease();
            let mut stopping = Box::pin(lease.stopping());
            assert!(stopping.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(Arc::strong_count(&counted), 2);
        drop(guard);
    });
}

struct Counted;

impl std::task::Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_server_that_hangs_costs_a_caller_as_much_time_as_the_setting_says() {
    let world = Virtual::default();
    world.lose(Operation::CreateReservation);
    let client = world.client(|config| config.reserve_timeout(3 * SECOND));
    world.block_on(async {
        let error = client.reserve(request(10)).await.unwrap_err();
        assert_eq!(world.passed(), 3 * SECOND);
        assert!(
            error.to_string().contains("gave up after 3s; reserve_timeout"),
            "{error}"
        );
    });
    let few = world.client(|config| config.max_concurrent_calls(2).reserve_timeout(2 * SECOND));
    world.block_on(async {
        let (first, second) = join(few.reserve(request(10)), few.reserve(request(10))).await;
        assert!(first.is_err());
        let error = second.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("waited 2s for one of 2; max_concurrent_calls"),
            "{error}"
        );
    });
}

#[test]
fn an_action_that_hangs_is_dropped_when_its_lease_has_run_out() {
    use cycles_client::HeartbeatPolicy;
    let world = Virtual::default();
    let client: Client = world.client(|config| config);
    world.block_on(async {
        let config = config()
            .max_lease_age(90 * SECOND)
            .heartbeat(HeartbeatPolicy::Cancel);
        let error = with_cycles(&client, config, hangs).await.unwrap_err();
        assert!(matches!(error, Error::LeaseLost(_)), "{error}");
        let passed = world.passed();
        assert!(passed > 90 * SECOND && passed < 151 * SECOND, "{passed:?}");
    });
    assert_eq!(budget(&world).0, 3);
}
