//! Jobs: a page of the list, and one job in full.
//!
//! Only the jobs of the page are read and parsed, so a request costs the same whether there are ten jobs or 100,000.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use futures::future::try_join_all;
use model::job::Owner;
use model::keys::Key;
use model::legacy::{JobValue, LegacyJob};
use model::next::{held_back, next_slot};
use model::run::{Outcome, SkipReason, Skipped, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, RecentRun};
use model::{Dialect, Job, JobName, Lane, TimeZone, UnixMillis};
use serde::{Deserialize, Serialize};
use store::tree::Range;
use store::{KeyValue, RunLog, Tree, TreeError, protocol};

use super::{named, parameters, text};
use crate::app::{App, Shared};
use crate::clock;
use crate::jobs::shown;
use crate::reply::Refusal;

/// How many jobs a page has when nothing is asked for, and at most.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// How much of a command a list shows, in characters.
const SHOWN_COMMAND: usize = 300;

/// How many active runs of a job a list shows, and how many are shown of one job.
const LISTED_ACTIVE: usize = 20;
const SHOWN_ACTIVE: usize = 1000;

/// A page of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// When this was true, by the clock of the server.
    now: String,
    /// How many jobs there are, and how many of them match the search.
    total: usize,
    matched: usize,
    jobs: Vec<JobView>,
    /// What to pass as `after` to get the next page.
    next: Option<Box<str>>,
}

/// A job as it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    name: String,
    state: Phase,
    /// Why it is invalid, or stands still.
    message: Option<String>,
    /// In a list, the beginning of it.
    command: String,
    command_cut: bool,
    /// The expression in the legacy dialect, as the legacy calls show and take it.
    cron_expr: String,
    schedule: Option<ScheduleView>,
    suspended: bool,
    /// Who writes it.
    owner: Option<Owner>,
    /// Whether it can be changed here: not if its owner would put it back, nor without a name that a call takes.
    editable: bool,
    /// When it runs next; nothing while suspended, and when its years have passed.
    next: Option<String>,
    /// Its runs that have not ended: how many, and the first of them.
    active_count: usize,
    active: Vec<ActiveView>,
    status: StatusView,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Idle,
    Running,
    /// Its key or its value is no job; nothing runs it.
    Invalid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleView {
    text: String,
    dialect: Dialect,
    time_zone: &'static str,
    description: String,
}

#[derive(Serialize)]
struct ActiveView {
    run: String,
    attempt: u32,
    node: String,
    slot: String,
    claimed: String,
}

/// What became of its slots so far.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    /// Ended runs by outcome.
    runs: BTreeMap<Outcome, u64>,
    /// Skipped slots by reason.
    skipped: BTreeMap<SkipReason, u64>,
    /// The latest runs, latest first.
    recent: Vec<RecentView>,
    last_schedule_time: Option<String>,
    last_successful_time: Option<String>,
    last_failure_time: Option<String>,
    last_skipped: Option<SkippedView>,
}

#[derive(Serialize)]
struct RecentView {
    run: String,
    slot: String,
    outcome: Outcome,
    ended: String,
}

/// A stretch of slots that did not run.
#[derive(Serialize)]
pub(super) struct SkippedView {
    from: String,
    to: String,
    count: Option<u32>,
    reason: SkipReason,
}

impl From<Skipped> for SkippedView {
    fn from(Skipped { from, to, count, reason }: Skipped) -> Self {
        Self { from: from.to_string(), to: to.to_string(), count, reason }
    }
}

/// `GET /api/v1/jobs?search=&after=&limit=`: in the order of their names. `search` is a part of the name in any case.
pub(crate) async fn list<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Refusal> {
    let params = parameters(query)?;
    let limit = params.number("limit", PAGE)?.clamp(1, LARGEST_PAGE);
    if !app.index.ready().await {
        return Err(Refusal::unavailable("the jobs are still being listed; try again in a moment"));
    }
    let page = app.index.page(params.get("search").unwrap_or_default(), params.get("after"), limit as usize);
    let now = clock::now();
    let jobs = try_join_all(page.names.iter().map(|name| view(&app, name, now, Some(SHOWN_COMMAND)))).await?;
    let next = if page.more { page.names.last().cloned() } else { None };
    Ok(Json(Page {
        now: now.to_string(),
        total: page.total,
        matched: page.matched,
        // A job that was deleted since has no view.
        jobs: jobs.into_iter().flatten().collect(),
        next,
    }))
}

/// `GET /api/v1/job?name=`: with its whole command.
pub(crate) async fn one<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    RawQuery(query): RawQuery,
) -> Result<Json<JobView>, Refusal> {
    let name = named(&parameters(query)?, "name")?;
    let view = view(&app, name.as_str(), clock::now(), None).await?;
    view.map(Json).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("there is no job {name}")))
}

/// What a job can be changed to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    suspend: bool,
}

/// `PATCH /api/v1/job?name=` with `{"suspend":true}`: holds new runs back, or lets them come again; what runs goes on.
/// Answers with the job as it is then.
pub(crate) async fn suspend<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    RawQuery(query): RawQuery,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<JobView>, Refusal> {
    let Json(Wanted { suspend }) = wanted.map_err(|why| match why.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large(),
        status => Refusal::new(
            status,
            "send {\"suspend\":true} or {\"suspend\":false}, with Content-Type: application/json",
        ),
    })?;
    let name = named(&parameters(query.clone())?, "name")?;
    app.suspend(&name, suspend).await?;
    one(State(app), RawQuery(query)).await
}

/// A job by the text after its key's prefix.
async fn view<T: Tree, L: RunLog>(
    app: &Arc<App<T, L>>,
    name: &str,
    now: UnixMillis,
    most: Option<usize>,
) -> Result<Option<JobView>, TreeError> {
    let name = match JobName::new(name) {
        Ok(name) => name,
        Err(error) => {
            let message = format!("{error}; until then, remove the key with the tool that put it");
            return Ok(Some(JobView { editable: false, ..JobView::invalid(name, message) }));
        }
    };
    let (job, cursor, status, active) = tokio::try_join!(
        app.tree.get(Key::Job(name.clone())),
        app.tree.get(Key::Cursor(Lane::from(&name))),
        app.tree.get(Key::Status(Lane::from(&name))),
        app.tree.list(Range::RunsOf(name.clone())),
    )?;
    let Some(job) = job else { return Ok(None) };
    let cursor = cursor.and_then(|pair| protocol::read::<Cursor>(&pair).ok());
    let decided = cursor.filter(|cursor| cursor.job == job.created).map(|cursor| cursor.slot);
    let mut view = JobView::of(&name, &job, decided, app.zone, now);
    view.editable = match view.owner {
        None => true,
        Some(Owner::Resource { .. }) => app.resources.is_some(),
        Some(Owner::Manifest { .. }) => false,
    };
    view.add_status(status.as_ref());
    let shown_active = if most.is_some() { LISTED_ACTIVE } else { SHOWN_ACTIVE };
    view.add_active(app.tree.prefix(), &active, shown_active);
    if let Some((end, _)) = most.and_then(|most| view.command.char_indices().nth(most)) {
        view.command.truncate(end);
        view.command_cut = true;
    }
    Ok(Some(view))
}

impl JobView {
    fn invalid(name: &str, message: String) -> Self {
        Self {
            name: name.to_owned(),
            state: Phase::Invalid,
            message: Some(message),
            command: String::new(),
            command_cut: false,
            cron_expr: String::new(),
            schedule: None,
            suspended: false,
            owner: None,
            editable: true,
            next: None,
            active_count: 0,
            active: Vec::new(),
            status: StatusView::default(),
        }
    }

    fn of(name: &JobName, pair: &KeyValue, decided: Option<Slot>, zone: TimeZone, now: UnixMillis) -> Self {
        let mut value = match JobValue::from_bytes(&pair.value) {
            Ok(value) => value,
            Err(error) => {
                let LegacyJob { command, cron_expr, .. } = shown(name.as_str(), &pair.value);
                return Self { command, cron_expr, ..Self::invalid(name.as_str(), error.explain()) };
            }
        };
        let owner = value.owner.take();
        let legacy = value.legacy.clone();
        let view = match value.into_job(name.clone(), zone) {
            Ok(job) => Self::valid(&job, decided, now),
            Err(error) => Self::invalid(name.as_str(), error.explain()),
        };
        Self { owner, command: legacy.command, cron_expr: legacy.cron_expr, ..view }
    }

    fn valid(job: &Job, decided: Option<Slot>, now: UnixMillis) -> Self {
        let schedule = &job.schedule;
        let next = if job.suspend { None } else { next_slot(schedule, decided, now) };
        Self {
            state: Phase::Idle,
            message: held_back(schedule, next, now),
            schedule: Some(ScheduleView {
                text: schedule.text().to_owned(),
                dialect: schedule.dialect(),
                time_zone: schedule.zone().name(),
                description: schedule.describe(),
            }),
            suspended: job.suspend,
            next: text(next),
            ..Self::invalid(job.name.as_str(), String::new())
        }
    }

    /// A status that can't be read is as good as none.
    fn add_status(&mut self, pair: Option<&KeyValue>) {
        let Some(status) = pair.and_then(|pair| protocol::read::<JobStatus>(pair).ok()) else { return };
        let JobStatus {
            runs,
            skipped,
            recent,
            last_schedule_time,
            last_successful_time,
            last_failure_time,
            last_skipped,
            unknown: _,
        } = status;
        let recent = recent.into_iter().rev().map(|RecentRun { run, slot, outcome, ended, unknown: _ }| {
            RecentView { run: run.to_string(), slot: slot.to_string(), outcome, ended: ended.to_string() }
        });
        self.status = StatusView {
            runs,
            skipped,
            recent: recent.collect(),
            last_schedule_time: text(last_schedule_time.map(|slot| slot.0)),
            last_successful_time: text(last_successful_time),
            last_failure_time: text(last_failure_time),
            last_skipped: last_skipped.map(SkippedView::from),
        };
    }

    /// What runs is shown also of a job that has become invalid: it was claimed before.
    fn add_active(&mut self, prefix: &model::keys::KeyPrefix, pairs: &[KeyValue], most: usize) {
        let read = |pair: &KeyValue| {
            let Ok(Key::Run(_, run)) = prefix.decode(&pair.key) else { return None };
            let active: ActiveRun = protocol::read(pair).ok()?;
            // One that waits for a worker is not executed by anybody.
            active.waiting.is_none().then(|| ActiveView {
                run: run.to_string(),
                attempt: active.attempt,
                node: active.node,
                slot: active.slot.to_string(),
                claimed: active.claimed.to_string(),
            })
        };
        self.active_count = pairs.len();
        self.active = pairs.iter().filter_map(read).take(most).collect();
        if self.active_count > 0 && matches!(self.state, Phase::Idle) {
            self.state = Phase::Running;
        }
    }
}
