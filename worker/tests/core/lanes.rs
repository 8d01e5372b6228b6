//! Runs in a lane that the job does not have: on a node, of a job that runs on any.

use model::keys::Key;
use model::run::{Revision, RunId, SkipReason, Slot};
use model::values::JobStatus;
use model::{Lane, NodeName, UnixMillis};
use serde_json::json;
use store::{Op, Range, protocol};

use crate::rig::{DAY, Rig, name};

fn on_node() -> Lane {
    Lane { job: name("j"), node: NodeName::new("n") }
}

fn run() -> Key {
    Key::Run(on_node(), RunId::of_slot(on_node(), Revision(1), Slot(UnixMillis(DAY))))
}

#[test]
fn a_run_in_another_lane_keeps_the_job_busy_and_nothing_is_decided_there() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(30);
    // A newer version's, which this one can't read.
    rig.write(Op::Put(run(), b"{}".to_vec()));
    rig.pass_until(125);
    assert_eq!(rig.starts(), []);
    assert_eq!(rig.status("j").skipped, [(SkipReason::Overlap, 2)].into());
    rig.write(Op::Delete(run()));
    rig.pass_until(185);
    assert_eq!(rig.starts(), [(0, 180)]);
    assert!(rig.tree.get(&Key::Cursor(on_node())).is_none(), "the lane has no cursor");
    assert_eq!(rig.tree.list(&Range::RunsIn(on_node())).count(), 0);
}

#[test]
fn a_lost_run_in_another_lane_is_counted_there() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(30);
    let lost =
        json!({"session": "gone", "node": "n", "slot": DAY, "attempt": 0, "claimed": DAY, "definition": 1});
    rig.write(Op::Put(run(), lost.to_string().into_bytes()));
    rig.pass_until(61);
    assert_eq!((rig.outcomes("j"), rig.starts()), (vec!["Lost".to_owned()], vec![(0, 60)]));
    let status = rig.tree.get(&Key::Status(on_node())).expect("it was counted");
    assert_eq!(protocol::read::<JobStatus>(status).unwrap().recent.len(), 1);
    assert_eq!(rig.status("j"), JobStatus::default());
}

#[test]
fn a_deleted_job_is_collected_once_no_lane_has_a_run() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(30);
    rig.write(Op::Put(run(), b"{}".to_vec()));
    rig.delete("j");
    rig.pass_until(40);
    let cursor = || Key::Cursor(name("j").into());
    assert!(rig.tree.get(&cursor()).is_some());
    rig.write(Op::Delete(run()));
    rig.pass_until(45);
    assert!(rig.tree.get(&cursor()).is_none());
}
