//! People, other programs, and workers of the replaced system: whoever changes the tree besides our workers.

use std::collections::BTreeMap;
use std::time::Duration;

use model::keys::Key;
use model::run::{Revision, RunId, Slot};
use model::{JobName, Lane, NodeName, UnixMillis};
use store::{Op, Txn, protocol};

use super::{Ev, World};
use crate::check::By;
use crate::plan::{Ambush, Edit, Form, JobPlan, Plan, Profile, What};

/// How long the replaced system's kill signal is in the tree.
const SIGNAL: Duration = Duration::from_secs(1);

/// How long a job that was suspended in an ambush is so.
const AMBUSHED: Duration = Duration::from_secs(10);

/// How long nobody can write before somebody tries again.
const AGAIN: Duration = Duration::from_secs(2);

/// What is done later.
#[derive(Debug)]
pub(super) enum Later {
    /// The present definition of a job is put.
    Put(usize),
    Resume(usize),
    Remove(Key),
    SpaceForLong,
}

/// What the jobs are at the moment.
#[derive(Debug)]
pub(super) struct Environment {
    jobs: BTreeMap<usize, JobPlan>,
    ids: BTreeMap<JobName, usize>,
    /// What happens right after the next claim.
    ambushes: BTreeMap<JobName, Ambush>,
    /// The locks that workers of the replaced system got, by fault.
    locks: BTreeMap<usize, Revision>,
}

impl Environment {
    pub(super) fn new(plan: &Plan) -> Self {
        let jobs: BTreeMap<usize, JobPlan> = plan.jobs.iter().map(|job| (job.id, job.clone())).collect();
        let ids = jobs.iter().map(|(id, job)| (job.name.clone(), *id)).collect();
        Self { jobs, ids, ambushes: BTreeMap::new(), locks: BTreeMap::new() }
    }

    /// What processes of a job do.
    pub(super) fn profile(&self, name: &JobName) -> Option<Profile> {
        Some(self.jobs.get(self.ids.get(name)?)?.profile)
    }

    /// Whether a job needs [`crate::plan::LATER`] now.
    pub(super) fn needs_later(&self, id: usize) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.later)
    }

    fn name(&self, id: usize) -> Option<JobName> {
        self.jobs.get(&id).map(|job| job.name.clone())
    }
}

impl World<'_> {
    /// The jobs of the plan are there from the beginning.
    pub(super) fn put_jobs(&mut self) {
        for id in self.environment.jobs.keys().copied().collect::<Vec<_>>() {
            self.put_job(id);
        }
    }

    /// Puts a job as it is meant to be. Where that is not possible now, it is tried again.
    fn put_job(&mut self, id: usize) {
        let Some(job) = self.environment.jobs.get(&id) else { return };
        if self.no_space > 0 {
            return self.after(AGAIN, Ev::Environment(Later::Put(id)));
        }
        let (name, value) = (job.name.clone(), job.value());
        let reserved = job.form == Form::Reserved || job.later;
        self.say(Some(&name), || format!("the job is put: {}", String::from_utf8_lossy(&value)));
        let mut ops = vec![Op::Put(Key::Job(name.clone()), value)];
        let lock = self.tree.get(&Key::Lock(name.clone()));
        if reserved && lock.is_none() {
            ops.push(Op::Put(Key::Lock(name), b"reserved".to_vec()));
        }
        self.put(ops);
    }

    fn delete_job(&mut self, id: usize) {
        let Some(name) = self.environment.name(id) else { return };
        self.say(Some(&name), || "the job is deleted".to_owned());
        self.put(vec![Op::Delete(Key::Job(name))]);
    }

    fn suspend(&mut self, id: usize, suspend: bool) {
        let Some(job) = self.environment.jobs.get_mut(&id) else { return };
        if suspend && job.form == Form::Legacy {
            // The replaced system knows no such thing.
            in_full(job);
        }
        job.suspend = suspend;
        if self.tree.get(&Key::Job(job.name.clone())).is_some() {
            self.put_job(id);
        }
    }

    pub(super) fn begin_of_job(&mut self, index: usize, what: &What) {
        let Some(name) = what.job().and_then(|id| self.environment.name(id)) else { return };
        match what {
            What::Edit { job, to } => self.edit(*job, to),
            What::Suspend { job } => self.suspend(*job, true),
            What::Delete { job } => self.delete_job(*job),
            What::Kill { .. } => self.kill_job(&name),
            What::Killer { .. } => {
                self.put(vec![Op::Put(Key::Killer(name.clone()), Vec::new())]);
                self.after(SIGNAL, Ev::Environment(Later::Remove(Key::Killer(name))));
            }
            What::MalformedJob { .. } => self.overwrite(Key::Job(name), b"{\"command\":"),
            What::MalformedStatus { .. } => self.overwrite(Key::Status(name.into()), b"[]"),
            What::Foreign { .. } => self.put(foreign(&name).map(|key| Op::Put(key, b"{}".to_vec())).into()),
            What::OldWorker { .. } => self.take_lock(index, &name),
            What::Ambush { then, .. } => drop(self.environment.ambushes.insert(name, *then)),
            _ => {}
        }
    }

    /// Puts another value where there is one.
    fn overwrite(&mut self, key: Key, value: &[u8]) {
        if self.tree.get(&key).is_some() {
            self.put(vec![Op::Put(key, value.to_vec())]);
        }
    }

    pub(super) fn end_of_job(&mut self, index: usize, what: &What) {
        let Some(name) = what.job().and_then(|id| self.environment.name(id)) else { return };
        match what {
            What::Suspend { job } => self.suspend(*job, false),
            What::Delete { job } if self.tree.get(&Key::Job(name.clone())).is_none() => self.put_job(*job),
            What::MalformedJob { job } if self.tree.get(&Key::Job(name.clone())).is_some() => {
                self.put_job(*job);
            }
            What::Foreign { .. } => self.put(foreign(&name).map(Op::Delete).into()),
            What::OldWorker { .. } => {
                if let Some(revision) = self.environment.locks.remove(&index) {
                    self.say(Some(&name), || "the replaced system's worker lets the lock go".to_owned());
                    self.put(vec![Op::DeleteIf(Key::Lock(name), revision)]);
                }
            }
            _ => {}
        }
    }

    fn edit(&mut self, id: usize, to: &Edit) {
        let Some(job) = self.environment.jobs.get_mut(&id) else { return };
        match to {
            Edit::Same => {}
            Edit::Schedule(schedule) => {
                in_full(job);
                job.schedule.clone_from(schedule);
            }
            Edit::Allow(allow) => {
                in_full(job);
                job.allow = *allow;
            }
            Edit::Missed(missed) => {
                in_full(job);
                job.missed = *missed;
            }
            Edit::Later(later) => {
                in_full(job);
                job.later = *later;
            }
        }
        if self.tree.get(&Key::Job(job.name.clone())).is_some() {
            self.put_job(id);
        }
    }

    fn kill_job(&mut self, name: &JobName) {
        let now = self.plan.epoch + self.now.elapsed();
        self.say(Some(name), || "what runs is killed".to_owned());
        // Where there is no space, the request is refused.
        let _ = self.tree.commit(self.now.elapsed(), &protocol::kill(name, now));
        self.observe(By::Others);
    }

    /// A worker of the replaced system takes the lock, if nobody has it.
    fn take_lock(&mut self, index: usize, name: &JobName) {
        let key = Key::Lock(name.clone());
        let txn = Txn {
            when: vec![
                store::Compare::Created(key.clone(), Revision::NONE),
                // It runs what it finds.
                store::Compare::Modified(Key::Job(name.clone()), self.definition(name)),
            ],
            then: vec![Op::Put(key, Vec::new())],
            otherwise: Vec::new(),
        };
        let done = self.tree.commit(self.now.elapsed(), &txn);
        if let Ok(reply) = done
            && reply.succeeded
        {
            self.say(Some(name), || "the replaced system's worker takes the lock".to_owned());
            self.environment.locks.insert(index, reply.revision);
        }
        self.observe(By::Others);
    }

    fn definition(&self, name: &JobName) -> Revision {
        self.tree.get(&Key::Job(name.clone())).map_or(Revision(-1), |pair| pair.modified)
    }

    /// A transaction has committed, and its worker does not know yet.
    pub(super) fn ambush(&mut self, txn: &Txn) {
        if self.environment.ambushes.is_empty() {
            return;
        }
        let claimed = txn.then.iter().find_map(|op| match op {
            Op::Put(Key::Run(lane, _), _) => Some(lane.job.clone()),
            _ => None,
        });
        let Some(name) = claimed else { return };
        let Some(then) = self.environment.ambushes.remove(&name) else { return };
        let Some(id) = self.environment.ids.get(&name).copied() else { return };
        match then {
            Ambush::Kill => self.kill_job(&name),
            Ambush::Edit => self.edit(id, &Edit::Same),
            Ambush::Suspend => {
                self.suspend(id, true);
                self.after(AMBUSHED, Ev::Environment(Later::Resume(id)));
            }
            Ambush::Recreate => {
                self.delete_job(id);
                self.put_job(id);
            }
        }
    }

    pub(super) fn environment_later(&mut self, later: Later) {
        match later {
            Later::Put(id) => self.put_job(id),
            Later::Resume(id) => self.suspend(id, false),
            Later::Remove(key) => self.put(vec![Op::Delete(key)]),
            Later::SpaceForLong => {
                if self.no_space == 0 {
                    self.checker.no_space(false);
                }
            }
        }
    }
}

/// A job in the replaced system's form that is changed into what only ours knows.
fn in_full(job: &mut JobPlan) {
    if job.form == Form::Legacy {
        job.form = Form::Spec;
        // Its seven fields end with the year; the standard dialect takes six without it, and seven.
    }
}

/// Keys of a job in the lane of a node, which newer versions write.
fn foreign(name: &JobName) -> [Key; 3] {
    let node = NodeName::new("node-0").expect("it is a name");
    let slot = Slot(UnixMillis(1_772_323_200_000));
    let lane = Lane { job: name.clone(), node: Some(node) };
    let run = RunId::of_slot(&lane, Revision(1), slot);
    [Key::Cursor(lane.clone()), Key::Run(lane.clone(), run), Key::Status(lane)]
}
