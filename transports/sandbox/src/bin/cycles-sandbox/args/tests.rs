use std::ffi::OsString;

use cycles_sandbox::{Budget, DEFAULT_API_KEY, Unit};

use super::{Args, Command, Format, HELP};

/// Parses the arguments in an environment without settings.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    super::parse(args, |_| None)
}

fn served(args: &[&str]) -> Args {
    match parse(args.iter().map(Into::into)) {
        Ok(Command::Serve(args)) => *args,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn scopes(budgets: &[Budget]) -> Vec<(&str, Unit)> {
    budgets
        .iter()
        .map(|budget| (budget.scope(), budget.unit()))
        .collect()
}

#[test]
fn nothing_is_needed() {
    let args = served(&[]);
    assert_eq!(args.listen.to_string(), "127.0.0.1:7878");
    assert_eq!(
        (args.tenant.as_str(), args.api_key.as_str()),
        ("acme-corp", DEFAULT_API_KEY)
    );
    assert_eq!(
        (args.admin_listen, args.admin_key.as_str()),
        (None, "admin-bootstrap-key")
    );
    assert_eq!((args.faults.len(), args.quiet), (0, false));
    assert_eq!(
        scopes(&args.tenants[0].budgets),
        [
            ("tenant:acme-corp", Unit::Tokens),
            ("tenant:acme-corp", Unit::UsdMicrocents),
            ("tenant:acme-corp/agent:support-bot", Unit::Tokens),
            ("tenant:acme-corp/agent:support-bot", Unit::UsdMicrocents),
        ]
    );
}

#[test]
fn everything_can_be_said() {
    let args = served(&[
        "--listen",
        "0.0.0.0:80",
        "--tenant=other",
        "--api-key",
        "k/1",
        "--budget",
        "tenant:other=CREDITS:1,caps={\"max_tokens\":1}",
        "--budget=tenant:Other/agent:a=CREDITS:2",
        "--admin-listen",
        "localhost:0",
        "--admin-key=s",
        "--fault",
        "commit:503",
        "--fault=*:delay=1s@1",
        "--quiet",
    ]);
    assert_eq!(args.listen.to_string(), "0.0.0.0:80");
    assert_eq!((args.tenant.as_str(), args.api_key.as_str()), ("other", "k/1"));
    assert_eq!(args.admin_listen.unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(
        (args.admin_key.as_str(), args.faults.len(), args.quiet),
        ("s", 2, true)
    );
    assert_eq!(
        scopes(&args.tenants[0].budgets),
        [
            ("tenant:other", Unit::Credits),
            ("tenant:other/agent:a", Unit::Credits)
        ]
    );
}

#[test]
fn another_tenant_gets_default_budgets_of_its_own() {
    let args = served(&["--tenant", "other"]);
    assert_eq!(
        scopes(&args.tenants[0].budgets)[0],
        ("tenant:other", Unit::Tokens)
    );
    assert_eq!(args.tenants[0].budgets.len(), 4);
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    for (args, sentence) in [
        (
            &["--listen"][..],
            "--listen needs a value: ADDR, such as 127.0.0.1:7878",
        ),
        (
            &["--tenant", "--quiet"],
            "--tenant needs a value: ID, such as acme-corp",
        ),
        (
            &["--listen", "7878"],
            "`7878` is not an address: use IP:PORT or localhost:PORT",
        ),
        (
            &["--listen", "example.com:80"],
            "--listen: `example.com:80` is not an address",
        ),
        (
            &["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"],
            "--listen is given twice",
        ),
        (
            &["--tenant", "a b"],
            "`a b` is not a tenant id: use 3 to 64 lower-case letters",
        ),
        (&["--tenant", "Acme"], "`Acme` is not a tenant id"),
        (&["--tenant", ""], "`` is not a tenant id"),
        (&["--api-key", "a b"], "--api-key takes a key of ASCII letters"),
        (&["--admin-key", ""], "--admin-key takes a key"),
        (
            &["--budget", "tenant:acme-corp"],
            "--budget: `tenant:acme-corp` is not SCOPE=UNIT:AMOUNT",
        ),
        (
            &["--budget", "tenant:other=TOKENS:1"],
            "begin the scope with tenant:acme-corp, or give another --tenant",
        ),
        (
            &["--budget", "tenant:acme-corporation=TOKENS:1"],
            "begin the scope with tenant:acme-corp",
        ),
        (
            &[
                "--budget=tenant:acme-corp=TOKENS:1",
                "--budget=tenant:acme-corp=TOKENS:2",
            ],
            "twice for TOKENS on tenant:acme-corp",
        ),
        (
            &["--fault", "commit"],
            "--fault: `commit` is not OPERATION:FAULT[@WHEN]",
        ),
        (
            &["--control-listen", "0.0.0.0:1"],
            "0.0.0.0:1 is not a loopback address: use 127.0.0.1:PORT",
        ),
        (&["--control-key", "k"], "ask for one with --control-listen"),
        (
            &["--dump-on-exit"],
            "--dump-on-exit needs a value: FILE, such as ledger.json",
        ),
        (
            &["--env-file", ""],
            "--env-file needs a value: FILE, such as cycles.env",
        ),
        (&["--env-file=a", "--dump-on-exit=a"], "name one file: give two"),
        (&["--ports", "1"], "unknown flag --ports"),
        (
            &["--port", "65536"],
            "--port: `65536` is not a port: use 0 to 65535",
        ),
        (
            &["--port", "1", "--listen", "127.0.0.1:1"],
            "--listen and --port are both given",
        ),
        (
            &["--format", "yaml"],
            "--format: `yaml` is not a format: use shell or json",
        ),
        (
            &["--env-file"],
            "--env-file needs a value: FILE, such as cycles.env",
        ),
        (
            &["--"],
            "`--` is followed by no command: write one after it, such as -- npm test",
        ),
        (
            &["--format", "json", "--", "x"],
            "it has the settings in its environment",
        ),
        (&["-p"], "unknown flag -p"),
        (&["--quiet=1"], "--quiet takes no value"),
        (
            &["npm", "test"],
            "`npm` is not an argument of any flag; a command to run comes after --",
        ),
    ] {
        let problem = parse(args.iter().map(Into::into)).unwrap_err();
        assert!(problem.contains(sentence), "{args:?}: {problem}");
    }
    let secret = parse(["--api-key", "hush hush"].map(Into::into)).unwrap_err();
    assert!(!secret.contains("hush"), "{secret}");
}

#[test]
fn a_command_has_all_that_follows_the_dashes_and_a_free_port() {
    let args = served(&["--quiet", "--", "npm", "test", "--", "--quiet", "--port"]);
    let (program, rest) = args.command.unwrap();
    assert_eq!((program, rest.len()), ("npm".into(), 4));
    assert_eq!(args.listen.to_string(), "127.0.0.1:0");
    assert_eq!(args.exit_with_parent, cfg!(unix));
    let args = served(&["--port", "7000", "--", "true"]);
    assert_eq!(args.listen.to_string(), "127.0.0.1:7000");
}

#[test]
fn the_output_has_a_format_and_may_go_to_a_file() {
    let args = served(&["--port=0", "--format=json", "--env-file", "cycles.env"]);
    assert_eq!(args.listen.to_string(), "127.0.0.1:0");
    assert_eq!(args.format, Format::Json);
    assert_eq!(args.env_file.unwrap().to_str(), Some("cycles.env"));
}

#[test]
fn tenant_and_key_come_from_flags_or_else_from_the_environment() {
    let environment = |name: &str| match name {
        "CYCLES_TENANT" => Some("from-env".into()),
        "CYCLES_API_KEY" => Some("env-key".into()),
        _ => None,
    };
    let parsed = |args: &[&str], environment: &dyn Fn(&str) -> Option<OsString>| match super::parse(
        args.iter().map(Into::into),
        environment,
    ) {
        Ok(Command::Serve(args)) => Ok((args.tenant, args.api_key)),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(problem),
    };
    let of = |tenant: &str, key: &str| Ok((tenant.to_owned(), key.to_owned()));
    assert_eq!(parsed(&[], &environment), of("from-env", "env-key"));
    assert_eq!(
        parsed(&["--tenant=from-flag"], &environment),
        of("from-flag", "env-key")
    );
    assert_eq!(
        parsed(&["--api-key=flag-key"], &environment),
        of("from-env", "flag-key")
    );
    assert_eq!(
        parsed(&[], &|_| Some("".into())),
        of("acme-corp", DEFAULT_API_KEY)
    );
    for (name, wrong) in [("CYCLES_TENANT", "A B"), ("CYCLES_API_KEY", "hush hush")] {
        let problem = parsed(&[], &|of| (of == name).then(|| wrong.into())).unwrap_err();
        assert!(problem.contains(name) && !problem.contains("hush"), "{problem}");
    }
}

#[test]
fn help_names_every_flag_and_the_readme_shows_it() {
    assert!(matches!(parse(["--help".into()]), Ok(Command::Help)));
    assert!(matches!(
        parse(["--quiet".into(), "-V".into()]),
        Ok(Command::Version)
    ));
    assert!(include_str!("../../../../README.md").contains(HELP));
}
