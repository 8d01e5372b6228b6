//! The job tree in etcd: jobs put by hand or saved through the legacy page.
//!
//! Such a job is a line for the shell and an expression in the legacy dialect, read in the zone of the workers. Its
//! resource has the key's name as `spec.jobName`, or as `namespace/name` where the key is one, so that the controller takes
//! the key over and its history goes on.

use std::time::Duration;

use anyhow::Context;
use crds::object_name;
use model::job::Owner;
use model::keys::{Folder, Key, KeyPrefix};
use model::legacy::{JobValue, in_standard_dialect};
use model::{JobName, TimeZone};
use runtime::args::{EtcdArgs, EtcdSecrets};
use store::etcd::{Etcd, EtcdConfig, Tls};
use store::tree::Range;
use store::{KeyValue, Tree};

use super::{Document, Entry, Found};
use crate::up::UsageError;

/// Jobs in etcd, as the replaced system keeps them
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    etcd: EtcdArgs,
    /// The zone in which the workers read the expressions, an IANA name such as Asia/Shanghai: for workers of the
    /// replaced system that of their machines, for ours their --time-zone
    #[arg(long, env = "CRONTAB_TIME_ZONE", value_name = "ZONE", default_value_t = TimeZone::UTC, value_parser = TimeZone::parse)]
    time_zone: TimeZone,
    /// The namespace of jobs whose key names none; the controller has to honour jobName there
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// What holds for every key.
const GENERAL: [&str; 3] = [
    "Imported from etcd. The controller takes a key over where spec.jobName is its name; it has to be started with",
    "--job-name-namespace and the namespace that this is applied in. From then on the key is the controller's, and workers",
    "of the replaced system no longer run it. At changes of the clock the replaced system follows other rules.",
];

pub(super) fn find(arguments: &Arguments) -> anyhow::Result<Found> {
    let usage = |why: String| UsageError(why);
    if arguments.etcd.etcd_endpoints.is_empty() {
        return Err(
            usage("no etcd is named; give --etcd-endpoints, such as http://etcd:2379".to_owned()).into()
        );
    }
    let prefix =
        KeyPrefix::new(&arguments.etcd.etcd_prefix).map_err(|why| usage(format!("--etcd-prefix: {why}")))?;
    let EtcdSecrets { ca, identity, user } =
        arguments.etcd.secrets().map_err(|why| usage(why.to_string()))?;
    let config = EtcdConfig {
        endpoints: arguments.etcd.etcd_endpoints.clone(),
        prefix: prefix.clone(),
        tls: ca.map(|ca| Tls { ca, identity }),
        user,
        lease: Duration::from_secs(10),
    };
    let tree = Etcd::new(config).map_err(|why| usage(why.to_string()))?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let keys = runtime.block_on(tree.list(Range::Folder(Folder::Jobs))).context("the jobs can't be read")?;
    let entries = keys.iter().map(|pair| entry(pair, &prefix, arguments)).collect();
    Ok(Found { general: GENERAL.to_vec(), entries })
}

fn entry(pair: &KeyValue, prefix: &KeyPrefix, arguments: &Arguments) -> Entry {
    let place = pair.key.clone();
    let said = |what: String| Entry::Said { place: place.clone(), what };
    let read = || {
        let name = match prefix.decode(&pair.key) {
            Ok(Key::Job(name)) => name,
            Ok(_) => return Err("it is no key of a job".to_owned()),
            Err(why) => return Err(super::explained(&why)),
        };
        let value = JobValue::from_bytes(&pair.value).map_err(|why| why.explain())?;
        match &value.owner {
            Some(Owner::Resource { namespace, name, .. }) => {
                Ok(said(format!("it is the NodeCronJob {name} in namespace {namespace} already")))
            }
            Some(Owner::Manifest { path }) => Ok(said(format!("it is from the manifest {path}; apply that"))),
            None => document(pair, &name, value, arguments).map(|document| Entry::Job(Box::new(document))),
        }
    };
    read().unwrap_or_else(|why| Entry::left_out(place.clone(), why))
}

fn document(
    pair: &KeyValue,
    name: &JobName,
    value: JobValue,
    arguments: &Arguments,
) -> Result<Document, String> {
    let JobValue { legacy, spec, .. } = value;
    let zone = arguments.time_zone;
    let (namespace, object, job_name) = match name.as_str().split_once('/') {
        None => {
            let object = object_name(name.as_str(), &[name.as_str()]);
            (arguments.namespace.clone(), object, Some(name.to_string()))
        }
        Some((namespace, object)) => {
            // A resource of that name and namespace has this key; whether it can have that name is checked below.
            if object.contains('/') {
                return Err(
                    "a resource's key is a name without a slash, or namespace/name; save the job under another name"
                        .to_owned(),
                );
            }
            (Some(namespace.to_owned()), object.to_owned(), None)
        }
    };
    let source = format!("{} {}", legacy.cron_expr, legacy.command);
    let mut document = Document::new(pair.key.clone(), &source, namespace.as_deref(), object);
    if !legacy.name.is_empty() && legacy.name != name.as_str() {
        document.note(format!("the value's name is {}; the key decides", legacy.name));
    }
    document.spec.job_name = job_name;
    let Some(stored) = spec else {
        let schedule = in_standard_dialect(&legacy.cron_expr, zone, name).map_err(|why| why.explain())?;
        if schedule != legacy.cron_expr.split_ascii_whitespace().collect::<Vec<_>>().join(" ") {
            document.note("the schedule means what cronExpr did, in the dialect of resources: with 6 fields the second comes first, with 7 the year last");
        }
        document.spec.schedule = schedule;
        zone.name().clone_into(&mut document.spec.time_zone);
        document.spec.template.command = Some(legacy.command);
        return Ok(document);
    };
    let job_name = document.spec.job_name.take();
    let stored = serde_json::to_value(stored).and_then(serde_json::from_value);
    document.spec = stored.map_err(|why| format!("its spec can't be a resource's: {why}"))?;
    document.spec.job_name = job_name;
    Ok(document)
}
