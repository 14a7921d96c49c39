//! Names of servers that are looked up. Threads belong to the whole process, so nothing else runs in it.
#![cfg(target_os = "linux")]

use crate::alone::ran_elsewhere;
use crate::executor::BACKGROUND;
use crate::scene::Scene;
use crate::threads::{all, wait_for};
use cycles_tokio::CyclesClient;

#[test]
fn a_name_is_looked_up_on_a_thread_of_ours_that_is_gone_soon_where_no_runtime_is() {
    if ran_elsewhere("lookups::a_name_is_looked_up_on_a_thread_of_ours_that_is_gone_soon_where_no_runtime_is")
    {
        return;
    }
    let scene = Scene::new();
    let before = all();
    let url = scene.sandbox.base_url().replace("127.0.0.1", "localhost");
    let client = CyclesClient::builder(scene.sandbox.api_key(), url).build();
    futures::executor::block_on(client.health()).unwrap();
    let mut new = all();
    new.retain(|name| !before.contains(name) && !name.starts_with("cycles-"));
    assert!(new.is_empty(), "whose are they? {new:?}");
    wait_for(&[BACKGROUND]);
    drop(client);
    wait_for(&[]);
}
