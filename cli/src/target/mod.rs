//! Where the jobs are that a command is about.
//!
//! A **target** is one of four: a **cluster** (the `NodeCronJob` resources of an API server), a **master** (its address),
//! a **tree** (etcd, and MongoDB for what ran), or a **folder** (what `cronctl up` keeps). The last three are one thing to
//! the commands: a master's REST calls, over the network or within this process ([`rest`]). So a job is listed, killed
//! or suspended here by the very code that serves the page. An API server knows jobs but not what they ran.

mod choice;
mod cluster;
pub(crate) mod folder;
mod pages;
mod rest;
mod tree;
#[cfg(test)]
pub(crate) mod world;

use std::path::PathBuf;

use anyhow::Context;
use model::TimeZone;
use runtime::args::EtcdArgs;

use crate::up::UsageError;
use crate::view::Job;
use choice::Choice;
use cluster::Cluster;
pub(crate) use pages::Pages;
pub(crate) use rest::{Rest, RestError, Session};

/// Where jobs without a slash in their name are looked for, besides under that name.
const NAMESPACE: &str = "default";

/// Where the jobs are
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// Context of the kubeconfig to use; its cluster is where the jobs are, unless an option below says otherwise
    #[arg(long, value_name = "NAME", help_heading = TARGET)]
    pub(crate) context: Option<String>,
    /// Address of a master, such as <http://127.0.0.1:8070/>, perhaps forwarded: kubectl port-forward svc/crontab-master 8070
    #[arg(long, env = "CRONTAB_MASTER", value_name = "URL", help_heading = TARGET)]
    pub(crate) master: Option<String>,
    /// User of that master
    #[arg(long, env = "CRONTAB_MASTER_USER", value_name = "NAME", requires = "master_password_file", help_heading = TARGET)]
    pub(crate) master_user: Option<String>,
    /// File with that user's password; a line break at its end is not part of it
    #[arg(long, env = "CRONTAB_MASTER_PASSWORD_FILE", value_name = "FILE", requires = "master_user", help_heading = TARGET)]
    pub(crate) master_password_file: Option<PathBuf>,
    /// Folder of `cronctl up`, whether that runs or not
    #[arg(long, env = "CRONTAB_DATA", value_name = "FOLDER", help_heading = TARGET)]
    pub(crate) data: Option<PathBuf>,
    /// Address of MongoDB, which has what jobs of a tree ran. As an environment variable it is not seen in lists of
    /// processes
    #[arg(long, env = "MONGODB_URI", value_name = "URI", hide_env_values = true, help_heading = "etcd")]
    pub(crate) mongodb_uri: Option<String>,
    /// IANA zone in which jobs of a tree in the legacy form are read; the same as the workers'
    #[arg(long, env = "CRONTAB_TIME_ZONE", value_name = "ZONE", default_value_t = TimeZone::UTC, value_parser = TimeZone::parse, help_heading = "etcd")]
    pub(crate) time_zone: TimeZone,
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
    /// Namespace: a NAME without a slash is looked for in it too. In a cluster the context's by default, elsewhere `default`
    #[arg(long, short, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

const TARGET: &str = "Where the jobs are";

/// An open target.
pub(crate) enum Target {
    Cluster(Cluster),
    Rest(Rest),
}

impl TargetArgs {
    /// Finds out which target is meant. Little is asked of it yet: a server that is away is seen later.
    pub(crate) async fn open(&self) -> anyhow::Result<Target> {
        Ok(match choice::choose(self)? {
            Choice::Folder(folder) => Target::Rest(Rest::folder(folder)?),
            Choice::Master(url) => Target::Rest(Rest::master(&url, self.credentials()?)?),
            Choice::Tree => Target::Rest(tree::open(self)?),
            Choice::Cluster => {
                let cluster = Cluster::open(self.context.clone(), self.namespace.clone()).await;
                Target::Cluster(cluster.map_err(|why| choice::without_cluster(self, why))?)
            }
        })
    }

    /// As [`Self::open`], for what only the tree and the log know.
    pub(crate) async fn open_for_runs(&self, what: &str) -> anyhow::Result<Rest> {
        match self.open().await? {
            Target::Rest(rest) => Ok(rest),
            Target::Cluster(_) => Err(UsageError(format!(
                "{what}: the API server does not know what runs; ask the master in the cluster, after \
                 `kubectl --namespace NAMESPACE port-forward service/crontab-master 8070`, with \
                 --master http://127.0.0.1:8070/, or give the addresses of etcd and MongoDB: --etcd-endpoints URL \
                 --mongodb-uri URI"
            ))
            .into()),
        }
    }

    /// The namespace of names without one.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(NAMESPACE)
    }

    fn credentials(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some((user, file)) = self.master_user.as_ref().zip(self.master_password_file.as_ref()) else {
            return Ok(None);
        };
        let password = std::fs::read_to_string(file)
            .with_context(|| format!("--master-password-file: {} can't be read", file.display()))?;
        Ok(Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned())))
    }
}

/// What a command does with jobs wherever they are.
pub(crate) enum Jobs<'a> {
    Cluster(&'a Cluster),
    Rest(Session, &'a TargetArgs),
}

impl Target {
    /// Begins to ask.
    pub(crate) async fn jobs<'a>(&'a self, arguments: &'a TargetArgs) -> anyhow::Result<Jobs<'a>> {
        Ok(match self {
            Self::Cluster(cluster) => Jobs::Cluster(cluster),
            Self::Rest(rest) => Jobs::Rest(rest.session().await?, arguments),
        })
    }
}

impl Jobs<'_> {
    /// All jobs, in a cluster those of the namespace unless `everywhere`.
    pub(crate) async fn list(&self, everywhere: bool) -> anyhow::Result<Vec<Job>> {
        match self {
            Self::Cluster(cluster) => cluster.list(everywhere).await,
            Self::Rest(session, arguments) => {
                let within = arguments.namespace.as_ref().filter(|_| !everywhere);
                let within = within.map(|namespace| format!("{namespace}/")).unwrap_or_default();
                let mut jobs = session.jobs(&within, usize::MAX).await?;
                jobs.retain(|job| job.name.starts_with(&within));
                Ok(jobs)
            }
        }
    }

    /// The job of a name as people write it.
    pub(crate) async fn find(&self, name: &str) -> anyhow::Result<Option<Job>> {
        match self {
            Self::Cluster(cluster) => cluster.find(name).await,
            Self::Rest(session, arguments) => Ok(session.find(name, arguments.namespace()).await?),
        }
    }

    /// Suspends or resumes a job; it is told apart before whether there is anything to do.
    pub(crate) async fn suspend(&self, job: &Job, suspend: bool) -> anyhow::Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.suspend(job, suspend).await,
            Self::Rest(session, _) => Ok(session.suspend(&job.name, suspend).await?),
        }
    }

    /// Whether nothing runs these jobs, and why.
    pub(crate) fn nothing_runs(&self) -> Option<String> {
        match self {
            Self::Cluster(_) => None,
            Self::Rest(session, _) => session.nothing_runs(),
        }
    }

    /// Names to suggest in place of an unknown one. A failure suggests nothing.
    pub(crate) async fn names(&self) -> Vec<String> {
        let jobs = match self {
            Self::Cluster(cluster) => cluster.list(false).await.unwrap_or_default(),
            Self::Rest(session, _) => session.jobs("", SEARCHED).await.unwrap_or_default(),
        };
        jobs.into_iter().map(|job| job.name).collect()
    }

    /// Ends asking.
    pub(crate) async fn close(self) {
        match self {
            Self::Cluster(_) => {}
            Self::Rest(session, _) => session.close().await,
        }
    }
}

/// How many jobs are looked through for near names.
pub(crate) const SEARCHED: usize = 2000;
