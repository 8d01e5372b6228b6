//! What survives, and what is made of what was cut off.

use std::fs;

use rustix::process::Signal;

use crate::manifests::job;
use crate::process::{Up, command, http};

#[test]
fn a_restart_keeps_jobs_and_history() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("a.yaml"));
    fs::write(&file, job("a", "echo kept")).unwrap();
    let mut up = Up::start(&data, &[file.to_str().unwrap()]);
    up.line("default/a succeeded");
    let ended = up.stop();
    assert!(ended.contains("SIGTERM: ending") && ended.ends_with("ended"), "{ended}");

    let mut up = Up::start(&data, &[file.to_str().unwrap()]);
    let address = up.ready();
    up.line("default/a unchanged");
    let (_, log) = http(&address, "GET", "/job/log?name=default%2Fa&limit=100", "", "");
    assert!(log.contains(r#""output":"kept\n""#), "{log}");
    up.stop();

    let mut up = Up::start(&data, &[]);
    up.line("1 job, 1 from earlier");
    up.line("default/a succeeded");
    up.stop();
}

#[test]
fn what_ran_when_the_process_was_killed_is_recorded_as_lost_and_its_command_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("a.yaml"));
    let pid = folder.path().join("pid");
    fs::write(&file, job("a", &format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 1000", pid.display())))
        .unwrap();
    let up = Up::start(&data, &[file.to_str().unwrap()]);
    let begun = std::time::Instant::now();
    let command = loop {
        match fs::read_to_string(&pid) {
            Ok(pid) => break pid.trim().to_owned(),
            Err(why) => assert!(begun.elapsed() < crate::process::PATIENCE, "{why}"),
        }
    };
    up.kill();
    let mut up = Up::start(&data, &[file.to_str().unwrap()]);
    let lost = up.line("default/a lost");
    assert!(lost.contains("how far it came is not known"), "{lost}");
    let stat = fs::read_to_string(format!("/proc/{command}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "the command lives on: {stat}");
    up.stop();
}

#[test]
fn a_document_that_is_gone_takes_its_job_with_it_but_not_while_its_file_has_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("a.yaml"));
    let path = file.to_str().unwrap();
    fs::write(&file, [job("a", "true"), job("b", "true")].join("---\n")).unwrap();
    Up::start(&data, &[path]).stop();

    fs::write(&file, [job("a", "true"), "kind: [\n".to_owned()].join("---\n")).unwrap();
    let mut up = Up::start(&data, &[path]);
    up.line("default/b goes on as it was");
    up.line("default/b succeeded");
    up.stop();

    fs::write(&file, job("a", "true")).unwrap();
    let mut up = Up::start(&data, &[path]);
    up.line("default/b removed");
    up.line("1 job, 1 removed");
    up.stop();
}

#[test]
fn jobs_saved_on_the_page_stay_and_are_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("a.yaml"));
    let mut up = Up::start(&data, &[]);
    let address = up.ready();
    let form = "job=%7B%22name%22%3A%22default%2Fa%22%2C%22command%22%3A%22echo+saved%22%2C%22cronExpr%22%3A%22*+*+*+*+*+*+*%22%7D";
    let (_, saved) = http(&address, "POST", "/job/save", "", form);
    assert!(saved.contains(r#""errno":0"#), "{saved}");
    up.line("  | saved");
    up.stop();

    fs::write(&file, job("a", "echo taken")).unwrap();
    let mut up = Up::start(&data, &[file.to_str().unwrap()]);
    up.line("was saved through the page or by hand");
    up.line("  | saved");
    assert!(!up.stop().contains("  | taken"));
}

#[test]
fn a_second_signal_kills_what_does_not_want_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("a.yaml"));
    let marker = folder.path().join("started");
    fs::write(
        &file,
        job("a", &format!("trap '' TERM; touch {}; while :; do sleep 1; done", marker.display())),
    )
    .unwrap();
    let mut up = Up::start(&data, &[file.to_str().unwrap()]);
    let begun = std::time::Instant::now();
    while !marker.exists() {
        assert!(begun.elapsed() < crate::process::PATIENCE, "{}", up.text());
    }
    up.signal(Signal::INT);
    up.line("SIGINT: ending");
    up.signal(Signal::INT);
    let (status, text) = up.ended();
    assert!(status.success(), "{status}: {text}");
    // The grace period is 30 s: a test that needs all of it would have waited for it in vain.
    assert!(text.contains("default/a killed"), "{text}");
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("a.yaml"));
    let beats = folder.path().join("beats");
    fs::write(&file, job("a", &format!("echo x >> {}", beats.display()))).unwrap();
    let mut command = command(&data, &[file.to_str().unwrap()]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let begun = std::time::Instant::now();
    while fs::read_to_string(&beats).unwrap_or_default().lines().count() < 3 {
        assert!(begun.elapsed() < crate::process::PATIENCE);
        assert_eq!(child.try_wait().unwrap(), None);
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
