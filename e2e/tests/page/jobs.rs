//! What can be done with jobs, by the mouse.

use e2e::Key;
use serde_json::{Value, json};

use crate::world::{EACH_SECOND, ONCE_A_YEAR, World, button, row};

#[test]
fn a_job_is_created_suspended_killed_edited_resumed_and_deleted() {
    let world = World::start_with_worker();
    let browser = &world.browser;
    let (name, row) = ("ops/sleepy", row("ops/sleepy"));
    browser.until_text("#none", "No jobs yet");
    browser.click("#first-job");
    browser.fill("#edit-name", name);
    browser.fill("#edit-command", "echo a && echo 'b < c'; sleep 300");
    browser.fill("#edit-cronExpr", EACH_SECOND);
    browser.until_text("#preview", "Every second");
    browser.screenshot("preview");
    browser.click("#edit [type=submit]");
    browser.until_text("#notices", "ops/sleepy is created.");
    browser.until_gone("#edit");
    browser.until_text(&row, "Every second");
    browser.until_text(&row, "Running");
    let stored = || -> Value { serde_json::from_str(&world.value("jobs/ops/sleepy")).unwrap() };
    assert_eq!(stored()["command"], "echo a && echo 'b < c'; sleep 300");

    browser.click(&button("Suspend", name));
    browser.until_text("#notices", "ops/sleepy is suspended. What runs goes on.");
    let shown = browser.until_text(&row, "Suspended");
    assert!(shown.contains("Running") && shown.contains("when it is resumed"), "{shown}");

    browser.click(&button("Kill", name));
    browser.until_text("#confirm", "SIGTERM");
    browser.click("#confirm-do");
    browser.until_text("#notices", "ops/sleepy is asked to end.");
    browser.until_text(&row, "Killed");
    browser.until_gone(&button("Kill", name));

    browser.click(&button("Edit", name));
    browser.until("the form", || browser.shows("#edit-command").then_some(()));
    let command = browser.eval("return document.getElementById('edit-command').value");
    assert_eq!(command, "echo a && echo 'b < c'; sleep 300");
    browser.fill("#edit-cronExpr", ONCE_A_YEAR);
    browser.until_text("#preview", "03:00");
    browser.click("#edit [type=submit]");
    browser.until_text("#notices", "ops/sleepy is saved.");
    browser.until_gone("#edit");
    let saved = stored();
    assert_eq!(saved["command"], "echo a && echo 'b < c'; sleep 300");
    // Suspending made it a job in full: its schedule is as typed, and old workers read the same instants.
    assert_eq!(
        (&saved["spec"]["schedule"], &saved["cronExpr"]),
        (&json!(ONCE_A_YEAR), &json!("0 0 3 29 2 * *"))
    );

    browser.click(&button("Edit", name));
    browser.fill("#edit-command", "echo edited");
    browser.click("#edit [type=submit]");
    browser.until_text(&row, "echo edited");

    browser.click(&button("Resume", name));
    browser.until_text("#notices", "ops/sleepy is resumed.");
    browser.until_text(&row, "Idle");

    browser.click(&button("Delete", name));
    browser.until_text("#confirm", "Its records stay.");
    // Nothing happens by looking at the question.
    browser.click("#confirm [data-close]");
    browser.until_gone("#confirm");
    assert!(browser.shows(&row));
    browser.click(&button("Delete", name));
    browser.click("#confirm-do");
    browser.until_text("#notices", "ops/sleepy is deleted.");
    browser.until_text("#none", "No jobs yet");
    assert_eq!(world.value("jobs/ops/sleepy"), "");
    world.assert_clean();
}

#[test]
fn each_mistake_is_told_at_its_field_and_nothing_is_saved() {
    let world = World::start();
    let browser = &world.browser;
    world.save("taken", "true", ONCE_A_YEAR);
    // Name, command, expression, the field, what is said there.
    let table = [
        ("", "true", ONCE_A_YEAR, "name", "Write a name."),
        ("taken", "true", ONCE_A_YEAR, "name", "A job of this name exists; edit it, or choose another name."),
        ("a//b", "true", ONCE_A_YEAR, "name", "write it as name or namespace/name"),
        ("new", " ", ONCE_A_YEAR, "command", "Write the line to run."),
        ("new", "true", "", "cronExpr", "Write when it runs, such as 0 3 * * * for 03:00 every day."),
        ("new", "true", "61 * * * *", "cronExpr", "minutes are 0 to 59"),
        ("new", "true", "every hour", "cronExpr", "write 5"),
        ("new", "true", "0 0 31 2 *", "cronExpr", "never"),
    ];
    browser.click("#new-job");
    for (name, command, expression, field, said) in table {
        let case = format!("{name:?} {command:?} {expression:?}");
        for (field, text) in [("name", name), ("command", command), ("cronExpr", expression)] {
            browser.fill(&format!("#edit-{field}"), text);
        }
        browser.click("#edit [type=submit]");
        browser.until_text(&format!("#edit-{field}-error"), said);
        browser.until(&format!("the focus on what is wrong: {case}"), || {
            (browser.eval("return document.activeElement.id") == json!(format!("edit-{field}"))).then_some(())
        });
        let told = browser
            .eval(&format!("return document.getElementById('edit-{field}').getAttribute('aria-invalid')"));
        assert_eq!(told, "true", "{case}");
    }
    assert_eq!(world.etcd.ctl(&["get", "--prefix", "--keys-only", "/cron/jobs/"]).trim(), "/cron/jobs/taken");
    world.assert_asked_nobody_else();
}

#[test]
fn a_misspelt_schedule_shows_where_it_is_wrong_and_is_mended_by_a_click() {
    let world = World::start();
    let browser = &world.browser;
    browser.click("#new-job");
    browser.fill("#edit-name", "weekly");
    browser.fill("#edit-command", "true");
    browser.fill("#edit-cronExpr", "0 3 * * MOM");
    browser.until_text("#preview mark", "MOM");
    browser.screenshot("mistake");
    browser.click("#preview button");
    browser.until_text("#preview", "Monday");
    browser.click("#edit [type=submit]");
    browser.until_text(&row("weekly"), "At 03:00 on Monday");
}

#[test]
fn what_was_written_is_not_thrown_away_by_one_escape() {
    let world = World::start();
    let browser = &world.browser;
    browser.click("#new-job");
    browser.press(&[Key::Escape]);
    browser.until_gone("#edit");
    browser.click("#new-job");
    browser.type_text("long-thought");
    browser.press(&[Key::Escape]);
    browser.until_text("#edit-error", "What you wrote is not saved.");
    browser.press(&[Key::Escape]);
    browser.until_gone("#edit");
}

#[test]
fn a_job_of_somebody_else_and_one_that_is_no_job_say_what_to_do() {
    let world = World::start();
    let browser = &world.browser;
    let spec = json!({ "schedule": "0 3 * * *", "template": { "command": "true" } });
    let owned = json!({ "name": "ops/owned", "command": "true", "cronExpr": "0 3 * * *", "spec": spec,
        "owner": { "resource": { "namespace": "ops", "name": "nightly", "uid": "u" } } });
    world.put("jobs/ops/owned", &owned.to_string());
    world.put("jobs/broken", "{");
    world.put("jobs/a//b", "{}");
    browser.until_text(&row("ops/owned"), "from NodeCronJob ops/nightly; change it there");
    assert!(!browser.shows(&button("Edit", "ops/owned")) && !browser.shows(&button("Suspend", "ops/owned")));
    browser.until_text(&row("a//b"), "remove the key");
    assert!(!browser.shows(&button("Delete", "a//b")));
    browser.until_text(&row("broken"), "Invalid");
    browser.click(&button("Delete", "broken"));
    browser.click("#confirm-do");
    browser.until_gone(&row("broken"));
    world.assert_clean();
}
