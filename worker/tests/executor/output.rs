//! What of a command's output arrives.

use worker::executor::{ExitResult, RunKey};

use crate::host::{Host, eventually, is_alive, pids, sh};

#[tokio::test]
async fn both_streams_arrive_in_the_order_in_which_they_were_written() {
    let mut host = Host::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done; printf 'a\\0b'";
    let (seen, ended) = host.run(sh(1, script)).await;
    let expected: String = (1..10).flat_map(|i| [format!("out{i}\n"), format!("err{i}\n")]).collect();
    assert_eq!(seen.text(), expected + "a\0b");
    assert_eq!(ended.result, ExitResult::Exited(0));
}

#[tokio::test]
async fn long_output_keeps_its_beginning_and_its_end_and_says_how_much_is_missing() {
    let mut host = Host::new();
    let whole: String = (0..40_000).flat_map(|i| [i.to_string(), "\n".to_owned()]).collect();
    let length = whole.len() as u64;
    for (key, limit) in [length + 1, length, length - 1, 100_001, 10, 1, 0].into_iter().enumerate() {
        let mut start = sh(key as u64, "i=0; while [ $i -lt 40000 ]; do echo $i; i=$((i+1)); done");
        start.output_limit = limit;
        let (seen, ended) = host.run(start).await;
        let cut = length.saturating_sub(limit);
        assert_eq!(ended.cut, cut, "limit {limit}");
        let head = usize::try_from(limit - limit / 2).unwrap().min(whole.len());
        let tail = head + usize::try_from(cut).unwrap();
        assert_eq!(String::from_utf8(seen.output).unwrap(), whole[..head], "limit {limit}");
        assert_eq!(String::from_utf8(ended.tail).unwrap(), whole[tail..], "limit {limit}");
    }
}

#[tokio::test]
async fn output_comes_while_the_command_runs() {
    let mut host = Host::new();
    host.executor.start(sh(1, "echo first; read never < /dev/null; exec sleep 1000"));
    host.wrote(RunKey(1), "first\n").await;
    assert_eq!(host.seen[&RunKey(1)].ended, None);
}

#[tokio::test]
async fn two_hundred_megabytes_take_no_more_memory_than_the_limit_allows() {
    let mut host = Host::new();
    let executor = host.pid().await;
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{executor}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = memory();
    let (seen, ended) = host.run(sh(1, "head -c 200000000 /dev/zero; echo end")).await;
    assert_eq!(ended.result, ExitResult::Exited(0));
    assert_eq!(seen.output.len() + ended.tail.len(), 1 << 20);
    assert_eq!(ended.cut, 200_000_004 - (1 << 20));
    assert!(ended.tail.ends_with(b"\0end\n"));
    let grown = memory() - before;
    assert!(grown < 16 << 10, "{grown} KiB more than before");
}

#[tokio::test]
async fn one_that_floods_does_not_keep_others_from_starting_and_ending() {
    let mut host = Host::new();
    let mut flood = sh(1, "exec cat /dev/zero");
    flood.output_limit = 64 << 20;
    host.executor.start(flood);
    for key in 2..30 {
        let (seen, ended) = host.run(sh(key, "echo here")).await;
        assert_eq!((seen.text().as_str(), ended.result), ("here\n", ExitResult::Exited(0)));
    }
    assert_eq!(host.seen[&RunKey(1)].ended, None);
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_the_run_open() {
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // It keeps the output open.
    let script = format!(
        "setsid sh -c 'echo $$ > {0}; exec sleep 1000' & until [ -s {0} ]; do :; done; echo done",
        file.display()
    );
    let (seen, ended) = host.run(sh(1, &script)).await;
    assert_eq!((seen.text().as_str(), ended.result), ("done\n", ExitResult::Exited(0)));
    let left = pids(&file, 1).await[0];
    assert!(is_alive(left));
    let left = rustix::process::Pid::from_raw(left.cast_signed()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn one_that_left_the_group_and_floods_does_not_hold_the_run_open_either() {
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script =
        format!("setsid sh -c 'echo $$ > {0}; exec yes' & until [ -s {0} ]; do :; done", file.display());
    let (_, ended) = host.run(sh(1, &script)).await;
    assert_eq!(ended.result, ExitResult::Exited(0));
    // Its pipe has no reader any more.
    let left = pids(&file, 1).await[0];
    eventually("the end of what was left", || async {
        if is_alive(left) { Err(format!("{left} lives")) } else { Ok(()) }
    })
    .await;
}
