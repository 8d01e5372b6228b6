//! What a command is called in the name of its job.

/// What only prepares the command after it.
const BEFORE: [&str; 10] = ["[", "[[", "cd", "export", "set", "sleep", "source", "test", "umask", "."];
/// What runs the command that stands in its arguments.
const AROUND: [&str; 9] = ["chronic", "command", "env", "exec", "ionice", "nice", "nohup", "sudo", "time"];
const EXTENSIONS: [&str; 5] = ["sh", "bash", "py", "pl", "rb"];

/// The name of the program that a line is about, as far as that can be seen: without its folder and its extension.
pub(super) fn of(command: &str) -> &str {
    let parts = command.split(['&', '|', ';', '\n']).map(program).filter(|program| !program.is_empty());
    let mut first = None;
    for program in parts {
        if !BEFORE.contains(&program) {
            return program;
        }
        first = first.or(Some(program));
    }
    first.unwrap_or_default()
}

fn program(part: &str) -> &str {
    let mut words = part.split_whitespace();
    let found = words.find_map(|word| {
        let word = word.trim_start_matches(['(', '{', '!', '"', '\'']);
        let name = word.trim_end_matches([')', '}', '"', '\'']).rsplit('/').next().unwrap_or_default();
        let passed = name.is_empty() || name.starts_with('-') || word.contains('=') || AROUND.contains(&name);
        (!passed).then_some(name)
    });
    let name = found.unwrap_or_default();
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && EXTENSIONS.contains(&extension) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_job_is_called_after_its_program() {
        for (command, stem) in [
            ("/usr/sbin/logrotate /etc/logrotate.conf", "logrotate"),
            ("/opt/backup.sh >> /tmp/log 2>&1", "backup"),
            ("cd / && run-parts --report /etc/cron.hourly", "run-parts"),
            ("test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily; }", "run-parts"),
            ("A=b nice -n10 ./report.py", "report"),
            ("[ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean", "sessionclean"),
            ("cd /srv", "cd"),
            ("> /dev/null", ">"),
            ("", ""),
        ] {
            assert_eq!(super::of(command), stem, "{command}");
        }
    }
}
