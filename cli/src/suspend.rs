//! `cronctl suspend` and `cronctl resume`: hold new runs back, or let them come again. What runs goes on.

use crate::names::{Partly, unknown};
use crate::target::{Jobs, TargetArgs};
use crate::terminal::{print, visible};

/// The jobs, and where they are
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The jobs, each as namespace/name or, within the namespace, name
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn main(arguments: Arguments, suspend: bool) -> anyhow::Result<()> {
    let target = arguments.target.open().await?;
    let jobs = target.jobs(&arguments.target).await?;
    let mut failed = 0;
    for name in &arguments.names {
        match one(&jobs, name, suspend).await {
            Ok(said) => print(&said)?,
            Err(why) => {
                eprintln!("cronctl: {}: {why:#}", visible(name));
                failed += 1;
            }
        }
    }
    jobs.close().await;
    if failed > 0 { Err(Partly(failed).into()) } else { Ok(()) }
}

async fn one(jobs: &Jobs<'_>, name: &str, suspend: bool) -> anyhow::Result<String> {
    let Some(job) = jobs.find(name).await? else {
        return Err(anyhow::anyhow!(unknown(name, &jobs.names().await)));
    };
    let done = if suspend { "suspended" } else { "resumed" };
    if job.suspended == suspend {
        let already = if suspend { "already suspended" } else { "not suspended" };
        return Ok(format!("{} {already}\n", visible(&job.name)));
    }
    jobs.suspend(&job, suspend).await?;
    Ok(format!("{} {done}\n", visible(&job.name)))
}
