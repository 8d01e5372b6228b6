//! The API server that the tests of other rooms stand on, and what it makes of our definition.

use e2e::KubeApi;

#[test]
fn the_api_server_keeps_its_resources_over_a_kill_and_lets_a_service_account_do_only_what_rbac_says() {
    let mut api = KubeApi::start();
    api.kubectl(&["apply", "--filename", concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml")]);
    api.kubectl(&["wait", "--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"]);
    api.kubectl(&["apply", "--filename", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/hello.yaml")]);

    let reader = api.kubeconfig_of("default", "reader");
    let reader = reader.to_str().expect("a path of plain text");
    let as_reader = |verb: &str| {
        let arguments = ["--kubeconfig", reader, verb, "nodecronjobs", "--all"];
        api.kubectl_output(&arguments[..arguments.len() - usize::from(verb == "get")], "")
    };
    assert!(!as_reader("get").status.success());
    api.kubectl(&["create", "clusterrole", "reader", "--verb=get,list", "--resource=nodecronjobs"]);
    api.kubectl(&[
        "create",
        "rolebinding",
        "reader",
        "--clusterrole=reader",
        "--serviceaccount=default:reader",
    ]);
    assert!(as_reader("get").status.success());
    let refused = as_reader("delete");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("forbidden"), "{refused:?}");

    api.kill();
    api.start_again();
    assert!(api.kubectl(&["get", "ncj"]).contains("hello"));
}
