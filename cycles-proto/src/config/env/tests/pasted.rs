//! Text that was copied along with a value, and values that only look like that.

use super::*;

/// Text around the value of any variable, and the words of the error.
const COPIED_ALONG: [(&str, &str, &str); 19] = [
    ("\"", "\"", "is in quotes"),
    ("'", "'", "is in quotes"),
    ("`", "`", "is in quotes"),
    ("\u{201c}", "\u{201d}", "is in quotes"),
    ("\"", "", "is in quotes"),
    ("", "'", "is in quotes"),
    (" \"", "\" ", "is in quotes"),
    ("", "\n", "line break"),
    ("", "\r\n", "line break"),
    ("\n", "", "line break"),
    ("\t", "", "control character"),
    ("", "\u{0}", "control character"),
    ("\u{feff}", "", "invisible character"),
    ("", "\u{200b}", "invisible character"),
    ("\u{2060}", "\u{202c}", "invisible character"),
    ("", " ", "white space"),
    ("\u{a0}", "", "white space"),
    ("${", "}", "variable"),
    ("{{", "}}", "variable"),
];

#[test]
fn what_was_copied_along_with_a_value_is_named_and_the_value_is_not() {
    for (before, after, expected) in COPIED_ALONG {
        for (name, value) in [
            ("API_KEY", KEY),
            ("BASE_URL", "http://secret.example:7878"),
            ("TENANT", "secret"),
            ("TOOLSET", "secret"),
            ("JOURNAL_DIR", "/secret/journal"),
        ] {
            let given = format!("{before}{value}{after}");
            let error = env(&[(name, &given)]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("CYCLES_{name} ")),
                "{given:?}: {error}"
            );
            assert!(error.contains(expected), "{given:?}: {error}");
            assert!(
                !error.contains("secret") && !error.contains("0123456789"),
                "{error}"
            );
        }
        let key = CyclesConfig::new(format!("{before}{KEY}{after}"), URL)
            .unwrap_err()
            .to_string();
        assert!(key.starts_with("the API key ") && key.contains(expected), "{key}");
        let url = CyclesConfig::new(KEY, format!("{before}{URL}{after}"))
            .unwrap_err()
            .to_string();
        assert!(
            url.starts_with("the base URL ") && url.contains(expected),
            "{url}"
        );
    }
    for (key, url) in [
        ("$CYCLES_API_KEY", URL),
        ("$(cat key)", URL),
        (KEY, "http://$HOST:7878"),
        (KEY, "http://${HOST}:7878"),
        (KEY, "http://h:7878/{{ prefix }}"),
        ("%CYCLES_API_KEY%", URL),
        ("%key%", URL),
        (KEY, "http://%HOST%:7878"),
        (KEY, "%CYCLES_BASE_URL%"),
        (KEY, "http://h:%PORT%"),
        (KEY, "http://h:7878/%prefix%/a"),
    ] {
        let error = CyclesConfig::new(key, url).unwrap_err().to_string();
        assert!(error.contains("variable"), "{error}");
    }
    for odd in ["a$b", "it's", "a\"b", "<key", "a<b>"] {
        assert_eq!(CyclesConfig::new(odd, URL).unwrap().api_key().expose(), odd);
    }
}

/// A line that names the variable, and other text around a value that a key may contain as well.
#[test]
fn what_a_line_or_a_template_has_around_a_value_is_named_and_the_value_is_not() {
    for (before, after, expected) in [
        ("CYCLES_API_KEY=", "", "the variable's name"),
        ("MYAPP_BASE_URL=", "", "the variable's name"),
        ("TENANT=", "", "the variable's name"),
        ("export CYCLES_JOURNAL_DIR=", "", "the variable's name"),
        ("CYCLES_READ_TIMEOUT=", "", "the variable's name"),
        ("", "\\n", "backslash"),
        ("", "\\r\\n", "backslash"),
        ("", "\\r", "backslash"),
        ("", ",", "comma"),
        ("", ";", "comma"),
        ("<", ">", "placeholder"),
    ] {
        for (name, value) in [
            ("API_KEY", KEY),
            ("BASE_URL", "http://secret.example:7878"),
            ("TENANT", "secret"),
            ("JOURNAL_DIR", "/secret/journal"),
            ("READ_TIMEOUT", "5s"),
            ("RETRY_ENABLED", "true"),
        ] {
            let error = env(&[(name, &format!("{before}{value}{after}"))])
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!("CYCLES_{name} ")) && error.contains(expected),
                "{before:?} {after:?}: {error}"
            );
            assert!(
                !error.contains("secret") && !error.contains("0123456789"),
                "{error}"
            );
        }
    }
}

#[test]
fn what_stands_for_a_key_is_no_key_and_what_may_be_one_is() {
    for (given, expected) in [
        ("<your-key>", "placeholder"),
        ("<CYCLES_API_KEY>", "placeholder"),
        ("cyc_live_<your-key>", "placeholder"),
        ("/run/secrets/key", "is a file path: read the file"),
        ("/run/secrets/cycles_api_key", "is a file path"),
        ("/etc/cycles/key.txt", "is a file path"),
        ("./key", "is a file path"),
        ("../secrets/key", "is a file path"),
        ("~/.cycles-key", "is a file path"),
        ("/Users/Me/key", "is a file path"),
        ("C:\\secrets\\key", "is a file path"),
        ("file:/run/secrets/key", "is a file path"),
        ("file:///run/secrets/key", "is a file path"),
        ("cyc_live_...", "only part"),
        ("cyc_...", "only part"),
        ("...", "only part"),
        ("cyc_live_0123...6789", "only part"),
        ("cyc_live_0123********", "only part"),
        ("cyc_live_\u{2026}", "no key has"),
    ] {
        let error = env(&[("API_KEY", given)]).unwrap_err().to_string();
        assert!(
            error.starts_with("CYCLES_API_KEY ") && error.contains(expected),
            "{given}: {error}"
        );
        assert!(!error.contains(given) && !error.contains("0123"), "{error}");
    }
    for key in [
        KEY,
        // In a program, it may belong to an example.
        "cyc_live_...",
        "cyc_live_a.b-c_D",
        "QUJDREVGRw==",
        "AB_C=",
        "AP_KEY=x",
        "a=b",
        "API_KEY==",
        "/9j4AAQSkZJRgABAQ/x+A=",
        "/abc",
        "//",
        "p;w,",
        "100%",
        "%41%42",
        "%a%b%",
        "a\\nb",
        "c:x",
    ] {
        let config = CyclesConfig::new(key, URL).unwrap();
        assert_eq!(config.api_key().expose(), key);
    }
    for key in ["x...y", "a***"] {
        let config = env(&[("API_KEY", key)]).unwrap();
        assert_eq!(config.api_key().expose(), key, "it is not the protocol's");
    }
}

#[test]
fn a_journals_directory_is_a_path_and_nothing_for_a_shell() {
    let read = |dir: &str| env(&[("JOURNAL_DIR", dir)]);
    for dir in [
        "~/journal",
        "~",
        "/var/lib/o'brien/my journal",
        "some/dir",
        "/a~b/c",
        "/tmp/{a}",
        "/data/50%off%/j",
        "/data/TENANT=acme",
        "/a<b/c>d",
        "/a,b;c/d",
    ] {
        assert_eq!(read(dir).unwrap().journal_dir.as_deref(), Some(Path::new(dir)));
    }
    for (dir, expected) in [
        ("$HOME/j", "variable"),
        ("/var/$USER/j", "contains a `$`"),
        ("${HOME}/j", "variable"),
        ("~root/j", "another user's home"),
        ("~\n/j", "line break"),
        ("file:///a", "is a URL"),
        ("FILE:/a", "is a URL"),
        ("file:a", "is a URL"),
        ("s3://bucket/j", "is a URL"),
        ("http://localhost:7878", "is a URL"),
        ("%HOME%/j", "variable"),
        ("%USERPROFILE%\\j", "variable"),
        ("C:\\users\\%USERNAME%", "variable"),
        ("%JOURNAL%", "variable"),
        ("<dir>", "placeholder"),
        ("/var/<app>/j", "placeholder"),
    ] {
        let error = read(dir).unwrap_err().to_string();
        assert!(
            error.starts_with("CYCLES_JOURNAL_DIR ") && error.contains(expected),
            "{error}"
        );
    }
    let by_builder = |dir: &str| CyclesConfig::builder(KEY, URL).journal_dir(dir).build();
    for dir in ["$HOME/j", "'j'", " j ", "~root"] {
        assert_eq!(
            by_builder(dir).unwrap().journal_dir.as_deref(),
            Some(Path::new(dir)),
            "as it is"
        );
    }
    for dir in ["/j\n", "\u{0}", "/a\tb"] {
        let error = by_builder(dir).unwrap_err().to_string();
        assert!(
            error.starts_with("the journal's directory contains a line break"),
            "{error}"
        );
    }
}
