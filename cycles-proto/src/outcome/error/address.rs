//! The address of a call, and the target of a redirect.

use http::{Method, Uri};

use super::CallContext;
use crate::models::ResponseInfo;
use crate::outcome::OperationKind;
use crate::url_path::reservation_path;

impl CallContext {
    /// The method of the operation.
    pub(super) fn method(&self) -> Method {
        match self.operation {
            OperationKind::Decide
            | OperationKind::CreateReservation { .. }
            | OperationKind::CommitReservation
            | OperationKind::ReleaseReservation
            | OperationKind::ExtendReservation
            | OperationKind::CreateEvent => Method::POST,
            OperationKind::GetReservation
            | OperationKind::ListReservations
            | OperationKind::GetBalances
            | OperationKind::GetEvidence
            | OperationKind::GetEvidenceJwks
            | OperationKind::Health => Method::GET,
        }
    }

    /// The address that the call was sent to, without the query.
    pub(super) fn address(&self) -> String {
        format!("{}{}", self.server.trim_end_matches('/'), self.path())
    }

    fn path(&self) -> String {
        let of_a_reservation = |suffix| {
            let path = self
                .reservation_id
                .as_ref()
                .map(|id| reservation_path(id, suffix));
            // A call with an id that cannot be part of a path was never sent.
            path.and_then(Result::ok)
                .unwrap_or_else(|| format!("/v1/reservations/{{reservation_id}}{suffix}"))
        };
        match self.operation {
            OperationKind::Decide => "/v1/decide".to_owned(),
            OperationKind::CreateReservation { .. } | OperationKind::ListReservations => {
                "/v1/reservations".to_owned()
            }
            OperationKind::CommitReservation => of_a_reservation("/commit"),
            OperationKind::ReleaseReservation => of_a_reservation("/release"),
            OperationKind::ExtendReservation => of_a_reservation("/extend"),
            OperationKind::GetReservation => of_a_reservation(""),
            OperationKind::CreateEvent => "/v1/events".to_owned(),
            OperationKind::GetBalances => "/v1/balances".to_owned(),
            OperationKind::GetEvidence => "/v1/evidence/{evidence_id}".to_owned(),
            OperationKind::GetEvidenceJwks => "/v1/.well-known/cycles-jwks.json".to_owned(),
            OperationKind::Health => "/actuator/health/readiness".to_owned(),
        }
    }

    /// Describes a redirect, and what to change. Redirects are not followed: the API key would go wherever the answer
    /// points, and a POST could turn into a GET.
    pub(super) fn redirect(&self, info: &ResponseInfo) -> Option<String> {
        let is_redirect = (300..400).contains(&info.status());
        let location = info.location().filter(|_| is_redirect)?;
        let target = Uri::try_from(location).ok().and_then(|uri| self.resolved(&uri));
        let Some(target) = target else {
            return Some("a redirect, which is not followed".to_owned());
        };
        let advice = match target.strip_suffix(&self.path()) {
            Some(base) if base != self.server.trim_end_matches('/') => {
                format!(": set the base URL to {base}")
            }
            Some(_) | None => String::new(),
        };
        Some(format!("a redirect to {target}, which is not followed{advice}"))
    }

    /// The full address that a `Location` refers to, without the query.
    fn resolved(&self, location: &Uri) -> Option<String> {
        let server = Uri::try_from(&*self.server).ok()?;
        let scheme = location.scheme_str().or(server.scheme_str())?;
        let authority = location.authority().or(server.authority())?;
        // Keep only the host: an error must not show the credentials before an `@`.
        let host = authority.as_str().rsplit('@').next()?;
        Some(format!("{scheme}://{host}{}", location.path()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn redirect(server: &str, location: &str) -> String {
        let call = CallContext {
            is_recorded: false,
            server: Arc::from(server),
            operation: OperationKind::CreateReservation { dry_run: false },
            reservation_id: None,
            idempotency_key: None,
            trace_id: None,
            unit: None,
            info: None,
        };
        let response = http::Response::builder().status(307).header("location", location);
        let info = ResponseInfo::of(&response.body(Bytes::new()).unwrap());
        call.redirect(&info).unwrap()
    }

    #[test]
    fn a_redirect_names_the_base_url_that_would_be_right_if_it_can_be_told() {
        for (server, location, base) in [
            ("http://h", "https://h/v1/reservations", "https://h"),
            (
                "http://h/",
                "https://h:8443/v1/reservations?x=1",
                "https://h:8443",
            ),
            (
                "http://h/base",
                "http://new.example/base/v1/reservations",
                "http://new.example/base",
            ),
            ("http://h/base/", "/other/v1/reservations", "http://h/other"),
            ("http://h", "https://user:secret@h/v1/reservations", "https://h"),
        ] {
            assert_eq!(
                redirect(server, location),
                format!(
                    "a redirect to {base}/v1/reservations, which is not followed: set the base URL to {base}"
                ),
                "{server} {location}"
            );
        }
    }

    #[test]
    fn a_redirect_to_anything_else_is_only_named() {
        for (location, target) in [
            (
                "https://login.example/authorize?state=abc#top",
                "https://login.example/authorize",
            ),
            ("/login", "http://h/login"),
            ("/v1/reservations/", "http://h/v1/reservations/"),
            // The same address, with another query.
            ("http://h/v1/reservations?again", "http://h/v1/reservations"),
        ] {
            assert_eq!(
                redirect("http://h", location),
                format!("a redirect to {target}, which is not followed"),
                "{location}"
            );
        }
        for hostile in ["", "http://", "://", "http://[::1"] {
            assert_eq!(
                redirect("http://h", hostile),
                "a redirect, which is not followed",
                "{hostile}"
            );
        }
    }
}
