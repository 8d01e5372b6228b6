//! Everything by the keyboard alone.

use e2e::Key;

use crate::world::{ONCE_A_YEAR, World, row};

#[test]
fn a_job_is_created_edited_and_deleted_by_the_keyboard_alone() {
    let world = World::start();
    let browser = &world.browser;
    world.save("zz", "true", ONCE_A_YEAR);
    let focus = |name: &str| {
        browser.until(&format!("the focus on {name}"), || (browser.focused() == name).then_some(()));
    };

    browser.tab_to("New job");
    browser.press(&[Key::Enter]);
    focus("Name");
    browser.type_text("typed");
    browser.press(&[Key::Tab]);
    focus("Command");
    browser.type_text("echo typed");
    browser.press(&[Key::Tab]);
    focus("Schedule");
    browser.type_text(ONCE_A_YEAR);
    browser.until_text("#preview", "03:00");
    browser.press(&[Key::Enter]);
    browser.until_text("#notices", "typed is created.");
    // Where the form was opened.
    focus("New job");
    browser.until_text(&row("typed"), "echo typed");

    browser.tab_to("Edit typed");
    browser.press(&[Key::Enter]);
    focus("Command");
    browser.press(&[Key::End]);
    browser.type_text(" twice");
    browser.tab_to("Save");
    browser.press(&[Key::Enter]);
    browser.until_text(&row("typed"), "echo typed twice");
    focus("Edit typed");

    browser.tab_to("Suspend typed");
    browser.press(&[Key::Enter]);
    focus("Resume typed");

    browser.tab_to("Delete typed");
    browser.press(&[Key::Enter]);
    focus("Cancel");
    browser.press(&[Key::Escape]);
    focus("Delete typed");
    browser.press(&[Key::Enter]);
    focus("Cancel");
    browser.press(&[Key::Tab]);
    browser.press(&[Key::Enter]);
    browser.until_gone(&row("typed"));
    // The row that took its place.
    focus("Runs zz");

    browser.press(&[Key::Enter]);
    browser.until_text("#log", "No runs yet");
    browser.press(&[Key::Escape]);
    focus("Runs zz");
    world.assert_clean();
}

#[test]
fn the_first_tab_offers_to_skip_to_the_jobs() {
    let world = World::start();
    let browser = &world.browser;
    browser.press(&[Key::Tab]);
    assert_eq!(browser.focused(), "Skip to the jobs");
    browser.press(&[Key::Enter]);
    browser.until("the focus on the jobs", || {
        (browser.eval("return document.activeElement.id") == "jobs").then_some(())
    });
    browser.press(&[Key::Tab]);
    assert_eq!(browser.focused(), "Search jobs by name");
    browser.press_with_shift(Key::Tab);
    assert_eq!(browser.focused(), "New job");
}
