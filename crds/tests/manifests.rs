//! Tables of manifests: what is accepted, and what is refused with which words.
//!
//! Each file in `invalid/` begins with `# expect: ` and a part of the message. An API server refuses the same files with a
//! message that has the same part. Those in `invalid-only-here/` pass an API server and are refused by our parser alone.

use std::path::{Path, PathBuf};

use crds::manifest::{self, Content, Document, Problem};

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.sort();
    files
}

fn problems(document: &Document) -> &[Problem] {
    if let Content::Refused(refusal) = &document.content { &refusal.problems } else { &[] }
}

#[test]
fn valid_manifests_are_jobs() {
    for (path, text) in files("valid").into_iter().chain(files("valid-only-here")) {
        let documents: Vec<Document> = manifest::read(&text).collect();
        assert!(documents.iter().any(|d| matches!(d.content, Content::Job(_))), "{}: no job", path.display());
        for document in documents {
            assert_eq!(problems(&document), [], "{} line {}", path.display(), document.line);
        }
    }
}

#[test]
fn invalid_manifests_are_refused_in_the_expected_words() {
    for (path, text) in files("invalid").into_iter().chain(files("invalid-only-here")) {
        let name = path.display();
        let expect =
            text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).expect("a first line");
        let documents: Vec<Document> = manifest::read(&text).collect();
        let [document] = &documents[..] else { panic!("{name}: {} documents", documents.len()) };
        let problems = problems(document);
        assert!(
            problems.iter().any(|p| p.message.contains(expect)),
            "{name}: {expect:?} is not in {problems:#?}"
        );
        assert_eq!(problems.len(), 1, "{name}: one mistake, one problem: {problems:#?}");
        for problem in problems {
            let line = problem.line.expect("a line");
            assert!((2..=text.lines().count()).contains(&line), "{name}: line {line}");
            let last = problem.field.rsplit('.').next().unwrap_or_default();
            let missing = problem.message.contains("missing") || last.is_empty();
            let field = last.split('[').next().unwrap_or_default();
            let shown = text.lines().nth(line - 1).unwrap_or_default();
            assert!(missing || shown.contains(field), "{name}: line {line} has no {field}: {shown}");
        }
    }
}

#[test]
fn examples_are_jobs() {
    for (path, text) in files("../../examples") {
        for document in manifest::read(&text) {
            assert!(
                matches!(document.content, Content::Job(_)),
                "{}: {:#?}",
                path.display(),
                document.content
            );
        }
    }
}

const MANY_MISTAKES: &str = r#"# A comment before.
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: crontab.dev/v1alpha1
kind: NodeCronJob
metadata: {name: Rotate, nam: x}
spec:
  schedul: "* * * * *"
  suspend: yes
  timeZone: Europe/Pariss
  command: echo
  template:
    exec: echo hello
    env:
    - name: A
      value: 5
    - {name: CRON_X, name: B}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: old}
---
apiVersion: v1
kind: List
items:
- apiVersion: crontab.dev/v1alpha1
  kind: NodeCronJob
  metadata: {name: first}
  spec: {schedule: '0 99 * * *', template: {command: a}}
- {apiVersion: crontab.dev/v1alpha1, kind: NodeCronJob, metadata: {name: second, namespace: ops},
   spec: {schedule: "@daily", template: {command: a}}}
"#;

#[test]
fn every_mistake_of_every_document_is_told_with_its_place() {
    let documents: Vec<Document> = manifest::read(MANY_MISTAKES).collect();
    let told: Vec<_> = documents
        .iter()
        .flat_map(problems)
        .map(|p| (p.line.unwrap(), p.column.unwrap(), p.field.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (8, 18, "metadata.name"),
            (8, 26, "metadata.nam"),
            (10, 3, "spec.schedul"),
            (11, 12, "spec.suspend"),
            (12, 13, "spec.timeZone"),
            (13, 3, "spec.command"),
            (15, 11, "spec.template.exec"),
            (18, 14, "spec.template.env[0].value"),
            (19, 22, "spec.template.env[1].name"),
            // The very character of the schedule.
            (31, 23, "spec.schedule"),
        ]
    );
    let places: Vec<_> = documents.iter().map(|d| (d.index, d.line)).collect();
    assert_eq!(places, [(0, 2), (1, 6), (2, 21), (3, 28), (3, 32)]);
}

#[test]
fn objects_of_other_kinds_are_left_alone() {
    let documents: Vec<Document> = manifest::read(MANY_MISTAKES).collect();
    let others: Vec<_> = documents
        .iter()
        .filter_map(|d| if let Content::Other(other) = &d.content { Some(other) } else { None })
        .map(|other| (other.kind.as_str(), other.name.as_deref(), other.hint.is_some()))
        .collect();
    assert_eq!(others, [("ConfigMap", Some("settings"), false), ("CronJob", Some("old"), true)]);
}

#[test]
fn items_of_a_list_are_read_one_by_one() {
    let documents: Vec<Document> = manifest::read(MANY_MISTAKES).collect();
    let Some(Document { content: Content::Job(job), .. }) = documents.last() else { panic!("no job") };
    assert_eq!(
        (job.namespace.as_str(), job.name.as_str(), job.job.name.as_str()),
        ("ops", "second", "ops/second")
    );
}

#[test]
fn the_place_of_a_schedule_is_right_however_it_is_written() {
    for (written, place) in [
        ("0 99 * * *", (5, 15)),
        ("'0 99 * * *'", (5, 16)),
        ("\"0 99 * * *\"", (5, 16)),
        ("|-\n    0 99 * * *", (6, 7)),
        // Not as it stands in the file: where the value begins.
        ("\"0 9\\u0039 * * *\"", (5, 13)),
        ("0\n    99 * * *", (5, 13)),
        ("&a '0 99 * * *'", (5, 13)),
    ] {
        let text = format!(
            "apiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\nmetadata: {{name: x}}\nspec:\n  \
             schedule: {written}\n  template: {{command: a}}\n"
        );
        let documents: Vec<Document> = manifest::read(&text).collect();
        let found = problems(&documents[0]).first().map(|p| (p.line, p.column));
        assert_eq!(found, Some((Some(place.0), Some(place.1))), "{written}");
    }
}
