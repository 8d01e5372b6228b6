//! Brings the jobs of manifests into the tree, as `kubectl apply` brings them into a cluster.
//!
//! Each document is taken by itself. A job that stands in no manifest any more is removed, if its file was read and has
//! no mistakes: with mistakes in it nobody can tell what it still holds, so its jobs stay as they were.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;
use crds::manifest::{self, Content, Document, JobObject, Problem};
use futures::StreamExt;
use futures::stream;
use model::job::Owner;
use model::keys::{Folder, Key};
use model::legacy::JobValue;
use model::run::{Revision, Slot};
use model::values::Cursor;
use model::{Job, JobName};
use store::{Follow, Tree, TreeError, protocol};

use super::show::Printer;
use super::sources::Sources;

/// How many jobs are written at once; the store makes one commit of those that come together.
const AT_ONCE: usize = 256;

/// What became of all documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Jobs that are in the tree as their manifests say.
    pub(crate) jobs: usize,
    /// Documents that were refused, and files that could not be read.
    pub(crate) refused: usize,
    /// Jobs that were removed.
    pub(crate) removed: usize,
    /// Jobs of other manifests, or saved through the page, that are here from earlier.
    pub(crate) from_earlier: usize,
}

/// What became of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Changed,
    Unchanged,
}

pub(crate) async fn apply<T: Tree>(
    tree: &T,
    sources: &Sources,
    printer: &Printer,
) -> anyhow::Result<Applied> {
    let mut applied = Applied::default();
    let mut places = Places::new();
    let mut faulty: BTreeSet<&str> = BTreeSet::new();
    for (file, source) in sources.files.iter().enumerate() {
        // On a thread of its own: standard input or a pipe may keep it waiting for ever.
        let reading = tokio::task::spawn_blocking({
            let source = source.clone();
            move || source.read()
        });
        let text = match reading.await.context("a file could not be read")? {
            Ok(text) => text,
            Err(why) => {
                printer.unreadable(&source.shown, &why);
                applied.refused += 1;
                faulty.insert(&source.id);
                continue;
            }
        };
        let owner = Owner::Manifest { path: source.id.clone() };
        let mut jobs = 0;
        let mut writes = stream::iter(manifest::read(&text))
            .filter_map(|document| {
                let place = Place { file, line: document.line };
                let content = unique(document, place, sources, &mut places);
                std::future::ready(content.map(|content| (place.shown(sources), content)))
            })
            .map(|(place, content)| async {
                let outcome = match content {
                    Content::Job(object) => write(tree, *object, &owner).await,
                    Content::Refused(refusal) => Outcome::Refused(refusal.name, refusal.problems),
                    Content::Other(other) => Outcome::Other(other),
                    Content::Empty => Outcome::Nothing,
                };
                (place, outcome)
            })
            .buffered(AT_ONCE);
        while let Some((place, outcome)) = writes.next().await {
            match outcome {
                Outcome::Nothing => {}
                Outcome::Written(job, change, decided) => {
                    jobs += 1;
                    printer.applied(&place, &job, change, decided);
                }
                Outcome::Other(other) => printer.passed_over(&place, &other),
                Outcome::Refused(name, problems) => {
                    applied.refused += 1;
                    faulty.insert(&source.id);
                    printer.refused(&place, &source.shown, name.as_deref(), &problems);
                }
            }
        }
        drop(writes);
        applied.jobs += jobs;
    }
    sweep(tree, sources, &places, &faulty, printer, &mut applied)
        .await
        .context("the jobs of earlier starts could not be read")?;
    Ok(applied)
}

/// Where a document begins.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Which of the sources' files.
    file: usize,
    line: usize,
}

impl Place {
    fn shown(self, sources: &Sources) -> String {
        format!("{}:{}", sources.files[self.file].shown, self.line)
    }
}

/// The jobs of all documents, and where each is defined.
type Places = HashMap<JobName, Place>;

/// What became of one document.
enum Outcome {
    Nothing,
    /// The job, and the last slot of it that was decided.
    Written(Job, Change, Option<Slot>),
    Other(manifest::OtherObject),
    Refused(Option<String>, Vec<Problem>),
}

/// Refuses a job whose name an earlier document has. Documents with nothing in them are left out.
fn unique(document: Document, place: Place, sources: &Sources, places: &mut Places) -> Option<Content> {
    match document.content {
        Content::Empty => None,
        Content::Job(object) => {
            if let Some(earlier) = places.get(&object.job.name) {
                let message = format!(
                    "{} is defined at {} already; give one of them another name",
                    object.job.name,
                    earlier.shown(sources)
                );
                let problem = Problem {
                    line: Some(document.line),
                    column: None,
                    field: "metadata.name".to_owned(),
                    message,
                };
                return Some(Content::Refused(manifest::Refusal {
                    name: Some(object.name),
                    problems: vec![problem],
                }));
            }
            places.insert(object.job.name.clone(), place);
            Some(Content::Job(object))
        }
        other => Some(other),
    }
}

async fn write<T: Tree>(tree: &T, object: JobObject, owner: &Owner) -> Outcome {
    let JobObject { name, namespace: _, spec, job } = object;
    let value = JobValue::of_spec(&job, spec, Some(owner.clone())).to_bytes();
    match put(tree, &job.name, value).await {
        Ok(Ok((change, decided))) => Outcome::Written(job, change, decided),
        Ok(Err(message)) => Outcome::Refused(Some(name), vec![about_name(message)]),
        Err(why) => Outcome::Refused(
            Some(name),
            vec![about_name(format!("it could not be stored: {:#}", anyhow::Error::new(why)))],
        ),
    }
}

fn about_name(message: String) -> Problem {
    Problem { line: None, column: None, field: "metadata.name".to_owned(), message }
}

/// Writes a job's key unless it is as wanted already, or belongs to nobody we may take it from. Returns the last slot
/// that was decided, too.
async fn put<T: Tree>(
    tree: &T,
    name: &JobName,
    value: Vec<u8>,
) -> Result<Result<(Change, Option<Slot>), String>, TreeError> {
    let (present, cursor) =
        tokio::try_join!(tree.get(Key::Job(name.clone())), tree.get(Key::Cursor(name.clone().into())))?;
    let cursor = cursor.and_then(|pair| protocol::read::<Cursor>(&pair).ok());
    let cursor = cursor.filter(|cursor| present.as_ref().is_some_and(|pair| pair.created == cursor.job));
    let decided = cursor.map(|cursor| cursor.slot);
    let (seen, change) = match &present {
        None => (Revision::NONE, Change::Created),
        Some(pair) if pair.value == value => return Ok(Ok((Change::Unchanged, decided))),
        Some(pair) => {
            if JobValue::from_bytes(&pair.value).is_ok_and(|value| value.owner.is_none()) {
                let message = format!(
                    "a job {name} was saved through the page or by hand; delete it there, or give this one another name"
                );
                return Ok(Err(message));
            }
            (pair.modified, Change::Changed)
        }
    };
    let reply = tree.commit(protocol::put_job(name, value, seen)).await?;
    Ok(if reply.succeeded {
        Ok((change, decided))
    } else {
        Err("somebody else changed it just now; start again".to_owned())
    })
}

/// Removes the jobs whose manifests are gone, and counts those that are here from earlier.
async fn sweep<T: Tree>(
    tree: &T,
    sources: &Sources,
    places: &Places,
    faulty: &BTreeSet<&str>,
    printer: &Printer,
    applied: &mut Applied,
) -> Result<(), TreeError> {
    let mut gone = Vec::new();
    // Followed rather than listed: its pages are never all in memory at once.
    let mut listing = tree.follow(&[Folder::Jobs]);
    while let Some(Follow::Page(pairs)) = listing.recv().await {
        for pair in pairs {
            let Ok(Key::Job(name)) = tree.prefix().decode(&pair.key) else { continue };
            if places.contains_key(&name) {
                continue;
            }
            let owner = JobValue::from_bytes(&pair.value).ok().and_then(|value| value.owner);
            match owner {
                Some(Owner::Manifest { path }) if sources.cover(&path) => {
                    if faulty.contains(path.as_str()) {
                        applied.from_earlier += 1;
                        printer.kept(&name, &path);
                    } else {
                        gone.push((name, pair.modified));
                    }
                }
                _ => applied.from_earlier += 1,
            }
        }
    }
    drop(listing);
    for (name, seen) in gone {
        if tree.commit(protocol::delete_job(&name, seen)).await?.succeeded {
            applied.removed += 1;
            printer.removed(&name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use model::UnixMillis;
    use model::keys::KeyPrefix;
    use model::schedule::TimeZone;
    use serde_json::json;
    use store::embedded::Embedded;
    use store::{Op, Txn};

    use super::*;
    use crate::up::sources;

    /// What is printed, in memory.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<u8>>>);

    impl Write for Printed {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Applies a manifest and returns what is printed.
    async fn applied(tree: &Embedded, sources: &Sources) -> String {
        let out = Printed::default();
        let printer = Printer::to(out.clone(), TimeZone::UTC);
        apply(tree, sources, &printer).await.unwrap();
        printer.ended();
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    #[tokio::test]
    async fn the_next_run_is_not_before_a_slot_that_was_decided() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("a.yaml");
        let text = "{apiVersion: crontab.dev/v1alpha1, kind: NodeCronJob, metadata: {name: a}, \
                    spec: {schedule: '0 0 1 1 *', template: {command: 'true'}}}";
        std::fs::write(&manifest, text).unwrap();
        let sources = sources::find(&[manifest]).unwrap();
        let data = folder.path().join("data");
        let tree = Embedded::open(&data, KeyPrefix::default(), std::time::Duration::ZERO).unwrap();
        applied(&tree, &sources).await;

        // The clock was ahead by years when the job last ran.
        let name = JobName::new("default/a").unwrap();
        let created = tree.get(Key::Job(name.clone())).await.unwrap().unwrap().created;
        let slot: UnixMillis = "2098-01-01T00:00:00Z".parse().unwrap();
        for (incarnation, is_next) in [(created, true), (Revision(created.0 - 1), false)] {
            let cursor = json!({
                "slot": slot, "job": incarnation,
                "schedule": "0 0 1 1 *", "dialect": "Standard", "zone": "UTC",
            });
            let put = Op::Put(Key::Cursor(name.clone().into()), cursor.to_string().into_bytes());
            assert!(tree.commit(Txn { then: vec![put], ..Txn::default() }).await.unwrap().succeeded);
            let printed = applied(&tree, &sources).await;
            assert!(printed.contains("default/a unchanged: "), "{printed}");
            assert_eq!(printed.contains("next 2099-01-01 00:00:00 (in "), is_next, "{printed}");
        }
        tree.close().await;
    }
}
