//! `cronctl import` against real servers: an API server takes what it prints, and the controller takes the jobs of the
//! replaced system over by it.

use std::path::Path;
use std::process::Command;

use e2e::{Controller, ControllerOptions, Etcd, KubeApi, program, until};
use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};
use serde_json::{Value, json};

const DEFINITION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml");

/// What is printed, what is said, and the exit status.
fn import(arguments: &[&str]) -> (String, String, Option<i32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/import");
    let ended = Command::new(program("cronctl"))
        .arg("import")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("cronctl starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&ended.stdout), text(&ended.stderr), ended.status.code())
}

fn api() -> KubeApi {
    let api = KubeApi::start();
    api.kubectl(&["apply", "--filename", DEFINITION]);
    api.kubectl(&["wait", "--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"]);
    for namespace in ["demo", "ops", "prod"] {
        api.kubectl(&["create", "namespace", namespace]);
    }
    api
}

#[test]
fn an_api_server_takes_what_is_printed_and_a_second_import_changes_nothing() {
    let api = api();
    for (arguments, count) in [
        (&["crontab", "user.crontab", "--time-zone", "Europe/Paris"][..], 7),
        (&["crontab", "system.crontab", "--time-zone", "UTC", "--namespace", "ops"], 3),
        (&["crontab", "mistakes.crontab", "--time-zone", "UTC"], 2),
        (&["cronjobs", "cronjobs.yaml"], 3),
    ] {
        let (printed, said, _) = import(arguments);
        let applied = api.apply(&printed);
        assert_eq!(
            applied.lines().filter(|line| line.ends_with(" created")).count(),
            count,
            "{said}{applied}"
        );
        let again = api.apply(&import(arguments).0);
        assert_eq!(again.lines().filter(|line| line.ends_with(" unchanged")).count(), count, "{again}");
    }
    // What is stored is what was written there.
    let odd = "jsonpath={.items[*].spec.template.env[?(@.name==\"ODD\")].value}";
    assert!(api.kubectl(&["get", "ncj", "--output", odd]).starts_with("yes yes"));
    let sync = api.kubectl(&["get", "ncj", "sync", "--namespace", "prod", "--output", "json"]);
    let sync: Value = serde_json::from_str(&sync).expect("kubectl prints JSON");
    assert_eq!(sync["spec"]["suspend"], true);
    assert_eq!(sync["spec"]["template"]["exec"], json!(["/app/sync", "--all", "prod"]));
}

/// Expressions of the replaced system, each with what it is in a resource.
const EXPRESSIONS: [(&str, &str, &str); 7] = [
    ("plain", "*/5 9-17 * * MON-FRI", "*/5 9-17 * * MON-FRI"),
    ("with-a-year", "0 12 1 * * 2099", "0 0 12 1 * * 2099"),
    ("by-the-second", "*/10 * * * * * *", "*/10 * * * * * *"),
    ("both days", "30 4 1,15 * 5", "30 4 1,15 * 5"),
    ("last", "0 0 LW * *", "0 0 LW * *"),
    ("ops/third", "0 0 * * 5#3", "0 0 * * 5#3"),
    ("夜间", "@monthly", "@monthly"),
];

#[test]
fn jobs_of_the_replaced_system_become_resources_under_their_names_and_run_at_the_same_times() {
    let (api, etcd) = (api(), Etcd::start());
    let put = |name: &str, value: &str| etcd.ctl(&["put", &format!("/cron/jobs/{name}"), "--", value]);
    for (name, expression, _) in EXPRESSIONS {
        put(
            name,
            &json!({"name": name, "command": format!("echo '{name}'"), "cronExpr": expression}).to_string(),
        );
    }
    put("other", r#"{"name": "another", "command": "true", "cronExpr": "@daily"}"#);
    for (name, value) in [
        ("not-json", "{\"name\": "),
        ("not-a-job", "[1, 2]"),
        ("no-command", r#"{"name": "no-command", "cronExpr": "@daily"}"#),
        ("never", r#"{"name": "never", "command": "true", "cronExpr": "0 0 31 2 *"}"#),
        ("descends", r#"{"name": "descends", "command": "true", "cronExpr": "0 22-2 * * *"}"#),
        ("a/b/c", r#"{"name": "a/b/c", "command": "true", "cronExpr": "@daily"}"#),
        ("Ops/Upper", r#"{"name": "Ops/Upper", "command": "true", "cronExpr": "@daily"}"#),
        (
            "newer",
            r#"{"command": "true", "cronExpr": "@daily", "needs": ["unheard-of"], "spec": {"schedule": "@daily"}}"#,
        ),
    ] {
        put(name, value);
    }

    let endpoint = etcd.endpoint();
    let arguments =
        ["etcd", "--etcd-endpoints", &endpoint, "--time-zone", "Asia/Shanghai", "--namespace", "ops"];
    let (printed, said, status) = import(&arguments);
    assert_eq!(status, Some(1), "{said}");
    for (key, why) in [
        ("not-json", "the value is not a job; write"),
        ("not-a-job", "the value is not a job; write"),
        ("no-command", "spec.template.command"),
        ("never", "the schedule never matches"),
        ("descends", "0-2,22,23"),
        ("a/b/c", "a resource's key is a name without a slash, or namespace/name"),
        ("Ops/Upper", "metadata.name"),
        ("newer", "the job needs unheard-of, which this program does not know"),
    ] {
        let line =
            said.lines().find(|line| line.starts_with(&format!("cronctl: /cron/jobs/{key}: left out: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{key}: {said}");
    }
    assert!(printed.contains("# note: the value's name is another; the key decides"), "{printed}");

    let applied = api.apply(&printed);
    assert_eq!(applied.lines().count(), EXPRESSIONS.len() + 1, "{applied}");
    let _controller = {
        let mut options = ControllerOptions::new(&etcd, &api);
        options.arguments = vec!["--job-name-namespace".to_owned(), "ops".to_owned()];
        Controller::start(options)
    };
    let zone = TimeZone::parse("Asia/Shanghai").expect("a zone");
    for (name, expression, schedule) in EXPRESSIONS {
        let key = format!("/cron/jobs/{name}");
        let value = until("the controller to take a key over", || {
            let text = etcd.ctl(&["get", &key, "--print-value-only"]);
            let value: Value = serde_json::from_str(&text).ok()?;
            value["owner"].is_object().then_some(value)
        });
        assert_eq!(value["spec"]["schedule"], schedule, "{name}");
        assert_eq!(value["spec"]["timeZone"], "Asia/Shanghai");
        assert_eq!(value["command"], format!("echo '{name}'"));
        let name = JobName::new(name).expect("a name");
        let slots = |text: &str, dialect| {
            let schedule = Schedule::parse(text, dialect, zone, &name).expect("a schedule");
            let start = schedule.next_after(UnixMillis(1_771_631_999_000));
            std::iter::successors(start, |slot| schedule.next_after(*slot)).take(200).collect::<Vec<_>>()
        };
        assert_eq!(slots(schedule, Dialect::Standard), slots(expression, Dialect::Legacy), "{name}");
    }

    // What is a resource's already is no longer printed, and nothing is wrong with that.
    for key in ["not-json", "not-a-job", "no-command", "never", "descends", "a/b/c", "Ops/Upper", "newer"] {
        etcd.ctl(&["del", &format!("/cron/jobs/{key}")]);
    }
    let (printed, said, status) = import(&arguments);
    assert_eq!((printed.as_str(), status), ("", Some(0)), "{said}");
    assert!(
        said.contains("/cron/jobs/ops/third: it is the NodeCronJob third in namespace ops already"),
        "{said}"
    );
}
