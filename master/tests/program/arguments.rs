use std::fs;

use crate::process::{AWAY, run};

#[test]
fn a_wrong_argument_is_status_2_and_one_sentence_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let clear = folder.path().join("passwords");
    fs::write(&clear, "alice:secret\n").unwrap();
    let (clear, folder) = (clear.to_str().unwrap(), folder.path().to_str().unwrap());
    for (arguments, sentence) in [
        (&["--mongodb-uri", "mongodb://h/"][..], "give --etcd-endpoints, such as http://etcd:2379"),
        (&["--etcd-endpoints", "http://e:1"], "give --mongodb-uri"),
        (
            &["--etcd-endpoints", "ftp://e", "--mongodb-uri", "mongodb://h/"],
            "write it like http://127.0.0.1:2379",
        ),
        (&["--etcd-endpoints", "https://e:1", "--mongodb-uri", "mongodb://h/"], "--etcd-cacert"),
        (&["--etcd-endpoints", "http://e:1", "--mongodb-uri", "h"], "write mongodb://"),
        (&[&AWAY[..], &["--etcd-prefix", "cron"]].concat(), "write one such as /cron"),
        (&[&AWAY[..], &["--time-zone", "Europe/Pariss"]].concat(), "did you mean Europe/Paris?"),
        (&[&AWAY[..], &["--listen", "8070"]].concat(), "--listen"),
        (&[&AWAY[..], &["--source", "k8s"]].concat(), "possible values: kubernetes, etcd"),
        (&[&AWAY[..], &["--source", "kubernetes"]].concat(), "run in a cluster, or set KUBECONFIG"),
        (&[&AWAY[..], &["--namespace", "ops"]].concat(), "give --source kubernetes too"),
        (&[&AWAY[..], &["--auth", "/no/such/file"]].concat(), "--auth /no/such/file: it can't be read"),
        (
            &[&AWAY[..], &["--auth", clear]].concat(),
            "line 1: the password of alice is not hashed with bcrypt",
        ),
        (&[&AWAY[..], &["--web-root", clear]].concat(), "the folder can't be opened"),
        (&[&AWAY[..], &["--web-root", folder]].concat(), "it has no readable index.html"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(sentence), "{arguments:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn it_does_not_listen_beyond_this_machine_without_passwords() {
    for address in ["0.0.0.0:8070", "[::]:8070", "10.0.0.1:8070", "[::ffff:127.0.0.1]:8070"] {
        let output = run(&[&AWAY[..], &["--listen", address]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("give --auth with a password file (htpasswd -B -c FILE NAME makes one)"),
            "{said}"
        );
        assert!(said.contains("or listen on 127.0.0.1:8070"), "{said}");
    }
}

#[test]
fn help_teaches_and_names_every_variable() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for text in "CRONTAB_LISTEN CRONTAB_SOURCE CRONTAB_NAMESPACE CRONTAB_AUTH CRONTAB_WEB_ROOT CRONTAB_TIME_ZONE CRONTAB_HEALTH_LISTEN LOG_FORMAT \
                 RUST_LOG ETCD_ENDPOINTS ETCD_PREFIX ETCD_CACERT ETCD_CERT ETCD_KEY ETCD_USER ETCD_PASSWORD_FILE \
                 MONGODB_URI htpasswd SIGTERM"
        .split_whitespace()
    {
        assert!(help.contains(text), "{text} is not in the help:\n{help}");
    }
}
