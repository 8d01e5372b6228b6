//! Jobs in etcd with their log in MongoDB: asked there, and through a master with a password.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use e2e::{Etcd, Master, MasterOptions, Mongo, Worker, WorkerOptions, until};

use crate::world::Place;

fn strings<const N: usize>(options: [&str; N]) -> Vec<String> {
    options.map(str::to_owned).to_vec()
}

fn put(etcd: &Etcd, name: &str, command: &str, expression: &str) {
    let job = serde_json::json!({ "name": name, "command": command, "cronExpr": expression });
    etcd.ctl(&["put", &format!("/cron/jobs/{name}"), &job.to_string()]);
}

#[test]
fn jobs_are_seen_and_steered_in_the_tree_and_through_a_master_alike() {
    let (mut etcd, mongo) = (Etcd::start(), Mongo::start());
    let uri = mongo.uri();
    let tree = Place {
        options: strings(["--etcd-endpoints", &etcd.endpoint(), "--mongodb-uri", &uri]),
        environment: Vec::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let users = folder.path().join("users");
    // The password is "pass:word".
    fs::write(&users, "alice:$2b$04$dLTaSRL9jF7zXOQQUBTRruptpzRegs9FuNrsPmfH3z3mfCPixf3my\n")
        .expect("it can be written");
    let password = folder.path().join("password");
    fs::write(&password, "pass:word\n").expect("it can be written");
    let options = MasterOptions {
        arguments: strings(["--auth", users.to_str().expect("UTF-8")]),
        ..MasterOptions::new(&etcd, &mongo)
    };
    let master = Master::start(options);
    let url = format!("http://127.0.0.1:{}/", master.port());
    let through = Place {
        options: strings([
            "--master",
            &url,
            "--master-user",
            "alice",
            "--master-password-file",
            password.to_str().expect("UTF-8"),
        ]),
        // An option counts, whatever the environment names.
        environment: vec![("ETCD_ENDPOINTS", "http://127.0.0.1:1".to_owned())],
    };

    for place in [&tree, &through] {
        let nothing = place.run(&["get"]);
        assert_eq!((nothing.printed.as_str(), nothing.said.as_str(), nothing.status), ("", "No jobs.\n", 0));
    }
    let _worker = Worker::start(WorkerOptions::new(&etcd, &mongo, "node-1"));
    put(&etcd, "tick", "echo a tick", "* * * * * * *");
    // It may be claimed before its slot, and then has written nothing yet.
    let begun = folder.path().join("begun");
    put(&etcd, "ops/long", &format!("echo begun; touch {}; sleep 600", begun.display()), "* * * * * * *");
    let until_begun = || {
        until("the long run to begin", || begun.exists().then_some(()));
        fs::remove_file(&begun).expect("it is there");
    };
    put(&etcd, "odd\u{1b}[2J", "true", "0 0 1 1 *");
    etcd.ctl(&["put", "/cron/jobs/broken", "no JSON"]);

    for place in [&tree, &through] {
        let table = place.until(&["get"], |table| {
            table.printed.contains("Succeeded") && table.row("ops/long").last() == Some(&"Running")
        });
        assert_eq!(table.row("broken").last(), Some(&"Invalid"), "{table:?}");
        assert!(!table.printed.contains('\u{1b}'), "a name steers no terminal: {table:?}");
        // A record reaches the log a moment after the tree tells of its end.
        place.until(&["logs", "tick"], |logs| logs.printed == "a tick\n" && logs.status == 0);
        let long = place.run(&["get", "-n", "ops", "-o", "json"]).json();
        assert_eq!(long["jobs"].as_array().map(Vec::len), Some(1), "{long}");
        assert_eq!(
            (&long["jobs"][0]["name"], &long["jobs"][0]["active"][0]["node"]),
            (&"ops/long".into(), &"node-1".into())
        );
        until_begun();
        let killed = place.ok(&["kill", "-n", "ops", "long"]);
        assert!(killed.starts_with("ops/long: 1 run asked to end\n"), "{killed}");
        let run = killed.split_whitespace().find(|word| word.len() == 30).expect("a run id").to_owned();
        place.until(&["history", "ops/long"], |history| {
            history.printed.lines().any(|line| line.contains(&run) && line.contains("Killed"))
        });
        assert_eq!(place.ok(&["logs", "ops/long", "--run", &run]), "begun\n");
        assert_eq!(place.ok(&["suspend", "tick", "ops/long"]), "tick suspended\nops/long suspended\n");
        assert_eq!(place.ok(&["suspend", "tick"]), "tick already suspended\n");
        assert_eq!(place.run(&["get", "tick"]).row("tick")[2], "true");
        assert_eq!(place.ok(&["resume", "tick", "ops/long"]), "tick resumed\nops/long resumed\n");
        let partly = place.run(&["resume", "tick", "tack"]);
        assert_eq!((partly.printed.as_str(), partly.status), ("tick not suspended\n", 1));
        assert!(partly.said.contains("did you mean tick?"), "{partly:?}");
    }

    // A follower shows runs as they end, those of a job that comes back too, and waits for a run that goes on.
    let mut following =
        tree.command(&["logs", "--follow", "tick"]).stdout(Stdio::piped()).spawn().expect("cronctl starts");
    let mut lines = BufReader::new(following.stdout.take().expect("it is piped")).lines();
    for _ in 0..3 {
        assert_eq!(lines.next().expect("it goes on").expect("UTF-8"), "a tick");
    }
    following.kill().expect("it can be killed");
    following.wait().expect("it can be waited for");
    until_begun();
    let running =
        tree.until(&["get", "ops/long", "-o", "json"], |job| job.json()["jobs"][0]["activeCount"] == 1);
    let run = running.json()["jobs"][0]["active"][0]["run"].as_str().expect("a run").to_owned();
    let mut waiting = tree.command(&["logs", "ops/long", "--run", &run, "--follow"]);
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cronctl starts");
    let mut said = BufReader::new(waiting.stderr.take().expect("it is piped")).lines();
    let first = said.next().expect("it says so").expect("UTF-8");
    assert!(first.contains("what it wrote is stored when it ends"), "{first}");
    tree.ok(&["kill", "ops/long"]);
    let ended = waiting.wait_with_output().expect("it can be waited for");
    assert_eq!((ended.stdout.as_slice(), ended.status.code()), (b"begun\n".as_slice(), Some(0)));

    // What is missing is named.
    let wrong = Place { options: strings(["--master", &url]), ..Place::default() }.run(&["get"]);
    assert!(
        wrong.said.contains("give --master-user and --master-password-file") && wrong.status == 1,
        "{wrong:?}"
    );
    let endpoint = etcd.endpoint();
    let no_log = Place { options: strings(["--etcd-endpoints", &endpoint]), ..Place::default() };
    assert!(no_log.ok(&["get", "tick"]).contains("tick"));
    let refused = no_log.run(&["history", "tick"]);
    assert!(refused.said.contains("--mongodb-uri") && refused.status == 1, "{refused:?}");
    etcd.kill();
    for place in [&tree, &through] {
        let away = place.run(&["get", "tick"]);
        assert!(away.said.contains("the job tree is not available") && away.status == 1, "{away:?}");
    }
}
