//! Schedules in words, and in the words of the legacy library.

use model::{Dialect, JobName, Schedule, TimeZone};

fn parse(text: &str, zone: &str) -> Schedule {
    let zone = TimeZone::parse(zone).unwrap();
    Schedule::parse(text, Dialect::Standard, zone, &JobName::new("backup").unwrap()).unwrap()
}

#[test]
fn a_schedule_in_words() {
    for (text, words) in [
        ("30 2 * * 5L", "At 02:30 on the last Friday of each month"),
        ("* * * * *", "Every minute"),
        ("* * * * * *", "Every second"),
        ("*/5 * * * * *", "Every 5 seconds"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/7 * * * *", "At 0, 7, 14, 21, 28, 35, 42, 49 and 56 minutes past the hour"),
        ("1 * * * *", "At 1 minute past the hour"),
        ("5,35 9-17 * * *", "At 5 and 35 minutes past the hour from 09:00 to 17:59"),
        ("*/10 22-2 * * *", "Every 10 minutes from 22:00 to 02:59"),
        ("*/10 1,5-8 * * *", "Every 10 minutes in hours 1 and 5 to 8 of the day"),
        ("* */2 * * *", "Every minute in every 2nd hour from 00:00"),
        ("*/30 5 * * *", "At 05:00 and 05:30 every day"),
        ("*/10 5 * * *", "At 05:00, 05:10, 05:20, 05:30, 05:40 and 05:50 every day"),
        ("*/5 5 * * *", "Every 5 minutes from 05:00 to 05:59"),
        ("0 * * * *", "Every hour"),
        ("0 */2 * * *", "Every 2 hours"),
        ("0 9-17 * * MON-FRI", "Every hour from 09:00 to 17:00 on Monday to Friday"),
        ("0 0,2,4,6,8,10,13 * * *", "At 00:00, 02:00, 04:00, 06:00, 08:00, 10:00 and 13:00 every day"),
        ("15 5 4 * * *", "At 04:05:15 every day"),
        ("30 * * * * *", "At second 30 of every minute"),
        ("* 30 2 * * *", "Every second of minute 30 of the hour from 02:00 to 02:59"),
        ("*/10 */5 * * * *", "Every 10 seconds of every 5th minute"),
        ("0 0 * * SAT,SUN", "At 00:00 on Saturday and Sunday"),
        ("0 0 * * FRI-MON", "At 00:00 on Monday and Friday to Sunday"),
        ("0 0 * JAN-MAR SUN", "At 00:00 on Sunday in January to March"),
        ("0 0 * 7 *", "At 00:00 on every day of July"),
        ("0 0 1,15 * *", "At 00:00 on the 1st and 15th of each month"),
        ("0 0 22-23,2-3 * *", "At 00:00 on the 2nd, 3rd, 22nd and 23rd of each month"),
        ("0 0 11-13 * *", "At 00:00 on the 11th to 13th of each month"),
        ("0 0 L * *", "At 00:00 on the last day of each month"),
        ("0 0 L-1 * *", "At 00:00 on the day before the last of each month"),
        (
            "0 0 L-2,LW 1,7 *",
            "At 00:00 on the day 2 days before the last and the last workday of January and July",
        ),
        ("0 0 15W * *", "At 00:00 on the workday nearest to the 15th of each month"),
        ("0 0 * * 5#3", "At 00:00 on the third Friday of each month"),
        ("0 0 13 * FRI", "At 00:00 on the 13th of each month and also on every Friday"),
        ("0 0 13 1 FRI", "At 00:00 on the 13th of January and also on every Friday in January"),
        ("0 0 29 2 *", "At 00:00 on the 29th of February"),
        ("0 0 12 1 1 ? 2026", "At 12:00 on the 1st of January, in 2026"),
        ("0 0 12 1 1 ? 2026-2030", "At 12:00 on the 1st of January, in 2026 to 2030"),
        ("0 0 12 1 1 ? 2026-2050/4", "At 12:00 on the 1st of January, in every 4th year from 2026 to 2050"),
        ("H H * * *", "At 11:46 every day"),
        ("@weekly", "At 00:00 on Sunday"),
    ] {
        assert_eq!(parse(text, "Europe/Paris").describe(), format!("{words}, Europe/Paris"), "{text}");
    }
    for (text, words) in [
        ("@every 1h", "Every hour, counted from 1970-01-01T00:29:38Z"),
        ("@every 90s", "Every 1 minute and 30 seconds, counted from 1970-01-01T00:01:08Z"),
        ("@every 49h", "Every 2 days and 1 hour, counted from 1970-01-02T16:29:38Z"),
    ] {
        assert_eq!(parse(text, "Europe/Paris").describe(), words, "{text}");
    }
}

#[test]
fn what_the_legacy_library_reads_the_same_way() {
    for (text, zone, legacy) in [
        ("30 2 * * *", "UTC", Some("0 30 2 * * * *")),
        ("0 22-2 * * FRI-MON", "UTC", Some("0 0 0-2,22,23 * * 0,1,5,6 *")),
        ("0 0 * * 5-7", "UTC", Some("0 0 0 * * 0,5,6 *")),
        ("0 0 L,LW,15W * 7L,1#2", "UTC", Some("0 0 0 L,15W,LW * 0L,1#2 *")),
        ("0 0 L-2 * *", "UTC", None),
        ("*/15 * * * *", "UTC", Some("0 */15 * * * * *")),
        // Where it begins with a star decides what a change of the clock does, so that is kept.
        ("0-59/15 2 * * *", "UTC", Some("0 0-45/15 2 * * * *")),
        ("0-59 * * * *", "UTC", Some("0 0-59 * * * * *")),
        // A list of all days is a restriction, a step of one is none.
        ("0 0 1-31 * MON", "UTC", Some("0 0 0 1-31 * 1 *")),
        ("0 0 */1 * MON", "UTC", Some("0 0 0 * * 1 *")),
        ("0 0 0 1 1 ? 2026-2030", "UTC", Some("0 0 0 1 1 * 2026-2030")),
        ("@yearly", "UTC", Some("0 0 0 1 1 * *")),
        ("@every 20s", "Europe/Paris", Some("18-58/20 * * * * * *")),
        ("@every 15m", "Asia/Kathmandu", Some("38 14-59/15 * * * * *")),
        ("@every 1h", "UTC", Some("38 29 * * * * *")),
        ("@every 1h", "Asia/Kathmandu", None),
        ("@every 7s", "UTC", None),
        ("@every 90s", "UTC", None),
        ("@every 48h", "UTC", None),
    ] {
        assert_eq!(parse(text, zone).legacy_text().as_deref(), legacy, "{text} in {zone}");
    }
}
