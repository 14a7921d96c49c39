//! The server's behaviour, as one suite for a ledger of this process and for any other server:
//!
//! ```text
//! CYCLES_BASE_URL=… CYCLES_API_KEY=… CYCLES_TENANT=… CYCLES_SEED=… cargo test -p cycles-sandbox
//! ```

mod check_order;
mod evidence;
mod expiry;
mod headers;
mod idempotency;
mod overage;
mod reads;
mod scopes;
mod strictness;
