//! A master of this process in front of etcd and MongoDB.

use std::time::Duration;

use anyhow::Context;
use master::Master;
use model::JobName;
use model::keys::KeyPrefix;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::RunId;
use runtime::args::EtcdSecrets;
use store::etcd::{Etcd, EtcdConfig, Tls};
use store::mongo::{MongoConfig, MongoLog};
use store::{LogEntry, LogError, RunLog, RunQuery};

use super::{Rest, TargetArgs, rest};
use crate::up::UsageError;

/// No session is opened here, so this is never granted.
const LEASE: Duration = Duration::from_secs(10);

pub(super) fn open(arguments: &TargetArgs) -> anyhow::Result<Rest> {
    let usage = |why: anyhow::Error| UsageError(format!("{why:#}"));
    let tree = Etcd::new(config(arguments).map_err(usage)?).map_err(|why| usage(why.into()))?;
    let zone = arguments.time_zone;
    let router = if let Some(uri) = &arguments.mongodb_uri {
        let log = MongoLog::new(MongoConfig { uri: uri.clone(), database: None, retention: None })
            .map_err(|why| usage(anyhow::Error::from(why).context("--mongodb-uri")))?;
        master::router(Master::new(tree, log, zone, rest::HERE))
    } else {
        master::router(Master::new(tree, NoLog, zone, rest::HERE))
    };
    Ok(Rest::tree(router, arguments.mongodb_uri.is_some()))
}

fn config(arguments: &TargetArgs) -> anyhow::Result<EtcdConfig> {
    let etcd = &arguments.etcd;
    let prefix = KeyPrefix::new(&etcd.etcd_prefix).context("--etcd-prefix")?;
    let EtcdSecrets { ca, identity, user } = etcd.secrets()?;
    let tls = ca.map(|ca| Tls { ca, identity });
    Ok(EtcdConfig { endpoints: etcd.etcd_endpoints.clone(), prefix, tls, user, lease: LEASE })
}

/// The log where none is named: jobs can be listed and changed without it.
#[derive(Clone)]
struct NoLog;

fn unnamed<T>() -> Result<T, LogError> {
    Err(LogError::Unavailable("no log is named; give --mongodb-uri".into()))
}

impl RunLog for NoLog {
    async fn append(&self, _: Vec<LogEntry>) -> Result<(), LogError> {
        unnamed()
    }
    async fn runs(&self, _: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        unnamed()
    }
    async fn find(&self, _: &RunId, _: u32) -> Result<Option<RunRecord>, LogError> {
        unnamed()
    }
    async fn output(&self, _: &RunId, _: u32) -> Result<Option<Output>, LogError> {
        unnamed()
    }
    async fn skipped(&self, _: &JobName, _: u32) -> Result<Vec<SkipRecord>, LogError> {
        unnamed()
    }
}
