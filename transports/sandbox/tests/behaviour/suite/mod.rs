//! How the server behaves, as one suite for the ledger of this process and for any server elsewhere:
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
