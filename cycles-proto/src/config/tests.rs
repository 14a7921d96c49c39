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
        assert_eq!(config.base_url, given);
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
        "http://h:0",
        "https://h:00/a",
        "http://[::1]:0/",
        "http://<host>:7878",
        "http://h/<prefix>",
        "http://h,",
        "http://h/a;",
        "http://h:7878/actuator/health",
        "http://h/cycles/actuator",
        "http://h/Actuator/prometheus/",
        "http://h/swagger-ui/index.html",
        "http://h/v3/api-docs",
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
        .reserve_timeout(Duration::from_millis(900))
        .max_lease_age(Duration::from_secs(3_600))
        .max_concurrent_calls(9)
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
    assert_eq!(config.connect_timeout, Duration::from_millis(300));
    assert_eq!(config.attempt_timeout(), Duration::from_secs(1));
    assert_eq!(config.longest_reserve(), Duration::from_millis(900));
    assert_eq!(config.max_lease_age, Some(Duration::from_secs(3_600)));
    assert_eq!(config.max_concurrent_calls, 9);
    assert!(!config.retry().enabled && !config.journal_enabled && config.is_https());
    assert_eq!(config.trace_parent(), Some(&parent));
    assert_eq!(
        (config.base_url.as_str(), config.journal_dir.as_deref()),
        ("https://h", Some("/somewhere".as_ref()))
    );
    assert_eq!(
        config.settings().clone().check().unwrap().settings(),
        config.settings()
    );
    assert!(!CyclesConfig::new(KEY, "http://h").unwrap().is_https());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let zero = CyclesConfig::builder(KEY, URL)
        .read_timeout(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(zero.to_string(), "the read timeout must be longer than 0");
    let builder = || CyclesConfig::builder(KEY, URL);
    for (builder, problem) in [
        (
            builder().reserve_timeout(Duration::ZERO),
            "the reserve timeout must be longer than 0",
        ),
        (
            builder().max_lease_age(Duration::ZERO),
            "the maximum age of a lease must be longer than 0",
        ),
        (
            builder().max_concurrent_calls(0),
            "the maximum of concurrent calls must be 1 or more",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), problem);
    }
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

#[test]
fn a_base_url_with_the_version_in_it_is_refused_with_the_right_one() {
    for (given, right) in [
        ("http://h:7878/v1", "http://h:7878"),
        ("https://h/v1/", "https://h"),
        ("https://h/cycles/v1//", "https://h/cycles"),
        ("https://h/v1/reservations", "https://h"),
        ("https://h/v1/v1", "https://h/v1"),
        ("https://h/v1/health", "https://h"),
        ("https://h/V1", "https://h"),
        ("https://h/Cycles/V1/", "https://h/Cycles"),
        ("https://h/V1/Reservations", "https://h"),
        ("http://[::1]:7878/v1/events/", "http://[::1]:7878"),
    ] {
        let error = CyclesConfig::new("cyc_live_1", given).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the base URL must end before /v1, which the client adds itself: use {right}"),
            "{given}"
        );
    }
    for other in [
        "http://h",
        "http://h/v12",
        "http://h/xv1",
        "http://h/v1/cycles",
        "http://v1",
        "http://h/api/v1beta",
        "http://h/api/V12",
        "http://h/health",
        "http://h/v1/health-care",
        "http://h/v1/eventside",
        "http://h/my-actuator",
        "http://h/%41%42/c%20d",
    ] {
        assert!(CyclesConfig::new("cyc_live_1", other).is_ok(), "{other}");
    }
}

#[test]
fn a_reservation_may_take_as_long_as_two_attempts_unless_it_is_set() {
    let builder = CyclesConfig::builder(KEY, URL);
    let config = builder.clone().build().unwrap();
    assert_eq!(config.longest_reserve(), Duration::from_secs(14));
    let config = builder.read_timeout(Duration::from_secs(1)).build().unwrap();
    assert_eq!(config.longest_reserve(), Duration::from_secs(6));
}

#[test]
fn each_part_of_the_retry_policy_can_be_set_by_itself() {
    let config = CyclesConfig::builder("cyc_live_0123456789", "http://localhost:7878")
        .retry_max_attempts(7)
        .retry_initial_delay(Duration::from_millis(20))
        .retry_multiplier(3.0)
        .retry_max_delay(Duration::from_secs(4))
        .retry_flush_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let expected = RetryPolicy {
        max_attempts: 7,
        initial_delay: Duration::from_millis(20),
        multiplier: 3.0,
        max_delay: Duration::from_secs(4),
        flush_timeout: Duration::from_secs(3),
        ..RetryPolicy::default()
    };
    assert_eq!(config.retry(), &expected);
}

#[test]
fn settings_are_as_given_and_show_neither_a_key_nor_what_is_not_an_address() {
    let builder = CyclesConfig::builder(URL, KEY).tenant("t");
    let settings = builder.settings();
    assert_eq!(
        (settings.api_key.expose(), settings.base_url.as_str()),
        (URL, KEY)
    );
    assert_eq!(settings.api_key, URL);
    assert_eq!(settings.clone().check().unwrap_err(), ConfigError::Swapped);
    assert!(!format!("{settings:?}").contains("0123456789"), "{settings:?}");

    let config = CyclesConfig::builder(KEY, URL).build().unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains(URL) && !shown.contains("0123456789"), "{shown}");
}

#[test]
fn the_settings_of_another_principal_are_its_own() {
    let config = CyclesConfig::builder(KEY, URL)
        .tenant("one")
        .agent("a")
        .build()
        .unwrap();
    let subject = Subject {
        tenant: Some("two".into()),
        ..Subject::default()
    };
    let other = config.for_principal("cyc_live_other", subject.clone()).unwrap();
    assert_eq!(other.api_key, "cyc_live_other");
    assert_eq!(
        (&other.settings().subject(), other.subject()),
        (&subject, &subject)
    );
}

#[test]
fn a_subject_replaces_the_levels_that_it_gives() {
    let config = CyclesConfig::builder(KEY, URL)
        .tenant("one")
        .agent("a")
        .build()
        .unwrap();
    let given = Subject {
        agent: Some("b".into()),
        dimensions: Some([("region".into(), "eu".into())].into()),
        ..Subject::default()
    };
    let other = config.with_subject(given.clone()).unwrap();
    let expected = Subject {
        tenant: Some("one".into()),
        ..given
    };
    assert_eq!(other.subject(), &expected);
    assert_eq!(
        (other.tenant.as_deref(), other.agent.as_deref()),
        (Some("one"), Some("b"))
    );
    assert_eq!(other.api_key, KEY);
    let bad = Subject {
        app: Some("a/b".into()),
        ..Subject::default()
    };
    assert!(matches!(config.with_subject(bad), Err(ConfigError::Subject(_))));
}
