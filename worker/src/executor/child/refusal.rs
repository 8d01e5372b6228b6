//! Why a command could not be started, as a sentence that says what to do.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// How many bytes of a name or a `PATH` a sentence repeats; they may be as long as a command.
const MOST_OF_A_NAME: usize = 1000;

fn shortened(mut name: String) -> String {
    if name.len() > MOST_OF_A_NAME {
        name.truncate(name.floor_char_boundary(MOST_OF_A_NAME));
        name.push('…');
    }
    name
}

fn display(path: &Path) -> String {
    shortened(path.display().to_string())
}

/// A program that is in no folder of `PATH`.
pub(super) fn not_found(name: &str, path: Option<&str>) -> String {
    let name = shortened(name.to_owned());
    match path.map(|path| shortened(path.to_owned())) {
        Some(path) => format!(
            "the program `{name}` is in no folder of PATH ({path}); install it, write its full path, or set PATH in env"
        ),
        None => format!(
            "the program `{name}` can't be looked for without PATH; write its full path or set PATH in env"
        ),
    }
}

/// What an error of the system means for the command.
pub(super) fn explain(why: &io::Error, program: &Path, working_dir: Option<&Path>) -> String {
    let name = display(program);
    if why.kind() == io::ErrorKind::InvalidInput {
        return "a NUL byte is in the command or its environment; take it out, no program can be given one"
            .to_owned();
    }
    match Errno::from_io_error(why) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::NAMETOOLONG) => {
            working_dir.and_then(bad_working_dir).unwrap_or_else(|| bad_program(why, program, working_dir))
        }
        Some(Errno::NOEXEC) => {
            format!(
                "{name} is nothing that this machine can execute; begin a script with `#!` and its interpreter"
            )
        }
        Some(Errno::TOOBIG) => {
            "the command and its environment are longer than the system takes; put the long part into a file"
                .to_owned()
        }
        Some(Errno::AGAIN) => {
            "no more processes may be made here; raise the limit (`ulimit -u`, the pids limit of \
                               the container or service), or run fewer jobs at once"
                .to_owned()
        }
        Some(Errno::NOMEM) => {
            "there is no memory for another process; give this node more, or run fewer jobs at once"
                .to_owned()
        }
        Some(Errno::MFILE) => {
            let limit = getrlimit(Resource::Nofile).current;
            let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
            format!(
                "the executor may not open more files ({limit}, two for each run); raise the hard limit \
                 (`ulimit -Hn`), or run fewer jobs at once"
            )
        }
        Some(Errno::NFILE) => {
            "this machine may not open more files; raise fs.file-max, or run fewer jobs at once".to_owned()
        }
        Some(Errno::TXTBSY) => {
            format!("{name} is being written to; replace programs by renaming the new one over them")
        }
        _ => format!("{name} could not be started: {why}"),
    }
}

fn bad_working_dir(working_dir: &Path) -> Option<String> {
    let name = display(working_dir);
    match working_dir.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            Some(format!("the working directory {name} is no directory; write another workingDir"))
        }
        Ok(_) if access(working_dir, Access::EXEC_OK).is_ok() => None,
        Err(why) if why.kind() == io::ErrorKind::NotFound => Some(format!(
            "the working directory {name} does not exist on this node; create it or write another workingDir"
        )),
        _ => Some(format!(
            "the working directory {name} may not be entered by the worker's user; allow it or write another workingDir"
        )),
    }
}

fn bad_program(why: &io::Error, program: &Path, working_dir: Option<&Path>) -> String {
    let path = working_dir.map_or_else(|| program.to_owned(), |working_dir| working_dir.join(program));
    let name = display(program);
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => format!("{name} is a directory; write the path of a program"),
        Ok(_) if Errno::from_io_error(why) == Some(Errno::ACCESS) => format!(
            "{name} may not be executed by the worker's user (mode, or a noexec mount); allow it with `chmod +x`, or \
             start it through its interpreter"
        ),
        Ok(_) => format!(
            "{name} exists, but the interpreter that it names (after `#!`, or as its dynamic loader) does not; install \
             that or correct the name"
        ),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            format!("the program {name} does not exist on this node; install it or correct the path")
        }
        Err(why) => {
            format!("the program {name} can't be reached ({why}); correct the path or allow the way to it")
        }
    }
}
