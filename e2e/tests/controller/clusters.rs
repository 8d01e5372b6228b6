//! Clusters that should not meet, and definitions that do not fit.

use e2e::{Controller, ControllerOptions, KubeApi, until};
use serde_json::json;

use crate::world::{World, define, yearly};

#[test]
fn a_tree_of_another_cluster_is_left_alone_until_somebody_says_that_it_is_gone() {
    let world = World::start();
    let first = world.controller();
    world.apply("a", &yearly("true"));
    world.until_ready("a");
    drop(first);

    let other = KubeApi::start();
    define(&other);
    let controller = Controller::start_unready(ControllerOptions::new(&world.etcd, &other));
    let why = until("it to refuse the tree", || {
        let (status, text) = controller.readiness()?;
        (status == 503 && text.contains("another cluster")).then_some(text)
    });
    let namespace =
        world.api.kubectl(&["get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}"]);
    assert!(why.contains(&namespace) && why.contains("delete the key /cron/cluster"), "{why}");
    assert!(world.job("default/a").is_some(), "the job of a resource of the other cluster was deleted");

    world.delete("cluster");
    controller.until_ready();
    until("the job of the cluster that is gone to go", || world.job("default/a").is_none().then_some(()));
}

#[test]
fn a_definition_that_is_older_than_the_controller_is_told_with_what_is_dropped() {
    let world = World::start();
    let outdated =
        |controller: &Controller| controller.metric("crontab_controller_definition_outdated") > 0.0;
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/startingDeadlineSeconds";
    let patch = json!([{"op": "remove", "path": field}]).to_string();
    world.api.kubectl(&["patch", "crd", "nodecronjobs.crontab.dev", "--type=json", "--patch", &patch]);
    let controller = world.controller();
    until("it to notice", || outdated(&controller).then_some(()));
    let log = controller.process().log();
    assert!(log.contains("the API server drops spec.startingDeadlineSeconds; update it"), "{log}");
    drop(controller);

    define(&world.api);
    let controller = world.controller();
    world.apply("a", &yearly("true"));
    world.until_ready("a");
    assert!(!outdated(&controller));
    let log = controller.process().log();
    assert!(!log.contains("the API server drops"), "{log}");
}
