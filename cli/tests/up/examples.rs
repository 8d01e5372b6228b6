//! The examples do what their comments say. So that a test need not wait for half past two, every schedule is made
//! each second, and what takes 30 seconds takes two.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Up, command};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// One example in a hurry, started.
fn hurried(example: &str) -> (Up, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(examples().join(example)).unwrap().replace("sleep 30", "sleep 2");
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("schedule: ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}schedule: \"* * * * * *\""),
            _ => line.to_owned(),
        })
        .collect();
    let file = folder.path().join(example);
    fs::write(&file, lines.join("\n")).unwrap();
    let up = Up::start(&folder.path().join("data"), &[file.to_str().unwrap()]);
    (up, folder)
}

#[test]
fn all_of_them_are_accepted_and_one_runs_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[examples().to_str().unwrap()]);
    up.line("default/hello succeeded");
    up.line("  | hello, it is ");
    let text = up.stop();
    assert!(!text.contains("refused") && !text.contains("passed over"), "{text}");
    let files = fs::read_dir(examples()).unwrap().count();
    assert!(files >= 8 && text.matches(" created: ").count() >= files, "{text}");
}

#[test]
fn every_example_has_a_test() {
    let source = include_str!("examples.rs");
    for entry in fs::read_dir(examples()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(source.contains(&format!("hurried(\"{name}\")")), "{name} has no test");
    }
}

#[test]
fn hello_says_hello() {
    let (mut up, _folder) = hurried("hello.yaml");
    up.lines_with("default/hello succeeded", 2);
    up.line("  | hello, it is ");
    up.stop();
}

#[test]
fn nightly_runs_and_its_suspended_neighbour_does_not() {
    let (mut up, _folder) = hurried("nightly.yaml");
    up.line("; suspended");
    up.line("default/nightly succeeded");
    up.line("  | rotating logs");
    assert!(!up.stop().contains("not printed while suspended"));
}

#[test]
fn environment_shows_every_variable() {
    let (mut up, _folder) = hurried("environment.yaml");
    up.lines_with("default/environment succeeded", 2);
    up.line("  | good day from default/environment");
    up.line("  | last success: none yet");
    up.line("  | last success: 20");
    let tokens = up.lines_with("  | fencing token: ", 2);
    assert_ne!(tokens[0], tokens[1]);
    up.stop();
}

#[test]
fn exec_expands_nothing() {
    let (mut up, _folder) = hurried("exec.yaml");
    up.line("  | a star stays a star: *");
    up.line("  | and a dollar a dollar: $HOME");
    up.stop();
}

#[test]
fn failure_shows_its_status_and_what_it_wrote() {
    let (mut up, _folder) = hurried("failure.yaml");
    let line = up.line("default/failure failed");
    assert!(line.ends_with(": exit status 3"), "{line}");
    up.line("  | no backup: the disk is not mounted");
    up.stop();
}

#[test]
fn deadline_asks_and_then_ends_everything() {
    let (mut up, _folder) = hurried("deadline.yaml");
    let line = up.line("default/deadline timed out");
    assert!(line.ends_with("killed after activeDeadlineSeconds (3 s)"), "{line}");
    up.line("  | asked to stop");
    up.stop();
}

#[test]
fn output_is_cut_in_the_middle() {
    let (mut up, _folder) = hurried("output.yaml");
    up.line("default/output succeeded");
    up.line("  | 1");
    up.stop();
}

#[test]
fn overlap_skips_or_runs_beside() {
    let (mut up, _folder) = hurried("overlap.yaml");
    let line = up.line("default/overlap-forbid skipped");
    assert!(line.ends_with("an earlier run had not ended"), "{line}");
    up.lines_with("default/overlap-allow succeeded", 2);
    assert!(!up.text().contains("default/overlap-allow skipped"), "{}", up.text());
    up.stop();
}

#[test]
fn help_teaches() {
    let (status, help) = Up::spawn({
        let mut help = command(Path::new("unused"), &["--help"]);
        help.env("COLUMNS", "100");
        help
    })
    .ended();
    assert!(status.success());
    for part in
        ["--listen", "--data", "CRONTAB_DATA", "kubectl get ncj -A -o yaml | cronctl up -", "Ctrl-C ends it"]
    {
        assert!(help.contains(part), "{part} is not in the help:\n{help}");
    }
}
