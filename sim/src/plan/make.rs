//! Making a plan from a seed.

use std::time::Duration;

use model::{JobName, UnixMillis};

use super::faults::Ambush;
use super::{Edit, Fault, Form, JobPlan, Missed, NodePlan, Plan, Profile, Size, What};
use crate::rng::Rng;
use crate::time::At;

/// How long it is quiet at the end.
const QUIET: Duration = Duration::from_mins(7);

/// Where plans begin: an ordinary night, and half an hour before clocks change in Europe, in both directions.
const EPOCHS: [i64; 3] = [1_772_323_200_000, 1_774_744_200_000, 1_792_888_200_000];

pub(super) fn plan(seed: u64, size: &Size) -> Plan {
    let mut rng = Rng::new(seed, &["plan"]);
    let end = At(0) + size.lasts;
    let quiet = At(0) + size.lasts.saturating_sub(QUIET).max(size.lasts / 3);
    let session = Duration::from_secs(rng.pick(&[6, 10, 10, 10, 15]));
    let epoch = UnixMillis(rng.pick(&EPOCHS) + rng.signed(0..=120_000));
    let count = size.nodes.unwrap_or_else(|| rng.pick(&[1, 2, 2, 3, 3, 3, 4, 5, 7]));
    let limited = rng.percent(25);
    let nodes: Vec<NodePlan> = (0..count).map(|id| node(seed, id, limited)).collect();
    let count = size.jobs.unwrap_or_else(|| {
        let most = rng.pick(&[1, 2, 4, 8, 20, 60]);
        usize::try_from(rng.range(1..=most)).unwrap_or(1)
    });
    let jobs: Vec<JobPlan> = (0..count).map(|id| job(seed, id)).collect();
    let mut plan = Plan { seed, epoch, end, quiet, session, nodes, jobs, faults: Vec::new() };
    if let Some(schedule) = &size.schedule {
        for job in &mut plan.jobs {
            (job.form, job.schedule) = (Form::Spec, schedule.clone());
        }
    }
    let mut rng_of_versions = Rng::new(seed, &["versions"]);
    let mixed = rng_of_versions.percent(30);
    if mixed {
        mix(&mut plan, &mut rng_of_versions);
    }
    if size.faults {
        let wild = rng.pick(&[20, 40, 80, 160]);
        plan.faults = faults(&plan, wild, mixed);
        if size.schedule.is_some() {
            let edits = |fault: &Fault| matches!(fault.what, What::Edit { to: Edit::Schedule(_), .. });
            plan.faults.retain(|fault| !edits(fault));
        }
    }
    plan
}

/// Some of the jobs need what only some of the workers have.
fn mix(plan: &mut Plan, rng: &mut Rng) {
    for node in &mut plan.nodes {
        node.later = rng.percent(50) || node.id == 0;
    }
    for job in &mut plan.jobs {
        job.later = rng.percent(40) && job.form != Form::Legacy;
    }
}

fn node(seed: u64, id: usize, limited: bool) -> NodePlan {
    let mut rng = Rng::new(seed, &["node", &id.to_string()]);
    NodePlan {
        id,
        ahead: if rng.percent(50) { rng.signed(-40..=40) } else { rng.signed(-2000..=2000) },
        wall_ppm: rng.signed(-200..=200),
        boot_ppm: if rng.percent(70) { rng.signed(-100..=100) } else { rng.signed(-4500..=4500) },
        max_runs: limited.then(|| usize::try_from(rng.range(1..=4)).unwrap_or(1)),
        later: false,
        from: At(0) + if id == 0 { rng.seconds(0..=1) } else { rng.seconds(0..=20) },
    }
}

fn job(seed: u64, id: usize) -> JobPlan {
    let mut rng = Rng::new(seed, &["job", &id.to_string()]);
    let form = rng.pick(&[Form::Spec, Form::Spec, Form::Spec, Form::Reserved, Form::Legacy]);
    let name = rng.pick(&["tidy", "ops/rotate", "backup", "mail/queue", "report"]);
    let name = JobName::new(&format!("{name}-{id}")).expect("it is a name");
    let plain = form == Form::Legacy;
    let most = rng.pick(&[20, 300, 2000, 8000, 20_000, 45_000]);
    JobPlan {
        id,
        name,
        form,
        schedule: schedule(&mut rng, plain),
        zone: if plain { "UTC" } else { rng.pick(&["UTC", "UTC", "Europe/Berlin", "America/New_York"]) },
        allow: !plain && rng.percent(30),
        missed: if plain { Missed::Latest } else { missed(&mut rng) },
        starting_deadline: (!plain && rng.percent(25)).then(|| rng.pick(&[1, 5, 20, 60])),
        active_deadline: (!plain && rng.percent(25)).then(|| rng.pick(&[1, 5, 15])),
        grace: if plain { 30 } else { rng.pick(&[0, 1, 5, 10, 30]) },
        suspend: !plain && rng.percent(4),
        later: false,
        profile: Profile {
            least: most / rng.pick(&[1, 2, 10]),
            most,
            fail: rng.pick(&[0, 0, 10, 60]),
            crash: rng.pick(&[0, 0, 10]),
            stubborn: rng.pick(&[0, 0, 20, 100]),
            leave: rng.pick(&[0, 0, 20]),
            slow: rng.pick(&[5, 100, 3000]),
        },
    }
}

fn schedule(rng: &mut Rng, plain: bool) -> String {
    let texts = [
        "* * * * * *",
        "*/2 * * * * *",
        "*/5 * * * * *",
        "*/10 * * * * *",
        "*/15 * * * * *",
        "*/20 * * * * *",
        "7,8,9,40 * * * * *",
        "0 * * * * *",
        "30 * * * * *",
        "0 */2 * * * *",
        "0 */3 * * * *",
        "@every 7s",
        "@every 90s",
        "H */2 * * * *",
        "0 */5 1-3 * * *",
    ];
    if plain {
        // The dialect of the replaced system has seven fields.
        return format!("{} *", rng.pick(&texts[..11]));
    }
    rng.pick(&texts).to_owned()
}

fn missed(rng: &mut Rng) -> Missed {
    match rng.range(0..=5) {
        0..=2 => Missed::Latest,
        3 => Missed::Skip,
        _ => Missed::All(u32::try_from(rng.pick(&[1, 2, 3, 10, 100])).unwrap_or(1)),
    }
}

/// `wild`: how many faults in an hour for each node, and about as many for all jobs together.
/// In a cluster of `mixed` versions workers are replaced by those of the other version, and jobs begin to need a feature.
fn faults(plan: &Plan, wild: u64, mixed: bool) -> Vec<Fault> {
    let mut made = Vec::new();
    let minutes = plan.quiet.elapsed().as_secs() / 60;
    for node in &plan.nodes {
        let mut rng = Rng::new(plan.seed, &["faults", "node", &node.id.to_string()]);
        for _ in 0..=(wild * minutes / 60) {
            made.push(window(plan, &mut rng, |rng| of_link(rng, node.id)));
        }
        of_processes(plan, &mut rng, node.id, wild, &mut made);
    }
    let mut rng = Rng::new(plan.seed, &["faults", "tree"]);
    for _ in 0..=(wild * minutes / 90) {
        made.push(window(plan, &mut rng, of_tree));
    }
    let mut rng = Rng::new(plan.seed, &["faults", "jobs"]);
    for _ in 0..=(wild * minutes / 20) {
        let job = rng.index(plan.jobs.len().max(1));
        made.push(window(plan, &mut rng, |rng| of_job(rng, job)));
    }
    if mixed {
        let mut rng = Rng::new(plan.seed, &["faults", "versions"]);
        for _ in 0..=(wild * minutes / 200) {
            let (node, job) = (rng.index(plan.nodes.len().max(1)), rng.index(plan.jobs.len().max(1)));
            made.push(window(plan, &mut rng, |_| (What::Upgrade { node }, 60)));
            made.push(window(plan, &mut rng, |rng| {
                (What::Edit { job, to: Edit::Later(rng.percent(50)) }, 0)
            }));
        }
    }
    made.sort_by_key(|fault| fault.at);
    for (id, fault) in made.iter_mut().enumerate() {
        fault.id = id;
    }
    made
}

/// What happens for some time, at some time; the longest of it is in seconds.
fn window(plan: &Plan, rng: &mut Rng, what: impl FnOnce(&mut Rng) -> (What, u64)) -> Fault {
    let (what, longest) = what(rng);
    let at = At(rng.range(0..=plan.quiet.0));
    // Short ones are as interesting as long ones.
    let most = rng.pick(&[longest * 100, longest * 300, longest * 1000]);
    let lasts = if longest == 0 { Duration::ZERO } else { rng.millis(1..=most) };
    let lasts = lasts.min(plan.quiet.since(at));
    Fault { id: 0, at, lasts, what }
}

fn of_link(rng: &mut Rng, node: usize) -> (What, u64) {
    match rng.range(0..=15) {
        0..=2 => (What::Slow { node, up_to: rng.pick(&[50, 500, 2000, 4000]) }, 60),
        3..=4 => (What::Lossy { node, percent: rng.pick(&[5, 30, 60]) }, 60),
        5..=7 => (
            What::Late { node, percent: rng.pick(&[10, 50, 100]), up_to: rng.pick(&[500, 3000, 15_000]) },
            40,
        ),
        8..=9 => (What::CutOff { node }, rng.pick(&[3, 8, 30])),
        10 => (What::WatchLag { node, by: rng.pick(&[100, 1000, 5000, 12_000]) }, 60),
        11 => (What::WatchBreak { node }, 0),
        12 => (What::LogAway { node: Some(node) }, 90),
        13 => {
            let by = rng.pick(&[300, 2000, 10_000, 70_000, 3_600_000]);
            (What::ClockStep { node, by: if rng.percent(50) { by } else { -by } }, 90)
        }
        14 => (What::DiskFull { node }, 30),
        _ => (What::SpawnFails { node }, 20),
    }
}

fn of_tree(rng: &mut Rng) -> (What, u64) {
    match rng.range(0..=7) {
        0..=2 => (What::TreeDown, rng.pick(&[2, 8, 40])),
        3 => (What::LeaderChange, 0),
        4 => (What::NoSpace, 30),
        5..=6 => (What::Compact, 0),
        _ => (What::LogAway { node: None }, 120),
    }
}

fn of_job(rng: &mut Rng, job: usize) -> (What, u64) {
    match rng.range(0..=17) {
        0..=1 => (What::Edit { job, to: Edit::Same }, 0),
        2..=3 => (What::Edit { job, to: Edit::Schedule(schedule(rng, false)) }, 0),
        4 => (What::Edit { job, to: Edit::Allow(rng.percent(50)) }, 0),
        5 => (What::Edit { job, to: Edit::Missed(missed(rng)) }, 0),
        6..=7 => (What::Suspend { job }, 90),
        8..=9 => (What::Delete { job }, rng.pick(&[1, 20, 60])),
        10 => (What::Kill { job }, 0),
        11 => (What::Killer { job }, 0),
        12 => (What::MalformedJob { job }, 30),
        13 => {
            if rng.percent(50) {
                (What::MalformedStatus { job }, 0)
            } else {
                (What::Foreign { job }, 60)
            }
        }
        14..=15 => (What::OldWorker { job }, 20),
        _ => {
            let then = rng.pick(&[Ambush::Kill, Ambush::Edit, Ambush::Suspend, Ambush::Recreate]);
            (What::Ambush { job, then }, 0)
        }
    }
}

/// What happens to the processes of one node. These follow each other, because two at once are one fault more than is
/// promised to be survived: with both worker and executor stopped nobody keeps the fence.
fn of_processes(plan: &Plan, rng: &mut Rng, node: usize, wild: u64, made: &mut Vec<Fault>) {
    let longest = 2 * 3_600_000 / wild.max(1);
    let mut at = plan.nodes[node].from + Duration::from_secs(5);
    loop {
        at = at + rng.millis(100..=longest);
        if at >= plan.quiet {
            return;
        }
        let (what, lasts) = match rng.range(0..=9) {
            0..=2 => (What::KillWorker { node }, rng.pick(&[1, 500, 5000, 40_000])),
            3..=4 => {
                let grace = rng.pick(&[0, 2000, 10_000, 3_600_000]);
                let again = rng.percent(30).then(|| rng.range(10..=6000));
                (What::StopWorker { node, grace, again }, rng.pick(&[1, 500, 60_000]))
            }
            5..=6 => (What::PauseWorker { node }, rng.pick(&[1500, 7000, 15_000, 40_000])),
            7 => (What::KillExecutor { node }, 0),
            8 => (What::PauseExecutor { node }, rng.pick(&[500, 3500])),
            _ => {
                if rng.percent(70) {
                    (What::CrashNode { node }, rng.pick(&[500, 20_000, 60_000]))
                } else {
                    (What::Deregister { node }, 0)
                }
            }
        };
        let lasts = if lasts == 0 { Duration::ZERO } else { rng.millis(1..=lasts) };
        let lasts = lasts.min(plan.quiet.since(at));
        made.push(Fault { id: 0, at, lasts, what });
        // The worker is there again, and its session is sure to live.
        at = at + lasts + Duration::from_secs(25);
    }
}
