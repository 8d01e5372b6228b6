//! Servers that are away, and restarts.

use e2e::{Controller, Etcd, EtcdOptions, KubeApi, until};
use serde_json::Value;

use crate::world::{World, define, yearly};

#[test]
fn a_restart_with_nothing_changed_writes_nothing() {
    let world = World::start();
    let mut controller = world.controller();
    for i in 0..20 {
        world.apply(&format!("job-{i}"), &yearly("true"));
    }
    for i in 0..20 {
        world.until_ready(&format!("job-{i}"));
    }
    let versions = || -> Vec<Value> {
        let list: Value =
            serde_json::from_str(&world.api.kubectl(&["get", "ncj", "--output=json"])).expect("JSON");
        let items = list["items"].as_array().expect("items").iter();
        items.map(|item| item["metadata"]["resourceVersion"].clone()).collect()
    };
    let revision =
        || -> String { world.etcd.ctl(&["get", "/cron/", "--prefix", "--write-out=fields", "--keys-only"]) };
    let (before, tree) = (versions(), revision());
    controller.kill();
    controller.start_again();
    controller.until_ready();
    until("all to be looked at", || {
        (controller.metric("crontab_controller_looks_total") >= 20.0).then_some(())
    });
    // One more change, so that whatever was to be written before it has been.
    world.apply("last", &yearly("true"));
    world.until_ready("last");
    world.api.kubectl(&["delete", "ncj", "last"]);
    until("the job to go", || world.job("default/last").is_none().then_some(()));
    assert_eq!(versions(), before);
    let after = revision();
    assert_eq!(keys(&after), keys(&tree));
}

/// The keys of a listing with their revisions, but those of the last job, whose lock is collected by workers alone.
fn keys(listing: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = listing.lines().collect();
    let keys = lines.iter().enumerate().filter(|(_, line)| line.starts_with("\"Key\""));
    let with_revision = keys.map(|(number, line)| {
        let revision = lines[number..].iter().find(|line| line.starts_with("\"ModRevision\""));
        (*line, *revision.expect("a key has a revision"))
    });
    with_revision.filter(|(key, _)| !key.contains("default/last")).collect()
}

#[test]
fn servers_that_come_up_after_the_controller_are_waited_for_in_either_order() {
    for etcd_first in [true, false] {
        let (mut etcd, mut api) = (Etcd::start(), KubeApi::start());
        define(&api);
        let options = e2e::ControllerOptions::new(&etcd, &api);
        etcd.kill();
        api.kill();
        let controller = Controller::start_unready(options);
        until("it to say what it misses", || {
            let (status, text) = controller.readiness()?;
            (status == 503 && text.contains("leader")).then_some(())
        });
        if etcd_first {
            etcd.start_again();
            api.start_again();
        } else {
            api.start_again();
            until("it to say that it misses the tree", || {
                let (status, text) = controller.readiness()?;
                (status == 503 && text.contains("job tree")).then_some(())
            });
            etcd.start_again();
        }
        controller.until_ready();
        let world = World { etcd, api };
        world.apply("a", &yearly("true"));
        world.until_ready("a");
    }
}

#[test]
fn while_etcd_is_away_a_new_resource_says_so_and_is_taken_up_when_it_is_back() {
    let mut world = World::start();
    let controller = world.controller();
    world.apply("before", &yearly("true"));
    world.until_ready("before");
    world.etcd.kill();
    until("it to be unready", || (!controller.is_ready()).then_some(()));
    world.apply("meanwhile", &yearly("true"));
    let message = world.until_condition("meanwhile", "Ready", "False", "JobTreeUnavailable");
    assert!(message.contains("tried again"), "{message}");
    assert_eq!(world.condition("before", "Ready")["status"], "True", "its job is in the tree");
    world.api.kubectl(&["delete", "ncj", "before"]);
    world.etcd.start_again();
    world.until_ready("meanwhile");
    until("the deletion", || world.job("default/before").is_none().then_some(()));
}

#[test]
fn while_the_api_server_is_away_nothing_is_lost() {
    let mut world = World::start();
    let controller = world.controller();
    world.apply("a", &yearly("echo one"));
    world.until_ready("a");
    world.api.kill();
    until("it to be unready", || (!controller.is_ready()).then_some(()));
    assert!(world.job("default/a").is_some(), "what it can't see it does not take for gone");
    world.api.start_again();
    controller.until_ready();
    world.apply("a", &yearly("echo two"));
    until("the edit", || (world.job("default/a")?["command"] == "echo two").then_some(()));
}

#[test]
fn without_the_definition_or_the_rights_it_says_what_to_do() {
    let world = World { etcd: Etcd::start_with(EtcdOptions::default()), api: KubeApi::start() };
    let controller = Controller::start_unready(world.options());
    let unready = |controller: &Controller, words: &str| {
        until(&format!("the words {words}"), || {
            let (_, text) = controller.readiness()?;
            text.contains(words).then_some(())
        });
    };
    unready(&controller, "kubectl apply -f crds/nodecronjobs.yaml");
    define(&world.api);
    controller.until_ready();
    drop(controller);

    let mut options = world.options();
    options.kubeconfig = world.api.kubeconfig_of("default", "powerless");
    let controller = Controller::start_unready(options);
    unready(&controller, "grant the controller's account the rights");
}
