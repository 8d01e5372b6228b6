//! Manifests in, jobs or messages out.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::process::{Up, command, http, refused};

/// A job that runs each second.
pub(crate) fn job(name: &str, command: &str) -> String {
    format!(
        "apiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\nmetadata:\n  name: {name}\nspec:\n  schedule: \"* * * * * *\"\n  \
         template:\n    command: {command:?}\n"
    )
}

#[test]
fn a_broken_document_in_the_middle_is_refused_with_its_place_and_hurts_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    let text = [
        job("first", "echo one"),
        "apiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\nmetadata: {name: bad}\nspec:\n  schedule: \"61 * * * *\"\n  template: {command: a}\n".to_owned(),
        "a: [1\n".to_owned(),
        job("last", "echo two"),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n".to_owned(),
    ];
    fs::write(&file, text.join("---\n")).unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[file.to_str().unwrap()]);
    let shown = file.display();
    up.line(&format!("{shown}:1: default/first created: Every second, UTC; next "));
    up.line(&format!("{shown}:10: bad refused"));
    up.line(&format!("  {shown}:14:14: spec.schedule: "));
    up.line("passed over: a Service (web)");
    up.line("2 jobs, 2 refused");
    up.line("default/first succeeded");
    up.line("  | one");
    up.line("default/last succeeded");
    up.line("  | two");
    up.stop();
}

#[test]
fn every_mistake_of_a_document_is_named_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    let cases = [
        ("metadata: {name: a}\nspec: {schedule: '* * * * *', template: {}}", "command"),
        ("metadata: {name: a}\nspec: {schedule: '* * * * *', template: {comand: x}}", "did you mean command"),
        (
            "metadata: {name: a}\nspec: {schedul: '* * * * *', template: {command: x}}",
            "did you mean schedule",
        ),
        (
            "metadata: {name: a}\nspec: {schedule: '* * * *', template: {command: x}}",
            "the schedule has 4 fields; write 5",
        ),
        ("metadata: {name: a}\nspec: {schedule: '0 0 31 2 *', template: {command: x}}", "never"),
        ("metadata: {name: a/b}\nspec: {schedule: '* * * * *', template: {command: x}}", "metadata.name"),
        ("metadata: {name: 'a b'}\nspec: {schedule: '* * * * *', template: {command: x}}", "metadata.name"),
        ("metadata: {name: 夜间}\nspec: {schedule: '* * * * *', template: {command: x}}", "metadata.name"),
        ("metadata: {name: ..}\nspec: {schedule: '* * * * *', template: {command: x}}", "metadata.name"),
        (
            "metadata: {name: \"a\\0b\"}\nspec: {schedule: '* * * * *', template: {command: x}}",
            "metadata.name",
        ),
        ("spec: {schedule: '* * * * *', template: {command: x}}", "metadata"),
    ];
    let head = "apiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\n";
    let long = format!(
        "metadata: {{name: a}}\nspec: {{schedule: '* * * * *', template: {{command: {}}}}}",
        "x".repeat(128_001)
    );
    for (body, sentence) in cases.iter().copied().chain([(long.as_str(), "128000")]) {
        fs::write(&file, format!("{head}{body}\n")).unwrap();
        let up = Up::start(&folder.path().join("data"), &[file.to_str().unwrap()]);
        let text = up.stop();
        assert!(text.contains("refused") && text.contains(sentence), "{body}\nwanted {sentence}:\n{text}");
        assert!(text.contains("no jobs yet"), "{text}");
    }
}

#[test]
fn a_file_that_is_no_text_is_refused_and_the_others_run() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), b"name: \xff\n").unwrap();
    fs::write(folder.path().join("b.yaml"), job("good", "true")).unwrap();
    fs::write(folder.path().join("c.txt"), "not looked at").unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[folder.path().to_str().unwrap()]);
    up.line("line 1 is not UTF-8");
    up.line("default/good succeeded");
    assert!(!up.stop().contains("c.txt"));
}

#[test]
fn standard_input_is_read_as_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&folder.path().join("data"), &["-"]);
    command.stdin(Stdio::piped());
    let mut up = Up::spawn(command);
    up.stdin().write_all(job("piped", "echo in").as_bytes()).unwrap();
    up.line("-:1: default/piped created");
    up.line("  | in");
    up.stop();
}

#[test]
fn a_start_that_waits_for_standard_input_ends_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&folder.path().join("data"), &["-"]);
    command.stdin(Stdio::piped());
    let mut up = Up::spawn(command);
    let _held_open = up.stdin();
    up.line("state is kept in");
    up.stop();
}

#[test]
fn two_documents_of_one_name_are_one_job_and_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    fs::write(&file, [job("a", "echo one"), job("a", "echo two")].join("---\n")).unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[file.to_str().unwrap()]);
    up.line("default/a is defined at");
    up.line("  | one");
    assert!(!up.stop().contains("  | two"));
}

#[test]
fn arguments_that_can_not_be_meant_end_with_status_2_and_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (arguments, sentence) in [
        (&["no/such/file.yaml"][..], "there is no such file or folder"),
        (&["--listen", "0.0.0.0:0"], "write --listen 127.0.0.1:0"),
        (&["--listen", "somewhere"], "invalid value"),
        (&["--no-such-flag"], "unexpected argument"),
        (&["--log", "wrong=level=x"], "write a level"),
        (&[folder.path().to_str().unwrap()], "no .yaml, .yml or .json file"),
    ] {
        let mut command = std::process::Command::new(crate::process::CRONCTL);
        command.arg("up").arg("--data").arg(&data).args(arguments);
        let (status, text) = Up::spawn(command).ended();
        assert_eq!(status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(sentence), "{arguments:?}: {text}");
        assert!(!data.exists(), "{arguments:?} left a data folder");
    }
    let (status, text) = refused(&data, &["no/such/file.yaml"]);
    assert_eq!((status, text.lines().count()), (2, 1), "{text}");
}

#[test]
fn a_job_of_a_manifest_is_not_edited_or_deleted_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    fs::write(&file, job("a", "true")).unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[file.to_str().unwrap()]);
    let address = up.ready();
    let (_, listed) = http(&address, "GET", "/job/list", "", "");
    assert!(listed.contains(r#""name":"default/a""#), "{listed}");
    let (status, answer) = http(&address, "POST", "/job/delete", "", "name=default/a");
    assert_eq!(status, 200);
    assert!(answer.contains("-1") && answer.contains("jobs.yaml"), "{answer}");
    up.stop();
}
