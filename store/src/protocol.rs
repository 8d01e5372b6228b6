//! How workers take slots and give them back, as transactions on any tree.
//!
//! Each builder is a value in, a [`Txn`] out; nothing here talks to a store. What makes them safe together:
//!
//! - A claim compares the job's definition, the cursor, the worker's registration and, unless runs may overlap, that
//!   the job has no run. So of any number of claims of one slot one commits, none commits on an older definition or
//!   from a dead worker, and the cursor only moves forward within an epoch.
//! - The run record it puts is not leased. It is the exclusion, and its mod revision is the **fencing token**, which
//!   grows from run to run of a job.
//! - A process is started only upon the reply to its worker's own [`claim`] or [`retry`]. A claim that started nothing
//!   is given back ([`give_back`]): the run waits in the tree, and any worker takes it by [`retry`], which compares its
//!   token. Moving the cursor back instead would let two workers decide the slot twice.
//! - A finish compares that token, so only one end of a run is ever counted.
//! - Skipped stretches are counted in the status and kept in the cursor by the same transaction, until a move of the
//!   cursor by somebody who knows that they are in the run log.
//!
//! A crash before a transaction leaves the state before it, a crash after it the state after it; there is no between.

use model::keys::{Folder, Key};
use model::run::{Outcome, Revision, RunId, Skipped, Slot};
use model::values::{
    ActiveRun, Cursor, DeclaredEnd, JobStatus, LockValue, PendingSkip, Timetable, Waiting, WorkerInfo,
};
use model::{Job, JobName, Lane, UnixMillis, Unknown, Words};
use serde::Serialize;

use crate::tree::{Compare, KeyValue, Op, Range, Session, Txn};

/// What a worker knows of a job when it writes: the revisions that its transactions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The create revision of the job's key.
    pub created: Revision,
    /// The mod revision of the job's key.
    pub definition: Revision,
    /// The mod revision of its cursor.
    pub cursor: Revision,
    /// The mod revision of its status.
    pub status: Revision,
    /// The mod revision of `lock/n` where that reads `reserved`, or nothing. Any other lock is held by somebody: such a
    /// job is busy.
    pub lock: Revision,
    /// The mod revision of its kill request.
    pub kill: Revision,
}

/// Where a transaction puts the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The last decided slot after it.
    pub slot: Slot,
    /// The epoch that the cursor is in ([`Cursor::epoch`]).
    pub epoch: Revision,
    /// The skipped stretches that the cursor holds after it ([`Cursor::skips`]).
    pub skips: Vec<PendingSkip>,
    /// What a newer version put into the cursor ([`Cursor::unknown`]).
    pub unknown: Unknown,
}

impl From<Slot> for Move {
    fn from(slot: Slot) -> Self {
        Self { slot, epoch: Revision::NONE, skips: Vec::new(), unknown: Unknown::default() }
    }
}

/// Takes a slot of a lane of the job. `found` of a refusal holds the present job, cursor and runs.
#[expect(clippy::too_many_arguments, reason = "a lane, its job and all that the record says")]
pub fn claim(
    lane: &Lane,
    job: &Job,
    known: Known,
    session: &Session,
    node: &str,
    to: impl Into<Move>,
    skipped: Vec<Skipped>,
    now: UnixMillis,
) -> (RunId, ActiveRun, Txn) {
    let to = to.into();
    let slot = to.slot;
    let run = RunId::of_slot_in(lane, known.created, to.epoch, slot);
    let active = ActiveRun {
        session: session.id.clone(),
        node: node.to_owned(),
        slot,
        attempt: 0,
        claimed: now,
        definition: known.definition,
        lost_after: lost_after(session),
        skipped,
        job: known.created,
        epoch: to.epoch,
        waiting: None,
        ended: None,
        needs: Words::default(),
        unknown: Unknown::default(),
    };
    let mut when = on_definition(lane, known, session);
    let mut then = vec![
        put(Key::Cursor(lane.clone()), &cursor(job, known, to)),
        put(Key::Run(lane.clone(), run.clone()), &active),
    ];
    if job.is_exclusive() {
        when.extend(is_free(lane));
        take_lock(job, known, session, (&run, 0), &mut when, &mut then);
    } else {
        when.push(Compare::Created(Key::Run(lane.clone(), run.clone()), Revision::NONE));
    }
    let txn = Txn { when, then, otherwise: read_all(lane) };
    (run, active, txn)
}

/// That no run is in the way of an exclusive one. A job has runs in the lanes of nodes or in the one for any node; after it
/// was changed from one to the other, those of the former lanes come to their end first.
fn is_free(lane: &Lane) -> Vec<Compare> {
    let Lane { job, node } = lane;
    match node {
        None => vec![Compare::Empty(Range::RunsOf(job.clone()))],
        Some(_) => [Lane::from(job), lane.clone()].map(|lane| Compare::Empty(Range::RunsIn(lane))).into(),
    }
}

/// An exclusive run holds the job's lock too, for the workers of the replaced system, unless that is reserved.
fn take_lock(
    job: &Job,
    known: Known,
    session: &Session,
    (run, attempt): (&RunId, u32),
    when: &mut Vec<Compare>,
    then: &mut Vec<Op>,
) {
    let lock = || Key::Lock(job.name.clone());
    when.push(Compare::Modified(lock(), known.lock));
    if known.lock == Revision::NONE {
        let held = LockValue::Held { session: session.id.clone(), run: run.clone(), attempt };
        then.push(Op::PutLeased(lock(), held.to_bytes(), session.lease));
    }
}

/// Gives back a claim whose command did not start: the run waits, and any worker takes it by [`retry`]. Only the process
/// whose session made the claim does this, because only it knows that nothing started. It may do so under a later
/// session. A refusal finds the present run.
pub fn give_back(lane: &Lane, run: (&RunId, &ActiveRun), token: Revision, because: &str) -> Txn {
    let (id, active) = run;
    let key = Key::Run(lane.clone(), id.clone());
    let waiting = Waiting { because: because.to_owned(), unknown: Unknown::default() };
    let waits = ActiveRun { waiting: Some(waiting), ..active.clone() };
    Txn {
        when: vec![Compare::Modified(key.clone(), token)],
        then: vec![put(key.clone(), &waits), Op::DeleteIf(Key::Lock(lane.job.clone()), token)],
        otherwise: vec![Op::Get(key)],
    }
}

/// Takes a run that waits: the same slot and attempt under a new holder, whose fencing token is this transaction's
/// revision. It commits only on the definition and the kill request that its decider knew. `found` of a refusal holds
/// the present state of the job.
#[expect(clippy::too_many_arguments, reason = "a lane, its job and all that the record says")]
pub fn retry(
    lane: &Lane,
    job: &Job,
    known: Known,
    session: &Session,
    node: &str,
    run: (&RunId, &ActiveRun),
    token: Revision,
    now: UnixMillis,
) -> (ActiveRun, Txn) {
    let (id, waits) = run;
    let key = Key::Run(lane.clone(), id.clone());
    let active = ActiveRun {
        session: session.id.clone(),
        node: node.to_owned(),
        claimed: now,
        definition: known.definition,
        lost_after: lost_after(session),
        waiting: None,
        ..waits.clone()
    };
    let mut when = vec![
        Compare::Modified(key.clone(), token),
        Compare::Created(Key::Job(job.name.clone()), known.created),
        Compare::Modified(Key::Job(job.name.clone()), known.definition),
        Compare::Modified(Key::Kill(job.name.clone()), known.kill),
        Compare::Created(Key::Worker(session.id.clone()), session.registered),
    ];
    let mut then = vec![put(key, &active)];
    if job.is_exclusive() {
        take_lock(job, known, session, (id, active.attempt), &mut when, &mut then);
    }
    (active, Txn { when, then, otherwise: read_all(lane) })
}

/// Turns the slot of a run that waits into a skipped one. `to` leaves the cursor's slot as it is and adds the skipped
/// stretches, those that the run's claim passed over included. `status` already counts them. `found` of a refusal holds
/// the present state of the job.
pub fn skip_waiting(
    lane: &Lane,
    job: &Job,
    known: Known,
    session: &Session,
    (run, token): (&RunId, Revision),
    to: Move,
    status: &JobStatus,
) -> Txn {
    let mut txn = pass(lane, job, known, session, to, Some(status));
    let run = Key::Run(lane.clone(), run.clone());
    txn.when.push(Compare::Modified(run.clone(), token));
    txn.then.push(Op::Delete(run));
    txn
}

/// Moves the cursor and counts slots that did not run: the answer to [`model::decide::Decision::Skip`] and
/// [`model::decide::Decision::Arm`]. The cursor holds the stretches afterwards, and whoever commits this puts them into
/// the run log. `status` already counts them; it is not written when there is nothing to count.
pub fn pass(
    lane: &Lane,
    job: &Job,
    known: Known,
    session: &Session,
    to: impl Into<Move>,
    status: Option<&JobStatus>,
) -> Txn {
    let mut when = on_definition(lane, known, session);
    let mut then = vec![put(Key::Cursor(lane.clone()), &cursor(job, known, to.into()))];
    if let Some(status) = status {
        when.push(Compare::Modified(Key::Status(lane.clone()), known.status));
        then.push(put(Key::Status(lane.clone()), status));
    }
    Txn { when, then, otherwise: read_all(lane) }
}

/// Ends a run: its record goes, the status that counts it comes. A refusal finds the present run and status: where the
/// run is gone or has another token, its end was already decided; where only the status moved, try again with that.
pub fn finish(lane: &Lane, run: &RunId, token: Revision, status_seen: Revision, status: &JobStatus) -> Txn {
    let run = Key::Run(lane.clone(), run.clone());
    let counts = Key::Status(lane.clone());
    Txn {
        when: vec![Compare::Modified(run.clone(), token), Compare::Modified(counts.clone(), status_seen)],
        then: vec![
            Op::Delete(run.clone()),
            put(counts.clone(), status),
            // The lock that the claim put, if it is still that one.
            Op::DeleteIf(Key::Lock(lane.job.clone()), token),
        ],
        otherwise: vec![Op::Get(run), Op::Get(counts)],
    }
}

/// Ends a run without counting its end, where the tree has no space to count it.
pub fn release(lane: &Lane, run: &RunId, token: Revision) -> Txn {
    let run = Key::Run(lane.clone(), run.clone());
    Txn {
        when: vec![Compare::Modified(run.clone(), token)],
        then: vec![Op::Delete(run), Op::DeleteIf(Key::Lock(lane.job.clone()), token)],
        otherwise: Vec::new(),
    }
}

/// Declares the run of a dead session lost, if that session is gone and ours is not. A refusal finds the present run.
///
/// Its token is then this transaction's revision, under which anybody may [`finish`] it, once the record is in the run
/// log. The declaration comes first: the process of the dead session may live and give the run back, and a record that is
/// already written would then be of something that did not happen.
pub fn lose(
    lane: &Lane,
    run: (&RunId, &ActiveRun),
    token: Revision,
    session: &Session,
    message: String,
) -> (ActiveRun, Txn) {
    let gone = Compare::Created(Key::Worker(run.1.session.clone()), Revision::NONE);
    let (active, mut txn) = declare(lane, run, token, session, end(Outcome::Lost, message));
    txn.when.push(gone);
    (active, txn)
}

/// Declares a run that waits killed, as [`lose`] does: another worker may take it at the same moment.
pub fn kill_waiting(
    lane: &Lane,
    run: (&RunId, &ActiveRun),
    token: Revision,
    session: &Session,
    message: String,
) -> (ActiveRun, Txn) {
    declare(lane, run, token, session, end(Outcome::Killed, message))
}

fn end(outcome: Outcome, message: String) -> DeclaredEnd {
    DeclaredEnd { outcome, message, unknown: Unknown::default() }
}

fn declare(
    lane: &Lane,
    run: (&RunId, &ActiveRun),
    token: Revision,
    session: &Session,
    end: DeclaredEnd,
) -> (ActiveRun, Txn) {
    let (id, active) = run;
    let ended = ActiveRun { ended: Some(end), ..active.clone() };
    let txn = replace_run(lane, id, token, session, &ended);
    (ended, txn)
}

/// Removes what a deleted job left in a lane, once the last run in it has ended and the stretches in its cursor are in
/// the run log, where its records stay. With the lane for any node goes what the job left as a whole, so that lane is the
/// last. `cursor_seen` is the cursor's mod revision, `reserved` that of the job's lock where that reads so
/// ([`Known::lock`]).
pub fn collect(lane: &Lane, cursor_seen: Revision, reserved: Revision) -> Txn {
    let job = || lane.job.clone();
    let mut then = vec![Op::Delete(Key::Cursor(lane.clone())), Op::Delete(Key::Status(lane.clone()))];
    let runs = if lane.node.is_some() {
        Range::RunsIn(lane.clone())
    } else {
        then.push(Op::Delete(Key::Kill(job())));
        if reserved != Revision::NONE {
            then.push(Op::DeleteIf(Key::Lock(job()), reserved));
        }
        Range::RunsOf(job())
    };
    Txn {
        when: vec![
            Compare::Created(Key::Job(job()), Revision::NONE),
            Compare::Modified(Key::Cursor(lane.clone()), cursor_seen),
            Compare::Empty(runs),
        ],
        then,
        otherwise: read_all(lane),
    }
}

/// Moves the run of an ended session to a new session of the same worker, because its processes go on. Its token is
/// then this transaction's revision. A refusal finds the present record: one that names `session` already was put by an
/// earlier request whose reply was lost; otherwise the run's end was decided meanwhile.
pub fn readopt(
    lane: &Lane,
    run: (&RunId, &ActiveRun),
    token: Revision,
    session: &Session,
) -> (ActiveRun, Txn) {
    let (id, active) = run;
    let moved = ActiveRun { session: session.id.clone(), lost_after: lost_after(session), ..active.clone() };
    let txn = replace_run(lane, id, token, session, &moved);
    (moved, txn)
}

/// Puts a run record again while our session lives. A refusal finds the present one.
fn replace_run(lane: &Lane, run: &RunId, token: Revision, session: &Session, active: &ActiveRun) -> Txn {
    let key = Key::Run(lane.clone(), run.clone());
    Txn {
        when: vec![
            Compare::Modified(key.clone(), token),
            Compare::Created(Key::Worker(session.id.clone()), session.registered),
        ],
        then: vec![put(key.clone(), active)],
        otherwise: vec![Op::Get(key)],
    }
}

/// Says something new about a worker while its session lives.
pub fn announce(session: &Session, info: &WorkerInfo) -> Txn {
    let key = Key::Worker(session.id.clone());
    let value = serde_json::to_vec(info).expect("our values always make JSON");
    Txn {
        when: vec![Compare::Created(key.clone(), session.registered)],
        then: vec![Op::PutLeased(key, value, session.lease)],
        otherwise: Vec::new(),
    }
}

/// Keeps workers of the replaced system from a job that they would not run as it is meant: its lock reads `reserved`, so
/// they can never take it. `seen` is the lock's mod revision: nothing, or a run of ours that holds it. A refusal finds
/// the present one; one that the replaced system holds is waited for.
pub fn reserve(job: &JobName, seen: Revision) -> Txn {
    let key = Key::Lock(job.clone());
    Txn {
        when: vec![Compare::Modified(key.clone(), seen)],
        then: vec![Op::Put(key.clone(), LockValue::Reserved.to_bytes())],
        otherwise: vec![Op::Get(key)],
    }
}

/// Asks for the end of everything that runs under a name now. Runs claimed later are not meant: their token is larger
/// than the revision of this put. Where nothing runs the transaction succeeds and has written nothing; otherwise the
/// request is in the tree, and a worker that is away now finds it there.
pub fn kill(job: &JobName, now: UnixMillis) -> Txn {
    Txn {
        when: vec![Compare::Empty(Range::RunsOf(job.clone()))],
        then: Vec::new(),
        otherwise: vec![put(Key::Kill(job.clone()), &now)],
    }
}

/// Writes a job's key if its mod revision is still `seen` ([`Revision::NONE`]: if there is none). A refusal finds the
/// present one.
pub fn put_job(name: &JobName, value: Vec<u8>, seen: Revision) -> Txn {
    let key = Key::Job(name.clone());
    Txn {
        when: vec![Compare::Modified(key.clone(), seen)],
        then: vec![Op::Put(key.clone(), value)],
        otherwise: vec![Op::Get(key)],
    }
}

/// [`put_job`] and [`reserve`] in one, so that workers of the replaced system never see the job without its lock. A
/// refusal finds the present key and lock.
pub fn put_reserved_job(name: &JobName, value: Vec<u8>, seen: Revision, lock_seen: Revision) -> Txn {
    let (put, reserve) = (put_job(name, value, seen), reserve(name, lock_seen));
    Txn {
        when: [put.when, reserve.when].concat(),
        then: [put.then, reserve.then].concat(),
        otherwise: [put.otherwise, reserve.otherwise].concat(),
    }
}

/// Deletes a job's key if its mod revision is still `seen`. A refusal finds the present one.
pub fn delete_job(name: &JobName, seen: Revision) -> Txn {
    let key = Key::Job(name.clone());
    Txn {
        when: vec![Compare::Modified(key.clone(), seen)],
        then: vec![Op::Delete(key.clone())],
        otherwise: vec![Op::Get(key)],
    }
}

/// Processes of a session are gone at the latest when its time has passed once more ([`Session::lasts`]): its worker's
/// executor ends them before the session itself can end.
fn lost_after(session: &Session) -> u64 {
    let time = session.lasts.unwrap_or_default().as_millis();
    u64::try_from(time).unwrap_or(u64::MAX)
}

/// The folders a worker follows.
pub const FOLLOWED: [Folder; 8] = [
    Folder::Jobs,
    Folder::Cursors,
    Folder::Runs,
    Folder::Statuses,
    Folder::Workers,
    Folder::Kills,
    Folder::Locks,
    Folder::Killers,
];

/// What every decision about a job compares: its definition, its cursor, and that the decider is registered.
fn on_definition(lane: &Lane, known: Known, session: &Session) -> Vec<Compare> {
    vec![
        Compare::Modified(Key::Job(lane.job.clone()), known.definition),
        Compare::Modified(Key::Cursor(lane.clone()), known.cursor),
        Compare::Created(Key::Worker(session.id.clone()), session.registered),
    ]
}

/// What a refused decision reads, so that the next one is made on the present state.
fn read_all(lane: &Lane) -> Vec<Op> {
    let job = &lane.job;
    vec![
        Op::Get(Key::Job(job.clone())),
        Op::Get(Key::Cursor(lane.clone())),
        Op::Get(Key::Status(lane.clone())),
        Op::Get(Key::Lock(job.clone())),
        Op::Get(Key::Kill(job.clone())),
        Op::List(Range::RunsOf(job.clone())),
    ]
}

/// The cursor that a transaction with this move puts.
pub fn cursor(job: &Job, known: Known, to: Move) -> Cursor {
    let Move { slot, epoch, skips, unknown } = to;
    Cursor { slot, job: known.created, timetable: Timetable::of(job), epoch, skips, unknown }
}

fn put(key: Key, value: &impl Serialize) -> Op {
    Op::Put(key, serde_json::to_vec(value).expect("our values always make JSON"))
}

/// Reads a value that a worker wrote.
pub fn read<T: serde::de::DeserializeOwned>(pair: &KeyValue) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&pair.value)
}
