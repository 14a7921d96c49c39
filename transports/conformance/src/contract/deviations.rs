//! The known deviations of the reference server and the sandbox from the document.

use super::Violation;

pub struct Deviation {
    pub name: &'static str,
    /// A description of the deviation.
    pub reason: &'static str,
    pub covers: fn(&Violation) -> bool,
}

pub const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "nulls in subjects and actions",
        reason: "reads show every member of a subject and an action's tags, as null if it was not given, and \
                 a null among the tags as it was given",
        covers: |violation| {
            let of_a_row = violation
                .at
                .strip_prefix("/reservations/*")
                .unwrap_or(&violation.at);
            is_read(violation)
                && is_null(violation)
                && (of_a_row.starts_with("/subject/")
                    || ["/action/tags", "/action/tags/*"].contains(&of_a_row))
        },
    },
    Deviation {
        name: "a missing cursor is shown as null",
        reason: "the last page of a list or of balances has a `next_cursor` of null",
        covers: |violation| is_read(violation) && is_null(violation) && violation.at == "/next_cursor",
    },
    Deviation {
        name: "odd addresses are refused without an error body",
        reason: "the container answers before the application does: with a page, or with nothing",
        covers: |violation| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/?&=:,+".contains(c);
            let is_bare =
                violation.part == "header content-type" || violation.problem.starts_with("it is not JSON");
            matches!(violation.status, Some(400 | 403)) && is_bare && !violation.target.chars().all(is_plain)
        },
    },
];

fn is_read(violation: &Violation) -> bool {
    let reads = ["getReservation", "listReservations", "getBalances"];
    violation.status == Some(200) && violation.part == "body" && reads.contains(&violation.operation.as_str())
}

fn is_null(violation: &Violation) -> bool {
    violation.problem.starts_with("null is not of type")
}
