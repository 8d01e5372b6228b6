//! The runs of a job and the list of workers.

use crate::world::{EACH_SECOND, ONCE_A_YEAR, World, button};

#[test]
fn the_log_follows_the_latest_run_until_one_is_picked() {
    let world = World::start_with_worker();
    let browser = &world.browser;
    world.save("ticks", "echo \"slot $CRON_SCHEDULED_TIME\"", EACH_SECOND);
    browser.click(&button("Runs", "ticks"));
    let first = browser.until_text("#output", "slot ");
    browser.until("the output of a later run", || {
        Some(browser.text("#output")).filter(|text| text.contains("slot ") && *text != first)
    });
    browser.until("more runs than one in the list", || {
        let count = browser.eval("return document.querySelectorAll('#runs [data-run]').length").as_u64()?;
        (count > 1).then_some(())
    });
    browser.click("#runs [data-run]:last-of-type");
    let picked = browser.until_text("#output", "slot ");
    let newest = || browser.eval("return document.querySelector('#runs [data-run]').dataset.run");
    let newest_then = newest();
    browser.until("a newer run in the list", || (newest() != newest_then).then_some(()));
    assert_eq!(browser.text("#output"), picked);
    browser.screenshot("log");
    world.assert_clean();
}

#[test]
fn a_run_says_how_it_ended_and_a_deleted_job_keeps_its_log() {
    let world = World::start_with_worker();
    let browser = &world.browser;
    world.save("fails", "echo 'no disk' >&2; exit 3", EACH_SECOND);
    browser.click(&button("Runs", "fails"));
    browser.until_text("#output-message", "3");
    browser.until_text("#output", "no disk");
    browser.until_text("#runs", "Failed");
    assert_eq!(world.master.post("/job/delete", "name=fails").json()["errno"], 0);
    browser.until_text("#log-about", "This job was deleted; its records stay.");
    browser.click("#runs [data-run]:last-of-type");
    browser.until_text("#output", "no disk");
    world.assert_clean();
}

#[test]
fn workers_are_counted_and_listed_and_none_is_said_to_be_none() {
    let mut world = World::start();
    world.save("waits", "true", ONCE_A_YEAR);
    world.browser.until_text("#show-workers", "0");
    world.browser.click("#show-workers");
    world.browser.until_text("#workers-note", "No worker is alive, so nothing runs.");
    // The open list follows, and knows those of the replaced system.
    world.add_worker("n1");
    world.put("workers/10.0.0.9", "");
    world.browser.until_text("#workers-list", "n1");
    let list = world.browser.until_text("#workers-list", "10.0.0.9");
    assert!(list.contains("a worker of the replaced system") && list.contains("version"), "{list}");
    world.browser.until_text("#show-workers", "2");
    world.assert_clean();
}
