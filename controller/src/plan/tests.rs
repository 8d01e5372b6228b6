use std::collections::BTreeSet;

use crds::NodeCronJobStatus;
use k8s_openapi::jiff::Timestamp;
use model::schedule::{Dialect, Schedule};
use model::{JobName, TimeZone};

use super::*;
use crate::validate::{Refusal, Wanted};

const WANTED: u64 = 7;

fn resource(name: &str, usable: bool) -> (ObjectKey, Resource) {
    let key = ObjectKey { namespace: "ops".into(), name: name.into() };
    let job = JobName::new("a").expect("it is one");
    let schedule = Schedule::parse("@daily", Dialect::Standard, TimeZone::UTC, &job).expect("it is one");
    let wanted = if usable {
        Ok(Wanted { value: Vec::new(), hash: WANTED, schedule, suspend: false })
    } else {
        Err(Refusal { reason: "InvalidSchedule", message: String::new() })
    };
    let resource = Resource {
        uid: format!("uid of {name}"),
        version: String::new(),
        generation: 1,
        created: Timestamp::default(),
        job: None,
        wanted,
        status: NodeCronJobStatus::default(),
        written: None,
    };
    (key, resource)
}

fn config(namespaces: &[&str]) -> Config {
    Config {
        namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
        job_name_namespaces: BTreeSet::new(),
        identity: "a".to_owned(),
    }
}

/// A key of the revision 5 with the wanted value, or with another one.
fn there(owned: Owned, same: bool) -> JobKey {
    let mut key = JobKey::default();
    key.modified = Revision(5);
    key.hash = Some(if same { WANTED } else { WANTED + 1 });
    key.owned = owned;
    key
}

fn of(name: &str) -> Owned {
    let (namespace, uid) = ("ops".to_owned(), format!("uid of {name}"));
    Owned::By(Owner::Resource { namespace, name: name.to_owned(), uid })
}

fn manifest() -> Owned {
    Owned::By(Owner::Manifest { path: "/etc/jobs.yaml".to_owned() })
}

const FREE: Lock = Lock::Free(Revision(3));
const RESERVED: Lock = Lock::Reserved(Revision(4));

#[test]
fn what_the_tree_needs_follows_from_the_holder_the_key_and_the_lock() {
    let (absent, none) = (JobKey::default(), Revision::NONE);
    let over = Revision(5);
    let cases = [
        ("it is not there", absent.clone(), Lock::Free(none), Plan::Put(none, Some(none))),
        ("it is not there, the lock is reserved", absent.clone(), RESERVED, Plan::Put(none, None)),
        ("it is not there, and a legacy worker runs it", absent, Lock::Foreign, Plan::Wait),
        ("it is as it should be", there(of("a"), true), RESERVED, Plan::Nothing),
        ("it is, and the lock is not reserved", there(of("a"), true), FREE, Plan::Reserve(Revision(3))),
        ("it is, and a legacy worker runs it", there(of("a"), true), Lock::Foreign, Plan::Nothing),
        ("somebody changed it", there(of("a"), false), RESERVED, Plan::Put(over, None)),
        ("changed, not reserved", there(of("a"), false), FREE, Plan::Put(over, Some(Revision(3)))),
        ("changed, and a legacy worker runs it", there(of("a"), false), Lock::Foreign, Plan::Put(over, None)),
        ("put by hand", there(Owned::Nobody, false), FREE, Plan::Put(over, Some(Revision(3)))),
        // The name is deleted and made again: another uid.
        ("of its predecessor", there(of("gone"), false), RESERVED, Plan::Put(over, None)),
    ];
    let (key, resource) = resource("a", true);
    for (case, job, lock, wanted) in cases {
        let (holder, made) = plan(&[(&key, &resource)], &job, lock, &config(&[]));
        assert_eq!(made, wanted, "{case}");
        assert_eq!(holder, Holder::Resource(key.clone()), "{case}");
    }
}

#[test]
fn the_present_holder_keeps_a_name_and_otherwise_the_first_usable_one_gets_it() {
    let (a, b, broken) = (resource("a", true), resource("b", true), resource("broken", false));
    let cases = [
        ("the first", vec![&a, &b], JobKey::default(), "a"),
        ("the first that can be a job", vec![&broken, &b, &a], JobKey::default(), "b"),
        ("the holder, though it came later", vec![&a, &b], there(of("b"), true), "b"),
        (
            "the holder, though its spec is refused now",
            vec![&a, &broken],
            there(of("broken"), true),
            "broken",
        ),
    ];
    for (case, wanting, job, wanted) in cases {
        let wanting: Vec<_> = wanting.into_iter().map(|(key, resource)| (key, resource)).collect();
        let (holder, _) = plan(&wanting, &job, RESERVED, &config(&[]));
        let Holder::Resource(holder) = holder else { panic!("{case}: {holder:?}") };
        assert_eq!(&*holder.name, wanted, "{case}");
    }
}

#[test]
fn a_job_goes_only_where_its_resource_is_known_to_be_gone() {
    let (nobody, broken) = (Vec::new(), resource("broken", false));
    let refused = vec![(&broken.0, &broken.1)];
    let cases = [
        ("its resource is gone", &nobody, of("gone"), config(&[]), Plan::Delete(Revision(5))),
        ("gone, and its successor is refused", &refused, of("gone"), config(&[]), Plan::Delete(Revision(5))),
        ("its resource is refused now", &refused, of("broken"), config(&[]), Plan::Nothing),
        ("in a namespace that is not watched", &nobody, of("gone"), config(&["web"]), Plan::Nothing),
        ("in one that is", &nobody, of("gone"), config(&["ops", "web"]), Plan::Delete(Revision(5))),
        ("nobody's", &nobody, Owned::Nobody, config(&[]), Plan::Nothing),
        ("a manifest's", &nobody, manifest(), config(&[]), Plan::Nothing),
        ("of another version", &nobody, Owned::Unknown, config(&[]), Plan::Nothing),
    ];
    for (case, wanting, owned, config, wanted) in cases {
        assert_eq!(plan(wanting, &there(owned, false), RESERVED, &config).1, wanted, "{case}");
    }
}

#[test]
fn what_somebody_else_owns_is_left_alone_and_said_whose_it_is() {
    let (key, resource) = resource("a", true);
    let cases = [
        (manifest(), config(&[]), "the manifest /etc/jobs.yaml"),
        (Owned::Unknown, config(&[]), "a program of another version"),
        (of("theirs"), config(&["web"]), "the NodeCronJob ops/theirs, which this controller does not watch"),
    ];
    for (owned, config, whose) in cases {
        let (holder, made) = plan(&[(&key, &resource)], &there(owned, false), FREE, &config);
        assert_eq!((holder, made), (Holder::Other(whose.to_owned()), Plan::Nothing));
    }
}
