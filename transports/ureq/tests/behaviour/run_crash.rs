//! Processes that are killed in the middle of runs: every step that ended is charged once.

include!("../../../client/tests/adapter/run_crash.rs");

/// Eight steps at a time.
pub(crate) fn live_in_runs(client: &CyclesClient, number: u64) {
    for runs in 0.. {
        let run = client.run(config(number)).unwrap();
        let id = run.reservation_id().to_string();
        let steps = i64::try_from((number + runs) % 5 * 16).unwrap() + 8;
        for first in (0..steps).step_by(8) {
            thread::scope(|scope| {
                for step in first..first + 8 {
                    let (run, id) = (&run, &id);
                    scope.spawn(move || {
                        let cost = cost(number, step);
                        let stepped = run.step(ask(step), |_| {
                            println!("\ncosts {id} {cost}");
                            Ok(((), Amount::tokens(cost)))
                        });
                        // The leases of others end with the server's clock.
                        if stepped.is_ok() {
                            println!("\nended {id} {cost}");
                        }
                    });
                }
            });
        }
        let _ = run.finish();
    }
}
