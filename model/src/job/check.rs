//! The rules of fields that need more than a line.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::{
    Command, EnvVar, JobError, MAX_COMMAND_BYTES, MAX_ENV_BYTES, MAX_MISSED_RUNS, MissedRunPolicy, MissedRuns,
};

pub(super) fn command(
    command: Option<String>,
    exec: Vec<String>,
    shell: Vec<String>,
) -> Result<Command, JobError> {
    let too_long = |field: &str, bytes: usize| {
        let message = format!(
            "the command has {bytes} bytes; at most {MAX_COMMAND_BYTES} are allowed: put it into a script and write the script's path"
        );
        Err(JobError::at(field, message))
    };
    match (command, exec.is_empty()) {
        (Some(_), false) => Err(JobError::at(
            "template",
            "command and exec are both given; keep command (a line for the shell) or exec (a program and its arguments)",
        )),
        (None, true) => Err(JobError::at(
            "template",
            "the command is missing; write command: \"a line for the shell\" or exec: [program, argument]",
        )),
        (Some(line), true) => {
            if line.trim().is_empty() {
                return Err(JobError::at("template.command", "the command is blank; write the line to run"));
            }
            if line.len() > MAX_COMMAND_BYTES {
                return too_long("template.command", line.len());
            }
            no_nul("template.command", &line)?;
            if shell.first().is_some_and(String::is_empty) {
                return Err(JobError::at(
                    "template.shell[0]",
                    "the shell is empty; write a program such as /bin/bash",
                ));
            }
            for (i, word) in shell.iter().enumerate() {
                no_nul(&format!("template.shell[{i}]"), word)?;
            }
            Ok(Command::Line { line: line.into(), shell: shared_shell(shell) })
        }
        (None, false) => {
            if !shell.is_empty() {
                return Err(JobError::at(
                    "template.shell",
                    "exec runs without a shell; remove shell, or write command instead of exec",
                ));
            }
            if exec[0].is_empty() {
                return Err(JobError::at("template.exec[0]", "the program is empty; write its path or name"));
            }
            let bytes = exec.iter().map(|word| word.len() + 1).sum();
            if bytes > MAX_COMMAND_BYTES {
                return too_long("template.exec", bytes);
            }
            for (i, word) in exec.iter().enumerate() {
                no_nul(&format!("template.exec[{i}]"), word)?;
            }
            Ok(Command::Exec(exec.into()))
        }
    }
}

pub(super) fn missed_runs(policy: MissedRunPolicy, limit: Option<u32>) -> Result<MissedRuns, JobError> {
    match (policy, limit) {
        (MissedRunPolicy::Latest, None) => Ok(MissedRuns::Latest),
        (MissedRunPolicy::Skip, None) => Ok(MissedRuns::Skip),
        (MissedRunPolicy::Latest | MissedRunPolicy::Skip, Some(_)) => Err(JobError::at(
            "missedRunLimit",
            "missedRunLimit is given without missedRunPolicy: All; remove it, or write missedRunPolicy: All",
        )),
        (MissedRunPolicy::All, None) => Err(JobError::at(
            "missedRunPolicy",
            "missedRunPolicy: All needs a limit; write missedRunLimit, such as 10, beside it",
        )),
        (MissedRunPolicy::All, Some(limit)) => {
            let known = NonZeroU32::new(limit).filter(|limit| limit.get() <= MAX_MISSED_RUNS);
            known.map(MissedRuns::All).ok_or_else(|| {
                let message = format!("missedRunLimit must be 1 to {MAX_MISSED_RUNS}, not {limit}");
                JobError::at("missedRunLimit", message)
            })
        }
    }
}

/// Nearly every job has the default shell: all of them share one value.
fn shared_shell(shell: Vec<String>) -> Arc<[String]> {
    static DEFAULT: std::sync::LazyLock<Arc<[String]>> =
        std::sync::LazyLock::new(|| ["/bin/sh".to_owned(), "-c".to_owned()].into());
    if shell.is_empty() || shell == **DEFAULT { Arc::clone(&DEFAULT) } else { shell.into() }
}

pub(super) fn env(env: &[EnvVar]) -> Result<(), JobError> {
    let mut bytes = 0;
    let mut names = HashSet::new();
    for (i, EnvVar { name, value }) in env.iter().enumerate() {
        let field = format!("template.env[{i}].name");
        let head = |c: char| c.is_ascii_alphabetic() || c == '_';
        let tail = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(head) || !name.chars().all(tail) {
            let message = format!(
                "{name:?} is not a variable's name; use letters, digits and _, and begin with a letter or _"
            );
            return Err(JobError::at(field, message));
        }
        if name.starts_with("CRON_") {
            let message =
                format!("{name}: names that begin with CRON_ are set by the worker; choose another");
            return Err(JobError::at(field, message));
        }
        if !names.insert(name) {
            return Err(JobError::at(field, format!("{name} is given twice; keep one")));
        }
        no_nul(&format!("template.env[{i}].value"), value)?;
        bytes += name.len() + value.len() + 2;
    }
    if bytes > MAX_ENV_BYTES {
        let message = format!(
            "the variables have {bytes} bytes; at most {MAX_ENV_BYTES} are allowed: put large values into a file"
        );
        return Err(JobError::at("template.env", message));
    }
    Ok(())
}

/// A NUL ends an argument, a path and a variable for the kernel, so none of them can carry one.
pub(super) fn no_nul(field: &str, text: &str) -> Result<(), JobError> {
    match text.find('\0') {
        None => Ok(()),
        Some(at) => Err(JobError::at(
            field,
            format!("there is a NUL byte at offset {at}; no program can be given one: remove it"),
        )),
    }
}
