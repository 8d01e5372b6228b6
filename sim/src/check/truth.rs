//! Whether a record says what happened.

use model::record::RunRecord;
use model::run::Outcome;

use super::facts::Facts;
use super::invariant::{Broken, Invariant, broken};
use super::witness::{Asked, Exit, Process};

/// Holds a record that comes into a spool against the processes.
pub(super) fn of_record(record: &RunRecord, facts: &Facts) -> Result<(), Broken> {
    let attempt = (record.run.clone(), record.attempt);
    let process = facts.witness.of_attempt(&attempt);
    if record.outcome == Outcome::Lost {
        if !facts.may_be_lost(&attempt, &record.session) {
            let text = format!("the record of {} says Lost, and nothing died", record.run);
            return broken(Invariant::LostTruly, text);
        }
        if let (Some(started), Some(process)) = (record.started, process)
            && started != process.start.wall
        {
            return untrue(record, &format!("it started at {}", process.start.wall));
        }
        return Ok(());
    }
    match process {
        None if record.started.is_none() => Ok(()),
        None => untrue(record, "no process ever started"),
        Some(process) => of_process(record, process),
    }
}

fn of_process(record: &RunRecord, process: &Process) -> Result<(), Broken> {
    if record.started != Some(process.start.wall) {
        return untrue(record, &format!("it started at {}", process.start.wall));
    }
    let Some(told) = process.told else { return untrue(record, "its process has not ended") };
    if record.ended != told.max(process.start.wall) {
        return untrue(record, &format!("it was gone at {told}"));
    }
    let exit = match process.exit {
        Some(Exit::Status(status)) => (Some(status), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => return untrue(record, "its own process has not ended"),
    };
    if (record.exit_status, record.signal) != exit {
        return untrue(record, &format!("it ended as {:?}", process.exit));
    }
    if record.output.head != process.output || record.output.cut != 0 || !record.output.tail.is_empty() {
        return untrue(record, &format!("it wrote {}", String::from_utf8_lossy(&process.output)));
    }
    let outcome = outcome(process);
    if record.outcome != outcome {
        return untrue(record, &format!("that is {outcome} (asked to end: {:?})", process.asked));
    }
    Ok(())
}

/// What became of a process whose end was seen.
fn outcome(process: &Process) -> Outcome {
    match (process.asked, process.exit) {
        (Some(Asked::Kill | Asked::Fence | Asked::Shutdown), _) => Outcome::Killed,
        (Some(Asked::Deadline), _) => Outcome::TimedOut,
        (None, Some(Exit::Status(0))) => Outcome::Succeeded,
        (None, _) => Outcome::Failed,
    }
}

fn untrue(record: &RunRecord, but: &str) -> Result<(), Broken> {
    let RunRecord { run, outcome, started, ended, exit_status, signal, output, .. } = record;
    let started = started.map(|started| started.to_string());
    let output = String::from_utf8_lossy(&output.head);
    let text = format!(
        "the record of {run} says {outcome}, started {started:?}, ended {ended}, status {exit_status:?}, signal {signal:?}, output {output:?}; but {but}"
    );
    broken(Invariant::TrueRecords, text)
}
