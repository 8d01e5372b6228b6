//! The arguments of the program, as somebody meets them who starts it for the first time.

use std::process::{Command, Output};

fn controller(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crontab-controller"));
    // Neither a cluster nor the settings of whoever runs the tests.
    command.args(arguments).env_clear().env("HOME", "/nonexistent").output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_says_what_it_is_for_with_an_example_and_every_variable() {
    let help = controller(&["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for part in
        ["crontab-controller --etcd-endpoints http://etcd:2379", "KUBECONFIG", "stand by", "ETCD_ENDPOINTS"]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn arguments_that_can_not_work_end_it_with_status_2_and_a_sentence() {
    let endpoint = ["--etcd-endpoints", "http://127.0.0.1:1"];
    let cases: [(&[&str], &str); 6] = [
        (&["--namespace", "ops"], "give --etcd-endpoints"),
        (&["--etcd-endpoints", "etcd"], "--etcd-endpoints"),
        (&[&endpoint[..], &["--etcd-prefix", "cron"]].concat(), "--etcd-prefix"),
        (&[&endpoint[..], &["--etcd-cacert", "/nonexistent/ca"]].concat(), "--etcd-cacert"),
        (&[&endpoint[..], &["--name-space", "ops"]].concat(), "--namespace"),
        (&endpoint, "set KUBECONFIG"),
    ];
    for (arguments, words) in cases {
        let ended = controller(arguments);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
