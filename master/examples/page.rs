//! The page alone, on sample jobs in a temporary folder, for work on its looks: nothing runs.
//!
//! `cargo run -p crontab-master --example page` serves it at <http://127.0.0.1:8070/>; arguments are another port, and
//! how many more jobs there shall be.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use master::Master;
use model::job::{History, JobSpec, Owner, RunTemplate};
use model::keys::{Key, KeyPrefix};
use model::legacy::{JobValue, LegacyJob};
use model::name::NameError;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, Revision, RunId, SessionId, SkipReason, Skipped, Slot};
use model::values::{ActiveRun, JobStatus, RecentRun, WorkerInfo};
use model::{Job, JobName, TimeZone, UnixMillis};
use serde::Serialize;
use store::embedded::Embedded;
use store::{LogEntry, Op, RunLog, Tree, Txn};

type Outcomes = &'static [Outcome];

const GOOD: Outcomes = &[Outcome::Succeeded; 16];
const MIXED: Outcomes = &[
    Outcome::Failed,
    Outcome::Succeeded,
    Outcome::TimedOut,
    Outcome::Succeeded,
    Outcome::Succeeded,
    Outcome::Killed,
    Outcome::Lost,
    Outcome::Succeeded,
];

const JOBS: [(&str, &str, &str, Outcomes); 7] = [
    ("backup", "tar cf /backup/srv.tar /srv && echo <done> & wait", "0 3 * * *", GOOD),
    ("heartbeat", "curl -fsS https://status.example/beat", "*/5 * * * * * *", GOOD),
    ("ops/disk-report", "df -h | awk '$5+0 > 90'", "*/10 * * * *", MIXED),
    ("夜间备份", "echo 你好", "30 2 * * 1-5", &[Outcome::Failed]),
    ("once", "echo the years of this one have passed", "0 0 1 1 * 2020", &[]),
    ("new-year", "echo happy new year", "0 0 1 1 *", &[]),
    (
        "a-job-with-a-very-long-name/that-nobody-should-choose-but-somebody-will/<img src=x onerror=alert(1)>",
        "/opt/very/long/path/to/a/program --with-an-option=and-a-value --another=one --and-yet-another=that-goes-on and on and on and on and on and on",
        "1,3,5,7,11,13,17,19,23,29,31,37,41,43,47,53,59 0,6,12,18 1,15 * *",
        MIXED,
    ),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().map_or(Ok(8070), |port| port.parse())?;
    let more: Option<usize> = arguments.next().map(|more| more.parse()).transpose()?;

    let folder = tempfile::tempdir()?;
    let store = Embedded::open(folder.path(), KeyPrefix::default(), Duration::ZERO)?;
    // Without any of its own: what the page says when it is empty.
    if more != Some(0) {
        fill(&store).await?;
    }
    let names: Vec<String> = (0..more.unwrap_or(0)).map(|i| format!("more/job-{i:06}")).collect();
    for names in names.chunks(1000) {
        let puts = names
            .iter()
            .map(|name| Ok(Op::Put(Key::Job(JobName::new(name)?), legacy(name, "true", "*/5 * * * *"))));
        store.commit(Txn { then: puts.collect::<Result<_, NameError>>()?, ..Txn::default() }).await?;
    }

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/", listener.local_addr()?);
    let master = Master::new(store.clone(), store, TimeZone::parse("Europe/Paris")?, listener.local_addr()?);
    Ok(master::serve(listener, master::router(master), std::future::pending()).await?)
}

async fn fill(store: &Embedded) -> Result<(), Box<dyn Error>> {
    for (name, command, cron_expr, outcomes) in JOBS {
        let name = put_legacy(store, name, command, cron_expr).await?;
        add_runs(store, &name, command, outcomes).await?;
    }
    put(store, Key::Job(JobName::new("put-by-hand")?), b"{\"name\": \"put-by-hand\", ".to_vec()).await?;
    put_legacy(store, "bad-expression", "true", "61 * * * *").await?;

    let rotate = JobName::new("ops/rotate")?;
    put_spec(store, &rotate, "30 2 * * MON-FRI", "examples/rotate.yaml", false).await?;
    add_runs(store, &rotate, "logrotate /etc/logrotate.conf", GOOD).await?;
    put_spec(store, &JobName::new("ops/old")?, "@every 90s", "examples/old.yaml", true).await?;

    let session = SessionId("node-1-4711".to_owned());
    let now = now();
    let since = now - Duration::from_hours(7);
    let worker = WorkerInfo::new("192.168.1.17", "node-1", env!("CARGO_PKG_VERSION"), since);
    store.open_session(session.clone(), &worker).await?;
    let slot = Slot(now - Duration::from_secs(75));
    let active = ActiveRun {
        session,
        node: "node-1".to_owned(),
        slot,
        attempt: 0,
        claimed: slot.0,
        definition: Revision(1),
        lost_after: 0,
        skipped: Vec::new(),
        job: Revision(1),
        epoch: Revision::NONE,
        waiting: None,
        ended: None,
        needs: model::Words::default(),
        unknown: model::Unknown::default(),
    };
    put_value(store, Key::Run(rotate.clone().into(), RunId::of_slot(&rotate, Revision(9), slot)), &active)
        .await
}

async fn put_legacy(
    store: &Embedded,
    name: &str,
    command: &str,
    cron_expr: &str,
) -> Result<JobName, Box<dyn Error>> {
    let key = JobName::new(name)?;
    put(store, Key::Job(key.clone()), legacy(name, command, cron_expr)).await?;
    Ok(key)
}

fn legacy(name: &str, command: &str, cron_expr: &str) -> Vec<u8> {
    let job =
        LegacyJob { name: name.to_owned(), command: command.to_owned(), cron_expr: cron_expr.to_owned() };
    JobValue::of_legacy(job).to_bytes()
}

async fn put_spec(
    store: &Embedded,
    name: &JobName,
    schedule: &str,
    path: &str,
    suspend: bool,
) -> Result<(), Box<dyn Error>> {
    let template =
        RunTemplate { command: Some("logrotate /etc/logrotate.conf".to_owned()), ..RunTemplate::default() };
    let mut spec: JobSpec =
        serde_json::from_value(serde_json::json!({ "schedule": schedule, "template": template }))?;
    spec.suspend = suspend;
    let job = Job::new(name.clone(), spec.clone())?;
    let owner = Owner::Manifest { path: path.to_owned() };
    put(store, Key::Job(name.clone()), JobValue::of_spec(&job, spec, Some(owner)).to_bytes()).await
}

/// Ended runs, the latest first, and the status that counts them.
async fn add_runs(
    store: &Embedded,
    job: &JobName,
    command: &str,
    outcomes: Outcomes,
) -> Result<(), Box<dyn Error>> {
    let mut status = JobStatus::default();
    let mut entries = Vec::new();
    for (i, outcome) in (0_u64..).zip(outcomes).collect::<Vec<_>>().into_iter().rev() {
        let slot = Slot(now() - Duration::from_secs(47 + i * 613));
        let run = RunId::of_slot(job, Revision(1), slot);
        let (started, ended) =
            (slot.0 + Duration::from_millis(3), slot.0 + Duration::from_millis(1840 + i * 97));
        let good = *outcome == Outcome::Succeeded;
        let text = format!(
            "run {i} of {job}\n<script>alert('not run')</script>\nsome output\n\u{1b}[1mbytes\u{1b}[0m\n"
        );
        let record = RunRecord {
            run: run.clone(),
            attempt: 0,
            job: job.clone(),
            command: command.to_owned(),
            node: "node-1".to_owned(),
            session: SessionId("node-1-4711".to_owned()),
            slot,
            claimed: slot.0,
            started: Some(started),
            ended,
            outcome: *outcome,
            exit_status: Some(if good { 0 } else { 3 }),
            signal: None,
            message: if good { String::new() } else { "exit status 3".to_owned() },
            output: Output { head: text.repeat(6).into_bytes(), cut: 0, tail: Vec::new() },
        };
        let unknown = model::Unknown::default();
        status.add_run(RecentRun { run, slot, outcome: *outcome, ended, unknown });
        entries.push(LogEntry::Run { record, keep: History::default() });
    }
    if outcomes.len() < 16 && !outcomes.is_empty() {
        let from = Slot(now() - Duration::from_hours(5));
        let skipped = Skipped { from, to: from, count: Some(1), reason: SkipReason::Overlap };
        entries.push(LogEntry::Skipped(SkipRecord {
            first_run: RunId::of_slot(job, Revision(1), from),
            job: job.clone(),
            node: "node-1".to_owned(),
            decided: from.0,
            skipped,
        }));
    }
    store.append(entries).await?;
    put_value(store, Key::Status(job.clone().into()), &status).await
}

async fn put_value(store: &Embedded, key: Key, value: &impl Serialize) -> Result<(), Box<dyn Error>> {
    put(store, key, serde_json::to_vec(value)?).await
}

async fn put(store: &Embedded, key: Key, value: Vec<u8>) -> Result<(), Box<dyn Error>> {
    store.commit(Txn { then: vec![Op::Put(key, value)], ..Txn::default() }).await?;
    Ok(())
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
