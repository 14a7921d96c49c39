//! The arithmetic of a run.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn draws(reserved: i64) -> Draws {
    Draws::new(
        RunOptions::new(Duration::from_secs(60)),
        Duration::ZERO,
        Unit::Tokens,
        reserved,
    )
}

fn left(run: &Draws) -> i64 {
    run.report().left.amount
}

#[test]
fn a_step_gives_back_what_it_did_not_need() {
    let mut run = draws(100);
    let step = run.draw(60, None, None, None).unwrap();
    assert_eq!(left(&run), 40);
    assert_eq!(run.draw(41, None, None, None).unwrap_err().left, 40);
    run.end(step, 10).unwrap();
    assert_eq!((left(&run), run.total()), (90, 10));
}

#[test]
fn a_step_that_costs_more_than_its_estimate_is_charged_whole_and_leaves_less() {
    let mut run = draws(100);
    let step = run.draw(10, None, None, None).unwrap();
    run.end(step, 150).unwrap();
    assert_eq!((left(&run), run.total()), (0, 150));
    assert!(run.draw(1, None, None, None).is_err());
    assert!(
        run.draw(0, None, None, None).is_err(),
        "it holds less than nothing"
    );
}

#[test]
fn a_kept_amount_is_out_of_the_reach_of_others_and_takes_back_what_its_steps_did_not_need() {
    let mut run = draws(100);
    let keep = run.keep(30).unwrap();
    assert!(run.draw(71, None, None, None).is_err());
    assert!(run.keep(71).is_err());
    let step = run.draw(25, None, Some(keep), None).unwrap();
    assert_eq!(run.draw(6, None, Some(keep), None).unwrap_err().left, 5);
    run.end(step, 5).unwrap();
    assert_eq!((run.left_of(keep), left(&run)), (25, 70));
    run.give_back(keep);
    assert_eq!(left(&run), 95);
    assert!(run.draw(1, None, Some(keep), None).is_err());
}

#[test]
fn a_total_that_is_being_stored_lets_the_next_one_wait() {
    let mut run = draws(100);
    let steps: Vec<u64> = (0..3).map(|_| run.draw(10, None, None, None).unwrap()).collect();
    let first = run.end(steps[0], 1).unwrap();
    assert!(run.is_due() && !run.is_stored(first));
    run.begin_storing(Ticket(1));
    let second = run.end(steps[1], 1).unwrap();
    let third = run.end(steps[2], 1).unwrap();
    assert!(!run.is_due());
    assert!(run.end_storing(Ticket(1), None) && !run.end_storing(Ticket(1), None));
    assert!(run.is_stored(first) && !run.is_stored(second) && run.is_due());
    run.begin_storing(Ticket(2));
    run.end_storing(Ticket(2), None);
    assert!(run.is_stored(third) && !run.is_due());
}

#[test]
fn the_summary_counts_32_names_and_the_rest_together() {
    let mut run = draws(i64::MAX);
    for name in 0..40 {
        let step = run.draw(10, Some(&format!("{name:02}")), None, None).unwrap();
        run.end(step, 2).unwrap();
    }
    let long = "é".repeat(40);
    let step = run.draw(10, Some(&long), None, None).unwrap();
    run.spent(step, 1);
    run.abandon(step).unwrap();
    let step = run.draw(10, None, None, None).unwrap();
    run.end(step, 0).unwrap();
    let summary = run.summary();
    assert_eq!(summary["steps"], 42);
    assert_eq!(summary["by_name"].as_object().unwrap().len(), 32);
    assert_eq!(
        summary["by_name"]["07"],
        serde_json::json!({"steps": 1, "amount": 2})
    );
    assert_eq!(
        summary["other_names"],
        serde_json::json!({"steps": 9, "amount": 17})
    );
    assert_eq!(summary["partial_steps"], 1);
}

#[test]
fn a_total_above_the_largest_amount_is_refused_and_changes_nothing() {
    let mut run = draws(100);
    let [one, two] = [(); 2].map(|()| run.draw(10, None, None, None).unwrap());
    run.end(one, i64::MAX).unwrap();
    assert!(run.end(two, 1).is_err());
    assert_eq!(run.total(), i64::MAX);
    assert!(run.is_open(two));
    run.end_unknown(two);
    assert!(run.has_unknown_cost() && !run.has_open());
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Draw(i64, Option<usize>),
    End(usize, i64),
    Spent(usize, i64),
    Abandon(usize),
    Keep(i64),
    GiveBack(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..50_i64, prop::option::of(0..8_usize)).prop_map(|(estimate, keep)| Act::Draw(estimate, keep)),
        (0..8_usize, 0..60_i64).prop_map(|(step, actual)| Act::End(step, actual)),
        (0..8_usize, 0..60_i64).prop_map(|(step, spent)| Act::Spent(step, spent)),
        (0..8_usize).prop_map(Act::Abandon),
        (0..50_i64).prop_map(Act::Keep),
        (0..8_usize).prop_map(Act::GiveBack),
    ]
}

proptest! {
    #[test]
    fn what_is_reserved_is_charged_open_kept_or_left(acts in vec(act(), 0..60)) {
        let mut run = draws(200);
        let (mut steps, mut keeps, mut charged) = (Vec::new(), Vec::new(), 0);
        for act in acts {
            match act {
                Act::Draw(estimate, keep) => {
                    let keep = keep.and_then(|keep| keeps.get(keep).copied());
                    let most = keep.map_or(left(&run), |keep| run.left_of(keep));
                    let drawn = run.draw(estimate, Some("s"), keep, None);
                    prop_assert_eq!(drawn.is_ok(), estimate <= most && (keep.is_some() || run.left() >= 0 || drawn.is_ok()));
                    steps.extend(drawn.ok().map(|step| (step, 0)));
                }
                Act::End(step, actual) if step < steps.len() => {
                    let (step, _) = steps.swap_remove(step);
                    run.end(step, actual).unwrap();
                    charged += actual;
                }
                Act::Spent(step, amount) if step < steps.len() => {
                    run.spent(steps[step].0, amount);
                    steps[step].1 = steps[step].1.max(amount);
                }
                Act::Abandon(step) if step < steps.len() => {
                    let (step, spent) = steps.swap_remove(step);
                    run.abandon(step).unwrap();
                    charged += spent;
                }
                Act::Keep(amount) => keeps.extend(run.keep(amount).ok()),
                Act::GiveBack(keep) if keep < keeps.len() => run.give_back(keeps.swap_remove(keep)),
                Act::End(..) | Act::Spent(..) | Act::Abandon(_) | Act::GiveBack(_) => {}
            }
            let report = run.report();
            prop_assert_eq!(report.charged.amount, charged);
            let kept: i64 = keeps.iter().map(|keep| run.left_of(*keep)).sum();
            prop_assert_eq!(report.kept.amount, kept);
            prop_assert_eq!(charged + report.open.amount + kept + run.left(), 200);
            prop_assert!(kept >= 0 && report.open.amount >= 0);
        }
    }
}
