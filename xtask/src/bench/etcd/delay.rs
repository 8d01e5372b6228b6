//! How late commands start, and how many do not.

use std::time::Duration;

use super::Size;
use super::world::{World, job};
use crate::bench::figures::cpu;
use crate::bench::starts::{Starts, bare_loop, percentile, sleep_until, whole_second};

/// The first slots after a start are no steady state.
const WARM_UP: Duration = Duration::from_secs(3);

pub(super) fn delay(world: &mut World, size: Size) -> anyhow::Result<()> {
    println!(
        "\netcd start-delay: from a slot to the command's first instruction, {} round(s) of {} s in turn with the bare loop, which spawns the same commands one after the other",
        size.rounds, size.seconds
    );
    println!(
        "{:>7} | {:>10} {:>10} | {:>10} {:>10} | {:>6} {:>6} | {:>7} {:>7} {:>8} {:>8} | {:>6} {:>6} {:>6}",
        "jobs/s",
        "bare p50",
        "bare p99",
        "p50 ms",
        "p99 ms",
        "ratio",
        "ratio",
        "slots",
        "missed",
        "overlaps",
        "doubled",
        "worker",
        "etcd",
        "log"
    );
    for rate in size.rates {
        one_rate(world, size, *rate)?;
    }
    println!(
        "(where the bare loop's p99 is beyond 1,000 ms, the machine can't start that many each second; overlaps: recorded stretches of one or more slots that were skipped because the run before had not ended, as on a machine that can't keep up; worker, etcd, log: seconds of a core per second used by the worker without its commands, by etcd and by the server of the log)"
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "some tens of seconds")]
fn one_rate(world: &mut World, size: Size, rate: usize) -> anyhow::Result<()> {
    let stamper = std::env::current_exe()?;
    let (mut bare, mut ours) = (Starts::default(), Starts::default());
    let (mut used, mut overlaps) = ([0.0; 3], 0.0);
    for _ in 0..size.rounds {
        world.next_tree();
        let file = world.scratch.path().join(format!("bare{}", world.prefix().replace('/', "-")));
        let first = whole_second(Duration::from_millis(200));
        bare_loop(&stamper, &file, rate, first, size.seconds)?;
        bare.read(&file, first, size.seconds)?;

        let file = world.scratch.path().join(format!("ours{}", world.prefix().replace('/', "-")));
        let words = [stamper.to_string_lossy(), "stamp".into(), file.to_string_lossy()];
        let jobs = (0..rate).map(|i| format!("job{i}")).map(|name| {
            let value = job(&name, "* * * * * *", &[&words[0], &words[1], &words[2], &name]);
            (name, value)
        });
        world.put_jobs(jobs)?;
        let worker = world.worker(1)?;
        let first = whole_second(WARM_UP);
        sleep_until(Duration::from_secs(first));
        let overlapped = || -> anyhow::Result<f64> {
            Ok(worker.counters()?.sum("crontab_worker_slots_skipped_total", "Overlap"))
        };
        let cpu = || [worker.id(), world.etcd.process().id(), world.mongo.process().id()].map(cpu);
        let before = cpu();
        overlaps -= overlapped()?;
        sleep_until(Duration::from_secs(first + size.seconds));
        for ((used, before), after) in used.iter_mut().zip(before).zip(cpu()) {
            *used += (after - before) / (size.rounds as f64 * size.seconds as f64);
        }
        overlaps += overlapped()?;
        // The last commands write their lines.
        sleep_until(Duration::from_secs(first + size.seconds + 1));
        worker.stop()?;
        ours.read(&file, first, size.seconds)?;
    }
    let expected = rate * size.rounds * usize::try_from(size.seconds)?;
    let (missed, doubled) = ours.missed_and_doubled(expected);
    let (bare, ours) = (bare.delays(), ours.delays());
    let at = |percent| (percentile(&bare, percent), percentile(&ours, percent));
    let ((bare50, ours50), (bare99, ours99)) = (at(50), at(99));
    println!(
        "{rate:>7} | {bare50:>10.2} {bare99:>10.2} | {ours50:>10.2} {ours99:>10.2} | {:>6.2} {:>6.2} | {expected:>7} {missed:>7} {overlaps:>8} {doubled:>8} | {:>6.2} {:>6.2} {:>6.2}",
        ours50 / bare50,
        ours99 / bare99,
        used[0],
        used[1],
        used[2],
    );
    Ok(())
}
