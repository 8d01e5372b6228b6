//! Ten thousand jobs.

use std::thread;

use crate::world::{ONCE_A_YEAR, World, row};

const JOBS: usize = 10_000;
const AT_ONCE: usize = 4;

#[test]
fn ten_thousand_jobs_are_paged_and_searched_and_the_page_stays_small() {
    let world = World::start();
    let browser = &world.browser;
    thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let master = &world.master;
            scope.spawn(move || {
                for number in (first..JOBS).step_by(AT_ONCE) {
                    let answer = master.save(&format!("job-{number:05}"), "true", ONCE_A_YEAR);
                    assert_eq!(answer.json()["errno"], 0, "{answer:?}");
                }
            });
        }
    });
    browser.until_text("#count", "10,000 jobs");
    let rows = || browser.eval("return document.querySelectorAll('#rows tr').length").as_u64().unwrap();
    assert_eq!(rows(), 50);
    browser.click("#next");
    browser.until("the second page", || browser.shows(&row("job-00050")).then_some(()));
    assert_eq!(rows(), 50);
    browser.screenshot("many");
    browser.click("#previous");
    browser.until("the first page", || browser.shows(&row("job-00000")).then_some(()));
    browser.fill("#search-text", "B-0999");
    browser.until_text("#count", "10 of 10,000 jobs");
    browser.until("what matches alone", || (rows() == 10).then_some(()));
    browser.fill("#search-text", "none-has-this");
    browser.until_text("#unmatched", "10,000 jobs have other names.");
    browser.click("#show-all");
    browser.until_text("#count", "10,000 jobs");
    world.assert_clean();
}
