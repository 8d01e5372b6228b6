//! Each view on a desktop and on a phone, light and dark: kept as a picture, and free of what keeps people out.

use e2e::Look;
use serde_json::json;

use crate::world::{EACH_SECOND, ONCE_A_YEAR, World, button, row};

/// Keeps pictures of what is shown, and fails where axe finds something serious.
fn inspect(world: &World, view: &str) {
    let mut barriers = Vec::new();
    for look in Look::ALL {
        world.browser.look(look);
        let theme = if look.dark { "dark" } else { "light" };
        world.browser.until(&format!("{view} to be {theme}"), || {
            (world.browser.eval("return document.documentElement.dataset.bsTheme") == theme).then_some(())
        });
        world.browser.screenshot(&format!("{view}-{look}"));
        barriers.extend(world.browser.barriers().into_iter().map(|found| format!("{view}, {look}: {found}")));
        // A phone would zoom out until all fits, and innerWidth with it.
        let page = "document.documentElement";
        let wider = world.browser.eval(&format!("return {page}.scrollWidth - {page}.clientWidth"));
        assert!(wider.as_i64().unwrap() <= 0, "{view} is wider than the {look} by {wider}");
    }
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
    world.browser.look(Look::ALL[0]);
}

#[test]
fn every_view_looks_right_and_keeps_nobody_out() {
    let mut world = World::start();
    world.browser.until_text("#none", "No jobs yet");
    inspect(&world, "empty");
    world.browser.click("#show-workers");
    world.browser.until_text("#workers-note", "No worker");
    inspect(&world, "no-workers");
    world.browser.click("#workers [data-close]");

    world.add_worker("node-1");
    world.save(
        "ops/backup",
        "pg_dump --format=custom inventory > /srv/backup/inventory.dump",
        "30 2 * * 1-5",
    );
    world.save(
        "ops/check-disks",
        "echo 'checking'; test ! -e /dev/sdz && echo 'all disks are there'",
        EACH_SECOND,
    );
    world.save("ops/fails-often", "echo 'no route to host' >&2; exit 7", EACH_SECOND);
    world.save("ops/long", "echo begin; sleep 300", EACH_SECOND);
    world.save("ops/paused", "true", "*/15 * * * *");
    world.put(
        "jobs/by-hand",
        &json!({ "name": "by-hand", "command": "true", "cronExpr": "61 * * * *" }).to_string(),
    );
    let long = "a-team-with-a-long-name/a-job-whose-name-is-quite-long-because-somebody-generates-it-0123456789abcdef";
    world.save(long, "true", ONCE_A_YEAR);
    let browser = &world.browser;
    browser.click(&button("Suspend", "ops/paused"));
    browser.until_text(&row("ops/paused"), "Suspended");
    browser.until_text(&row("by-hand"), "Invalid");
    browser.until_text(&row("ops/long"), "Running");
    browser.until_text(&row("ops/fails-often"), "Failed");
    browser.until_text(&row("ops/check-disks"), "Succeeded");
    inspect(&world, "jobs");

    browser.fill("#search-text", "nothing-like-this");
    browser.until_text("#unmatched", "No job has this in its name");
    inspect(&world, "unmatched");
    browser.click("#show-all");

    browser.click("#new-job");
    inspect(&world, "new");
    browser.fill("#edit-name", "weekly");
    browser.fill("#edit-cronExpr", "0 3 * * MOM");
    browser.until_text("#preview", "Use MON");
    browser.click("#edit [type=submit]");
    browser.until_text("#edit-command-error", "Write the line to run.");
    inspect(&world, "new-mistakes");
    browser.click("#edit [data-close]");

    browser.click(&button("Edit", "ops/backup"));
    browser.until_text("#preview", "02:30");
    inspect(&world, "edit");
    browser.click("#edit [data-close]");

    browser.click(&button("Kill", "ops/long"));
    inspect(&world, "confirm");
    browser.click("#confirm [data-close]");

    browser.click(&button("Runs", "ops/fails-often"));
    browser.until_text("#output", "no route to host");
    inspect(&world, "log");
    browser.click("#log [data-close]");

    browser.click("#show-workers");
    browser.until_text("#workers-list", "node-1");
    inspect(&world, "workers");
    browser.click("#workers [data-close]");
    world.assert_clean();

    world.master.process_mut().kill();
    world.browser.until_text("#away", "The server does not answer.");
    inspect(&world, "away");
}
