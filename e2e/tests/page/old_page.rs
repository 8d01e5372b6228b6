//! A stand-in of the replaced system's page, on its six calls.

use std::fs;
use std::path::Path;

use e2e::tool;
use serde_json::Value;

use crate::world::{EACH_SECOND, ONCE_A_YEAR, World};

/// The row's button of a class.
fn button(number: usize, class: &str) -> String {
    format!("#jobs tr:nth-child({number}) .{class}")
}

#[test]
fn the_old_page_lists_edits_kills_and_deletes_and_runs_no_output() {
    let root = tempfile::tempdir().unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("legacy-page/index.html");
    fs::copy(page, root.path().join("index.html")).unwrap();
    fs::copy(tool("jquery.min.js"), root.path().join("jquery.min.js")).unwrap();
    let folder = root.path().to_str().unwrap().to_owned();
    let mut world = World::start_with(|options| options.arguments.extend(["--web-root".to_owned(), folder]));
    world.add_worker("10.0.0.4");
    let browser = &world.browser;
    let stored =
        |name: &str| -> Value { serde_json::from_str(&world.value(&format!("jobs/{name}"))).unwrap() };

    let command = "test 1 -lt 2 && echo \"a < b\" '&amp;' > /dev/null";
    browser.click("#new-job");
    browser.fill("#edit-name", "old <b>style</b>");
    browser.fill("#edit-command", command);
    browser.fill("#edit-cronExpr", ONCE_A_YEAR);
    browser.click("#save");
    browser.until_text("#message", "success");
    assert_eq!(stored("old <b>style</b>")["command"], command);
    browser.until("the job in the list", || (browser.text("#jobs .command") == command).then_some(()));
    // What is listed, edited and saved again is what it was.
    browser.click(&button(1, "edit"));
    browser.fill("#edit-cronExpr", EACH_SECOND);
    browser.click("#save");
    browser.until("the new expression", || (browser.text("#jobs .cronExpr") == EACH_SECOND).then_some(()));
    assert_eq!(stored("old <b>style</b>")["command"], command);

    browser.fill("#edit-name", "talks");
    browser.fill(
        "#edit-command",
        "echo '<script>window.ran=1</script><img src=x onerror=window.ran=1>'; sleep 300",
    );
    browser.click("#save");
    browser.until("both jobs", || browser.shows(&button(2, "kill")).then_some(()));
    // Each second it runs anew, so a kill may come before it has written anything.
    let output = "<script>window.ran=1</script><img src=x onerror=window.ran=1>";
    browser.until("a killed run with its output", || {
        browser.click(&button(2, "kill"));
        browser.click(&button(2, "log"));
        browser.text("#log .output").contains(output).then_some(())
    });
    assert!(browser.text("#log").contains("killed"), "{}", browser.text("#log"));
    assert_eq!(browser.eval("return window.ran ?? 0"), 0);
    browser.click("#list-workers");
    browser.until_text("#workers", "10.0.0.4");
    browser.screenshot("old-page");

    browser.click("#new-job");
    browser.fill("#edit-name", "wrong");
    browser.fill("#edit-command", "true");
    browser.fill("#edit-cronExpr", "61 * * * *");
    browser.click("#save");
    browser.until_text("#message", "failed: cronExpr: ");

    browser.click(&button(2, "delete"));
    browser.until("one job less", || (!browser.shows(&button(2, "delete"))).then_some(()));
    assert_eq!(world.value("jobs/talks"), "");
    world.assert_clean();
}
