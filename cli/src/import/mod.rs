//! `cronctl import`: the jobs of another cron system as `NodeCronJob` manifests on standard output.
//!
//! An **entry** is what the other system holds as one job: a line of a crontab, a `CronJob`, a key of the tree. Each
//! entry becomes a document, or is left out with a reason on standard error; what could mean something else here is said
//! in comments above the document. What is printed has been read back as a manifest, so an API server takes it. The same
//! entries always give the same names. Not here: applying what is printed, and taking anything away from the source.

mod cronjobs;
mod crontab;
mod document;
mod etcd;
mod yaml;

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context;
use clap::Subcommand;

use document::{Document, harmless};

/// Print the jobs of another cron system as manifests
///
/// What can't be said in a manifest is left out, with the reason on standard error. The exit status is 0 if every entry
/// was printed, and 1 if one was left out.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Crontab(crontab::Arguments),
    Cronjobs(cronjobs::Arguments),
    Etcd(etcd::Arguments),
}

/// What was found in a source.
#[derive(Debug, Default)]
struct Found {
    /// What holds for all documents, for the comment above them.
    general: Vec<&'static str>,
    entries: Vec<Entry>,
}

/// One entry of a source, or something beside the entries.
#[derive(Debug)]
enum Entry {
    Job(Box<Document>),
    /// An entry that is not among the documents.
    LeftOut {
        /// File and line, or key.
        place: String,
        why: String,
    },
    /// Said for information: nothing of the source is missing because of it.
    Said {
        place: String,
        what: String,
    },
}

impl Entry {
    fn left_out(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::LeftOut { place: place.into(), why: why.into() }
    }
}

/// Not everything is among what was printed: exit status 1.
#[derive(Debug, thiserror::Error)]
#[error("{left_out} of {all} {} left out, for the reasons above", if *.all == 1 { "entry" } else { "entries" })]
struct LeftOut {
    left_out: usize,
    all: usize,
}

pub(crate) fn main(arguments: Arguments) -> anyhow::Result<()> {
    let found = match arguments.from {
        From::Crontab(arguments) => crontab::find(&arguments)?,
        From::Cronjobs(arguments) => cronjobs::find(&arguments)?,
        From::Etcd(arguments) => etcd::find(&arguments)?,
    };
    let mut text = String::new();
    let (mut printed, mut noted, mut left_out) = (0, 0, 0);
    let mut refuse = |place: &str, why: &str| {
        left_out += 1;
        eprintln!("cronctl: {}: left out: {}", harmless(place), harmless(why.trim()));
    };
    for entry in &found.entries {
        match entry {
            Entry::Job(document) => match document.to_yaml() {
                Ok(yaml) => {
                    printed += 1;
                    noted += usize::from(document.has_notes());
                    text.push_str(&yaml);
                }
                Err(why) => refuse(document.place(), &why),
            },
            Entry::LeftOut { place, why } => refuse(place, why),
            Entry::Said { place, what } => eprintln!("cronctl: {}: {}", harmless(place), harmless(what)),
        }
    }
    if printed > 0 {
        let mut head = String::new();
        for line in &found.general {
            writeln!(head, "# {line}").expect("writing to a string succeeds");
        }
        text.insert_str(0, &head);
    }
    let jobs = if printed == 1 { "job" } else { "jobs" };
    eprintln!("cronctl: {printed} {jobs} printed, {noted} with notes to read");
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            return Err(why).context("standard output can't be written");
        }
        _ => {}
    }
    match left_out {
        0 => Ok(()),
        _ => Err(LeftOut { left_out, all: printed + left_out }.into()),
    }
}

/// An error with its sources in one line.
fn explained(why: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(why), |why| why.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
