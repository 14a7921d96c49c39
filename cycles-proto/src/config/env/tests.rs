use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config::RetryPolicy;
use crate::models::Subject;

mod pasted;

const KEY: &str = "cyc_live_0123456789";
const URL: &str = "http://localhost:7878";

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
        ("MODE", "Shadow"),
        ("TENANT", "t"),
        ("WORKSPACE", "w"),
        ("APP", "a"),
        ("WORKFLOW", "f"),
        ("AGENT", "g"),
        ("TOOLSET", "s"),
        ("CONNECT_TIMEOUT", "3s"),
        ("READ_TIMEOUT", "1500"),
        ("RESERVE_TIMEOUT", "10s"),
        ("MAX_LEASE_AGE", "3600s"),
        ("MAX_CONCURRENT_CALLS", "16"),
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
    assert_eq!(config.mode, Mode::Shadow);
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
    assert_eq!(config.connect_timeout, Duration::from_secs(3));
    assert_eq!(config.attempt_timeout(), Duration::from_millis(4_500));
    assert_eq!(config.reserve_timeout, Some(Duration::from_secs(10)));
    assert_eq!(config.max_lease_age, Some(Duration::from_secs(3_600)));
    assert_eq!(config.max_concurrent_calls, 16);
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
    assert!(!config.journal_enabled);
    assert_eq!(config.journal_dir.as_deref(), Some(Path::new("some/dir")));
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = env(&[("TENANT", ""), ("JOURNAL_DIR", " "), ("READ_TIMEOUT", "")]).unwrap();
    assert_eq!(
        (config.subject().tenant.as_deref(), config.journal_dir.as_deref()),
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
        ("MODE", "dry_run"),
        ("MODE", "\"shadow\""),
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
        ("RESERVE_TIMEOUT", "0"),
        ("MAX_LEASE_AGE", "1h"),
        ("MAX_LEASE_AGE", "0s"),
        ("MAX_CONCURRENT_CALLS", "0"),
        ("MAX_CONCURRENT_CALLS", "many"),
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
        "CYCLES_API_KEY contains the URL, and CYCLES_BASE_URL contains the key: swap them"
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
        read("CYCLES_JOURNAL_DIR").unwrap().journal_dir.as_deref(),
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
    let warnings = env(&[("READ_TIMEOUT", "5ms")]).unwrap().warnings();
    assert_eq!(warnings, ["the read timeout is 5ms: did you mean seconds?"]);
}

#[test]
fn shadow_mode_is_a_warning_and_a_mode_set_in_code_wins() {
    let shadow = env(&[("MODE", "shadow")]).unwrap();
    let [warning] = shadow.warnings().try_into().unwrap();
    assert!(
        warning.contains("CYCLES_MODE=shadow") && warning.contains("nothing is denied"),
        "{warning}"
    );
    assert_eq!(shadow.with_mode(Mode::Enforce).mode, Mode::Enforce);
    assert!(shadow.with_mode(Mode::Enforce).warnings().is_empty());
    assert_eq!(env(&[("MODE", " ENFORCE ")]).unwrap().mode, Mode::Enforce);
    assert_eq!(env(&[]).unwrap().mode, Mode::Enforce);
    let error = env(&[("MODE", "off")]).unwrap_err();
    assert_eq!(error.to_string(), "CYCLES_MODE must be enforce or shadow");
    for mode in [Mode::Enforce, Mode::Shadow] {
        let built = CyclesConfig::builder(KEY, URL).mode(mode).build().unwrap();
        assert_eq!((built.mode, Mode::named(mode.as_str())), (mode, Some(mode)));
    }
}

const DURATIONS: [&str; 5] = [
    "CONNECT_TIMEOUT",
    "READ_TIMEOUT",
    "RETRY_INITIAL_DELAY",
    "RETRY_MAX_DELAY",
    "RETRY_FLUSH_TIMEOUT",
];

fn durations(config: &CyclesConfig) -> [Duration; 5] {
    [
        config.connect_timeout,
        config.attempt_timeout().saturating_sub(config.connect_timeout),
        config.retry().initial_delay,
        config.retry().max_delay,
        config.retry().flush_timeout,
    ]
}

#[test]
fn a_duration_is_a_number_and_its_unit_or_milliseconds_beyond_doubt() {
    for (text, micros) in [
        ("500ms", 500_000),
        ("2s", 2_000_000),
        ("0.5s", 500_000),
        ("1.5s", 1_500_000),
        ("0.25ms", 250),
        ("1.000001s", 1_000_001),
        ("2.00000000000000000000000001s", 2_000_000),
        ("1000", 1_000_000),
        ("5000", 5_000_000),
        (" 5s\n", 5_000_000),
        ("007s", 7_000_000),
    ] {
        for (index, name) in DURATIONS.into_iter().enumerate() {
            let config = env(&[(name, text)]).unwrap();
            assert_eq!(
                durations(&config)[index],
                Duration::from_micros(micros),
                "{name} {text}"
            );
        }
    }
    for text in ["0", "0.0", "0s", "0ms"] {
        let config = env(&[("RETRY_FLUSH_TIMEOUT", text)]).unwrap();
        assert_eq!(config.retry().flush_timeout, Duration::ZERO, "{text}");
    }
}

#[test]
fn a_number_that_could_be_seconds_or_milliseconds_is_refused_with_both() {
    for name in DURATIONS {
        for (number, plain) in [
            ("5", "5"),
            ("99", "99"),
            ("1", "1"),
            // Another client would read these as a minute and more, in seconds.
            ("100", "100"),
            ("120", "120"),
            ("300", "300"),
            ("600", "600"),
            ("999", "999"),
            ("5.0", "5"),
            ("0.5", "0.5"),
            ("30.0", "30"),
            ("1.50", "1.50"),
            ("5000.0", "5000"),
            ("5000.00", "5000"),
            ("300.0", "300"),
            ("5000.5", "5000.5"),
            ("00005", "00005"),
        ] {
            let error = env(&[(name, number)]).unwrap_err().to_string();
            let expected = format!(
                "CYCLES_{name} has no unit, and {plain} could be seconds or milliseconds: \
                 write {plain}s or {plain}ms"
            );
            assert_eq!(error, expected);
        }
        for text in [
            "fast", "5m", "5 s", "-5s", "+5s", "1e3", "1e3s", "5.s", ".5s", "1.2.3s", "5,0s", "5S", "s", ".",
            "5s5s", "inf",
        ] {
            let error = env(&[(name, text)]).unwrap_err().to_string();
            let expected = format!("CYCLES_{name} is not a duration: write 500ms, 2s or 0.5s");
            assert_eq!(error, expected, "{text}");
        }
        let quoted = env(&[(name, "\"5s\"")]).unwrap_err().to_string();
        assert_eq!(quoted, format!("CYCLES_{name} is in quotes: remove them"));
    }
}

#[test]
fn no_duration_is_longer_than_a_clock_can_count() {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    let longest = format!("{}s", u64::MAX);
    let by_environment = env(&DURATIONS.map(|name| (name, longest.as_str()))).unwrap();
    let retry = RetryPolicy {
        initial_delay: Duration::MAX,
        max_delay: Duration::MAX,
        flush_timeout: Duration::MAX,
        ..RetryPolicy::default()
    };
    let by_builder = CyclesConfig::builder(KEY, URL)
        .connect_timeout(Duration::MAX)
        .read_timeout(Duration::MAX)
        .retry(retry)
        .build()
        .unwrap();
    assert_eq!(durations(&by_environment), [YEAR; 5]);
    assert_eq!(durations(&by_builder), [YEAR; 5]);
    let a_year = CyclesConfig::builder(KEY, URL)
        .read_timeout(YEAR)
        .build()
        .unwrap();
    assert_eq!(durations(&a_year)[1], YEAR);
}
