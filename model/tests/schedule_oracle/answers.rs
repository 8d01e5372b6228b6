//! The files of answers, and our own answers in the same form.

use std::fs;
use std::path::Path;

use chrono::DateTime;
use model::schedule::ScheduleError;
use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};

/// One of the two libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Robfig,
    Gorhill,
}

impl Library {
    /// How we read what it reads.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Robfig => Dialect::Standard,
            Self::Gorhill => Dialect::Legacy,
        }
    }

    pub(crate) fn questions(self) -> Vec<Question> {
        let name = match self {
            Self::Robfig => "robfig",
            Self::Gorhill => "gorhill",
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/oracle-{name}.txt"));
        let text = fs::read_to_string(path).unwrap();
        let mut place = None;
        let mut questions = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with("// ")) {
            if let Some(words) = line.strip_prefix("= ") {
                let words: Vec<&str> = words.split(' ').collect();
                let start = DateTime::parse_from_rfc3339(words[2]).unwrap().timestamp();
                place = Some((TimeZone::parse(words[1]).unwrap(), start));
                continue;
            }
            let ((zone, start), (text, answer)) = (place.unwrap(), line.split_once('\t').unwrap());
            let answer = Answer::read(answer, start);
            questions.push(Question { zone, start, text: text.to_owned(), answer });
        }
        questions
    }
}

/// What a library was asked, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) zone: TimeZone,
    /// Seconds since the epoch.
    pub(crate) start: i64,
    pub(crate) text: String,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Refused,
    /// The library panics, or ends the process.
    Stops,
    /// The next five instants, or fewer where there are no more.
    Instants(Vec<i64>),
}

impl Answer {
    fn read(text: &str, start: i64) -> Self {
        match text {
            "error" => Self::Refused,
            "panic" | "dies" => Self::Stops,
            _ => {
                let steps = text.split(' ').map_while(|word| word.parse::<i64>().ok());
                Self::Instants(
                    steps
                        .scan(start, |at, step| {
                            *at += step;
                            Some(*at)
                        })
                        .collect(),
                )
            }
        }
    }
}

pub(crate) fn parse(text: &str, dialect: Dialect, zone: TimeZone) -> Result<Schedule, ScheduleError> {
    Schedule::parse(text, dialect, zone, &JobName::new("backup").unwrap())
}

/// Our next five instants.
pub(crate) fn instants(schedule: &Schedule, start: i64) -> Vec<i64> {
    let first = schedule.next_after(UnixMillis(start * 1000));
    let all = std::iter::successors(first, |slot| schedule.next_after(*slot));
    all.take(5).map(|slot| slot.0 / 1000).collect()
}
