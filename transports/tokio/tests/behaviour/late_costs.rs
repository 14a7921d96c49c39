//! Costs that are not settled when the caller continues: the caller may wait for the receipt, or observe the event.

use std::sync::mpsc;

use crate::executor::{current_thread, multi_thread};
use crate::scene::{PATIENCE, Scene};
use cycles_tokio::models::Amount;
use cycles_tokio::{
    BoxError, Completed, CyclesClient, Event, HeartbeatPolicy, InvalidCommit, Receipt, WithCyclesConfig,
    try_with_cycles,
};

async fn ended(client: &CyclesClient, config: WithCyclesConfig, cost: Amount) -> Completed<&'static str> {
    let action = async |_| Ok::<_, BoxError>(("value", cost));
    try_with_cycles(client, config, action).await.unwrap()
}

fn config() -> WithCyclesConfig {
    WithCyclesConfig::new(Amount::tokens(100))
}

#[track_caller]
fn assert_pending(receipt: &Result<Receipt, InvalidCommit>) {
    assert!(matches!(receipt, Ok(Receipt::Pending { .. })), "{receipt:?}");
}

#[track_caller]
fn assert_committed(receipt: &Result<Receipt, InvalidCommit>) {
    assert!(matches!(receipt, Ok(Receipt::Committed(_))), "{receipt:?}");
}

#[test]
fn who_saw_that_a_cost_is_pending_may_wait_for_its_end() {
    let scene = Scene::new();
    let (tell, told) = mpsc::channel();
    let client = scene.client().with_observer(move |event: &Event| {
        if let Event::SettledLate { receipt, .. } = event {
            tell.send(receipt.clone()).unwrap();
        }
    });
    scene.inject("commit:503@1,2");
    multi_thread().block_on(async {
        let late = ended(&client, config(), Amount::tokens(42)).await;
        assert_pending(&late.receipt);
        for _ in 0..2 {
            assert_committed(&late.until_settled().await);
        }
        // The first attempt of the next one succeeds, and nothing is late.
        assert_committed(&ended(&client, config(), Amount::tokens(1)).await.receipt);
    });
    assert!(told.recv_timeout(PATIENCE).unwrap().is_settled());
    assert_eq!(scene.budget(), (43, 0));
    drop(client);
    assert!(told.recv().is_err(), "told once");
}

#[test]
fn the_end_is_waited_for_in_another_runtime_than_the_one_that_died() {
    let scene = Scene::new();
    let client = scene.client();
    scene.inject("commit:503");
    let late = current_thread().block_on(ended(&client, config(), Amount::tokens(42)));
    assert_pending(&late.receipt);
    scene.sandbox.clear_faults();
    assert_committed(&current_thread().block_on(late.until_settled()));
    assert_eq!(scene.budget(), (42, 0));
}

#[test]
fn a_cost_that_cannot_be_charged_has_no_end_to_wait_for() {
    let scene = Scene::new();
    let client = scene.client();
    multi_thread().block_on(async {
        let ended = ended(&client, config(), Amount::usd_microcents(3)).await;
        let waited = ended.until_settled().await;
        assert!(
            matches!(waited, Err(InvalidCommit::WrongUnit { .. })),
            "{waited:?}"
        );
        assert_eq!(waited.unwrap_err(), ended.receipt.unwrap_err());
    });
}

#[test]
fn that_the_lease_was_lost_is_told_at_the_end_too() {
    let scene = Scene::new();
    let client = scene.client();
    multi_thread().block_on(async {
        let config = config().heartbeat(HeartbeatPolicy::FailOnFinalize).ttl_ms(1_000);
        let action = async |context: cycles_tokio::GuardContext| {
            context.lease().lost().await;
            scene.inject("commit:503@1");
            Ok::<_, BoxError>(((), Amount::tokens(42)))
        };
        let late = try_with_cycles(&client, config, action).await.unwrap();
        assert!(late.lease_was_lost);
        let Ok(Receipt::LeaseLost(now)) = &late.receipt else {
            panic!("{late:?}")
        };
        assert!(!now.is_settled());
        let Ok(Receipt::LeaseLost(end)) = late.until_settled().await else {
            panic!("{late:?}")
        };
        assert!(end.is_settled());
    });
}
