//! `cronctl import` as people use it: the real program on files, what it prints, says, and its exit status.
//!
//! `import/NAME.yaml.out` and `import/NAME.err` are what it is to print and to say; `UPDATE_IMPORTS=1` writes them anew, for
//! somebody to read.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crds::manifest::{self, Content, JobObject};
use model::job::{ConcurrencyPolicy, MissedRuns};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// What is printed, what is said on standard error, and the exit status.
fn import(arguments: &[&str], input: &str) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cronctl"));
    command.arg("import").args(arguments).current_dir(folder());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), text(ended.stderr), ended.status.code())
}

/// The jobs of what was printed, all of whose documents have to be jobs.
fn jobs(printed: &str) -> Vec<JobObject> {
    let job = |document: manifest::Document| match document.content {
        Content::Job(job) => Some(*job),
        Content::Empty => None,
        other => panic!("line {}: {other:?}", document.line),
    };
    manifest::read(printed).filter_map(job).collect()
}

fn crontab(text: &str) -> Vec<JobObject> {
    let (printed, said, status) = import(&["crontab", "-", "--user", "--time-zone", "UTC"], text);
    assert_eq!(status, Some(0), "{said}");
    jobs(&printed)
}

#[test]
fn what_is_printed_and_said_of_each_file_is_as_written_down() {
    for (name, arguments, status) in [
        ("user", &["crontab", "user.crontab", "--time-zone", "Europe/Paris"][..], 0),
        ("system", &["crontab", "system.crontab", "--time-zone", "UTC", "--namespace", "ops"], 0),
        ("mistakes", &["crontab", "mistakes.crontab", "--time-zone", "UTC"], 1),
        ("cronjobs", &["cronjobs", "cronjobs.yaml"], 0),
        ("cronjobs-refused", &["cronjobs", "cronjobs-refused.yaml"], 1),
    ] {
        let (printed, said, ended) = import(arguments, "");
        assert_eq!(ended, Some(status), "{name}: {said}");
        // Every document is one that our parser, which knows the rules of an API server, takes.
        jobs(&printed);
        for (ending, text) in [("yaml.out", printed), ("err", said)] {
            let file = folder().join(format!("{name}.{ending}"));
            if std::env::var_os("UPDATE_IMPORTS").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            assert_eq!(text, std::fs::read_to_string(&file).unwrap_or_default(), "{}", file.display());
        }
    }
}

#[test]
fn a_line_of_a_crontab_keeps_its_meaning() {
    let found = crontab("SHELL=/bin/bash\nHOME=/srv\n0 5 * * 1 date +\\%F\nSHELL=/bin/sh\n@daily true\n");
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!(first.job.command.argv(), ["/bin/bash", "-c", "date +%F"]);
    assert_eq!(first.job.working_dir.as_deref(), Some("/srv"));
    assert_eq!(first.job.schedule.describe(), "At 05:00 on Monday, UTC");
    assert_eq!(first.job.concurrency, ConcurrencyPolicy::Allow);
    assert_eq!(first.job.missed, MissedRuns::Skip);
    let env: Vec<_> = first.job.env.iter().map(|variable| (&*variable.name, &*variable.value)).collect();
    assert_eq!(env, [("SHELL", "/bin/bash"), ("HOME", "/srv")]);
    assert_eq!(second.job.command.argv(), ["/bin/sh", "-c", "true"]);
}

#[test]
fn input_after_a_percent_sign_reaches_every_command_of_the_line() {
    let found = crontab("@daily read a; echo \"[$a]\"; cat; echo end%one%two \\% $x `y` \\\\%three%\n");
    let words = found[0].job.command.argv();
    let ended = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "[one]\ntwo % $x `y` \\%three\nend\n");
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_second_import_gives_the_same_names_and_other_lines_do_not_change_them() {
    let names = |text: &str| crontab(text).into_iter().map(|job| job.name).collect::<Vec<_>>();
    let before = names("0 1 * * * /opt/a.sh\n0 2 * * * /opt/b.sh\n");
    let after = names("0 0 * * * new\n0 3 * * * /opt/b.sh\n@daily  /opt/a.sh\n");
    assert_eq!(after[1..], [before[1].clone(), before[0].clone()]);
    let same = names("0 1 * * * a\n0 2 * * * a\n");
    assert_eq!(same[1], format!("{}-2", same[0]));
}

#[test]
fn users_are_read_where_the_place_or_the_lines_say_so_or_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cron.d");
    std::fs::create_dir(&place).unwrap();
    let file = place.join("mixed");
    std::fs::copy(self::folder().join("mixed.crontab"), &file).unwrap();
    let lines = |arguments: &[&str]| {
        let (printed, ..) = import(arguments, "");
        jobs(&printed).iter().map(|job| job.job.command.display()).collect::<Vec<_>>()
    };
    let without = ["/usr/local/bin/one", "/usr/local/bin/two"];
    let with = ["root /usr/local/bin/one", "backup /usr/local/bin/two"];
    assert_eq!(lines(&["crontab", file.to_str().unwrap()]), without);
    assert_eq!(lines(&["crontab", "mixed.crontab"]), with);
    assert_eq!(lines(&["crontab", "mixed.crontab", "--system"]), without);
    assert_eq!(lines(&["crontab", file.to_str().unwrap(), "--user"]), with);
}

#[test]
fn nothing_in_a_line_gets_out_of_its_comment_or_its_field() {
    let text = "A=\u{1b}[2Jb\n0 0 * * * echo \u{7f}\u{85}---\u{2028}kind: x\rdone # : \"'\t|\n";
    let (printed, _, status) = import(&["crontab", "-", "--user", "--time-zone", "UTC"], text);
    assert_eq!(status, Some(0));
    assert!(printed.chars().all(|c| c == '\n' || !c.is_control()), "{printed:?}");
    let found = jobs(&printed);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].job.command.display(), "echo \u{7f}\u{85}---\u{2028}kind: x\rdone # : \"'\t|");
    assert_eq!(found[0].job.env[0].value, "\u{1b}[2Jb");
}

#[test]
fn mistakes_in_the_arguments_have_exit_status_2_and_print_nothing() {
    for (arguments, said) in [
        (&["crontab", "missing.crontab"][..], "cronctl: missing.crontab: there is no such file or folder\n"),
        (&["crontab", "-", "--time-zone", "Paris"], "did you mean Europe/Paris?"),
        (&["crontab", "-", "--user", "--system"], "cannot be used with"),
        (&["cronjobs"], "required"),
        (&["etcd"], "cronctl: no etcd is named; give --etcd-endpoints, such as http://etcd:2379\n"),
        (&["etcd", "--etcd-endpoints", "http://127.0.0.1:1", "--etcd-prefix", "cron"], "--etcd-prefix"),
        (&["crontab", "not-utf-8.crontab"], "not-utf-8.crontab: line 2 is not UTF-8; save the file as UTF-8"),
    ] {
        let (printed, errors, status) = import(arguments, "");
        assert_eq!((printed.as_str(), status), ("", Some(2)), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
}
