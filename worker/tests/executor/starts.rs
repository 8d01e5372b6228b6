//! How commands start, and what is said when they can't.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use worker::executor::{ExitResult, RunKey, Start, StopReason};

use crate::host::{Host, exec, sh};

fn script(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_can_not_start_says_why_and_the_executor_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    script(&folder.path().join("plain"), "#!/bin/sh\n", 0o644);
    script(&folder.path().join("orphan"), "#!/no/such/interpreter\n", 0o755);
    script(&folder.path().join("text"), "echo hello\n", 0o755);
    let within =
        |working_dir: &str, start: Start| Start { working_dir: Some(working_dir.to_owned()), ..start };
    let nul = Start { env: vec![("A".to_owned(), "b\0c".to_owned())], ..sh(0, "true") };
    let without_path = Start { env: Vec::new(), ..exec(0, &["true"]) };
    let long = "x".repeat(200_000);
    let longest = "x".repeat(10 << 20);
    let mut host = Host::new();
    for (key, (start, why)) in [
        (exec(0, &["no-such-program"]), "is in no folder of PATH (/usr/local/bin:/usr/bin:/bin)".to_owned()),
        (without_path, "can't be looked for without PATH".to_owned()),
        (exec(0, &["/no/such/program"]), "/no/such/program does not exist on this node".to_owned()),
        (exec(0, &[&at("plain/x")]), "can't be reached".to_owned()),
        (exec(0, &["/tmp"]), "/tmp is a directory".to_owned()),
        (exec(0, &[&at("plain")]), "may not be executed".to_owned()),
        (exec(0, &[&at("orphan")]), "the interpreter that it names".to_owned()),
        (exec(0, &[&at("text")]), "begin a script with `#!`".to_owned()),
        (exec(0, &[&long]), "the program `xxx".to_owned()),
        (exec(0, &[&format!("/{long}")]), "can't be reached".to_owned()),
        (exec(0, &[]), "there is no command".to_owned()),
        (exec(0, &["/bin/echo", "a\0b"]), "a NUL byte".to_owned()),
        (nul, "a NUL byte".to_owned()),
        (sh(0, &long), "longer than the system takes".to_owned()),
        (sh(0, &longest), "longer than the system takes".to_owned()),
        (
            within("/no/such/folder", sh(0, "true")),
            "the working directory /no/such/folder does not exist".to_owned(),
        ),
        (within(&at("plain"), sh(0, "true")), "is no directory".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let (seen, ended) = host.run(Start { key: RunKey(key as u64), ..start }).await;
        let ExitResult::NotStarted(said) = &ended.result else { panic!("{why}: {ended:?}") };
        assert!(said.contains(&why), "{said:?} does not say {why:?}");
        assert_eq!((seen.started, ended.started, ended.stopped), (None, None, None));
    }
    let (_, ended) = host.run(sh(100, "true")).await;
    assert_eq!(ended.result, ExitResult::Exited(0));
}

#[tokio::test]
async fn the_environment_is_exactly_what_was_given() {
    let mut host = Host::new();
    let given = [("PATH", "/usr/bin:/bin"), ("A", "first"), ("EMPTY", ""), ("LINES", "a\nb"), ("A", "b c=d")];
    let env = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (seen, _) = host.run(Start { env, ..exec(1, &["env", "-0"]) }).await;
    let text = seen.text();
    let mut variables: Vec<&str> = text.split_terminator('\0').collect();
    variables.sort_unstable();
    assert_eq!(variables, ["A=b c=d", "EMPTY=", "LINES=a\nb", "PATH=/usr/bin:/bin"]);
}

#[tokio::test]
async fn a_command_inherits_nothing_of_the_worker() {
    // What is open here without close-on-exec, as some tools leave it, is handed down by everybody.
    let script = "readlink /proc/self/fd/0; ls /proc/$$/fd; ulimit -n; cat";
    let here = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).output().unwrap();
    let mut host = Host::new();
    let busy: Vec<RunKey> = (10..20).map(RunKey).collect();
    for key in &busy {
        host.executor.start(sh(key.0, "echo ready; exec sleep 1000"));
    }
    for key in &busy {
        host.wrote(*key, "ready\n").await;
    }
    let (seen, _) = host.run(sh(1, script)).await;
    assert_eq!(seen.text(), String::from_utf8(here.stdout).unwrap());
}

#[tokio::test]
async fn a_command_ignores_no_signal_and_blocks_none() {
    let mut host = Host::new();
    let (seen, _) = host.run(exec(1, &["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])).await;
    let text = seen.text();
    let mask = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let (hup, int, pipe, term, chld) = (1, 2, 13, 15, 17);
    let of_the_executor =
        [hup, int, pipe, term, chld].map(|signal| 1 << (signal - 1)).into_iter().sum::<u64>();
    assert_eq!((mask("SigBlk:"), mask("SigIgn:") & of_the_executor), (0, 0), "{text}");
}

#[tokio::test]
async fn a_program_is_found_as_a_shell_would_and_keeps_the_name_it_was_called_by() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::create_dir(folder.path().join("first")).unwrap();
    script(&folder.path().join("bin/tool"), "#!/bin/sh\npwd\n", 0o755);
    script(&folder.path().join("first/tool"), "not to be executed", 0o644);
    let path = "/no/such/folder:first:bin:/bin";
    let within = |key, argv: &[&str]| Start {
        env: vec![("PATH".to_owned(), path.to_owned())],
        working_dir: Some(folder.path().to_str().unwrap().to_owned()),
        ..exec(key, argv)
    };
    let mut host = Host::new();
    let here = format!("{}\n", folder.path().canonicalize().unwrap().display());
    for (key, argv) in [&["tool"][..], &["bin/tool"], &["./bin/tool"]].into_iter().enumerate() {
        let (seen, ended) = host.run(within(key as u64, argv)).await;
        assert_eq!(ended.result, ExitResult::Exited(0), "{argv:?}");
        assert_eq!(seen.text(), here);
    }
    let (seen, _) = host.run(within(10, &["sh", "-c", "echo $0"])).await;
    assert_eq!(seen.text(), "sh\n");
}

#[tokio::test]
async fn a_command_does_not_start_before_its_instant() {
    let mut host = Host::new();
    for key in 0..5 {
        let start =
            Start { at: worker::now() + Duration::from_millis(250), ..exec(key, &["date", "+%s%3N"]) };
        let at = start.at;
        let (seen, ended) = host.run(start).await;
        let began: i64 = seen.text().trim().parse().unwrap();
        assert!(ended.started.unwrap() >= at, "{ended:?} was to start at {at}");
        assert!(began >= at.0, "{began} is before {at}");
    }
}

#[tokio::test]
async fn three_hundred_run_at_once() {
    let mut host = Host::new();
    let keys = || (0..300).map(RunKey);
    for key in keys() {
        host.executor.start(sh(key.0, "echo ready; exec sleep 1000"));
    }
    for key in keys() {
        host.wrote(key, "ready\n").await;
    }
    for key in keys() {
        host.executor.stop(key, StopReason::Killed);
    }
    for key in keys() {
        let (_, ended) = host.ended(key).await;
        assert_eq!(ended.stopped, Some(StopReason::Killed));
    }
}

#[tokio::test]
async fn without_room_for_more_open_files_some_do_not_start_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    script(
        &program,
        &format!("#!/bin/sh\nulimit -n 40\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_crontab-worker")),
        0o755,
    );
    let mut host = Host::of(&program);
    let keys = || (0..40).map(RunKey);
    for key in keys() {
        host.executor.start(sh(key.0, "exec sleep 1000"));
    }
    let told = |host: &Host| {
        keys()
            .all(|key| host.seen.get(&key).is_some_and(|seen| seen.started.is_some() || seen.ended.is_some()))
    };
    host.until("news of all", told).await;
    host.executor.stop_all(Duration::ZERO);
    let (mut ran, mut refused) = (0, 0);
    for key in keys() {
        match host.ended(key).await.1.result {
            ExitResult::NotStarted(why) => {
                assert!(why.contains("may not open more files (40,"), "{why}");
                refused += 1;
            }
            _ => ran += 1,
        }
    }
    assert!(ran >= 8 && refused >= 8, "{ran} ran, {refused} were refused");
}
