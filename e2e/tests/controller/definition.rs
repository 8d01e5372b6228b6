//! The definition on the API server.

use std::fs;
use std::path::PathBuf;

use e2e::KubeApi;
use serde_json::Value;

use crate::world::define;

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crds/tests").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is in the checkout")
        .map(|entry| entry.expect("it can be read").path())
        .map(|path| (path.clone(), fs::read_to_string(path).expect("text")))
        .collect();
    files.sort();
    files
}

fn dry_run(api: &KubeApi, manifest: &str) -> Result<(), String> {
    let output = api.kubectl_output(&["create", "--dry-run=server", "--filename", "-"], manifest);
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_api_server_accepts_every_valid_manifest_and_refuses_every_invalid_one_in_words_that_help() {
    let api = KubeApi::start();
    define(&api);
    api.kubectl(&["create", "namespace", "ops"]);
    let mut wrong = Vec::new();
    for (path, text) in files("valid") {
        if let Err(why) = dry_run(&api, &text) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    for (path, text) in files("invalid") {
        let expect =
            text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).expect("a first line");
        match dry_run(&api, &text) {
            Ok(()) => wrong.push(format!("{} is accepted", path.display())),
            Err(why) if !why.contains(expect) => {
                wrong.push(format!("{}: {expect:?} is not in {why}", path.display()));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn defaults_columns_and_explanations_are_there() {
    let api = KubeApi::start();
    define(&api);
    api.apply(
        r#"{"apiVersion":"crontab.dev/v1alpha1","kind":"NodeCronJob","metadata":{"name":"a"},
            "spec":{"schedule":"*/5 * * * *","template":{"command":"true"}}}"#,
    );
    let stored: Value =
        serde_json::from_str(&api.kubectl(&["get", "ncj", "a", "--output=json"])).expect("JSON");
    let (spec, status) = (&stored["spec"], &stored["status"]);
    assert_eq!(spec["timeZone"], "UTC");
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    assert_eq!(spec["template"]["terminationGracePeriodSeconds"], 30);
    assert_eq!(status["conditions"][0]["reason"], "Pending", "health checks don't take it for healthy");
    let table = api.kubectl(&["get", "ncj", "--output=wide"]);
    for column in [
        "SCHEDULE",
        "TIMEZONE",
        "SUSPEND",
        "ACTIVE",
        "LAST SCHEDULE",
        "NEXT SCHEDULE",
        "LAST RESULT",
        "READY",
        "MESSAGE",
        "AGE",
    ] {
        assert!(table.contains(column), "{column}: {table}");
    }
    let fields = api.kubectl(&["explain", "ncj", "--recursive"]);
    assert!(fields.contains("terminationGracePeriodSeconds"), "{fields}");
    for field in ["spec", "spec.schedule", "spec.jobName", "spec.template.env", "status.activeRuns.runId"] {
        let text = api.kubectl(&["explain", &format!("ncj.{field}")]);
        assert!(!text.contains("<empty>"), "{field} has no text: {text}");
    }
    assert!(api.kubectl(&["get", "ncj", "--field-selector=spec.suspend=false"]).contains('a'));
}

#[test]
fn a_job_name_can_t_be_changed() {
    let api = KubeApi::start();
    define(&api);
    let apply = |spec: &str| {
        let manifest = format!(
            r#"{{"apiVersion":"crontab.dev/v1alpha1","kind":"NodeCronJob","metadata":{{"name":"a"}},
                "spec":{{"schedule":"* * * * *","template":{{"command":"true"}}{spec}}}}}"#
        );
        let output = api.kubectl_output(&["apply", "--filename", "-"], &manifest);
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    apply(r#","jobName":"one""#).expect("it can be given");
    apply(r#","jobName":"one","suspend":true"#).expect("other fields can change");
    for changed in [r#","jobName":"two""#, ""] {
        let why = apply(changed).expect_err("it is fixed");
        assert!(why.contains("delete the object and create another"), "{why}");
    }
}
