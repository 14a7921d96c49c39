//! Another server, found by `CYCLES_BASE_URL` and set up by the program that `CYCLES_SEED` names.
//!
//! Tests use the names `acme`, `rival` and `nomad` (for names outside any tenant). On the wire each desk replaces them,
//! and its API keys, by unique ones, so tests and runs do not interfere.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cycles_conformance::client::Client;
use cycles_conformance::seed_program::{self, variable};
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{Ledger, Sandbox};

use super::backend::Backend;
use super::setup::Setup;
use super::{ADMIN_KEY, Answer, KEY};

/// The longest time that a live test waits.
const PATIENCE_MS: u64 = 2_000;

static RUN: LazyLock<String> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    base36(since.as_micros() as u64 ^ u64::from(std::process::id()) << 40)
});
static DESKS: AtomicU64 = AtomicU64::new(0);
static OPEN: AtomicU64 = AtomicU64::new(0);

/// The server to test, unless it is the ledger of this process.
pub fn base_url() -> Option<String> {
    variable("CYCLES_BASE_URL")
}

pub fn has_seed() -> bool {
    variable(seed_program::SEED).is_some()
}

/// The server's identity: `CYCLES_EVIDENCE_SERVER_ID` and `CYCLES_EVIDENCE_SIGNER_DID`. A sandbox accepts any.
pub fn evidence_identity() -> Option<(String, String)> {
    if base_url().is_none() {
        return Some(("https://cycles.example.com/v1/".to_owned(), "ab".repeat(32)));
    }
    let server_id = variable("CYCLES_EVIDENCE_SERVER_ID")?;
    Some((
        server_id,
        variable("CYCLES_EVIDENCE_SIGNER_DID").unwrap_or_default(),
    ))
}

pub fn has_admin_key() -> bool {
    variable("CYCLES_ADMIN_KEY").is_some()
}

pub fn open_desks() -> u64 {
    OPEN.load(Ordering::SeqCst)
}

pub struct Live {
    client: Client,
    operator: Operator,
    desk: u64,
    /// The names in the tests, and their replacements on the wire.
    names: Vec<(&'static str, String)>,
    /// The same for keys, by the 14 characters that identify them.
    keys: BTreeMap<String, String>,
    admin_key: String,
}

/// How tenants and budgets are set up.
enum Operator {
    /// By the program of `CYCLES_SEED`, which runs once for the whole test process.
    Program,
    /// Not at all: the tenant exists already.
    Nobody,
    Sandbox(Box<Sandbox>),
}

impl Live {
    /// A desk with its own names, set up by the program.
    pub fn seeded(base_url: &str) -> Self {
        Self::new(
            base_url,
            Operator::Program,
            variable("CYCLES_ADMIN_KEY").unwrap_or_default(),
        )
    }

    /// The tenant of `CYCLES_TENANT`, as it is.
    pub fn unseeded(base_url: &str) -> Self {
        let needed = |name| variable(name).unwrap_or_else(|| panic!("without CYCLES_SEED it needs {name}"));
        let (tenant, key) = (needed("CYCLES_TENANT"), needed("CYCLES_API_KEY"));
        let mut live = Self::new(base_url, Operator::Nobody, String::new());
        live.names.retain(|(word, _)| *word != "acme");
        live.names.push(("acme", tenant));
        live.keys.insert(KEY.to_owned(), key);
        live
    }

    /// A sandbox behind its HTTP front.
    pub fn sandbox(sandbox: Sandbox) -> Self {
        let url = sandbox.base_url();
        Self::new(&url, Operator::Sandbox(Box::new(sandbox)), ADMIN_KEY.to_owned())
    }

    /// Changes the ledger, if the server is a sandbox.
    pub fn tune(&self, work: impl FnOnce(&mut Ledger)) {
        if let Operator::Sandbox(sandbox) = &self.operator {
            sandbox.with_ledger(work);
        }
    }

    fn new(base_url: &str, operator: Operator, admin_key: String) -> Self {
        OPEN.fetch_add(1, Ordering::SeqCst);
        let desk = DESKS.fetch_add(1, Ordering::SeqCst);
        let names =
            ["acme", "rival", "nomad"].map(|word| (word, format!("{word}-{}-{}", *RUN, base36(desk))));
        Self {
            client: Client::new(base_url),
            operator,
            desk,
            names: names.into(),
            keys: BTreeMap::new(),
            admin_key,
        }
    }

    fn outward(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, name) in &self.names {
            text = replace_word(&text, word, name);
        }
        text
    }

    fn inward(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, name) in &self.names {
            text = text.replace(name, word);
        }
        text
    }

    /// Replaces a known key as a whole; of an unknown one, only a known prefix.
    fn key(&self, sent: &str) -> String {
        if let Some(key) = self.keys.get(sent) {
            return key.clone();
        }
        let (prefix, rest) = sent.split_at_checked(14).unwrap_or((sent, ""));
        self.keys
            .get(prefix)
            .map_or_else(|| sent.to_owned(), |own| format!("{own}{rest}"))
    }
}

impl Backend for Live {
    fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers: Vec<(&str, String)> = headers
            .iter()
            .map(|(name, value)| match *name {
                "x-cycles-api-key" => (*name, self.key(value)),
                "x-admin-api-key" if *value == ADMIN_KEY => (*name, self.admin_key.clone()),
                _ => (*name, (*value).to_owned()),
            })
            .collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let body = match std::str::from_utf8(body) {
            Ok(text) => self.outward(text).into_bytes(),
            Err(_) => body.to_vec(),
        };
        let raw = self.client.exchange(method, &self.outward(path), &headers, &body);
        let mut headers = raw.headers;
        for value in headers.values_mut() {
            let text = value.to_str().map(|text| self.inward(text)).unwrap();
            *value = text.parse().unwrap();
        }
        let text = String::from_utf8(raw.body).unwrap();
        Answer::new(raw.status, headers, self.inward(&text).into_bytes().into())
    }

    fn set_up(&mut self, setup: &Setup) {
        let mut setup = setup.clone();
        if let Setup::Key(key) = &mut setup {
            let (prefix, rest) = key.secret.split_at(14);
            let number = base36(self.desk << 8 | self.keys.len() as u64);
            let short = RUN.get(RUN.len() - 6..).unwrap();
            let own = format!("{short}{number:_>8}");
            let own = self.keys.entry(prefix.to_owned()).or_insert(own).clone();
            key.secret = format!("{own}{rest}");
        }
        let line = self.outward(&setup.to_string());
        match &self.operator {
            Operator::Program => seed_program::set_up(&line),
            Operator::Sandbox(sandbox) => {
                let setup = setup.renamed(|text| self.outward(text));
                let now = sandbox.now();
                sandbox.with_ledger(|ledger| setup.apply(ledger, now));
            }
            Operator::Nobody => panic!("no program can set this up: {line}"),
        }
    }

    fn now(&self) -> u64 {
        UnixMillis::from(SystemTime::now()).0
    }

    fn pass(&mut self, ms: u64) {
        if let Operator::Sandbox(sandbox) = &self.operator {
            return sandbox.advance(Duration::from_millis(ms));
        }
        assert!(ms <= PATIENCE_MS, "a live test does not wait {ms} ms");
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn salt(&self) -> String {
        format!("{}-{}-", *RUN, self.desk)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Replaces `word`, except as a part of a longer name.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let alone = !before.ends_with(in_name) && !after.starts_with(in_name);
        out.push_str(before);
        out.push_str(if alone { by } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap());
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
