//! The pages of the admin plane's lists. They are always sorted, and a page begins after the row that its cursor names, so
//! a cursor is good for the order and the filters of the page that it came with.

use core::cmp::Ordering;

use http::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::refusal::AdminRefusal;
use super::{Done, done};
use crate::ledger::coerce::utf16_length;
use crate::ledger::list::read_direction;
use crate::ledger::order::{Direction, SortValue};
use crate::ledger::query::Params;

/// A row of a list.
pub(super) trait Row<'a>: Copy {
    /// What `sort_by` can name.
    const SORTS: &'static [&'static str];
    /// What it names by default.
    const DEFAULT_SORT: &'static str;
    /// Whether rows with equal values are in the ascending order of their ids even if the order is descending.
    const IDS_ASCEND: bool;

    /// The value of one of `SORTS`.
    fn value(self, sort_by: &str) -> SortValue<'a>;

    /// It is unique within a list.
    fn id(self) -> &'a str;

    fn tenant(self) -> &'a str;

    /// The texts that a search looks into.
    fn texts(self) -> [Option<&'a str>; 2];
}

/// Which rows of a list to show, and in which order: the parameters that every list accepts.
pub(super) struct Paging {
    limit: usize,
    sort_by: String,
    direction: Direction,
    /// In lower case.
    search: Option<String>,
    /// Names the last row of the page before.
    cursor: Option<String>,
    /// Whether the rows are of all tenants; then cursors name the tenant too.
    across_tenants: bool,
}

/// The rows of a page.
pub(super) struct Page<T> {
    rows: Vec<T>,
    next_cursor: Option<String>,
}

impl Paging {
    /// Reads the parameters of a list of `T`, apart from the limit, whose type is checked earlier.
    pub(super) fn read<'a, T: Row<'a>>(
        params: &Params,
        limit: usize,
        across_tenants: bool,
    ) -> Result<Self, AdminRefusal> {
        let direction = params.get("sort_dir").map(read_direction).transpose()?;
        let sort_by = params.non_blank("sort_by").unwrap_or(T::DEFAULT_SORT);
        if !T::SORTS.contains(&sort_by) {
            return Err(AdminRefusal::invalid(format!(
                "This list cannot be sorted by {sort_by}, but by {}",
                T::SORTS.join(", ")
            )));
        }
        Ok(Self {
            limit,
            sort_by: sort_by.to_owned(),
            direction: direction.unwrap_or(Direction::Descending),
            search: read_search(params)?,
            cursor: params.non_blank("cursor").map(str::to_owned),
            across_tenants,
        })
    }

    /// The page of `rows`. A cursor that names none of them is a 400.
    pub(super) fn page<'a, T: Row<'a>>(
        &self,
        rows: impl Iterator<Item = T>,
    ) -> Result<Page<T>, AdminRefusal> {
        let mut rows: Vec<T> = rows.filter(|row| self.is_found(*row)).collect();
        rows.sort_unstable_by(|a, b| self.compare(*a, *b));
        let start = match &self.cursor {
            None => 0,
            Some(cursor) => {
                let is_last = |row: &T| row.id() == cursor || self.cursor_of(*row) == *cursor;
                rows.iter().position(is_last).ok_or_else(|| {
                    AdminRefusal::invalid("The cursor names no row of this list; start again without one")
                })? + 1
            }
        };
        let mut rows: Vec<T> = rows.into_iter().skip(start).take(self.limit + 1).collect();
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| has_more);
        Ok(Page {
            next_cursor: last.map(|row| self.cursor_of(*row)),
            rows,
        })
    }

    fn is_found<'a>(&self, row: impl Row<'a>) -> bool {
        self.search.as_ref().is_none_or(|search| {
            let mut texts = row.texts().into_iter().flatten();
            texts.any(|text| text.to_lowercase().contains(search))
        })
    }

    fn compare<'a, T: Row<'a>>(&self, a: T, b: T) -> Ordering {
        let values = a.value(&self.sort_by).cmp(&b.value(&self.sort_by));
        let ids = a.id().cmp(b.id());
        match self.direction {
            Direction::Ascending => values.then(ids),
            Direction::Descending if T::IDS_ASCEND => values.reverse().then(ids),
            Direction::Descending => values.then(ids).reverse(),
        }
    }

    fn cursor_of<'a>(&self, row: impl Row<'a>) -> String {
        if self.across_tenants {
            format!("{}|{}", row.tenant(), row.id())
        } else {
            row.id().to_owned()
        }
    }
}

/// The text to search for, without the blanks around it; if nothing is left, the parameter counts as absent.
fn read_search(params: &Params) -> Result<Option<String>, AdminRefusal> {
    const MAX: usize = 128;
    let text = params.get("search").unwrap_or("").trim_matches(|c| c <= ' ');
    if utf16_length(text) > MAX {
        return Err(AdminRefusal::invalid(format!(
            "The query parameter search is longer than {MAX} characters"
        )));
    }
    Ok((!text.is_empty()).then(|| text.to_lowercase()))
}

impl<T> Page<T> {
    /// The answer, with the rows as the member `name`, each in the form that `reply` gives it.
    pub(super) fn answer<R: Serialize>(self, name: &'static str, reply: impl FnMut(T) -> R) -> Done {
        done(
            StatusCode::OK,
            &PageReply {
                name,
                rows: self.rows.into_iter().map(reply).collect(),
                next_cursor: self.next_cursor,
            },
        )
    }
}

struct PageReply<R> {
    name: &'static str,
    rows: Vec<R>,
    next_cursor: Option<String>,
}

impl<R: Serialize> Serialize for PageReply<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry(self.name, &self.rows)?;
        members.serialize_entry("has_more", &self.next_cursor.is_some())?;
        if let Some(cursor) = &self.next_cursor {
            members.serialize_entry("next_cursor", cursor)?;
        }
        members.end()
    }
}
