//! Reading a request body: the checks that every POST operation has in common, in the server's order.

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;

use super::coerce::{Members, Violations, utf16_length};
use super::error::Refusal;
use super::json::Json;
use super::requests::Body;

/// Reads the body of `request` as `B`. `id` is the reservation id from the path, if the path has one.
pub(super) fn read<B: Body>(request: &Request<Bytes>, id: Option<&str>) -> Result<B, Refusal> {
    check_content_type(request)?;
    let mut violations = Violations::default();
    let body = parse::<B>(request.body(), &mut violations)?;
    refuse(violations)?;
    if let Some(id) = id {
        check_reservation_id(id)?;
    }
    check_header(request, body.idempotency_key())?;
    Ok(body)
}

/// Checks the length of a reservation id from a path.
pub(super) fn check_reservation_id(id: &str) -> Result<(), Refusal> {
    let mut violations = Violations::default();
    violations.size("reservationId", utf16_length(id), 1, 128);
    refuse(violations)
}

/// Refuses with 400 if there are violations.
pub(super) fn refuse(violations: Violations) -> Result<(), Refusal> {
    violations
        .message()
        .map_or(Ok(()), |message| Err(Refusal::invalid(message)))
}

fn parse<B: Body>(bytes: &[u8], violations: &mut Violations) -> Result<B, Refusal> {
    let json = Json::parse(bytes).map_err(|_| Refusal::malformed())?;
    let members = Members::of(&json, B::KNOWN).map_err(|_| Refusal::malformed())?;
    B::read(members, violations).map_err(|_| Refusal::malformed())
}

/// Checks the content type. The reference server does not handle other types, so the answer is a 500, not a 415.
pub(super) fn check_content_type(request: &Request<Bytes>) -> Result<(), Refusal> {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let media_type = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json = media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json");
    if is_json { Ok(()) } else { Err(Refusal::internal()) }
}

/// Checks the key in the header, which is optional; a header that is present, even empty, must repeat the body's key.
fn check_header(request: &Request<Bytes>, key: &str) -> Result<(), Refusal> {
    match request.headers().get("x-idempotency-key") {
        Some(header) if header.as_bytes() != key.as_bytes() => Err(Refusal::invalid(
            "X-Idempotency-Key header does not match idempotency_key in request body",
        )),
        Some(_) | None => Ok(()),
    }
}
