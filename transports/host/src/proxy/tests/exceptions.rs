//! The servers that a list of exceptions names.

use super::*;

/// Names of variables, and names of servers that are excepted or not.
#[test]
fn exceptions_are_names_domains_addresses_and_networks() {
    let (direct, proxied) = (true, false);
    for (list, host, expected) in [
        ("*", "cycles.example", direct),
        // To curl, a star counts only if it is alone, and never with a domain.
        ("other, *", "cycles.example", direct),
        ("*.example", "cycles.example", direct),
        ("*.other", "cycles.example", proxied),
        ("cycles.example", "cycles.example", direct),
        ("CYCLES.Example", "cycles.example", direct),
        ("cycles.example", "Cycles.EXAMPLE", direct),
        ("cycles.example.", "cycles.example", direct),
        ("cycles.example", "cycles.example.", direct),
        (".example.", "cycles.example.", direct),
        ("example", "cycles.example", direct),
        (".example", "cycles.example", direct),
        (".cycles.example", "cycles.example", direct),
        ("internal", "ledger.team.internal", direct),
        ("es.example", "cycles.example", proxied),
        ("les.example", "cycles.example", proxied),
        ("my.cycles.example", "cycles.example", proxied),
        ("cycles.example.org", "cycles.example", proxied),
        (" , ,, ", "cycles.example", proxied),
        ("", "cycles.example", proxied),
        ("a b cycles.example", "cycles.example", direct),
        ("a,b\t,cycles.example,", "cycles.example", direct),
        // curl does not support ports here.
        ("cycles.example:7878", "cycles.example:7878", direct),
        ("cycles.example:1", "cycles.example:7878", proxied),
        (".example:7878", "cycles.example:7878", direct),
        ("cycles.example:80", "cycles.example", direct),
        ("*:7878", "cycles.example:7878", direct),
        ("10.1.2.3", "10.1.2.3", direct),
        ("10.1.2.3:8080", "10.1.2.3:8080", direct),
        ("10.1.2.3:8080", "10.1.2.3:8081", proxied),
        ("2.3", "10.1.2.3", proxied),
        ("10.0.0.0/8", "10.1.2.3", direct),
        ("10.0.0.0/8", "11.1.2.3", proxied),
        ("10.1.2.0/23", "10.1.3.9", direct),
        ("10.1.2.0/23", "10.1.4.9", proxied),
        ("10.1.2.3/32", "10.1.2.3", direct),
        ("10.1.2.3/32", "10.1.2.2", proxied),
        // curl treats the length as 32.
        ("0.0.0.0/0", "10.1.2.3", direct),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]", direct),
        ("10.0.0.0/8", "10.example", proxied),
        ("fd00::5", "[fd00::5]:7878", direct),
        ("FD00:0::5", "[fd00::5]", direct),
        ("[fd00::5]", "[fd00::5]", direct),
        ("[fd00::5]:7878", "[fd00::5]:7878", direct),
        ("[fd00::5]:7879", "[fd00::5]:7878", proxied),
        ("fd00::6", "[fd00::5]", proxied),
        // curl 7.88 gets IPv6 networks wrong.
        ("fd00::/8", "[fd12::5]", direct),
        ("[fd00::]/8", "[fd12::5]", direct),
        ("fe00::/8", "[fd12::5]", proxied),
        ("::/0", "[fd12::5]", direct),
        ("::/0", "10.1.2.3", proxied),
    ] {
        let server = format!("http://{host}");
        let through = if expected {
            "direct"
        } else {
            "forward http://proxy:3128"
        };
        for name in ["no_proxy", "NO_PROXY"] {
            let environment = [("all_proxy", PROXY), (name, list)];
            assert_eq!(
                by_environment(&environment, &server, ALL),
                through,
                "{list:?} {host}"
            );
        }
        let given = Proxies::All {
            address: PROXY.to_owned(),
            except: list.to_owned(),
        };
        let route = route(&server.parse().unwrap(), |_| None::<OsString>, &given, ALL);
        assert_eq!(told(route), through, "{list:?} {host}, given by the program");
    }
}

/// Entries that curl silently skips, and what they exclude.
#[test]
fn what_is_written_around_an_exception_does_not_undo_it() {
    let (direct, proxied) = (true, false);
    for (list, host, expected) in [
        ("a;cycles.example", "cycles.example", direct),
        ("a|cycles.example", "cycles.example", direct),
        ("a; b;", "cycles.example", proxied),
        ("*.", "cycles.example", direct),
        ("\"cycles.example\"", "cycles.example", direct),
        ("'a,cycles.example'", "cycles.example", direct),
        ("'a','cycles.example'", "cycles.example", direct),
        ("\u{201c}cycles.example\u{201d}", "cycles.example", direct),
        ("`.example`", "cycles.example", direct),
        ("\"10.0.0.0/8\"", "10.1.2.3", direct),
        ("\"cycles.example", "cycles.example", direct),
        ("\"other\"", "cycles.example", proxied),
        ("http://cycles.example", "cycles.example", direct),
        ("HTTPS://cycles.example/", "cycles.example", direct),
        ("http://cycles.example:7878/v1", "cycles.example:7878", direct),
        ("http://cycles.example:1/v1", "cycles.example:7878", proxied),
        ("\"http://cycles.example\"", "cycles.example", direct),
        ("http://*.example", "cycles.example", direct),
        ("cycles.example/", "cycles.example", direct),
        ("cycles.example:", "cycles.example:7878", direct),
        ("http://10.1.2.3/v1", "10.1.2.3", direct),
        ("http://10.0.0.0/8", "10.1.2.3", direct),
        ("http://[fd00::5]:7878/", "[fd00::5]:7878", direct),
        ("http://other", "cycles.example", proxied),
        ("10.*", "10.1.2.3", direct),
        ("10.1.*.3", "10.1.2.3", direct),
        ("11.*", "10.1.2.3", proxied),
        ("10.*", "10.example", direct),
        ("cycles.*", "cycles.example", direct),
        ("cyc*.ex*ple", "Cycles.EXAMPLE", direct),
        ("*les.example", "cycles.example", direct),
        ("cycles.*.org", "cycles.example", proxied),
        ("*c*c*c*", "cycles.example", proxied),
        ("10.", "10.1.2.3", direct),
        ("10.1.", "10.1.2.3", direct),
        ("10.2.", "10.1.2.3", proxied),
        ("169.254/16", "169.254.7.8", direct),
        ("169.254/16", "169.255.7.8", proxied),
        ("10/8", "10.1.2.3", direct),
        ("10.1", "10.1", direct),
        ("10.0.0.1", "10.1", direct),
        ("10.0.0.0/8", "0xa.1", direct),
        ("10.1.2.3", "167838211", direct),
        ("::ffff:10.1.2.3", "[::ffff:10.1.2.3]", direct),
        ("[::ffff:10.1.2.3]:80", "[::ffff:10.1.2.3]", direct),
        ("::ffff:a01:203", "10.1.2.3", direct),
        ("10.1.2.3", "[::ffff:10.1.2.3]", direct),
        ("::ffff:10.0.0.0/104", "10.1.2.3", direct),
        ("::ffff:10.0.0.0/104", "[::ffff:11.1.2.3]", proxied),
        ("::ffff:0:0/90", "[::ffff:10.1.2.3]", direct),
        ("::/0", "[::ffff:10.1.2.3]", direct),
        ("::ffff:10.1.2.4", "[::ffff:10.1.2.3]", proxied),
    ] {
        let through = match expected {
            true => "direct",
            false => "forward http://proxy:3128",
        };
        let environment = [("all_proxy", PROXY), ("NO_PROXY", list)];
        let server = format!("http://{host}");
        assert_eq!(
            by_environment(&environment, &server, ALL),
            through,
            "{list:?} {host}"
        );
    }
}

#[test]
fn an_exception_that_cannot_be_read_is_an_error_that_names_the_list_unless_another_names_the_server() {
    let told_of = |number: u32| {
        format!(
            "has an entry that cannot be read, number {number}. If it stands for this server, the API key must not go through \
             the proxy: write the entry like cycles.example, .internal, 10.0.0.0/8 or *"
        )
    };
    for (list, number) in [
        ("cycles.example:port", 1),
        ("other, .", 2),
        ("a,,..example", 2),
        ("10.1.2.3/33", 1),
        ("10.0.0.0/x", 1),
        ("10.0.0.0/255.0.0.0", 1),
        ("10.0.0.0/-1", 1),
        ("fd00::/129", 1),
        ("fd12:*", 1),
        ("fd12::*", 1),
        ("<local>", 1),
        ("a;b;[cycles.example]", 3),
        ("${NO_PROXY}", 1),
        ("%NO_PROXY%", 1),
        ("http://", 1),
        ("user:secret@cycles.example", 1),
        ("\u{feff}cycles.example", 1),
        ("cycles.example\\n", 1),
        ("b\u{fc}cher.example", 1),
    ] {
        for server in [HTTP, "http://10.1.2.3", "http://[fd12::5]"] {
            for name in ["no_proxy", "NO_PROXY"] {
                assert_eq!(
                    by_environment(&[("http_proxy", PROXY), (name, list)], server, ALL),
                    format!("error: {name} {}", told_of(number)),
                    "{list:?}"
                );
                assert_eq!(by_environment(&[(name, list)], server, ALL), "direct");
            }
        }
        for both in [format!("{list},cycles.example"), format!("cycles.example,{list}")] {
            let environment = [("http_proxy", PROXY), ("no_proxy", &*both)];
            assert_eq!(by_environment(&environment, HTTP, ALL), "direct", "{both:?}");
        }
        let given = Proxies::All {
            address: PROXY.to_owned(),
            except: list.to_owned(),
        };
        assert_eq!(
            told(route(&HTTP.parse().unwrap(), |_| None::<OsString>, &given, ALL)),
            format!("error: the list of proxy exceptions {}", told_of(number)),
        );
    }
}

#[test]
fn of_two_lists_of_exceptions_the_one_in_small_letters_counts_unless_it_is_blank() {
    for (small, capitals, expected) in [
        ("", "cycles.example", "direct"),
        (" ", "cycles.example", "direct"),
        ("cycles.example", "", "direct"),
        ("other", "cycles.example", "forward http://proxy:3128"),
    ] {
        let environment = [("http_proxy", PROXY), ("no_proxy", small), ("NO_PROXY", capitals)];
        assert_eq!(
            by_environment(&environment, HTTP, ALL),
            expected,
            "{small:?} {capitals:?}"
        );
    }
    let broken = [("http_proxy", "::: not an address"), ("no_proxy", "example")];
    assert_eq!(by_environment(&broken, HTTP, ALL), "direct", "it does not apply");
}
