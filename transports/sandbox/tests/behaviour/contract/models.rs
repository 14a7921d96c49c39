//! Random requests of callers, most of them valid.

use std::collections::BTreeMap;

use cycles_proto::UnixMillis;
use cycles_proto::models::*;

use super::text::{amount, maybe, name, object, text, within};
use crate::dice::Dice;

pub(crate) fn reserve(dice: &mut Dice) -> ReservationCreateRequest {
    let mut request = ReservationCreateRequest::builder()
        .subject(subject(dice))
        .action(action(dice))
        .estimate(amount(dice))
        .build();
    request.idempotency_key = key(dice);
    request.ttl_ms = maybe(dice, 50, |dice| within(dice, 1_000, 86_400_000));
    request.grace_period_ms = maybe(dice, 30, |dice| within(dice, 0, 60_000));
    request.overage_policy = policy(dice);
    request.dry_run = dice.percent(20);
    request.metadata = maybe(dice, 40, object);
    request
}

pub(crate) fn decide(dice: &mut Dice) -> DecisionRequest {
    let mut request = DecisionRequest::builder()
        .subject(subject(dice))
        .action(action(dice))
        .estimate(amount(dice))
        .build();
    request.idempotency_key = key(dice);
    request.metadata = maybe(dice, 40, object);
    request
}

pub(crate) fn event(dice: &mut Dice) -> EventCreateRequest {
    let mut request = EventCreateRequest::builder()
        .subject(subject(dice))
        .action(action(dice))
        .actual(amount(dice))
        .build();
    request.idempotency_key = key(dice);
    request.overage_policy = policy(dice);
    request.metrics = metrics(dice);
    request.client_time_ms = maybe(dice, 30, |dice| within(dice, 0, i64::MAX as u64));
    request.metadata = maybe(dice, 40, object);
    request
}

pub(crate) fn commit(dice: &mut Dice) -> CommitRequest {
    let mut request = CommitRequest::builder().actual(amount(dice)).build();
    request.idempotency_key = key(dice);
    request.metrics = metrics(dice);
    request.metadata = maybe(dice, 40, object);
    request
}

pub(crate) fn release(dice: &mut Dice) -> ReleaseRequest {
    let mut request = ReleaseRequest::builder().build();
    request.idempotency_key = key(dice);
    request.reason = maybe(dice, 60, |dice| text(dice, 0, 256));
    request
}

pub(crate) fn extend(dice: &mut Dice) -> ReservationExtendRequest {
    let mut request = ReservationExtendRequest::new(within(dice, 1, 86_400_000));
    request.idempotency_key = key(dice);
    request.metadata = maybe(dice, 40, object);
    request
}

pub(crate) fn balances(dice: &mut Dice) -> BalanceParams {
    BalanceParams {
        tenant: maybe(dice, 60, |_| "acme".to_owned()),
        workspace: filter(dice),
        app: filter(dice),
        workflow: filter(dice),
        agent: filter(dice),
        toolset: filter(dice),
        include_children: maybe(dice, 30, |dice| dice.percent(50)),
        limit: limit(dice),
        cursor: maybe(dice, 10, |dice| text(dice, 1, 40)),
    }
}

pub(crate) fn list(dice: &mut Dice) -> ListReservationsParams {
    let fields = ["metadata", "committed_metadata", "evidence"];
    ListReservationsParams {
        idempotency_key: maybe(dice, 20, |dice| text(dice, 1, 256).into()),
        status: maybe(dice, 30, |dice| {
            ReservationStatus::from(dice.pick(&["ACTIVE", "COMMITTED", "RELEASED", "EXPIRED", "LOST"]))
        }),
        tenant: maybe(dice, 60, |_| "acme".to_owned()),
        workspace: filter(dice),
        app: filter(dice),
        workflow: filter(dice),
        agent: filter(dice),
        toolset: filter(dice),
        from: time(dice),
        to: time(dice),
        expires_from: time(dice),
        expires_to: time(dice),
        finalized_from: time(dice),
        finalized_to: time(dice),
        sort_by: maybe(dice, 40, |dice| {
            let keys = [
                "reservation_id",
                "tenant",
                "scope_path",
                "status",
                "reserved",
                "created_at_ms",
                "luck",
            ];
            ReservationSortKey::from(dice.pick(&keys))
        }),
        sort_dir: maybe(dice, 40, |dice| {
            SortDirection::from(dice.pick(&["asc", "desc", "up"]))
        }),
        include: (0..dice.roll(4))
            .map(|_| ReservationField::from(dice.pick(&fields)))
            .collect(),
        limit: limit(dice),
        cursor: maybe(dice, 5, |dice| text(dice, 1, 40)),
    }
}

/// An id as a server might send it, or as no server would.
pub(crate) fn reservation_id(dice: &mut Dice) -> ReservationId {
    text(dice, 1, 128).into()
}

fn subject(dice: &mut Dice) -> Subject {
    Subject {
        tenant: maybe(dice, 90, |dice| match dice.percent(95) {
            true => "acme".to_owned(),
            false => name(dice, 128),
        }),
        workspace: maybe(dice, 10, |dice| name(dice, 128)),
        app: maybe(dice, 15, |dice| name(dice, 128)),
        workflow: maybe(dice, 10, |dice| name(dice, 128)),
        agent: maybe(dice, 30, |dice| name(dice, 128)),
        toolset: maybe(dice, 10, |dice| name(dice, 128)),
        dimensions: maybe(dice, 20, |dice| {
            let count = dice.pick(&[0, 1, 2, 3, 16, 17]);
            let dimensions =
                (0..count).map(|number| (format!("{number}{}", text(dice, 0, 8)), text(dice, 0, 256)));
            dimensions.collect::<BTreeMap<_, _>>()
        }),
    }
}

fn action(dice: &mut Dice) -> Action {
    let mut action = Action::new(text(dice, 1, 64), text(dice, 1, 256));
    action.tags = maybe(dice, 30, |dice| {
        let count = dice.pick(&[0, 1, 2, 10, 11]);
        (0..count).map(|_| text(dice, 0, 64)).collect()
    });
    action
}

fn metrics(dice: &mut Dice) -> Option<CyclesMetrics> {
    maybe(dice, 40, |dice| {
        let count = |dice: &mut Dice| {
            maybe(dice, 50, |dice| {
                dice.pick(&[0, 1, 90_000, 2_147_483_647, i64::MAX, -1])
            })
        };
        CyclesMetrics {
            tokens_input: count(dice),
            tokens_output: count(dice),
            latency_ms: count(dice),
            model_version: maybe(dice, 40, |dice| text(dice, 0, 128)),
            custom: maybe(dice, 30, object),
        }
    })
}

fn policy(dice: &mut Dice) -> Option<CommitOveragePolicy> {
    maybe(dice, 30, |dice| {
        let names = [
            "REJECT",
            "ALLOW_IF_AVAILABLE",
            "ALLOW_WITH_OVERDRAFT",
            "SOMETIMES",
        ];
        CommitOveragePolicy::from(dice.pick(&names))
    })
}

fn key(dice: &mut Dice) -> Option<IdempotencyKey> {
    maybe(dice, 30, |dice| text(dice, 1, 256).into())
}

fn filter(dice: &mut Dice) -> Option<String> {
    maybe(dice, 15, |dice| name(dice, 128))
}

fn limit(dice: &mut Dice) -> Option<u32> {
    maybe(dice, 40, |dice| dice.pick(&[0, 1, 50, 199, 200, 201, u32::MAX]))
}

fn time(dice: &mut Dice) -> Option<UnixMillis> {
    maybe(dice, 10, |dice| {
        let year_10000 = 253_402_300_800_000;
        UnixMillis(dice.pick(&[0, 1, 1_795_000_000_123, year_10000 - 1, year_10000, u64::MAX]))
    })
}
