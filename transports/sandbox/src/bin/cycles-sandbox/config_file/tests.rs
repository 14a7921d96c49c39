use super::ConfigFile;

#[test]
fn a_file_sets_up_tenants_keys_budgets_caps_and_faults() {
    let file = ConfigFile::parse(
        r#"
        admin_key = "operator"
        faults = ["commit:503@1", "extend:lose-response@p=0.1/7"]

        [[tenants]]
        id = "acme-corp"
        max_reservation_extensions = 3
        api_keys = [{ secret = "cyc_live_first_0001" }, { secret = "cyc_live_other_0002", permissions = ["budgets:write"] }]

        [[tenants.budgets]]
        scope = "tenant:acme-corp/agent:a1"
        unit = "TOKENS"
        allocated = 6_000
        overdraft_limit = 500
        caps = { max_tokens = 50, tool_allowlist = ["search", "read"] }

        [[tenants]]
        id = "rival"
        status = "SUSPENDED"
        "#,
    );
    let file = file.unwrap();
    assert_eq!(file.admin_key.as_deref(), Some("operator"));
    assert_eq!(file.faults.len(), 2);
    let [acme, rival] = &file.tenants[..] else {
        panic!("{file:?}")
    };
    assert_eq!((acme.id.as_str(), rival.id.as_str()), ("acme-corp", "rival"));
    assert_eq!(acme.keys[0].secret, "cyc_live_first_0001");
    assert_eq!(acme.budgets[0].scope(), "tenant:acme-corp/agent:a1");
    assert!(
        format!("{:?}", acme.budgets[0])
            .contains(r#"{\"max_tokens\":50,\"tool_allowlist\":[\"search\",\"read\"]}"#)
    );
    assert!(format!("{:?}", rival.tenant).contains("Suspended"));
    assert!(!format!("{file:?}").contains("cyc_live_first"));
}

#[test]
fn a_value_of_the_wrong_kind_is_not_repeated() {
    for value in ["987654321", "98765.4321", "9876-04-03"] {
        let text = format!("[[tenants]]\nid = \"acme\"\napi_keys = [{{ secret = {value} }}]");
        let problem = ConfigFile::parse(&text).map(|_| ()).unwrap_err();
        assert!(
            problem.contains("expected a string") && !problem.contains("9876"),
            "{problem}"
        );
    }
}

#[test]
fn thousands_of_budgets_are_read_at_once() {
    let mut text = "[[tenants]]\nid = \"acme\"\n".to_owned();
    for number in 0..20_000 {
        text.push_str(&format!(
            "[[tenants.budgets]]\nscope = \"tenant:acme/agent:a{number}\"\nunit = \"TOKENS\"\nallocated = 1\n"
        ));
    }
    assert_eq!(ConfigFile::parse(&text).unwrap().tenants[0].budgets.len(), 20_000);
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_without_a_key() {
    for (text, line, said) in [
        ("tenents = []", 1, "unknown field"),
        ("\nfaults = [\"commit:5O3\"]", 2, "5O3"),
        ("faults = [\"commit:cyc_live_hidden\"]", 1, "is not a fault"),
        ("[[tenants]]\nid = \"cyc_live_hidden\"", 2, "is not a tenant id"),
        ("\n\nfaults = 3", 3, "sequence"),
        ("[[tenants]]\nid = \"A\"", 2, "`A` is not a tenant id"),
        (
            "[[tenants]]\nid = \"acme\"\nstatus = \"OPEN hidden\"",
            3,
            "ACTIVE, SUSPENDED, CLOSED",
        ),
        (
            "[[tenants]]\nid = \"acme\"\n[[tenants]]\nid = \"acme\"",
            4,
            "twice",
        ),
        (
            "[[tenants]]\nid = \"acme\"\ndefault_reservation_ttl_ms = 5",
            3,
            "from 1000 to 86400000",
        ),
        (
            "[[tenants]]\nid = \"acme\"\napi_keys = [\"cyc_live_hidden\"]",
            3,
            "expected",
        ),
        (
            "[[tenants]]\nid = \"acme\"\napi_keys = \"cyc_live_hidden\"",
            3,
            "expected a sequence",
        ),
        (
            "[[tenants]]\nid = \"acme\"\napi_keys = [{ secret = \"hidden\u{e9}\" }]",
            3,
            "ASCII",
        ),
        (
            "[[tenants]]\nid = \"acme\"\napi_keys = [{ secret = 1111hidden }]",
            3,
            "",
        ),
        (
            "[[tenants]]\nid = \"acme\"\ncyc_live_hidden = 1",
            3,
            "unknown field",
        ),
        (
            "[[tenants]]\nid = \"acme\"\napi_keys = [{ secret = \"a\", permissions = [\"hidden\"] }]",
            3,
            "budgets:write",
        ),
        ("admin_key = \"hidden\\u0000\"", 1, "ASCII"),
        (
            "[[tenants]]\nid = \"acme\"\napi_keys = [{ secret = \"cyc_live_hidden_1\" }, { secret = \"cyc_live_hidden_2\" }]",
            2,
            "first 14 characters",
        ),
        (
            "[[tenants]]\nid = \"acme\"\n[[tenants.budgets]]\nscope = \"tenant:other\"\nunit = \"TOKENS\"\nallocated = 1",
            4,
            "begin the scope with tenant:acme",
        ),
        (
            "[[tenants]]\nid = \"acme\"\n[[tenants.budgets]]\nscope = \"tenant:acme\"\nunit = \"TOKEN\"\nallocated = 1",
            4,
            "use USD_MICROCENTS, TOKENS",
        ),
        (
            "[[tenants]]\nid = \"acme\"\n[[tenants.budgets]]\nscope = \"tenant:acme\"\nunit = \"TOKENS\"\nallocated = 1\ncaps = { tokens = 1 }",
            4,
            "is not valid caps",
        ),
        (
            "[[tenants]]\nid = \"acme\"\n[[tenants.budgets]]\nscope = \"tenant:acme\"",
            3,
            "missing field",
        ),
    ] {
        let problem = ConfigFile::parse(text).map(|_| ()).unwrap_err();
        assert!(
            problem.starts_with(&format!("line {line}: ")),
            "{text}: {problem}"
        );
        assert!(problem.contains(said), "{text}: {problem}");
        assert!(!problem.contains("hidden"), "{text}: {problem}");
    }
}
