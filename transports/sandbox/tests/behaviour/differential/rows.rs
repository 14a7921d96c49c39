//! Paged reads: reads all pages on each side, then compares row by row.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{self, Difference};
use super::operations::Request;
use super::pair::Known;
use crate::common::Answer;

/// The most pages of a read in an episode.
const ENOUGH: usize = 400;

/// All pages of a read, by following its cursors.
pub fn walk(get: &mut dyn FnMut(&str) -> Answer, request: &Request) -> Vec<Answer> {
    let mut pages = vec![get(&request.path)];
    while let Some(next) = pages.last().and_then(|page| page.body["next_cursor"].as_str()) {
        let asked = request.path.split("&cursor=").next().unwrap_or("");
        let page = get(&format!("{asked}&cursor={next}"));
        pages.push(page);
        assert!(pages.len() < ENOUGH, "{} never ends", request.path);
    }
    pages
}

pub fn compare(left: &[Answer], right: &[Answer], path: &str, known: &mut Known) -> Result<(), String> {
    let bytes = |pages: &[Answer]| -> String {
        pages
            .iter()
            .map(|page| format!("{} {}\n", page.status, String::from_utf8_lossy(&page.bytes)))
            .collect()
    };
    let outcome = compare_pages(left, right, path, known);
    outcome
        .map_err(|Difference(at)| format!("differs at {at}\nhere:  {}there: {}", bytes(left), bytes(right)))
}

fn compare_pages(left: &[Answer], right: &[Answer], path: &str, known: &mut Known) -> Result<(), Difference> {
    let (Some(first), Some(other)) = (left.first(), right.first()) else {
        return Err(Difference("no page".into()));
    };
    if first.status != 200 || other.status != 200 {
        return compare::answers(first, other, known);
    }
    for (side, pages) in [("here", left), ("there", right)] {
        for page in pages {
            let body = &page.body;
            let members = body.as_object().map_or(0, serde_json::Map::len);
            if page.status != 200 || members != 3 || body["has_more"] == body["next_cursor"].is_null() {
                return Err(Difference(format!("a page {side}: {} {body}", page.status)));
            }
        }
    }
    let is_sorted = path.contains("sort_");
    if is_sorted && left.len() != right.len() {
        return Err(Difference("the number of pages".into()));
    }
    let (ours, theirs) = (rows(left), rows(right));
    if is_sorted {
        for rows in [&ours, &theirs] {
            in_order(rows, path)?;
        }
    }
    let (ours, theirs) = (by_name(&ours, 0, known), by_name(&theirs, 1, known));
    let (here, there): (Vec<_>, Vec<_>) = (ours.keys().collect(), theirs.keys().collect());
    if here != there {
        return Err(Difference(format!("the rows: {here:?} and {there:?}")));
    }
    ours.iter()
        .try_for_each(|(name, row)| compare::values(name, row, &theirs[name], known))
}

fn rows(pages: &[Answer]) -> Vec<Value> {
    let rows = |page: &Answer| {
        let rows = page.body["reservations"]
            .as_array()
            .or(page.body["balances"].as_array());
        rows.cloned().unwrap_or_default()
    };
    pages.iter().flat_map(rows).collect()
}

/// Rows with names that mean the same on both sides.
fn by_name(rows: &[Value], side: usize, known: &Known) -> BTreeMap<String, Value> {
    let name = |row: &Value| match row["reservation_id"].as_str() {
        Some(id) => known
            .reservations
            .iter()
            .position(|ids| ids[side] == id)
            .map_or_else(
                || format!("one under the key {}", row["idempotency_key"]),
                |number| format!("r{number:04}"),
            ),
        None => format!("{} {}", row["scope_path"], row["spent"]["unit"]),
    };
    rows.iter().map(|row| (name(row), row.clone())).collect()
}

/// Sorts by the key and direction in `path`; equal keys by id.
fn in_order(rows: &[Value], path: &str) -> Result<(), Difference> {
    let asked = |name: &str| {
        let value = path.split(['?', '&']).find_map(|pair| pair.strip_prefix(name));
        value.unwrap_or("").to_lowercase()
    };
    let (key, ascending) = (asked("sort_by="), asked("sort_dir=") == "asc");
    let value = |row: &Value| match key.as_str() {
        "" => row["created_at_ms"].clone(),
        "reserved" => row["reserved"]["amount"].clone(),
        "tenant" => row["subject"]["tenant"].clone(),
        key => row[key].clone(),
    };
    let rank = |row: &Value| {
        let value = value(row);
        let text = value.as_str().unwrap_or("").to_owned();
        (value.is_null(), value.as_i64().unwrap_or(0), text)
    };
    for pair in rows.windows(2) {
        let (a, b) = (rank(&pair[0]), rank(&pair[1]));
        let by_id = pair[0]["reservation_id"].as_str() < pair[1]["reservation_id"].as_str();
        let fits = if a == b { by_id } else { (a < b) == ascending };
        if !fits {
            return Err(Difference(format!("the order: {} before {}", pair[0], pair[1])));
        }
    }
    Ok(())
}
