use std::collections::BTreeMap;

use super::*;

const KEY: &str = "cyc_live_0123456789";
const URL: &str = "http://localhost:7878";

#[test]
fn a_key_and_a_url_in_each_others_place_are_told_apart() {
    let error = |key, url| CyclesConfig::new(key, url).unwrap_err();
    assert_eq!(error(URL, KEY), ConfigError::Swapped);
    assert_eq!(
        error(URL, URL).to_string(),
        "the API key is a URL; a key starts with cyc_live_"
    );
    assert!(
        error(KEY, KEY)
            .to_string()
            .starts_with("the base URL is an API key")
    );
}

#[test]
fn no_error_quotes_a_value_that_may_be_a_secret() {
    for (key, url) in [
        (URL, KEY),
        (KEY, KEY),
        ("cyc_live_0123456789\n", URL),
        (KEY, "cyc_live_0123456789 "),
        (KEY, "http://u:cyc_live_0123456789@h/"),
        (KEY, "http://h?cyc_live_0123456789"),
        (KEY, "xcyc_live_0123456789"),
    ] {
        let error = CyclesConfig::new(key, url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("0123456789"), "{error}");
    }
}

#[test]
fn the_key_is_in_no_debug_output() {
    let builder = CyclesConfig::builder(KEY, URL);
    let swapped = CyclesConfig::builder(URL, KEY);
    let config = builder.clone().build().unwrap();
    for text in [
        format!("{builder:?}"),
        format!("{swapped:?}"),
        format!("{config:?}"),
        format!("{:#?}", config.api_key()),
    ] {
        assert!(!text.contains("0123456789"), "{text}");
    }
}

#[test]
fn a_base_url_is_kept_as_given_and_joined_without_doubled_slashes() {
    for (given, expected) in [
        ("http://localhost:7878", "http://localhost:7878/v1/decide"),
        ("http://localhost:7878/", "http://localhost:7878/v1/decide"),
        (
            "https://api.example.com/cycles//",
            "https://api.example.com/cycles/v1/decide",
        ),
        ("HTTP://[::1]:7878/a/b", "http://[::1]:7878/a/b/v1/decide"),
    ] {
        let config = CyclesConfig::new(KEY, given).unwrap();
        assert_eq!(config.base_url(), given);
        assert_eq!(config.base().join("/v1/decide").unwrap().to_string(), expected);
    }
}

#[test]
fn what_is_no_address_of_a_server_is_refused() {
    for bad in [
        "",
        "localhost:7878",
        "ftp://localhost",
        "http://",
        "http://h:99999",
        "http://h:",
        "http://u@h",
        "http://h/?a",
        "http://h/#a",
        "http://h h",
        "http://h\n",
        "http://h:+80",
        "http://h/\u{e9}",
        "http://h/../x",
        "http://h/./x",
    ] {
        assert!(
            matches!(CyclesConfig::new(KEY, bad), Err(ConfigError::BaseUrl(_))),
            "{bad:?}"
        );
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused() {
    for bad in ["", "a b", "a\n", "ä", "a\u{7f}"] {
        assert!(
            matches!(CyclesConfig::new(bad, URL), Err(ConfigError::ApiKey(_))),
            "{bad:?}"
        );
    }
}

#[test]
fn defaults_of_the_subject_are_checked() {
    let error = CyclesConfig::builder(KEY, URL).agent("a/b").build().unwrap_err();
    assert!(
        error.to_string().starts_with("`subject.agent` contains '/'"),
        "{error}"
    );
}

#[test]
fn every_setting_of_the_builder_is_in_the_configuration() {
    let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let config = CyclesConfig::builder(KEY, "https://h")
        .tenant("t")
        .workspace("w")
        .app("a")
        .workflow("f")
        .agent("g")
        .toolset("s")
        .connect_timeout(Duration::from_millis(300))
        .read_timeout(Duration::from_millis(700))
        .retry_enabled(false)
        .journal_enabled(false)
        .journal_dir("/somewhere")
        .trace_parent(parent.clone())
        .build()
        .unwrap();
    let levels = |subject: &Subject| {
        [
            &subject.tenant,
            &subject.workspace,
            &subject.app,
            &subject.workflow,
            &subject.agent,
            &subject.toolset,
        ]
        .map(|level| level.clone().unwrap())
        .concat()
    };
    assert_eq!(levels(config.subject()), "twafgs");
    assert_eq!(config.connect_timeout(), Duration::from_millis(300));
    assert_eq!(config.attempt_timeout(), Duration::from_secs(1));
    assert!(!config.retry().enabled && !config.journal_enabled() && config.is_https());
    assert_eq!(config.trace_parent(), Some(&parent));
    assert!(!CyclesConfig::new(KEY, "http://h").unwrap().is_https());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let zero = CyclesConfig::builder(KEY, URL)
        .read_timeout(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(zero.to_string(), "the read timeout must be longer than 0");
    let mut retry = CyclesConfig::new(KEY, URL).unwrap().retry().clone();
    for multiplier in [0.5, f64::NAN, f64::INFINITY, -1.0] {
        retry.multiplier = multiplier;
        assert!(
            CyclesConfig::builder(KEY, URL)
                .retry(retry.clone())
                .build()
                .is_err(),
            "{multiplier}"
        );
    }
}

fn env(pairs: &[(&str, &str)]) -> Result<CyclesConfig, ConfigError> {
    let mut map: BTreeMap<String, String> = [("CYCLES_BASE_URL", URL), ("CYCLES_API_KEY", KEY)]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    map.extend(pairs.iter().map(|&(k, v)| (format!("CYCLES_{k}"), v.to_owned())));
    CyclesConfig::from_lookup("CYCLES_", |name| map.get(name).cloned())
}

#[test]
fn every_variable_is_read() {
    let config = env(&[
        ("TENANT", "t"),
        ("WORKSPACE", "w"),
        ("APP", "a"),
        ("WORKFLOW", "f"),
        ("AGENT", "g"),
        ("TOOLSET", "s"),
        ("CONNECT_TIMEOUT", "3s"),
        ("READ_TIMEOUT", "1500"),
        ("RETRY_ENABLED", "off"),
        ("RETRY_MAX_ATTEMPTS", "7"),
        ("RETRY_INITIAL_DELAY", "250ms"),
        ("RETRY_MULTIPLIER", "1.5"),
        ("RETRY_MAX_DELAY", "60s"),
        ("RETRY_FLUSH_TIMEOUT", "0"),
        ("JOURNAL_ENABLED", "No"),
        ("JOURNAL_DIR", "some/dir"),
    ])
    .unwrap();
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        *config.subject(),
        Subject {
            tenant: text("t"),
            workspace: text("w"),
            app: text("a"),
            workflow: text("f"),
            agent: text("g"),
            toolset: text("s"),
            dimensions: None
        }
    );
    assert_eq!(config.connect_timeout(), Duration::from_secs(3));
    assert_eq!(config.attempt_timeout(), Duration::from_millis(4_500));
    assert_eq!(
        *config.retry(),
        RetryPolicy {
            enabled: false,
            max_attempts: 7,
            initial_delay: Duration::from_millis(250),
            multiplier: 1.5,
            max_delay: Duration::from_secs(60),
            flush_timeout: Duration::ZERO
        }
    );
    assert!(!config.journal_enabled());
    assert_eq!(config.journal_dir(), Some(Path::new("some/dir")));
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = env(&[("TENANT", ""), ("JOURNAL_DIR", " "), ("READ_TIMEOUT", "")]).unwrap();
    assert_eq!(
        (config.subject().tenant.as_deref(), config.journal_dir()),
        (None, None)
    );
    assert_eq!(config.attempt_timeout(), Duration::from_secs(7));
    assert_eq!(
        env(&[("API_KEY", "")]).unwrap_err(),
        ConfigError::Missing("CYCLES_API_KEY".to_owned())
    );
    assert_eq!(
        env(&[("BASE_URL", "")]).unwrap_err().to_string(),
        "CYCLES_BASE_URL is not set"
    );
}

#[test]
fn a_malformed_variable_is_an_error_that_names_it() {
    for (name, value) in [
        ("CONNECT_TIMEOUT", "fast"),
        ("CONNECT_TIMEOUT", "2.0"),
        ("READ_TIMEOUT", "-1"),
        ("READ_TIMEOUT", "5m"),
        ("READ_TIMEOUT", "99999999999999999999999s"),
        ("RETRY_ENABLED", "maybe"),
        ("RETRY_MAX_ATTEMPTS", "-1"),
        ("RETRY_MULTIPLIER", "NaN"),
        ("RETRY_MULTIPLIER", "0"),
        ("JOURNAL_ENABLED", "2"),
        ("CONNECT_TIMEOUT", "0"),
        ("READ_TIMEOUT", "0ms"),
        ("API_KEY", "a b"),
        ("API_KEY", URL),
        ("BASE_URL", "localhost:7878"),
        ("BASE_URL", KEY),
        ("TENANT", "acme "),
        ("TOOLSET", "a/b"),
    ] {
        let error = env(&[(name, value)]).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("CYCLES_{name} ")),
            "{error}"
        );
    }
}

#[test]
fn variables_in_each_others_place_are_told_apart() {
    let error = env(&[("API_KEY", URL), ("BASE_URL", KEY)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CYCLES_API_KEY holds the URL and CYCLES_BASE_URL the key: swap them"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused_unless_it_is_a_path() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let odd = OsString::from_vec(b"journal-\xff".to_vec());
    let read = |odd_name: &str| {
        CyclesConfig::from_lookup("CYCLES_", |name| match name {
            _ if name == odd_name => Some(odd.clone()),
            "CYCLES_BASE_URL" => Some(URL.into()),
            "CYCLES_API_KEY" => Some(KEY.into()),
            _ => None,
        })
    };
    assert_eq!(
        read("CYCLES_JOURNAL_DIR").unwrap().journal_dir(),
        Some(Path::new(&odd))
    );
    assert_eq!(
        read("CYCLES_TENANT").unwrap_err().to_string(),
        "CYCLES_TENANT is not UTF-8"
    );
}

#[test]
fn a_timeout_that_smells_of_seconds_is_a_warning() {
    assert!(env(&[]).unwrap().warnings().is_empty());
    let warnings = env(&[("READ_TIMEOUT", "5")]).unwrap().warnings();
    assert_eq!(
        warnings,
        ["the read timeout is 5ms: plain numbers are milliseconds, write 2s for seconds"]
    );
}
