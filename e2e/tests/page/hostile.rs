//! Whoever may put a job may write what they like into every field. It stays text.

use serde_json::json;

use crate::world::{EACH_SECOND, ONCE_A_YEAR, World, button, row};

/// What would run if anything took it for HTML.
const SCRIPT: &str = "<img src=x onerror=\"window.ran=1\"><script>window.ran=1</script>";

#[test]
fn script_in_every_field_stays_text() {
    let mut world = World::start();
    world.add_worker(SCRIPT);
    let name = "<img src=x onerror=\"window.ran=1\">";
    let command = format!("printf '%s' '{SCRIPT}'; exit 3");
    world.save(name, &command, EACH_SECOND);
    let browser = &world.browser;
    let shown = browser.until_text(&row(name), "Failed");
    assert!(shown.contains(name) && shown.contains("<script>"), "{shown}");
    world.put("jobs/value", &json!({ "name": SCRIPT, "command": SCRIPT, "cronExpr": SCRIPT }).to_string());
    world.put(&format!("workers/{SCRIPT}"), SCRIPT);
    let owner = json!({ "resource": { "namespace": SCRIPT, "name": SCRIPT, "uid": SCRIPT } });
    let theirs = json!({ "name": "owned", "command": "true", "cronExpr": ONCE_A_YEAR, "owner": owner });
    world.put("jobs/owned", &theirs.to_string());
    browser.until_text(&row("value"), "<script>");
    browser.until_text(&row("owned"), "<script>");

    browser.click(&button("Runs", name));
    let output = browser.until_text("#output", "window.ran");
    assert_eq!(output, SCRIPT);
    browser.until_text("#log-command", "<script>");
    browser.screenshot("hostile");
    browser.click("#log [data-close]");
    browser.click("#show-workers");
    browser.until_text("#workers-list", "<script>");
    browser.click("#workers [data-close]");
    browser.fill("#search-text", SCRIPT);
    browser.until_text("#unmatched", "No job has this in its name");
    browser.fill("#search-text", name);
    browser.until_text("#count", "1 of 3");
    browser.click(&button("Edit", name));
    browser.fill("#edit-cronExpr", SCRIPT);
    browser.until_text("#preview", "<script>");
    browser.fill("#edit-cronExpr", ONCE_A_YEAR);
    browser.click("#edit [type=submit]");
    browser.until_text("#notices", name);
    browser.click(&button("Delete", name));
    browser.until_text("#confirm", name);
    browser.click("#confirm-do");
    browser.until_text("#notices", "is deleted");
    assert_eq!(browser.eval("return window.ran ?? 0"), 0);
    assert_eq!(
        browser.eval(
            "return document.querySelectorAll('body script, body img:not([src=\"/icon.svg\"])').length"
        ),
        0
    );
    world.assert_asked_nobody_else();
}

#[test]
fn the_policy_lets_nothing_in_even_if_the_page_would() {
    let world = World::start();
    let browser = &world.browser;
    browser.until_text("#none", "No jobs yet");
    // As a mistake of ours would do it.
    browser.eval(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">');
         document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran=1' }));
         document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.2:1/' }));
         fetch('http://127.0.0.2:1/').catch(() => { window.refused = 1; });",
    );
    browser.until("the request to be refused", || {
        (browser.eval("return window.refused ?? 0") == 1).then_some(())
    });
    assert_eq!(browser.eval("return window.ran ?? 0"), 0);
    let complaints = browser.complaints().join("\n");
    for part in ["script-src", "img-src", "connect-src"] {
        assert!(complaints.contains(part), "{part} in {complaints}");
    }
}
