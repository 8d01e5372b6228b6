//! Scenes: small plans made by hand, each with the rare constellation in which one rule matters. What is drawn in them
//! depends on the seed.

#![allow(dead_code, reason = "each test takes the scenes that it needs")]

use std::time::Duration;

use model::{JobName, UnixMillis};
use sim::plan::{Ambush, Edit, Fault, Form, JobPlan, Missed, NodePlan, Plan, Profile, Size, What};
use sim::rng::Rng;
use sim::time::At;

const EVERY_TEN_SECONDS: &str = "*/10 * * * * *";

/// A plan of the seed as it is, with 2 nodes and 6 jobs.
pub(crate) fn any(seed: u64) -> Plan {
    Plan::make(seed, &Size { lasts: minutes(10), nodes: Some(2), jobs: Some(6), ..Size::default() })
}

/// Long runs on nodes that are cut off from the tree.
pub(crate) fn cut_off(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 5, 1);
    scene.jobs(6, "*/5 * * * * *", |_| {});
    scene.each_job(|job| job.profile = stubborn(20_000, 60_000));
    for minute in 0..5 {
        scene.at(minute * 60 + 20, 25_000, What::CutOff { node: 0 });
    }
    scene.plan
}

/// A log that is away while workers are killed.
pub(crate) fn killed_without_a_log(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 2, 2);
    scene.jobs(4, EVERY_TEN_SECONDS, |_| {});
    scene.at(20, 60_000, What::LogAway { node: None });
    scene.at(60, 2000, What::KillWorker { node: 0 });
    scene.plan
}

/// A skipped stretch every few seconds, while the log is away.
pub(crate) fn skips_without_a_log(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 2, 1);
    scene.jobs(4, "* * * * * *", |_| {});
    scene.each_job(|job| job.profile = brief(2000, 4000));
    scene.at(20, 60_000, What::LogAway { node: None });
    scene.at(30, 10_000, What::DiskFull { node: 0 });
    scene.plan
}

/// Claims that arrive after their worker's lease has ended.
pub(crate) fn claims_of_the_dead(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 5, 1);
    scene.jobs(8, "*/3 * * * * *", |job| job.form = Form::Reserved);
    for round in 0..4 {
        let at = 20 + round * 70;
        scene.at(at, 15_000, What::Late { node: 0, percent: 100, up_to: 15_000 });
        scene.at(at + 4, 30_000, What::KillWorker { node: 0 });
    }
    scene.plan
}

/// Edits while claims are under way.
pub(crate) fn edits(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 1, 1);
    scene.jobs(6, "* * * * * *", |_| {});
    scene.at(5, 55_000, What::Slow { node: 0, up_to: 2000 });
    for second in 8..60 {
        let job = scene.rng.index(6);
        scene.at(second, 0, What::Edit { job, to: Edit::Same });
    }
    scene.plan
}

/// Runs of a newer version in lanes on nodes, of which the workers hear late.
pub(crate) fn newer_versions(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 1, 1);
    scene.jobs(6, EVERY_TEN_SECONDS, |_| {});
    for node in 0..2 {
        scene.at(10, 60_000, What::WatchLag { node, by: 12_000 });
    }
    for job in 0..6 {
        scene.at(20, 30_000, What::Foreign { job });
    }
    scene.plan
}

/// Workers that are killed while their commands run.
pub(crate) fn killed_workers(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 1, 1);
    scene.jobs(4, EVERY_TEN_SECONDS, |_| {});
    scene.each_job(|job| job.profile = brief(10_000, 20_000));
    scene.at(30, 2000, What::KillWorker { node: 0 });
    scene.plan
}

/// Two workers that both take the jobs to be theirs, with news and answers that overtake each other.
pub(crate) fn two_owners(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 5, 1);
    scene.jobs(12, "* * * * * *", |job| job.form = Form::Reserved);
    scene.each_job(|job| job.profile = brief(50, 900));
    scene.at(5, 300_000, What::Slow { node: 0, up_to: 4000 });
    for round in 0..8 {
        let at = 15 + round * 35;
        scene.at(at, 1, What::KillWorker { node: 0 });
        scene.at(at, 20_000, What::WatchLag { node: 1, by: 12_000 });
    }
    scene.plan
}

/// Sessions that end while claims are answered slowly.
pub(crate) fn sessions_end(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 4, 1);
    scene.jobs(30, "*/2 * * * * *", |_| {});
    scene.each_job(|job| (job.profile, job.grace) = (brief(9000, 12_000), 0));
    scene.at(5, 220_000, What::Slow { node: 0, up_to: 1600 });
    for round in 0..10 {
        scene.at(20 + round * 21, 0, What::Deregister { node: 0 });
    }
    scene.plan
}

/// Claims of one worker that are answered after its session was removed.
pub(crate) fn sessions_end_alone(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 3, 6);
    scene.jobs(8, "*/2 * * * * *", |_| {});
    scene.each_job(|job| (job.profile, job.grace) = (brief(3000, 5000), 0));
    scene.at(5, 170_000, What::Slow { node: 0, up_to: 1600 });
    for round in 0..8 {
        scene.at(20 + round * 20, 0, What::Deregister { node: 0 });
    }
    scene.plan
}

/// Claims whose answers are lost just before the session ends.
pub(crate) fn answers_lost(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 6, 1);
    scene.jobs(12, "* * * * * *", |_| {});
    scene.each_job(|job| job.profile = brief(20_000, 40_000));
    scene.at(5, 330_000, What::WatchLag { node: 0, by: 12_000 });
    for round in 0..7 {
        let at = 20 + round * 45;
        scene.at(at, 4000, What::Lossy { node: 0, percent: 60 });
        scene.at(at + 3, 9000, What::CutOff { node: 0 });
    }
    scene.plan
}

/// Kills of runs that are moved to a later session meanwhile.
pub(crate) fn kills_and_moves(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 2, 3);
    scene.jobs(12, "*/30 * * * * *", |job| job.allow = true);
    scene.each_job(|job| job.profile = brief(180_000, 240_000));
    scene.at(31, 60_000, What::Slow { node: 0, up_to: 2400 });
    scene.at(40, 0, What::Deregister { node: 0 });
    for job in 0..12 {
        let at = 40_000 + scene.rng.range(0..=6000);
        scene.at_millis(at, 0, What::Kill { job });
    }
    scene.plan
}

/// A worker whose registration another one sees late, and whose commands take long to end.
pub(crate) fn seen_late(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 4, 1);
    scene.plan.nodes[1].from = At::seconds(12);
    scene.jobs(12, "20 * * * * *", |_| {});
    scene.each_job(|job| job.profile = stubborn(30_000, 38_000));
    for round in 0..4 {
        let at = round * 60 + 10;
        scene.at(at, 15_000, What::WatchLag { node: 0, by: 12_000 });
        if round > 0 {
            scene.at(at, 500, What::KillWorker { node: 1 });
        }
        scene.at(at + 32, 0, What::Deregister { node: 1 });
    }
    scene.plan
}

/// Jobs that are deleted and created again while nobody looks.
pub(crate) fn created_again(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 1, 4);
    scene.jobs(4, "*/20 * * * * *", |_| {});
    scene.each_job(|job| job.profile = brief(180_000, 240_000));
    scene.at(50, 2500, What::CutOff { node: 0 });
    for job in 0..4 {
        scene.at(51, 500, What::Delete { job });
    }
    scene.at(52, 0, What::WatchBreak { node: 0 });
    scene.plan
}

/// A worker that is asked to end while commands with a long grace run.
pub(crate) fn long_goodbye(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 4, 1);
    scene.jobs(3, EVERY_TEN_SECONDS, |job| job.grace = 60);
    scene.each_job(|job| job.profile = stubborn(150_000, 170_000));
    scene.at(120, 80_000, What::StopWorker { node: 0, grace: 3_600_000, again: None });
    scene.plan
}

/// More jobs than places.
pub(crate) fn few_places(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 1, 4);
    scene.plan.nodes[0].max_runs = Some(1);
    scene.jobs(8, EVERY_TEN_SECONDS, |_| {});
    "* * * * * *".clone_into(&mut scene.plan.jobs[0].schedule);
    scene.each_job(|job| job.profile = brief(3000, 5000));
    scene.plan
}

/// A watch that breaks.
pub(crate) fn broken_watch(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 1, 1, 8);
    scene.jobs(3, EVERY_TEN_SECONDS, |_| {});
    scene.at(30, 0, What::WatchBreak { node: 0 });
    scene.plan
}

/// Two workers whose claims are refused all the time.
pub(crate) fn refusals(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 2, 2, 5);
    scene.jobs(4, "*/2 * * * * *", |job| job.form = Form::Reserved);
    scene.each_job(|job| job.profile = brief(300, 2000));
    scene.at(5, 90_000, What::Slow { node: 0, up_to: 2000 });
    scene.at(5, 90_000, What::WatchLag { node: 1, by: 5000 });
    for round in 0..3 {
        scene.at(15 + round * 32, 1, What::KillWorker { node: 0 });
    }
    for round in 0..8 {
        let job = scene.rng.index(4);
        let then = scene.rng.pick(&[Ambush::Recreate, Ambush::Edit]);
        scene.at(20 + round * 8, 0, What::Ambush { job, then });
    }
    scene.plan
}

/// Workers of two versions, which change places, and jobs that need what only one of them has.
pub(crate) fn two_versions(seed: u64) -> Plan {
    let mut scene = Scene::new(seed, 3, 6, 4);
    scene.plan.nodes[1].later = true;
    scene.jobs(8, EVERY_TEN_SECONDS, |job| job.later = job.id % 2 == 0);
    for round in 0..4 {
        let node = scene.rng.index(3);
        scene.at(20 + round * 80, 35_000, What::Upgrade { node });
        let (job, to) = (scene.rng.index(8), Edit::Later(scene.rng.percent(60)));
        scene.at(40 + round * 80, 0, What::Edit { job, to });
        scene.at(50 + round * 80, 5000, What::KillWorker { node });
    }
    scene.plan
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Commands that end upon SIGTERM.
fn brief(least: u64, most: u64) -> Profile {
    Profile { least, most, fail: 0, crash: 0, stubborn: 0, leave: 0, slow: 100 }
}

/// Commands that ignore SIGTERM.
fn stubborn(least: u64, most: u64) -> Profile {
    Profile { stubborn: 100, ..brief(least, most) }
}

/// A plan that is being made.
struct Scene {
    plan: Plan,
    rng: Rng,
}

impl Scene {
    /// One with so many nodes, in which things happen for so many minutes; then so many are quiet.
    fn new(seed: u64, nodes: usize, busy: u64, quiet: u64) -> Self {
        let node = |id| NodePlan {
            id,
            ahead: 0,
            wall_ppm: 0,
            boot_ppm: 0,
            max_runs: None,
            later: false,
            from: At(0),
        };
        let plan = Plan {
            seed,
            epoch: UnixMillis(1_772_323_200_000),
            end: At(0) + minutes(busy + quiet),
            quiet: At(0) + minutes(busy),
            session: Duration::from_secs(6),
            nodes: (0..nodes).map(node).collect(),
            jobs: Vec::new(),
            faults: Vec::new(),
        };
        Self { plan, rng: Rng::new(seed, &["scene"]) }
    }

    fn jobs(&mut self, count: usize, schedule: &str, with: impl Fn(&mut JobPlan)) {
        for id in 0..count {
            let mut job = JobPlan {
                id,
                name: JobName::new(&format!("job-{id}")).unwrap(),
                form: Form::Spec,
                schedule: schedule.to_owned(),
                zone: "UTC",
                allow: false,
                missed: Missed::Latest,
                starting_deadline: None,
                active_deadline: None,
                grace: 5,
                suspend: false,
                later: false,
                profile: brief(500, 3000),
            };
            with(&mut job);
            self.plan.jobs.push(job);
        }
    }

    fn each_job(&mut self, with: impl FnMut(&mut JobPlan)) {
        self.plan.jobs.iter_mut().for_each(with);
    }

    /// Something happens about so many seconds after the beginning, for so many milliseconds.
    fn at(&mut self, seconds: u64, lasts: u64, what: What) {
        let at = seconds * 1000 + self.rng.range(0..=1500);
        self.at_millis(at, lasts, what);
    }

    fn at_millis(&mut self, at: u64, lasts: u64, what: What) {
        let id = self.plan.faults.len();
        let (at, lasts) = (At(0) + Duration::from_millis(at), Duration::from_millis(lasts));
        self.plan.faults.push(Fault { id, at, lasts, what });
    }
}
