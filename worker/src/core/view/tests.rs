//! What a worker believes after news that come in any order.

use std::collections::HashSet;

use model::UnixMillis;
use serde_json::json;

use super::*;

fn name(text: &str) -> JobName {
    JobName::new(text).unwrap()
}

fn lane() -> Lane {
    name("a").into()
}

fn view() -> View {
    View::new(KeyPrefix::default(), SessionId("me".to_owned()), TimeZone::UTC, Words::default())
}

fn pair(key: &str, value: &serde_json::Value, created: i64, modified: i64) -> KeyValue {
    let (created, modified) = (Revision(created), Revision(modified));
    KeyValue { key: format!("/cron/{key}"), value: value.to_string().into_bytes(), created, modified }
}

fn job(expression: &str, modified: i64) -> KeyValue {
    pair("jobs/a", &json!({"name": "a", "command": "true", "cronExpr": expression}), 1, modified)
}

fn cursor(expression: &str, slot: i64, modified: i64) -> KeyValue {
    let value = json!({"slot": slot, "job": 1, "schedule": expression, "dialect": "Legacy", "zone": "UTC"});
    pair("cursor/a", &value, 2, modified)
}

fn run(session: &str, modified: i64) -> KeyValue {
    let value = json!({"session": session, "node": "n", "slot": 60_000, "attempt": 0, "claimed": 59_900, "definition": 1});
    pair(RUN, &value, modified, modified)
}

const RUN: &str = "runs/a/-/0000000060000-00000000000000aa";

fn id() -> RunId {
    "0000000060000-00000000000000aa".parse().unwrap()
}

fn active() -> ActiveRun {
    protocol::read(&run("me", 1)).unwrap()
}

fn deleted(key: &str, revision: i64) -> Change {
    Change::Deleted { key: format!("/cron/{key}"), revision: Revision(revision) }
}

/// Takes in a key as found at its own revision.
fn put(view: &mut View, pair: &KeyValue) -> News {
    view.put(pair, pair.modified)
}

fn apply(view: &mut View, change: Change) -> News {
    view.apply(change, UnixMillis(0))
}

/// What is decided by: the cursor's slot, whether it is armed for the present job, and whether the job is busy.
fn decided_by(view: &mut View) -> Option<(i64, bool, bool)> {
    let (_, seen) = view.get(&lane())?.to_decide()?;
    let cursor = seen.cursor.map_or((0, false), |cursor| (cursor.slot.0.0, cursor.armed_for.is_none()));
    Some((cursor.0, cursor.1, seen.busy))
}

#[test]
fn a_cursor_that_comes_before_its_job_is_compared_when_the_job_comes() {
    let mut view = view();
    put(&mut view, &cursor("* * * * *", 1000, 5));
    assert_eq!(decided_by(&mut view), None);
    assert_eq!(put(&mut view, &job("* * * * *", 1)), News::Job(name("a")));
    assert_eq!(decided_by(&mut view), Some((1000, true, false)));
}

#[test]
fn an_edit_makes_the_cursor_one_of_the_former_timetable_and_an_edit_back_ends_that() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 1000, 5));
    put(&mut view, &job("0 * * * *", 6));
    assert_eq!(decided_by(&mut view), Some((1000, false, false)));
    put(&mut view, &job("* * * * *", 7));
    assert_eq!(decided_by(&mut view), Some((1000, true, false)));
}

#[test]
fn older_news_than_known_are_dropped() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 2000, 9));
    assert_eq!(put(&mut view, &cursor("* * * * *", 1000, 5)), News::None);
    assert_eq!(apply(&mut view, deleted("cursor/a", 8)), News::None);
    assert_eq!(decided_by(&mut view), Some((2000, true, false)));
}

#[test]
fn a_run_keeps_its_job_busy_until_its_record_is_deleted() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    assert_eq!(put(&mut view, &run("other", 4)), News::Job(name("a")));
    assert_eq!(decided_by(&mut view), Some((0, false, true)));
    assert_eq!(apply(&mut view, deleted(RUN, 5)), News::Job(name("a")));
    assert_eq!(decided_by(&mut view), Some((0, false, false)));
}

#[test]
fn an_older_answer_does_not_bring_a_run_back() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    view.put_run(&lane(), &id(), Revision(4), Revision(4), active());
    // Our own end of it, which the followed changes have not shown yet.
    view.delete_run(&lane(), &id(), Revision(7));
    view.refresh(&lane(), &[job("* * * * *", 1), run("me", 4)], Revision(5));
    assert_eq!(decided_by(&mut view), Some((0, false, false)), "a refused claim found it before it ended");
    assert_eq!(apply(&mut view, Change::Put(run("me", 4))), News::None, "the follower is late");
    assert_eq!(decided_by(&mut view), Some((0, false, false)));
    // Once all is followed, nothing has to be remembered of it.
    assert_eq!(apply(&mut view, deleted(RUN, 7)), News::None);
    view.follow_to(Revision(7));
    assert_eq!(put(&mut view, &run("me", 4)), News::None);
    assert_eq!(decided_by(&mut view), Some((0, false, false)));
}

#[test]
fn a_run_that_a_later_answer_finds_is_there() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &run("other", 4));
    view.delete_run(&lane(), &id(), Revision(7));
    view.refresh(&lane(), &[job("* * * * *", 1), run("other", 4)], Revision(9));
    assert_eq!(decided_by(&mut view), Some((0, false, true)));
}

#[test]
fn what_a_refused_transaction_did_not_find_does_not_exist() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 1000, 5));
    put(&mut view, &run("other", 6));
    assert_eq!(view.refresh(&lane(), &[job("* * * * *", 1)], Revision(9)), [News::None]);
    assert_eq!(decided_by(&mut view), Some((0, false, false)));
    // The follower catches up with what the reply already said.
    assert_eq!(put(&mut view, &run("other", 6)), News::None);
    assert_eq!(put(&mut view, &cursor("* * * * *", 1000, 5)), News::None);
    assert_eq!(decided_by(&mut view), Some((0, false, false)));
}

#[test]
fn a_malformed_job_is_reported_once_for_each_revision_and_is_never_due() {
    let mut view = view();
    for (revision, value) in [(3, "{"), (4, "[]"), (5, "{\"cronExpr\":\"* * *\",\"command\":\"true\"}")] {
        let bad = KeyValue { value: value.as_bytes().to_vec(), ..job("", revision) };
        assert!(matches!(put(&mut view, &bad), News::Malformed(Some(_), _)), "{value}");
        assert_eq!(put(&mut view, &bad), News::None);
        assert_eq!(decided_by(&mut view), None);
    }
    assert_eq!(put(&mut view, &job("* * * * *", 6)), News::Job(name("a")));
    assert!(decided_by(&mut view).is_some());
}

#[test]
fn an_unreadable_cursor_is_reported_and_can_be_replaced() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    let bad = KeyValue { value: b"{".to_vec(), ..cursor("", 0, 7) };
    assert!(matches!(put(&mut view, &bad), News::Malformed(Some(_), _)));
    assert_eq!(decided_by(&mut view), Some((0, false, false)));
    assert_eq!(view.get(&lane()).unwrap().known().cursor, Revision(7));
}

#[test]
fn a_name_nobody_can_use_is_reported() {
    let news = put(&mut view(), &pair("jobs/../x", &json!({}), 1, 1));
    assert!(matches!(news, News::Malformed(None, what) if what.key == "/cron/jobs/../x"));
}

#[test]
fn keys_of_others_are_nobodys_business() {
    assert_eq!(put(&mut view(), &pair("lock/a", &json!(""), 1, 1)), News::None);
}

#[test]
fn a_job_that_is_gone_with_all_it_left_is_forgotten() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 1000, 5));
    assert_eq!(apply(&mut view, deleted("jobs/a", 6)), News::Job(name("a")));
    assert!(view.get(&lane()).unwrap().is_litter());
    apply(&mut view, deleted("cursor/a", 7));
    assert_eq!(view.names().count(), 0);
}

#[test]
fn a_job_that_this_worker_collected_is_forgotten_once_that_was_followed() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 1000, 5));
    apply(&mut view, deleted("jobs/a", 6));
    view.removed(&lane(), Revision::NONE, Revision(7));
    view.forget_if_gone(&name("a"));
    assert_eq!(view.names().count(), 1, "older answers may still come");
    apply(&mut view, deleted("cursor/a", 7));
    assert_eq!(view.names().count(), 0);
}

#[test]
fn after_a_new_listing_what_was_not_in_it_is_gone() {
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 1000, 5));
    let listed = HashSet::from(["/cron/cursor/a".to_owned()]);
    view.retain(&listed, Revision(9));
    assert!(view.get(&lane()).unwrap().is_litter());
}

#[test]
fn a_lane_on_a_node_is_held_by_runs_for_any_node_and_not_by_those_of_other_nodes() {
    let on = |node| Lane { node: NodeName::new(node), ..lane() };
    let busy = |view: &View, lane| view.get(&lane).unwrap().to_decide().unwrap().1.busy;
    let mut view = view();
    put(&mut view, &job("* * * * *", 1));
    for node in ["x", "y"] {
        let key = view.prefix().encode(&Key::Cursor(on(node)));
        put(&mut view, &KeyValue { key, ..cursor("* * * * *", 1000, 5) });
    }
    let key = view.prefix().encode(&Key::Run(on("x"), id()));
    assert_eq!(put(&mut view, &KeyValue { key, ..run("other", 6) }), News::Job(name("a")));
    assert_eq!([on("x"), on("y"), lane()].map(|lane| busy(&view, lane)), [true, false, true]);
    put(&mut view, &run("other", 7));
    assert_eq!([on("x"), on("y"), lane()].map(|lane| busy(&view, lane)), [true, true, true]);
    assert_eq!(view.lanes_of(&name("a")), [lane(), on("x"), on("y")]);
}

#[test]
fn what_a_job_left_is_litter_once_no_lane_has_a_run() {
    let mut view = view();
    let x = Lane { node: NodeName::new("x"), ..lane() };
    let key = |key: Key| KeyPrefix::default().encode(&key);
    put(&mut view, &job("* * * * *", 1));
    put(&mut view, &cursor("* * * * *", 1000, 5));
    put(&mut view, &KeyValue { key: key(Key::Cursor(x.clone())), ..cursor("* * * * *", 1000, 5) });
    put(&mut view, &KeyValue { key: key(Key::Run(x.clone(), id())), ..run("other", 6) });
    apply(&mut view, deleted("jobs/a", 7));
    let litter = |view: &View| [&x, &lane()].map(|lane| view.get(lane).unwrap().is_litter());
    assert_eq!(litter(&view), [false, false]);
    apply(&mut view, Change::Deleted { key: key(Key::Run(x.clone(), id())), revision: Revision(8) });
    assert_eq!(litter(&view), [true, true]);
}
