// What the processes of `run_crash.rs` do, eight steps at a time. The tests of each async adapter include it: `executor` is
// beside it.

pub(crate) fn live_in_runs(client: &CyclesClient, number: u64) {
    executor::block_on(async {
        for runs in 0.. {
            let run = client.run(config(number)).await.unwrap();
            let id = run.reservation_id().to_string();
            let steps = i64::try_from((number + runs) % 5 * 16).unwrap() + 8;
            for first in (0..steps).step_by(8) {
                let group = (first..first + 8).map(|step| {
                    let (run, id) = (&run, &id);
                    async move {
                        let cost = cost(number, step);
                        let stepped = run.step(ask(step), async |_| {
                            println!("\ncosts {id} {cost}");
                            Ok(((), Amount::tokens(cost)))
                        });
                        // The leases of others end with the server's clock.
                        if stepped.await.is_ok() {
                            println!("\nended {id} {cost}");
                        }
                    }
                });
                futures::future::join_all(group).await;
            }
            let _ = run.finish().await;
        }
    });
}
