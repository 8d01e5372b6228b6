//! `cronctl next` as people use it: the real program, its output and its exit status.

use std::process::Command;

/// What is printed, what is said on standard error, and the exit status.
fn next(arguments: &[&str]) -> (String, String, Option<i32>) {
    let ended = Command::new(env!("CARGO_BIN_EXE_cronctl")).arg("next").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), text(ended.stderr), ended.status.code())
}

#[test]
fn an_expression_is_said_in_words_with_its_next_times_and_their_offsets() {
    let arguments =
        ["30 2 * * 5L", "--zone", "Europe/Paris", "--count", "3", "--from", "2026-09-01T00:00:00Z"];
    let printed = "At 02:30 on the last Friday of each month, Europe/Paris\n\
        Fri 2026-09-25 02:30:00 +02:00\n\
        Fri 2026-10-30 02:30:00 +01:00\n\
        Fri 2026-11-27 02:30:00 +01:00\n";
    assert_eq!(next(&arguments), (printed.to_owned(), String::new(), Some(0)));
}

#[test]
fn a_time_that_the_clock_skips_is_marked_where_it_is_moved_to() {
    let (printed, ..) =
        next(&["30 2 * * *", "--zone", "Europe/Paris", "-n", "2", "--from", "2026-03-29T00:00:00+01:00"]);
    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(printed[1], "Sun 2026-03-29 03:00:00 +02:00  moved here: the clock skips its time");
    assert_eq!(printed[2], "Mon 2026-03-30 02:30:00 +02:00");
}

#[test]
fn two_restricted_day_fields_and_a_missing_name_are_pointed_out() {
    let (printed, ..) = next(&["H 0 13 * FRI"]);
    assert!(
        printed
            .contains("note: day of month and day of week are both given: a day that either names counts\n")
    );
    assert!(
        printed.contains("note: the times depend on the job's name; give it with --job namespace/name\n")
    );
    let (printed, ..) = next(&["H 0 ? * FRI", "--job", "ops/rotate"]);
    assert!(!printed.contains("note:"), "{printed}");
}

#[test]
fn the_dialect_decides_what_six_fields_are() {
    let from = ["--from", "2026-01-01T00:00:00Z", "-n", "1"];
    let (standard, ..) = next(&[&["0 0 2 1 1 *"][..], &from].concat());
    assert!(standard.ends_with("Thu 2026-01-01 02:00:00 +00:00\n"), "{standard}");
    let (legacy, ..) = next(&[&["0 0 2 1 * 2027", "--dialect", "legacy"][..], &from].concat());
    assert!(legacy.ends_with("Sat 2027-01-02 00:00:00 +00:00\n"), "{legacy}");
    let (past, ..) = next(&[&["0 0 2 1 * 2020", "--dialect", "legacy"][..], &from].concat());
    assert!(past.contains("note: there is no time after that one"), "{past}");
}

#[test]
fn json_holds_the_same_for_programs() {
    let (printed, _, status) = next(&[
        "0 0,30 2 * * *",
        "--zone",
        "Europe/Paris",
        "-n",
        "2",
        "--from",
        "2026-03-29T00:00:00Z",
        "-o",
        "json",
    ]);
    assert_eq!(status, Some(0));
    let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(value["description"], "At 02:00 and 02:30 every day, Europe/Paris");
    assert_eq!(value["dialect"], "Standard");
    assert_eq!(value["slots"][0], serde_json::json!({"time": "2026-03-29T03:00:00+02:00", "moved": true}));
    assert_eq!(value["slots"][1], serde_json::json!({"time": "2026-03-30T02:00:00+02:00", "moved": false}));
}

#[test]
fn mistakes_are_pointed_at_with_exit_status_2() {
    for (arguments, said) in [
        (
            &["0 24 * * *"][..],
            "cronctl: field 2 (hour) says 24 at character 3; hours are 0 to 23; did you mean 0?\n\n  0 24 * * *\n    ^^\n",
        ),
        (
            &["0 0 * * *", "--zone", "Paris"],
            "cronctl: the time zone Paris is unknown; did you mean Europe/Paris?\n",
        ),
        (
            &["0 0 * * *", "--from", "tomorrow"],
            "cronctl: --from: tomorrow is not a time; write one such as 2026-03-29T00:00:00Z or 2026-03-29T02:30:00+02:00\n",
        ),
    ] {
        let (printed, errors, status) = next(arguments);
        assert_eq!((printed.as_str(), errors.as_str(), status), ("", said, Some(2)));
    }
}
