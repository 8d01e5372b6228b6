//! Jobs in etcd with their log in MongoDB: asked there, and through a master with a password.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::{Etcd, Master, MasterOptions, Mongo, Worker, WorkerOptions, until};
use tempfile::TempDir;

use crate::world::Place;

struct World {
    etcd: Etcd,
    mongo: Mongo,
    master: Master,
    folder: TempDir,
}

fn strings<const N: usize>(options: [&str; N]) -> Vec<String> {
    options.map(str::to_owned).to_vec()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the folder's name is UTF-8")
}

impl World {
    fn start() -> Self {
        let (etcd, mongo) = (Etcd::start(), Mongo::start());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let users = folder.path().join("users");
        // The password is "pass:word".
        let user = "alice:$2b$04$dLTaSRL9jF7zXOQQUBTRruptpzRegs9FuNrsPmfH3z3mfCPixf3my\n";
        fs::write(&users, user).expect("it can be written");
        let options = MasterOptions {
            arguments: strings(["--auth", text(&users)]),
            ..MasterOptions::new(&etcd, &mongo)
        };
        let master = Master::start(options);
        Self { etcd, mongo, master, folder }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.master.port())
    }

    fn tree(&self) -> Place {
        let options = ["--etcd-endpoints", &self.etcd.endpoint(), "--mongodb-uri", &self.mongo.uri()];
        Place { options: strings(options), ..Place::default() }
    }

    fn through_the_master(&self) -> Place {
        let password = self.folder.path().join("password");
        fs::write(&password, "pass:word\n").expect("it can be written");
        let login = ["--master-user", "alice", "--master-password-file", text(&password)];
        Place {
            options: [strings(["--master", &self.url()]), strings(login)].concat(),
            // An option counts, whatever the environment names.
            environment: vec![("ETCD_ENDPOINTS", "http://127.0.0.1:1".to_owned())],
        }
    }

    fn worker(&self) -> Worker {
        Worker::start(WorkerOptions::new(&self.etcd, &self.mongo, "node-1"))
    }

    fn put(&self, name: &str, command: &str, expression: &str) {
        let job = serde_json::json!({ "name": name, "command": command, "cronExpr": expression });
        self.etcd.ctl(&["put", &format!("/cron/jobs/{name}"), &job.to_string()]);
    }

    /// A job whose runs go on until they are ended.
    fn put_long(&self) {
        let command = format!("echo begun; touch {}; sleep 600", text(&self.begun()));
        self.put("ops/long", &command, "* * * * * * *");
    }

    fn begun(&self) -> PathBuf {
        self.folder.path().join("begun")
    }

    /// A run is claimed before its slot, and has written nothing then.
    fn until_begun(&self) {
        until("the long run to begin", || self.begun().exists().then_some(()));
        fs::remove_file(self.begun()).expect("it is there");
    }
}

#[test]
fn jobs_are_seen_and_steered_in_the_tree_and_through_a_master_alike() {
    let world = World::start();
    let places = [world.tree(), world.through_the_master()];
    for place in &places {
        let nothing = place.run(&["get"]);
        assert_eq!((nothing.printed.as_str(), nothing.said.as_str(), nothing.status), ("", "No jobs.\n", 0));
    }
    let _worker = world.worker();
    world.put("tick", "echo a tick", "* * * * * * *");
    world.put_long();
    world.put("odd\u{1b}[2J", "true", "0 0 1 1 *");
    world.etcd.ctl(&["put", "/cron/jobs/broken", "no JSON"]);

    for place in &places {
        let table = place.until(&["get"], |table| {
            table.printed.contains("Succeeded") && table.row("ops/long").last() == Some(&"Running")
        });
        assert_eq!(table.row("broken").last(), Some(&"Invalid"), "{table:?}");
        assert!(!table.printed.contains('\u{1b}'), "a name steers no terminal: {table:?}");
        // A record reaches the log a moment after the tree tells of its end.
        place.until(&["logs", "tick"], |logs| logs.printed == "a tick\n" && logs.status == 0);
        let long = place.run(&["get", "-n", "ops", "-o", "json"]).json();
        assert_eq!(long["jobs"].as_array().map(Vec::len), Some(1), "{long}");
        assert_eq!(long["jobs"][0]["name"], "ops/long");
        assert_eq!(long["jobs"][0]["active"][0]["node"], "node-1");
        world.until_begun();
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
}

#[test]
fn a_follower_shows_each_run_as_it_ends_or_waits_for_one() {
    let world = World::start();
    let (tree, _worker) = (world.tree(), world.worker());
    world.put("tick", "echo $CRON_RUN_ID", "* * * * * * *");
    world.put_long();
    tree.until(&["get", "tick"], |table| table.printed.contains("Succeeded"));
    let following = ["logs", "--follow", "tick"];
    let mut following = tree.command(&following).stdout(Stdio::piped()).spawn().expect("cronctl starts");
    let lines = BufReader::new(following.stdout.take().expect("it is piped")).lines();
    let runs: Vec<String> = lines.take(4).map(|line| line.expect("UTF-8")).collect();
    assert!(runs.is_sorted_by(|one, next| one < next), "each once, in their order: {runs:?}");
    following.kill().expect("it can be killed");
    following.wait().expect("it can be waited for");

    world.until_begun();
    let long =
        tree.until(&["get", "ops/long", "-o", "json"], |job| job.json()["jobs"][0]["activeCount"] == 1);
    let run = long.json()["jobs"][0]["active"][0]["run"].as_str().expect("a run").to_owned();
    let mut waiting = tree.command(&["logs", "ops/long", "--run", &run, "--follow"]);
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cronctl starts");
    let mut said = BufReader::new(waiting.stderr.take().expect("it is piped")).lines();
    let first = said.next().expect("it says so").expect("UTF-8");
    assert!(first.contains("what it wrote is stored when it ends"), "{first}");
    tree.ok(&["kill", "ops/long"]);
    let ended = waiting.wait_with_output().expect("it can be waited for");
    assert_eq!((ended.stdout.as_slice(), ended.status.code()), (b"begun\n".as_slice(), Some(0)));
}

#[test]
fn what_is_missing_or_away_is_named() {
    let mut world = World::start();
    world.put("tick", "true", "0 0 1 1 *");
    let login = Place { options: strings(["--master", &world.url()]), ..Place::default() }.run(&["get"]);
    assert!(login.said.contains("give --master-user and --master-password-file"), "{login:?}");
    assert_eq!(login.status, 1);
    let endpoint = world.etcd.endpoint();
    let no_log = Place { options: strings(["--etcd-endpoints", &endpoint]), ..Place::default() };
    assert!(no_log.ok(&["get", "tick"]).contains("tick"));
    for command in ["history", "logs"] {
        let refused = no_log.run(&[command, "tick"]);
        assert!(refused.said.contains("--mongodb-uri") && refused.status == 1, "{refused:?}");
    }
    world.etcd.kill();
    for place in [world.tree(), world.through_the_master()] {
        for arguments in [["get"].as_slice(), &["get", "tick"], &["kill", "tick"]] {
            let away = place.run(arguments);
            assert!(away.said.contains("the job tree is not available"), "{away:?}");
            assert_eq!(away.status, 1, "{away:?}");
        }
    }
}
