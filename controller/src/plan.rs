//! What to do about one name. Pure.

use model::job::Owner;
use model::run::Revision;

use crate::Config;
use crate::resources::{ObjectKey, Resource};
use crate::view::{JobKey, Lock, Owned};

/// What the tree needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing: it is as it should be, or it is not ours.
    Nothing,
    /// The holder's job is put, over what has this revision; with a second revision its lock is reserved, over a lock that
    /// has that one.
    Put(Revision, Option<Revision>),
    /// Workers of the replaced system are kept out, over a lock that has this revision.
    Reserve(Revision),
    /// The job of a resource that is gone is deleted, if it has this revision.
    Delete(Revision),
    /// A worker of the replaced system runs a job of this name; the job is put when it ends.
    Wait,
}

/// Whose a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// This resource's.
    Resource(ObjectKey),
    /// Somebody else's, in words.
    Other(String),
    /// Nobody's.
    Nobody,
}

/// Decides about a name. `wanting` are those that want it, the first to come first.
///
/// The present holder keeps it. A name without one goes to the first resource that can be a job; a job that was put there
/// by hand is taken over. Where the holder's spec can't be used, its former job stays.
pub(crate) fn plan(
    wanting: &[(&ObjectKey, &Resource)],
    job: &JobKey,
    lock: Lock,
    config: &Config,
) -> (Holder, Plan) {
    let of_owner = |uid: &str| wanting.iter().find(|(_, resource)| resource.uid == uid);
    let (holder, gone) = match &job.owned {
        Owned::Nobody => (None, false),
        Owned::By(Owner::Resource { namespace, name, uid }) => match of_owner(uid) {
            Some(holder) => (Some(holder), false),
            None if config.covers(namespace) => (None, true),
            None => {
                let whose =
                    format!("the NodeCronJob {namespace}/{name}, which this controller does not watch");
                return (Holder::Other(whose), Plan::Nothing);
            }
        },
        Owned::By(Owner::Manifest { path }) => {
            return (Holder::Other(format!("the manifest {path}")), Plan::Nothing);
        }
        Owned::Unknown => {
            return (Holder::Other("a program of another version".to_owned()), Plan::Nothing);
        }
    };
    let first = || wanting.iter().find(|(_, resource)| resource.wanted.is_ok());
    let Some((key, resource)) = holder.or_else(first) else {
        let plan = if gone { Plan::Delete(job.modified) } else { Plan::Nothing };
        return (Holder::Nobody, plan);
    };
    let plan = match &resource.wanted {
        Err(_) => Plan::Nothing,
        Ok(wanted) => match (job.hash == Some(wanted.hash), lock) {
            (true, Lock::Reserved(_) | Lock::Foreign) => Plan::Nothing,
            (true, Lock::Free(seen)) => Plan::Reserve(seen),
            (false, Lock::Free(seen)) => Plan::Put(job.modified, Some(seen)),
            (false, Lock::Foreign) if job.hash.is_none() => Plan::Wait,
            (false, Lock::Reserved(_) | Lock::Foreign) => Plan::Put(job.modified, None),
        },
    };
    (Holder::Resource((*key).clone()), plan)
}

#[cfg(test)]
mod tests;
