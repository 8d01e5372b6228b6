//! Crontabs, as crontab(5) of Vixie cron, Debian and cronie describes them.
//!
//! A **user crontab** has five fields, or a macro, and a command; a **system crontab** (`/etc/crontab`, `/etc/cron.d`) has
//! the name of a user before the command. A setting holds for the lines below it.

mod field;
mod line;
mod stem;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crds::{ConcurrencyPolicy, EnvVar, MissedRunPolicy, object_name};
use model::TimeZone;

use super::{Document, Entry, Found};
use crate::up::{UsageError, local_zone, sources};
use line::{Command, Line, Setting};

/// Lines of a crontab
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file, such as /etc/crontab; - is standard input, as in `crontab -l | cronctl import crontab -`
    file: PathBuf,
    /// Each line names a user before its command, as in /etc/crontab and /etc/cron.d
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// No line names a user, as in what `crontab -l` prints. Without either, the file's place decides, and then whether
    /// every line names root
    #[arg(long)]
    user: bool,
    /// The zone of the machine that the crontab is from, an IANA name such as Europe/Paris; this machine's unless given
    #[arg(long, value_name = "ZONE", value_parser = TimeZone::parse)]
    time_zone: Option<TimeZone>,
    /// The namespace to write into the manifests; none unless given
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// What holds for every line.
const GENERAL: [&str; 5] = [
    "Imported from a crontab. Commands run as the user of the worker, in its folder unless workingDir is given, and with",
    "its PATH unless env has one (cron: the line's user, that user's home, PATH=/usr/bin:/bin). Output is kept in the log",
    "and not mailed. cron starts a command beside its earlier run, hence concurrencyPolicy: Allow; without it the default",
    "Forbid skips such a slot. cron forgets what it missed, hence missedRunPolicy: Skip; without it the default Latest runs",
    "the latest missed slot once.",
];

pub(super) fn find(arguments: &Arguments) -> Result<Found, UsageError> {
    let (shown, text) = sources::text(&arguments.file)?;
    let lines: Vec<(usize, Line<'_>)> = line::lines(&text).collect();
    let mut found = Found { general: GENERAL.to_vec(), entries: Vec::new() };
    let system = arguments.system || !arguments.user && is_system(&arguments.file, &lines);
    if system && !arguments.system {
        let what = "read as a system crontab, whose lines name a user; --user reads it otherwise".to_owned();
        found.entries.push(Entry::Said { place: shown.clone(), what });
    }
    let mut reader = Reader {
        zone: arguments.time_zone.unwrap_or_else(local_zone),
        namespace: arguments.namespace.as_deref(),
        system,
        settings: Vec::new(),
        names: HashMap::new(),
    };
    for (number, line) in lines {
        let place = format!("{shown}:{number}");
        match line {
            Line::Setting(setting) => reader.set(setting),
            Line::Entry(text) => found.entries.push(match reader.read(&place, text) {
                Ok(document) => Entry::Job(Box::new(document)),
                Err(why) => Entry::left_out(place, why),
            }),
        }
    }
    Ok(found)
}

/// Whether lines name users: the file's place says so, or every line names root.
fn is_system(file: &Path, lines: &[(usize, Line<'_>)]) -> bool {
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
    if folder == "cron.d" || folder == "etc" && file.file_name().is_some_and(|name| name == "crontab") {
        return true;
    }
    let mut entries = lines.iter().filter_map(|(_, line)| match line {
        Line::Entry(text) => Some(*text),
        Line::Setting(_) => None,
    });
    let names_root =
        |text| line::split(text).is_ok_and(|(_, rest)| rest.split([' ', '\t']).next() == Some("root"));
    let mut any = false;
    entries.all(|text| {
        any = true;
        names_root(text)
    }) && any
}

struct Reader<'a> {
    zone: TimeZone,
    namespace: Option<&'a str>,
    system: bool,
    /// Those that hold now, each name once.
    settings: Vec<Setting>,
    /// How often each name was given.
    names: HashMap<String, usize>,
}

impl Reader<'_> {
    fn set(&mut self, setting: Setting) {
        self.settings.retain(|former| former.name != setting.name);
        self.settings.push(setting);
    }

    fn read(&mut self, place: &str, text: &str) -> Result<Document, String> {
        let (time, rest) = line::split(text)?;
        let (user, rest) = if self.system {
            let (user, rest) = rest.split_once([' ', '\t']).ok_or(
                "there is no command after the user's name; write one, or read the file with --user",
            )?;
            (Some(user), rest.trim_start())
        } else {
            (None, rest)
        };
        let when = field::read(&time)?;
        let name = self.name(user, rest);
        let mut document = Document::new(place.to_owned(), text, self.namespace, name);
        if let Some(user) = user {
            document.note(format!("cron runs it as the user {user}; here it runs as the worker's user"));
        }
        when.notes.into_iter().for_each(|note| document.note(note));
        let spec = &mut document.spec;
        spec.schedule = when.schedule;
        self.zone.name().clone_into(&mut spec.time_zone);
        spec.concurrency_policy = ConcurrencyPolicy::Allow;
        spec.missed_run_policy = MissedRunPolicy::Skip;
        self.settle(&mut document)?;
        let Command { line, input } = line::command(rest);
        if line.trim().is_empty() {
            return Err("there is no command after the fields; write one".to_owned());
        }
        document.spec.template.command = Some(match input {
            None => line,
            Some(input) => {
                let shell = document.spec.template.shell.first().map_or("", String::as_str);
                if !line::is_posix(shell) {
                    return Err(format!(
                        "after % stands input for the command, and {shell} has no here-document for it; put it into a file and write < FILE"
                    ));
                }
                document.note("what stands after % is the command's standard input, here as a here-document");
                line::with_input(&line, &input)
            }
        });
        Ok(document)
    }

    /// What the settings above a line mean for it.
    fn settle(&self, document: &mut Document) -> Result<(), String> {
        for Setting { name, value } in &self.settings {
            let template = &mut document.spec.template;
            let mut variable = || template.env.push(EnvVar { name: name.clone(), value: value.clone() });
            match name.as_str() {
                "CRON_TZ" => {
                    let zone = TimeZone::parse(value).map_err(|why| format!("CRON_TZ above it: {why}"))?;
                    zone.name().clone_into(&mut document.spec.time_zone);
                    document.note(format!("CRON_TZ={value} is cronie's: its times are of that zone; Debian's cron passes over it and takes the machine's, {}", self.zone));
                }
                "MAILTO" | "MAILFROM" if value.is_empty() => {}
                "MAILTO" | "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => {
                    document.note(format!("{name}={value}: nothing is mailed; the output is in the log"));
                }
                "LOGNAME" | "USER" => {
                    document.note(format!(
                        "{name}={value} is left out: cron sets {name} itself, and so does the worker"
                    ));
                }
                "RANDOM_DELAY" => {
                    document.note(format!("RANDOM_DELAY={value} (cronie) is left out: it starts at the minute; H in a field spreads jobs out"));
                }
                "SHELL" => {
                    variable();
                    template.shell = vec![value.clone(), "-c".to_owned()];
                }
                "HOME" => {
                    variable();
                    if value.starts_with('/') {
                        template.working_dir = Some(value.clone());
                    }
                }
                _ if name.starts_with("CRON_") => {
                    document.note(format!(
                        "{name}={value} is left out: names that begin with CRON_ are the worker's"
                    ));
                }
                _ if !line::is_variable(name) => {
                    document.note(format!(
                        "{name}={value} is left out: it is no name of a variable; use letters, digits and _"
                    ));
                }
                "TZ" => {
                    variable();
                    document.note("TZ is the zone that the command sees; that of the schedule is timeZone");
                }
                _ => variable(),
            }
        }
        Ok(())
    }

    /// A name that the same command always gets; of several lines with one command, the same by their order.
    fn name(&mut self, user: Option<&str>, command: &str) -> String {
        let name = object_name(stem::of(command), &["crontab", user.unwrap_or_default(), command.trim()]);
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{count}") }
    }
}
