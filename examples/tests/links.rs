//! Checks that ARCHITECTURE.md and the READMEs point to files that exist.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the root folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Collects every Markdown file, except those that were built or that belong to a tool.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "corpus" {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Returns the targets of a page's links that are within the repository.
fn links(page: &str) -> Vec<&str> {
    let ends = page.split("](").skip(1);
    let targets = ends.filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap());
    let is_a_path = |target: &&str| {
        let is_elsewhere = target.is_empty() || target.contains("://") || target.contains("::");
        !is_elsewhere && (target.contains('/') || target.contains('.'))
    };
    targets.filter(is_a_path).collect()
}

#[test]
fn every_link_to_a_file_points_to_one_that_exists() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    let mut checked = 0;
    for page in &found {
        let text = fs::read_to_string(page).unwrap();
        for link in links(&text) {
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{} points to {link}", page.display());
            checked += 1;
        }
    }
    assert!(
        found.len() > 10 && checked > 60,
        "{} pages, {checked} links",
        found.len()
    );
}

#[test]
fn every_path_in_the_architecture_page_is_written_out_and_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("## Where would I change").nth(1).unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| question"))
        .collect();
    assert!(rows.len() >= 20, "{} questions", rows.len());
    for row in rows {
        assert!(!links(row).is_empty(), "{row}");
    }
    assert!(links(&text).iter().all(|link| root().join(link).exists()));
}
