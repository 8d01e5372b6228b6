//! What jobs cost while none of them is due.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::process::Up;
use super::{Scratch, figures, manifest};

/// How long memory may settle after the load.
const SETTLE: Duration = Duration::from_secs(10);
/// How long CPU use is measured.
const WATCH: Duration = Duration::from_secs(20);

pub(super) fn idle(program: &Path) -> anyhow::Result<()> {
    println!(
        "\nidle: jobs of which none is due, 1,000 distinct schedules (aims for 100,000: 120 MB, 0.5 % of a core)"
    );
    println!(
        "{:>8} {:>9} {:>13} {:>9} {:>13} {:>10}",
        "jobs", "load s", "again load s", "RSS MiB", "peak RSS MiB", "CPU %"
    );
    for jobs in [0, 10_000, 100_000] {
        let scratch = Scratch::new()?;
        let yaml = scratch.path().join("jobs.yaml");
        let schedule = |i: usize| format!("0 {} {} 1 1 * 2090", i % 50, i / 50 % 20);
        let job = |i: usize| manifest(&format!("job{i}"), &schedule(i), &["true"]);
        let text: String = if jobs == 0 { "# nothing\n".to_owned() } else { (0..jobs).map(job).collect() };
        fs::write(&yaml, text)?;
        let data = scratch.path().join("data");
        let first = Up::start(program, &data, &yaml)?;
        let first_load = first.load;
        first.stop()?;

        let up = Up::start(program, &data, &yaml)?;
        thread::sleep(SETTLE);
        let before = figures::cpu(up.id());
        thread::sleep(WATCH);
        let cpu = (figures::cpu(up.id()) - before) / WATCH.as_secs_f64() * 100.0;
        println!(
            "{jobs:>8} {:>9.2} {:>13.2} {:>9.1} {:>13.1} {cpu:>10.2}",
            first_load.as_secs_f64(),
            up.load.as_secs_f64(),
            figures::memory(up.id(), "VmRSS"),
            figures::memory(up.id(), "VmHWM"),
        );
        up.stop()?;
    }
    Ok(())
}
