//! A browser: headless Chromium, driven through chromedriver as a person drives it, by clicks and keys.
//!
//! Whatever a page changes under a command (a row that is drawn anew while it is clicked) makes the command wait and try
//! again, for a minute at most.

use std::fmt;
use std::fs;
use std::future::Future;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
pub use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::{ParseError, Url};

use crate::process::{Process, free_port, until};
use crate::tool;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is asked of axe: all that it finds, and of what weight. It fetches nothing.
const AXE: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ['violations'], preload: false }).then(
        (found) => done(found.violations.map(({ impact, id, help, nodes }) =>
            [impact, `${impact}: ${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`])),
        (error) => done([['critical', String(error)]]));";

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// On a phone, held upright.
    pub phone: bool,
    /// On a system that is set to dark.
    pub dark: bool,
}

impl Look {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self { phone: false, dark: false },
        Self { phone: false, dark: true },
        Self { phone: true, dark: false },
        Self { phone: true, dark: true },
    ];
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = if self.phone { "phone" } else { "desktop" };
        let colours = if self.dark { "dark" } else { "light" };
        write!(f, "{size}-{colours}")
    }
}

/// A Chromium with one window and a profile of its own, in English and in UTC.
#[derive(Debug)]
pub struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    // Before the folder, so that the end of the log can be shown when a test fails.
    driver: Process,
    folder: TempDir,
}

impl Browser {
    /// Starts a browser with an empty window, as on a desktop and light.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("browser-").tempdir().expect("a temporary folder");
        let port = free_port();
        let mut command = Command::new(tool("chromedriver"));
        command.arg(format!("--port={port}")).env("TZ", "UTC").env("HOME", folder.path());
        let driver = Process::start("chromedriver", &mut command, &folder.path().join("log"));
        until("chromedriver to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let mut browser = Self { runtime, client: None, driver, folder };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let Value::Object(capabilities) = browser.capabilities() else { unreachable!("it is an object") };
        builder.capabilities(capabilities);
        let url = format!("http://127.0.0.1:{port}");
        let client = browser.wait(builder.connect(&url)).expect("Chromium starts");
        browser.client = Some(client);
        browser.look(Look { phone: false, dark: false });
        // Its own first page asks for things too.
        browser.open("about:blank");
        browser.requests();
        browser
    }

    fn capabilities(&self) -> Value {
        let mut arguments: Vec<String> = [
            "--headless",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            // It would look for its maker's servers.
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--no-first-run",
            "--lang=en-US",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--user-data-dir={}", self.profile().display()));
        if getuid().is_root() {
            // Its own refuses to work for root.
            arguments.push("--no-sandbox".to_owned());
        }
        json!({
            "goog:chromeOptions": { "binary": tool("chromium"), "args": arguments },
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        })
    }

    fn profile(&self) -> PathBuf {
        self.folder.path().join("profile")
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is there until the browser is dropped")
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let limited = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
        limited.expect("the browser answers within a minute")
    }

    fn command(&self, path: &'static str, body: Value) -> Value {
        self.wait(self.client().issue_cmd(Extension { path, body })).expect("Chromium can do that")
    }

    fn devtools(&self, method: &str, parameters: &Value) {
        self.command("goog/cdp/execute", json!({ "cmd": method, "params": parameters }));
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.wait(self.client().goto(url)).unwrap_or_else(|why| panic!("{url} can't be opened: {why}"));
    }

    /// Makes the window that of another device.
    pub fn look(&self, look: Look) {
        let (width, height) = if look.phone { (390, 844) } else { (1280, 800) };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": look.phone });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if look.dark { "dark" } else { "light" };
        // Without motion, so that no colour is seen on its way to another.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Cuts the page off from the network, or connects it again.
    pub fn offline(&self, offline: bool) {
        self.devtools("Network.enable", &json!({}));
        let conditions =
            json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.devtools("Network.emulateNetworkConditions", &conditions);
    }

    /// Runs a script as the body of a function and returns what it returns.
    pub fn eval(&self, script: &str) -> Value {
        let result = self.wait(self.client().execute(script, Vec::new()));
        result.unwrap_or_else(|why| panic!("{script}: {why}"))
    }

    /// Waits until `found` finds something; panics with `what` after a minute. Each question costs the browser work, so
    /// they come slower than those of [`until`].
    pub fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        until(what, || {
            let found = found();
            if found.is_none() {
                thread::sleep(Duration::from_millis(100));
            }
            found
        })
    }

    /// Clicks on the first element that the selector finds, as soon as it can be clicked.
    pub fn click(&self, css: &str) {
        self.until(&format!("{css} to be clicked"), || {
            self.wait(async { self.client().find(Locator::Css(css)).await?.click().await }).ok()
        });
    }

    /// Writes into a field in place of what is there.
    pub fn fill(&self, css: &str, text: &str) {
        self.until(&format!("{css} to be filled"), || {
            self.wait(async {
                let field = self.client().find(Locator::Css(css)).await?;
                field.clear().await?;
                field.send_keys(text).await
            })
            .ok()
        });
    }

    /// Presses keys one after the other, wherever the focus is.
    pub fn press(&self, keys: &[Key]) {
        for key in keys {
            self.type_text(&char::from(*key).to_string());
        }
    }

    /// Presses a key while Shift is held.
    pub fn press_with_shift(&self, key: Key) {
        let (shift, key) = (Key::Shift.into(), key.into());
        self.act(&[
            KeyAction::Down { value: shift },
            KeyAction::Down { value: key },
            KeyAction::Up { value: key },
            KeyAction::Up { value: shift },
        ]);
    }

    /// Types a text, wherever the focus is.
    pub fn type_text(&self, text: &str) {
        let strokes = text.chars().flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
        self.act(&strokes.collect::<Vec<_>>());
    }

    fn act(&self, strokes: &[KeyAction]) {
        let keyboard = KeyActions::new("keyboard".to_owned());
        let actions = strokes.iter().fold(keyboard, |actions, stroke| actions.then(stroke.clone()));
        self.wait(self.client().perform_actions(actions)).expect("keys can be pressed");
    }

    /// The text of the first element that the selector finds, as a person sees it; nothing where it is not there or hidden.
    pub fn text(&self, css: &str) -> String {
        let found = self.wait(async { self.client().find(Locator::Css(css)).await?.text().await });
        found.unwrap_or_default()
    }

    /// Waits until the text of an element has a part, and returns it.
    pub fn until_text(&self, css: &str, part: &str) -> String {
        self.until(&format!("{part:?} in {css}"), || Some(self.text(css)).filter(|text| text.contains(part)))
    }

    /// Waits until nothing that the selector finds is seen.
    pub fn until_gone(&self, css: &str) {
        self.until(&format!("{css} to be gone"), || (!self.shows(css)).then_some(()));
    }

    /// Whether the first element that the selector finds is seen.
    pub fn shows(&self, css: &str) -> bool {
        self.wait(async { self.client().find(Locator::Css(css)).await?.is_displayed().await })
            .unwrap_or(false)
    }

    /// What has the focus, by its name: its label, or else its text. Nothing if it is the whole page.
    pub fn focused(&self) -> String {
        let script = "const at = document.activeElement;
            if (at === document.body) return '';
            return at.getAttribute('aria-label') ?? at.labels?.[0]?.textContent ?? at.textContent;";
        self.eval(script).as_str().unwrap_or_default().trim().to_owned()
    }

    /// Presses Tab until something of this name has the focus.
    ///
    /// # Panics
    /// If fifty do not get there.
    pub fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..50 {
            self.press(&[Key::Tab]);
            let at = self.focused();
            if at == name {
                return;
            }
            passed.push(at);
        }
        panic!("Tab does not get to {name}, only to {passed:?}");
    }

    /// Keeps what is seen as `target/screenshots/<name>.png`.
    pub fn screenshot(&self, name: &str) {
        // A test program is <target>/<profile>/deps/<name>.
        let test = std::env::current_exe().expect("a test program knows its file");
        let target = test.ancestors().nth(3).expect("cargo puts a test program three folders deep");
        let folder = target.join("screenshots");
        let picture = self.wait(self.client().screenshot()).expect("Chromium takes a picture");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(format!("{name}.png")), picture))
            .expect("target can be written");
    }

    /// The addresses that were asked for since the last call, by whatever part of the page.
    pub fn requests(&self) -> Vec<String> {
        let events = self.log("performance");
        let urls = events.iter().filter_map(|event| {
            let event: Value = serde_json::from_str(event["message"].as_str()?).ok()?;
            let (method, parameters) = (&event["message"]["method"], &event["message"]["params"]);
            match method.as_str()? {
                "Network.requestWillBeSent" => parameters["request"]["url"].as_str().map(str::to_owned),
                "Network.webSocketCreated" => parameters["url"].as_str().map(str::to_owned),
                _ => None,
            }
        });
        urls.collect()
    }

    /// What the browser has complained about since the last call: errors of scripts, and what a policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser");
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let Value::Array(entries) = self.command("se/log", json!({ "type": kind })) else {
            return Vec::new();
        };
        entries
    }

    /// What axe finds that keeps people out, of what is shown now: everything serious or critical.
    pub fn barriers(&self) -> Vec<String> {
        if self.eval("return !window.axe") == json!(true) {
            self.eval(&fs::read_to_string(tool("axe.min.js")).expect("axe can be read"));
        }
        let found = self.wait(self.client().execute_async(AXE, Vec::new())).expect("axe runs");
        let found: Vec<(String, String)> = serde_json::from_value(found).expect("it answers with pairs");
        let serious = |impact: &str| matches!(impact, "serious" | "critical");
        found.into_iter().filter(|(impact, _)| serious(impact)).map(|(_, what)| what).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() && self.client.is_some() {
            let name = thread::current().name().unwrap_or("a-test").replace("::", "-");
            let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.screenshot(&format!("failed-{name}"));
                self.complaints()
            }));
            eprintln!("--- target/screenshots/failed-{name}.png; complaints: {seen:?}");
        }
        if let Some(client) = self.client.take() {
            let closed = async { tokio::time::timeout(Duration::from_secs(10), client.close()).await };
            // What is left is ended below.
            let _ = self.runtime.block_on(closed);
        }
        self.driver.kill();
        for process in processes_naming(&self.profile()) {
            // It may have ended by itself.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// The processes that have a path among their arguments.
fn processes_naming(path: &Path) -> Vec<Pid> {
    let path = path.to_string_lossy();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let naming = processes.filter_map(|process| {
        let process = process.ok()?;
        let id: i32 = process.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(process.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&arguments).contains(&*path).then(|| Pid::from_raw(id))?
    });
    naming.collect()
}

/// A command of chromedriver beyond the standard.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
