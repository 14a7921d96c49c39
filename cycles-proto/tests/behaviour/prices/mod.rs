//! Prices that are true: how providers price their models, what they report, and what to reserve for it.

mod estimate;
mod litellm;
mod structures;
mod usage;
