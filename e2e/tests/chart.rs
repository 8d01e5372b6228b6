//! The Helm chart and the plain manifests: an API server accepts what they give, and the rights are just those needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::{KubeApi, tool};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs helm in the checkout, as on a machine where nothing of it is set up.
fn helm(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(tool("helm"));
    command.args(arguments).current_dir(root()).env_clear().env("HOME", folder.path());
    command.output().expect("helm starts")
}

fn template(further: &[&str]) -> Output {
    let usual = [
        "template",
        "crontab",
        "charts/crontab",
        "--namespace",
        "crontab",
        "--kube-version",
        "1.34.4",
        "--include-crds",
    ];
    helm(&[&usual[..], further].concat())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The values of the folder `ci`, by file.
fn value_sets() -> Vec<String> {
    let folder = root().join("charts/crontab/ci");
    let names =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let mut names: Vec<String> = names.map(|path| path.display().to_string()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    names
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for values in value_sets() {
        let output = helm(&["lint", "--strict", "charts/crontab", "--values", &values]);
        assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn an_api_server_accepts_what_every_set_of_values_gives() {
    let api = KubeApi::start();
    for namespace in ["crontab", "operations", "billing"] {
        api.kubectl(&["create", "namespace", namespace]);
    }
    for values in value_sets() {
        let objects = stdout(&template(&["--values", &values]));
        let output = api.kubectl_output(
            &["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"],
            &objects,
        );
        assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_plain_manifests_are_what_the_chart_gives() {
    let objects = stdout(&template(&["--values", "deploy/base/values.yaml"]));
    let of_helm = ["app.kubernetes.io/managed-by: ", "helm.sh/chart: ", "# Source: "];
    let mut expected = "# Generated from the Helm chart. To update: UPDATE_MANIFESTS=1 cargo test -p crontab-e2e --test chart\n".to_owned();
    for line in objects.lines().filter(|line| !of_helm.iter().any(|mark| line.trim_start().starts_with(mark)))
    {
        expected += line.trim_end();
        expected += "\n";
    }
    let file = root().join("deploy/base/crontab.yaml");
    if std::env::var_os("UPDATE_MANIFESTS").is_some() {
        fs::write(&file, &expected).expect("the file can be written");
    }
    let found = fs::read_to_string(&file).expect("the file can be read");
    assert!(found == expected, "{} is out of date; its first line says how to update it", file.display());
}

#[test]
fn the_plain_manifests_are_accepted_too() {
    let api = KubeApi::start();
    api.kubectl(&["create", "namespace", "crontab"]);
    for folder in ["deploy/base", "deploy/dev"] {
        let folder = root().join(folder).display().to_string();
        let output = api.kubectl_output(
            &["apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", &folder],
            "",
        );
        assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn controller_and_master_may_do_just_what_they_need_and_workers_nothing() {
    let api = KubeApi::start();
    for namespace in ["crontab", "operations", "billing", "elsewhere"] {
        api.kubectl(&["create", "namespace", namespace]);
    }
    let everywhere = ["--set", "etcd.bundled.enabled=true,mongodb.bundled.enabled=true"];
    let production = root().join("charts/crontab/ci/production-values.yaml").display().to_string();
    let some = ["--values", &production];
    // What, in which namespace, whether with rights for all namespaces, and with those for two.
    let table = [
        ("list nodecronjobs.crontab.dev", "operations", true, true),
        ("watch nodecronjobs.crontab.dev", "elsewhere", true, false),
        ("patch nodecronjobs.crontab.dev/status", "billing", true, true),
        ("patch nodecronjobs.crontab.dev", "billing", false, false),
        ("delete nodecronjobs.crontab.dev", "operations", false, false),
        ("create events.events.k8s.io", "operations", true, true),
        ("create events.events.k8s.io", "elsewhere", true, false),
        ("watch nodes", "operations", true, true),
        ("patch nodes", "operations", false, false),
        ("get namespaces kube-system", "crontab", true, true),
        ("get namespaces elsewhere", "crontab", false, false),
        (
            "get customresourcedefinitions.apiextensions.k8s.io nodecronjobs.crontab.dev",
            "crontab",
            true,
            true,
        ),
        ("update leases.coordination.k8s.io", "crontab", true, true),
        ("update leases.coordination.k8s.io", "kube-system", false, false),
        ("get secrets", "crontab", false, false),
        ("create pods", "crontab", false, false),
    ];
    for (values, account, all) in
        [(&everywhere, "crontab-controller", true), (&some, "cron-controller", false)]
    {
        let objects = stdout(&template(&values[..]));
        api.apply(&objects);
        for (what, namespace, in_all, in_some) in table {
            let expected = if all { in_all } else { in_some };
            assert_eq!(may(&api, account, what, namespace), expected, "{account}: {what} in {namespace}");
        }
        let worker = account.replace("controller", "worker");
        assert!(!may(&api, &worker, "list nodecronjobs.crontab.dev", "operations"), "{worker}");
        let master = account.replace("controller", "master");
        let table = [
            ("create nodecronjobs.crontab.dev", "operations", true),
            ("delete nodecronjobs.crontab.dev", "elsewhere", all),
            ("patch nodecronjobs.crontab.dev/status", "operations", false),
            ("get secrets", "crontab", false),
        ];
        for (what, namespace, expected) in table {
            assert_eq!(may(&api, &master, what, namespace), expected, "{master}: {what} in {namespace}");
        }
    }
}

/// Whether a service account of the release may do something.
fn may(api: &KubeApi, account: &str, what: &str, namespace: &str) -> bool {
    let who = format!("system:serviceaccount:crontab:{account}");
    let arguments = ["auth", "can-i", "--as", &who, "--namespace", namespace];
    let (verb, resource) = what.split_once(' ').expect("a verb and a resource");
    let (resource, name) = resource.split_once(' ').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let subresource = format!("--subresource={subresource}");
    let resource = if name.is_empty() { resource.to_owned() } else { format!("{resource}/{name}") };
    let output = api.kubectl_output(&[&arguments[..], &[verb, &resource, &subresource]].concat(), "");
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => true,
        "no" => false,
        other => panic!("{what}: {other}, {}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn values_that_can_not_work_are_refused_with_what_to_write_instead() {
    let servers = "etcd.bundled.enabled=true,mongodb.bundled.enabled=true";
    let cases = [
        ("", "no job tree is named: set etcd.endpoints={http://etcd:2379}"),
        ("etcd.bundled.enabled=true", "no run log is named: set mongodb.existingSecret"),
        ("etcd.endpoints={http://e:2379},etcd.bundled.enabled=true", "leave one of them out"),
        ("etcd.bundled.enabled=true,mongodb.uri=a,mongodb.existingSecret=b", "named more than once"),
        (
            "etcd.endpoints={http://e:2379},etcd.auth.username=u,mongodb.uri=a",
            "needs both username and existingSecret",
        ),
        (
            "etcd.endpoints={https://e:2379},etcd.tls.clientCertificate=true,mongodb.uri=a",
            "needs etcd.tls.existingSecret",
        ),
        (&format!("{servers},controller.namespaces={{operations}}"), "set master.namespace to one of them"),
        (&format!("{servers},workers.maxRuns=3"), "additional properties 'workers' not allowed"),
        (&format!("{servers},worker.maxRuns=many"), "at '/worker/maxRuns': got string"),
        (&format!("{servers},worker.sessionSeconds=3"), "minimum: got 3, want 6"),
        (&format!("{servers},worker.spool.hostPath=relative"), "at '/worker/spool/hostPath'"),
        (
            &format!("{servers},image.pullPolicy=Sometimes"),
            "value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
    ];
    for (values, expected) in cases {
        let output = template(&["--set", values]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{values}: {said}");
    }
}
