#![doc = include_str!("../README.md")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a syntax tree has too many kinds of nodes to list"
)]

mod adapter;
mod attribute_parameters;
mod captures;
mod check_literals;
mod closures;
mod configuration_code;
mod expand;
mod groups;
mod guarded_function;
mod named_variables;
mod nearest;
mod stream_items;

use proc_macro::TokenStream;

use crate::adapter::Adapter;

/// Guards an async function with a budget, through the client of `cycles-tokio`, which exports this as `cycles`.
#[proc_macro_attribute]
pub fn tokio(parameters: TokenStream, function: TokenStream) -> TokenStream {
    expand::attribute(&Adapter::TOKIO, parameters.into(), function.into()).into()
}

/// Guards an async function with a budget, through the client of `cycles-async-std`, which exports this as `cycles`.
#[proc_macro_attribute]
pub fn async_std(parameters: TokenStream, function: TokenStream) -> TokenStream {
    expand::attribute(&Adapter::ASYNC_STD, parameters.into(), function.into()).into()
}

/// Guards a blocking function with a budget, through the client of `cycles-ureq`, which exports this as `cycles`.
#[proc_macro_attribute]
pub fn ureq(parameters: TokenStream, function: TokenStream) -> TokenStream {
    expand::attribute(&Adapter::UREQ, parameters.into(), function.into()).into()
}
