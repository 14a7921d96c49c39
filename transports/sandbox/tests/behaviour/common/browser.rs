//! Chromium without a window, driven over the WebDriver protocol.

use std::process::{Child, Command, Stdio};

use cycles_conformance::TempDir;
use serde_json::{Value, json};

use super::program::{LONG, ask, lines};

/// One browser with one page.
pub struct Browser {
    driver: Child,
    url: String,
    session: String,
    /// What the browser keeps on disk.
    _profile: TempDir,
}

impl Browser {
    /// Starts it. It is not everywhere, so it has to be asked for with `CYCLES_BROWSER=1`; without that, this says so and
    /// returns `None`.
    pub fn start() -> Option<Self> {
        if std::env::var_os("CYCLES_BROWSER").is_none() {
            println!("SKIPPED: without CYCLES_BROWSER=1 no chromedriver is started");
            return None;
        }
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("CYCLES_BROWSER is set, so chromedriver and Chromium have to be there");
        let out = lines(driver.stdout.take().unwrap());
        let port = loop {
            let line = out.recv_timeout(LONG).unwrap();
            if let Some(port) = line.split("started successfully on port ").nth(1) {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let profile = TempDir::new();
        let profile_argument = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile_argument,
        ];
        let options = json!({"args": arguments});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let mut browser = Self {
            driver,
            url: format!("http://127.0.0.1:{port}"),
            session: String::new(),
            _profile: profile,
        };
        let session = browser.order("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn order(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = ask(&self.url, "x: x", method, path, &body);
        let mut answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{status} {answer}"));
        assert_eq!(status, 200, "{answer}");
        answer["value"].take()
    }

    pub fn open(&self, url: &str) {
        self.order(
            "POST",
            &format!("/session/{}/url", self.session),
            &json!({"url": url}),
        );
    }

    /// The value of an expression on the page.
    pub fn value(&self, expression: &str) -> Value {
        let script = json!({"script": format!("return {expression}"), "args": []});
        self.order(
            "POST",
            &format!("/session/{}/execute/sync", self.session),
            &script,
        )
    }

    /// Waits until an expression on the page is true.
    pub fn wait_for(&self, expression: &str) {
        let until = std::time::Instant::now() + LONG;
        while self.value(&format!("Boolean({expression})")) != true {
            if std::time::Instant::now() > until {
                let page = self.value("document.body.innerText");
                panic!(
                    "{expression} is not so on:\n{}",
                    page.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Clicks what a selector names, as a person does: the button is down for a while.
    pub fn click(&self, selector: &str) {
        let place = self.element(selector);
        let place = json!({"element-6066-11e4-a52e-4f735466cecf": place});
        let actions = json!([{"type": "pointer", "id": "mouse", "actions": [
            {"type": "pointerMove", "origin": place, "x": 0, "y": 0, "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pause", "duration": 150},
            {"type": "pointerUp", "button": 0},
        ]}]);
        let path = format!("/session/{}/actions", self.session);
        self.value(&format!(
            "document.querySelector({}).scrollIntoView({{block: 'center'}})",
            json!(selector)
        ));
        self.order("POST", &path, &json!({"actions": actions}));
    }

    /// Types into what a selector names, in place of what is there, and presses Enter.
    pub fn enter(&self, selector: &str, text: &str) {
        self.at(selector, "clear", &json!({}));
        self.at(selector, "value", &json!({"text": format!("{text}\u{e007}")}));
    }

    fn at(&self, selector: &str, action: &str, body: &Value) {
        let path = format!(
            "/session/{}/element/{}/{action}",
            self.session,
            self.element(selector)
        );
        self.order("POST", &path, body);
    }

    /// The id of an element.
    fn element(&self, selector: &str) -> String {
        let query = json!({"using": "css selector", "value": selector});
        let found = self.order("POST", &format!("/session/{}/element", self.session), &query);
        let (_, id) = found.as_object().unwrap().iter().next().unwrap();
        id.as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.order("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
