//! What is in the way: ports, folders, disks.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::manifests::job;
use crate::process::{CRONCTL, Up, http, refused};

#[test]
fn a_port_that_is_taken_is_said_with_another_one_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = TcpListener::bind(taken).unwrap();
    let mut command = Command::new(CRONCTL);
    command.args(["up", "--listen", &taken.to_string(), "--data"]).arg(folder.path().join("data"));
    let (status, text) = Up::spawn(command).ended();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("{taken} is taken")) && text.contains("--listen 127.0.0.1:"), "{text}");
    drop(holder);
}

#[test]
fn a_data_folder_in_use_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut up = Up::start(&data, &[]);
    up.ready();
    let (status, text) = refused(&data, &[]);
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("in use") && text.contains(&up.pid().to_string()) && text.contains("--data"),
        "{text}"
    );
    up.stop();
}

#[test]
fn a_data_folder_that_is_a_file_or_holds_no_database_is_said_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let (status, text) = refused(&file, &[]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains(file.to_str().unwrap()), "{text}");

    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("crontab.db"), "this is no database, but somebody's text").unwrap();
    let (status, text) = refused(&data, &[]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("crontab.db"), "{text}");
    assert_eq!(
        fs::read_to_string(data.join("crontab.db")).unwrap(),
        "this is no database, but somebody's text"
    );
}

#[test]
fn state_is_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = Up::start(&data, &[]);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    up.stop();
}

#[test]
fn a_foreign_page_can_neither_read_nor_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(&folder.path().join("data"), &[]);
    let address = up.ready();
    let (status, _) = http(&address, "GET", "/job/list", "Host: evil.example\r\n", "");
    assert!((400..500).contains(&status), "{status}");
    let (status, _) = http(&address, "POST", "/job/kill", "Origin: http://evil.example\r\n", "name=a");
    assert_eq!(status, 403);
    let (status, _) = http(&address, "POST", "/job/kill", "Sec-Fetch-Site: cross-site\r\n", "name=a");
    assert_eq!(status, 403);
    up.stop();
}

/// In a mount namespace of its own, with a file system of 3 MiB for the data folder.
#[test]
fn a_full_disk_is_said_holds_up_no_process_and_is_left_behind_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let file = folder.path().join("jobs.yaml");
    let full = folder.path().join("full");
    // While the file `full` exists, ballast fills the disk; without it the ballast goes.
    let ballast = format!(
        "if [ -e {full} ]; then cat /dev/zero > {disk}/ballast; else rm -f {disk}/ballast; fi; true",
        full = full.display(),
        disk = disk.display()
    );
    fs::write(&file, job("a", "echo alive")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=3m none {disk} || exit 70; (while :; do {ballast} 2> /dev/null; sleep 0.1; done) & filler=$!; \
         trap 'kill $filler' EXIT; {CRONCTL} up --listen 127.0.0.1:0 --data {disk}/data {file} & up=$!; \
         trap 'kill -TERM $up' TERM; wait $up; wait $up",
        disk = disk.display(),
        file = file.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script]).env("NO_COLOR", "1");
    let mut up = Up::spawn(command);
    up.line("default/a succeeded");
    fs::write(&full, "").unwrap();
    up.line("the store takes no writes");
    let said = up.line("no space is left");
    assert!(said.contains("make room"), "{said}");
    fs::remove_file(&full).unwrap();
    up.line("the store takes writes again");
    let before = up.text().matches("default/a succeeded").count();
    up.lines_with("default/a succeeded", before + 2);
    up.signal(rustix::process::Signal::TERM);
    let (_, text) = up.ended();
    assert!(text.ends_with("ended"), "{text}");
}
