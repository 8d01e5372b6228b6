//! `cronctl kill`: asks for the end of what runs under a name now. Later runs are not meant.

use anyhow::bail;

use crate::names::unknown;
use crate::target::{SEARCHED, Session, TargetArgs};
use crate::terminal::{print, visible};

/// End the running runs of a job
///
/// Each gets SIGTERM, its grace period, then SIGKILL. They are asked to end when this returns, and end soon after.
/// Where nothing runs, the exit status is 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The job, as namespace/name or, within the namespace, name
    name: String,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn main(arguments: Arguments) -> anyhow::Result<()> {
    let session = arguments.target.open_for_runs("kill").await?.session().await?;
    let said = kill(&session, &arguments).await;
    session.close().await;
    print(&said?)?;
    Ok(())
}

async fn kill(session: &Session, arguments: &Arguments) -> anyhow::Result<String> {
    let name = &arguments.name;
    if let Some(why) = session.nothing_runs() {
        bail!(why);
    }
    let Some(job) = session.find(name, arguments.target.namespace()).await? else {
        // A job that was deleted may still have runs.
        if session.kill(name).await.is_ok() {
            return Ok(format!("{}: what still runs of it was asked to end\n", visible(name)));
        }
        let known = session.jobs("", SEARCHED).await.unwrap_or_default();
        let known: Vec<String> = known.into_iter().map(|job| job.name).collect();
        bail!(unknown(name, &known));
    };
    if job.active_count == 0 {
        bail!("nothing runs of {} now, so nothing was killed", visible(&job.name));
    }
    session.kill(&job.name).await?;
    let count = if job.active_count == 1 { "1 run".to_owned() } else { format!("{} runs", job.active_count) };
    let mut said = format!("{}: {count} asked to end\n", visible(&job.name));
    let runs = job.active.iter().map(|run| format!("  {} on {}\n", visible(&run.run), visible(&run.node)));
    said.extend(runs);
    Ok(said)
}
