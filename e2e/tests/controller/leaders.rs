//! Two controllers, one of which works.

use e2e::{Controller, until};
use rustix::process::Signal;

use crate::world::{World, yearly};

const LEADER: &str = "crontab_controller_leader";

fn leader<'c>(controllers: &[&'c Controller]) -> &'c Controller {
    until("a leader", || controllers.iter().find(|controller| controller.metric(LEADER) > 0.0).copied())
}

#[test]
fn of_two_controllers_one_writes_and_the_other_takes_over_when_it_ends_or_dies() {
    let world = World::start();
    let mut first = world.controller();
    let mut second = world.controller();
    assert!((first.metric(LEADER) - 1.0).abs() < f64::EPSILON);
    assert!(second.is_ready(), "one that stands by is ready");
    world.apply("a", &yearly("true"));
    world.until_ready("a");
    assert!(second.metric(LEADER).abs() < f64::EPSILON);
    assert!(second.metric("crontab_controller_looks_total").abs() < f64::EPSILON, "it looks at nothing");

    assert!(first.process_mut().stop().success());
    leader(&[&second]);
    world.apply("b", &yearly("true"));
    world.until_ready("b");
    first.start_again();
    first.until_ready();
    second.kill();
    leader(&[&first]);
    world.apply("c", &yearly("true"));
    world.until_ready("c");
}

#[test]
fn a_leader_that_was_paused_stops_working_when_it_wakes() {
    let world = World::start();
    let first = world.controller();
    let second = world.controller();
    first.process().signal(Signal::STOP);
    leader(&[&second]);
    first.process().signal(Signal::CONT);
    until("the first to stand by", || (first.metric(LEADER) < 0.5).then_some(()));
    assert!(second.metric(LEADER) > 0.5);
    world.apply("a", &yearly("true"));
    world.until_ready("a");
}
