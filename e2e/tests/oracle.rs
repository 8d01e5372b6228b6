//! What other libraries make of cron expressions, asked anew: that the answers which the tests of `model` read are still
//! theirs, and that what is written for an old worker means there what it means here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};

fn answers_file(library: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../model/tests/golden/oracle-{library}.txt"))
}

/// The questions of a file with answers.
fn ask(questions: &Path) -> String {
    let said = Command::new(e2e::tool("cron-oracle"))
        .stdin(File::open(questions).unwrap())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", said.status);
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn the_libraries_still_say_what_was_written_down() {
    for library in ["robfig", "gorhill"] {
        let file = answers_file(library);
        let written = fs::read_to_string(&file).unwrap();
        let said = ask(&file);
        for (said, written) in said.lines().zip(written.lines()) {
            assert_eq!(said, written, "{library}; cron-oracle < {} writes it anew", file.display());
        }
        assert_eq!(said.lines().count(), written.lines().count());
    }
}

/// An expression of each form that the standard dialect has and the library has not, or has otherwise.
const OWN: [&str; 18] = [
    "H H * * *",
    "H(0-29)/10 H(22-2) * * *",
    "H H H H ?",
    "0 22-2 * * FRI-MON",
    "0 0 * * 5-7",
    "0 0 * * 7L,1#5",
    "0 0 L,LW,15W,31W * *",
    "0 0 1W * 7",
    "0 0 */1 * MON",
    "0 0 1-31 * MON",
    "0 0 29 2 ?",
    "0 0 0 1,15 JAN-MAR,11 ? 2026-2090/7",
    "*/7 */5 */3 * * *",
    "0-59/7 0-23/5 1-31/3 * *",
    "@every 20s",
    "@every 15m",
    "@every 6h",
    "@weekly",
];

#[test]
fn what_is_written_for_an_old_worker_is_read_there_as_here() {
    let start = UnixMillis(1_771_631_999_000);
    let name = JobName::new("ops/rotate").unwrap();
    let expressions = |library: &str| {
        let text = fs::read_to_string(answers_file(library)).unwrap();
        let asked = text.lines().filter(|line| !line.starts_with("// ") && !line.starts_with("= "));
        asked.filter_map(|line| line.split('\t').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    let standard = expressions("robfig").into_iter().chain(OWN.map(str::to_owned));
    let standard = standard.map(|text| (text, Dialect::Standard));
    let legacy = expressions("gorhill").into_iter().map(|text| (text, Dialect::Legacy));
    let mut questions = format!("= gorhill UTC {start}\n");
    let mut expected = vec![questions.trim_end().to_owned()];
    for (text, dialect) in standard.chain(legacy) {
        let Ok(schedule) = Schedule::parse(&text, dialect, TimeZone::UTC, &name) else { continue };
        let Some(written) = schedule.legacy_text() else { continue };
        let mut last = start;
        let mut answer = Vec::new();
        while answer.len() < 5 {
            let Some(next) = schedule.next_after(last) else {
                answer.push("end".to_owned());
                break;
            };
            answer.push(((next.0 - last.0) / 1000).to_string());
            last = next;
        }
        questions.push_str(&written);
        questions.push('\n');
        expected.push(format!("{written}\t{}", answer.join(" ")));
    }
    assert!(expected.len() > 9000, "{}", expected.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("questions");
    fs::write(&file, questions).unwrap();
    for (said, expected) in ask(&file).lines().zip(&expected) {
        assert_eq!(said, expected);
    }
}
