//! The server goes away and comes back.

use crate::world::{ONCE_A_YEAR, World, button, row};

#[test]
fn a_lost_connection_is_told_and_mended() {
    let mut world = World::start();
    world.save("kept", "true", ONCE_A_YEAR);
    world.browser.click(&button("Edit", "kept"));
    world.browser.fill("#edit-command", "echo kept");
    world.master.process_mut().kill();
    world.browser.click("#edit [type=submit]");
    world.browser.until_text("#edit-error", "The server does not answer; is it running?");
    world.browser.screenshot("away-edit");
    let said = world.browser.until_text("#away", "The server does not answer.");
    assert!(said.contains("What is shown is from"), "{said}");
    // What was shown stays, and what was written too.
    assert!(world.browser.shows(&row("kept")));
    world.master.start_again();
    world.browser.until_gone("#away");
    world.browser.until_text("#notices", "The server answers again.");
    world.browser.click("#edit [type=submit]");
    world.browser.until_text(&row("kept"), "echo kept");

    world.browser.click(&button("Runs", "kept"));
    world.browser.until_text("#log", "No runs yet");
    world.master.process_mut().kill();
    world.browser.until_text("#log-error", "The server does not answer.");
    world.browser.screenshot("away-log");
    world.master.start_again();
    world.browser.until_gone("#log-error");
}

#[test]
fn etcd_away_is_said_with_what_to_do_and_left_behind() {
    let mut world = World::start();
    world.save("kept", "true", ONCE_A_YEAR);
    world.etcd.kill();
    world.browser.until_text("#away", "The server could not answer:");
    assert!(world.browser.shows(&row("kept")));
    world.etcd.start_again();
    world.browser.until_gone("#away");
}
