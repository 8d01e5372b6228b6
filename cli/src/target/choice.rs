//! Which target a command line and the environment mean.
//!
//! What is written on the command line counts; a variable such as `ETCD_ENDPOINTS` counts where nothing is written. Two
//! that contradict each other are refused rather than ranked.

use std::path::{Path, PathBuf};

use super::TargetArgs;
use super::cluster::ClusterFailure;
use crate::up::UsageError;

/// The folder that `cronctl up` uses unless it is told another.
const USUAL_FOLDER: &str = ".crontab";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Cluster,
    Master(String),
    Tree,
    Folder(PathBuf),
}

/// A target that is given in some way.
struct Given {
    option: &'static str,
    variable: &'static str,
    written: bool,
    choice: Choice,
}

pub(super) fn choose(arguments: &TargetArgs) -> Result<Choice, UsageError> {
    choose_in(arguments, |variable| std::env::var(variable).ok())
}

fn choose_in(
    arguments: &TargetArgs,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Choice, UsageError> {
    let mut all = Vec::new();
    let mut add = |option, name, value: Option<String>, choice| {
        if let Some(value) = value {
            let written = variable(name).is_none_or(|of_environment| of_environment != value);
            all.push(Given { option, variable: name, written, choice });
        }
    };
    if let Some(context) = &arguments.context {
        // Kubernetes' own programs read no variable for it either.
        add("--context", "", Some(context.clone()), Choice::Cluster);
    }
    if let Some(url) = &arguments.master {
        add("--master", "CRONTAB_MASTER", Some(url.clone()), Choice::Master(url.clone()));
    }
    let endpoints = &arguments.etcd.etcd_endpoints;
    let endpoints = (!endpoints.is_empty()).then(|| endpoints.join(","));
    add("--etcd-endpoints", "ETCD_ENDPOINTS", endpoints, Choice::Tree);
    if let Some(folder) = &arguments.data {
        add("--data", "CRONTAB_DATA", Some(folder.display().to_string()), Choice::Folder(folder.clone()));
    }
    let written = all.iter().any(|given| given.written);
    all.retain(|given| given.written == written);
    if let [first, second, ..] = all.as_slice() {
        let shown = |given: &Given| if written { given.option } else { given.variable }.to_owned();
        let (first, second) = (shown(first), shown(second));
        let what = if written { "leave one out" } else { "unset one, or write the option" };
        return Err(UsageError(format!("{first} and {second} name two places; {what}")));
    }
    Ok(all.pop().map_or(Choice::Cluster, |given| given.choice))
}

/// What to say where nothing is given and there is no cluster.
pub(super) fn without_cluster(arguments: &TargetArgs, why: ClusterFailure) -> anyhow::Error {
    match why {
        ClusterFailure::Unknown(why) if arguments.context.is_some() => {
            UsageError(format!("--context: {why}; `kubectl config get-contexts` lists them")).into()
        }
        ClusterFailure::Unknown(_) => UsageError(help(Path::new(USUAL_FOLDER).is_dir())).into(),
        ClusterFailure::Other(why) => why,
    }
}

fn help(folder: bool) -> String {
    let folder = if folder {
        "--data .crontab                       the folder of `cronctl up` in this directory"
    } else {
        "--data FOLDER                         the folder of a `cronctl up`"
    };
    format!(
        "where are the jobs? There is no cluster: no kubeconfig names one, and this is no pod. Write one of
  --context NAME                        a cluster, by a kubeconfig (KUBECONFIG, or ~/.kube/config)
  --master URL                          a master, or the page of a `cronctl up`
  --etcd-endpoints URL --mongodb-uri URI
                                        the tree and the log of workers
  {folder}"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        target: TargetArgs,
    }

    /// A command line, the environment, and what they mean.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], Result<Choice, &'a str>);

    #[test]
    fn what_is_written_beats_the_environment_and_two_are_refused() {
        let tree = [("ETCD_ENDPOINTS", "http://a:1,http://b:1")];
        let both = [("ETCD_ENDPOINTS", "http://a:1"), ("CRONTAB_MASTER", "http://m/")];
        let cases: &[Case<'_>] = &[
            (&[], &[], Ok(Choice::Cluster)),
            (&["--data", "d"], &[], Ok(Choice::Folder("d".into()))),
            (&[], &tree, Ok(Choice::Tree)),
            (&["--context", "c"], &tree, Ok(Choice::Cluster)),
            (&["--master", "http://m/"], &tree, Ok(Choice::Master("http://m/".to_owned()))),
            (&["--etcd-endpoints", "http://c:1"], &both, Ok(Choice::Tree)),
            (&[], &both, Err("CRONTAB_MASTER and ETCD_ENDPOINTS name two places; unset one")),
            (
                &["--data", "d", "--master", "m"],
                &[],
                Err("--master and --data name two places; leave one out"),
            ),
        ];
        for (line, environment, wanted) in cases {
            // The environment of whoever runs the tests is not looked at: its values are given as clap would.
            let mut target = Line::parse_from([&["cronctl"], *line].concat()).target;
            let value = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            if target.etcd.etcd_endpoints.is_empty() {
                let list = value("ETCD_ENDPOINTS");
                target.etcd.etcd_endpoints =
                    list.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
            }
            target.master = target.master.or_else(|| value("CRONTAB_MASTER"));
            match (choose_in(&target, value), wanted) {
                (Ok(choice), Ok(wanted)) => assert_eq!(choice, *wanted, "{line:?}"),
                (Err(why), Err(wanted)) => assert!(why.to_string().starts_with(wanted), "{why}"),
                (choice, wanted) => panic!("{line:?}: {choice:?} instead of {wanted:?}"),
            }
        }
    }
}
