//! `--max-runs`: everybody gets a turn, and no place stays empty.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use worker::executor::ExitResult;

use crate::rig::{Rig, variable};

/// Lets each run take this long; returns how often each job ran.
fn share(places: usize, jobs: usize, lasts: u64, seconds: u64) -> BTreeMap<String, usize> {
    let mut rig = Rig::with(&["a"], Some(places));
    for i in 0..jobs {
        rig.job(&format!("j{i}"), json!({"schedule": "* * * * * *"}));
    }
    let mut ends: Vec<(Duration, worker::executor::RunKey)> = Vec::new();
    let mut seen = 0;
    for _ in 0..seconds * 20 {
        rig.pass(Duration::from_millis(50));
        let started = rig.nodes[0].started[seen..].iter().map(|start| start.key);
        ends.extend(started.map(|key| (rig.boot + Duration::from_secs(lasts), key)));
        seen = rig.nodes[0].started.len();
        assert!(ends.len() <= places);
        for (_, key) in ends.extract_if(.., |(at, _)| *at <= rig.boot).collect::<Vec<_>>() {
            rig.ended(0, key, ExitResult::Exited(0), None);
        }
    }
    let mut shares = BTreeMap::new();
    for start in &rig.nodes[0].started {
        *shares.entry(variable(start, "CRON_JOB_NAME").to_owned()).or_default() += 1;
    }
    shares
}

#[test]
fn jobs_that_want_more_places_than_there_are_share_them_fairly() {
    for (places, jobs) in [(1, 3), (2, 6)] {
        let shares = share(places, jobs, 6, 200);
        let (least, most) = (*shares.values().min().unwrap(), *shares.values().max().unwrap());
        assert_eq!(shares.len(), jobs, "{shares:?}");
        assert!(most - least <= 1, "{places}: {shares:?}");
        let all: usize = shares.values().sum();
        assert!(all >= places * 200 / 7 - places, "no place stays empty: {shares:?}");
    }
}
