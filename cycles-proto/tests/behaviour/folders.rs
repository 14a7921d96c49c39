//! The imports between the folders go one way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Imports = BTreeMap<String, BTreeSet<String>>;

/// The modules that each of the core's top-level modules imports, without tests.
fn imports() -> Imports {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Imports::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name == "tests" || name == "lib" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
            let module = Path::new(first.as_os_str())
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let named = code.flat_map(|line| line.split("crate::").skip(1));
            for named in named {
                let end = named
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(named.len());
                let imported = all.entry(module.to_owned()).or_default();
                imported.insert(named[..end].to_owned());
            }
        }
    }
    for (module, imported) in &mut all {
        imported.remove(module);
    }
    all
}

#[test]
fn no_folder_imports_one_that_imports_it_by_whatever_way() {
    let mut left = imports();
    assert!(left.len() > 15, "{left:?}");
    loop {
        let leaves: Vec<_> = left
            .keys()
            .filter(|module| left[*module].iter().all(|of| !left.contains_key(of)))
            .cloned()
            .collect();
        if leaves.is_empty() {
            break;
        }
        left.retain(|module, _| !leaves.contains(module));
    }
    assert!(left.is_empty(), "they import each other: {left:#?}");
}

#[test]
fn what_callers_get_imports_nothing_that_decides() {
    let all = imports();
    let leaves = BTreeSet::from([
        "api_key",
        "config",
        "idempotency",
        "models",
        "text",
        "ticket",
        "time",
        "url_path",
    ]);
    let others: Vec<_> = all["outcome"]
        .iter()
        .filter(|module| !leaves.contains(module.as_str()))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
