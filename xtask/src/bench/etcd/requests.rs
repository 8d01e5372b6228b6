//! What a run costs etcd, by its own counters.

use std::time::Duration;

use super::Size;
use super::world::{Counters, World, job};
use crate::bench::starts::{Starts, sleep_until, whole_second};

/// Jobs that are due each second, whatever the number of workers.
const JOBS: usize = 50;

/// The first seconds after a change are no steady state.
const WARM_UP: Duration = Duration::from_secs(3);

/// What is counted.
const COLUMNS: [&str; 6] = ["Txn", "Range", "other", "puts", "deletes", "watch messages"];

/// How many values there are: the columns, and all messages that etcd received, those of streams included.
const VALUES: usize = COLUMNS.len() + 1;

/// The values so far. `other` is what of all requests is neither of the two.
fn columns(counters: &Counters) -> [f64; VALUES] {
    let requests = |labels| counters.sum("grpc_server_handled_total", labels);
    let (txn, range) = (requests("grpc_method=\"Txn\""), requests("grpc_method=\"Range\""));
    [
        txn,
        range,
        requests("grpc_type=\"unary\"") - txn - range,
        counters.sum("etcd_mvcc_put_total", ""),
        counters.sum("etcd_mvcc_delete_total", ""),
        counters.sum("grpc_server_msg_sent_total", "grpc_method=\"Watch\""),
        counters.sum("grpc_server_msg_received_total", ""),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
pub(super) fn requests(world: &mut World, size: Size) -> anyhow::Result<()> {
    println!(
        "\netcd requests: for each run, by etcd's own counters, {JOBS} jobs due each second for {} s, what the same workers cost without jobs subtracted (aim: 2 Txn, whatever the number of workers)",
        size.seconds
    );
    print!("{:>8} {:>7}", "workers", "runs");
    for name in COLUMNS {
        print!(" {name:>14}");
    }
    println!(" {:>15} {:>8}", "idle messages/s", "doubled");
    for count in size.workers {
        world.next_tree();
        let workers = (1..=*count).map(|number| world.worker(number)).collect::<Result<Vec<_>, _>>()?;
        let (_, idle) = measured(world, size.seconds)?;
        let file = world.scratch.path().join(format!("stamps{}", world.prefix().replace('/', "-")));
        let stamper = std::env::current_exe()?;
        let words = [stamper.to_string_lossy(), "stamp".into(), file.to_string_lossy()];
        let jobs = (0..JOBS).map(|i| format!("job{i}")).map(|name| {
            let value = job(&name, "* * * * * *", &[&words[0], &words[1], &words[2], &name]);
            (name, value)
        });
        world.put_jobs(jobs)?;
        let (first, busy) = measured(world, size.seconds)?;
        for worker in workers {
            worker.stop()?;
        }
        let mut starts = Starts::default();
        starts.read(&file, first, size.seconds)?;
        let runs = starts.delays().len();
        let (_, doubled) = starts.missed_and_doubled(0);
        print!("{count:>8} {runs:>7}");
        for (busy, idle) in busy.iter().zip(idle).take(COLUMNS.len()) {
            print!(" {:>14.3}", (busy - idle) / runs as f64);
        }
        println!(" {:>15.1} {doubled:>8}", idle[COLUMNS.len()] / size.seconds as f64);
    }
    Ok(())
}

/// Measures for so many seconds, from the middle of a second on: the claims of a slot are made up to a quarter of a
/// second before it, and short commands have ended before half a second after it. Returns the first slot within.
fn measured(world: &World, seconds: u64) -> anyhow::Result<(u64, [f64; VALUES])> {
    let middle = |second| Duration::from_secs(second) + Duration::from_millis(500);
    let before_first = whole_second(WARM_UP);
    sleep_until(middle(before_first));
    let before = columns(&world.counters()?);
    sleep_until(middle(before_first + seconds));
    let mut after = columns(&world.counters()?);
    for (after, before) in after.iter_mut().zip(before) {
        *after -= before;
    }
    Ok((before_first + 1, after))
}
