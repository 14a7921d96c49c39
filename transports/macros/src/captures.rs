//! How the body has the arguments when its cost reads some of them after it. Whatever is captured by a reference is
//! as the body left it; what the body owns the compiler refuses to the cost.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::adapter::{Adapter, place};
use crate::function::{Function, Passed};
use crate::names::Names;

/// What an async body needs beside its own text. A function that blocks has no use for it: it sends nothing to
/// another thread.
#[derive(Default)]
pub(crate) struct Captures {
    /// `move`, where the cost reads no argument.
    pub(crate) takes: TokenStream,
    /// What stands in front of the body.
    pub(crate) before: TokenStream,
    /// What stands in the body where nothing is run, and has the compiler choose how arguments are captured.
    pub(crate) hints: TokenStream,
    /// Whether the receiver has to be declared `mut`.
    pub(crate) changes_receiver: bool,
}

impl Captures {
    /// `cost` is what is said of the cost, over what the body leaves.
    pub(crate) fn of(adapter: &Adapter, function: &Function, cost: &Names) -> Self {
        let arguments = function.arguments();
        if !cost.calls_macros && !arguments.iter().any(|argument| cost.has(&argument.name)) {
            return Self {
                takes: quote_spanned!(Span::mixed_site()=> move),
                ..Self::default()
            };
        }
        let mut captures = Self::default();
        if !adapter.is_async {
            return captures;
        }
        let body = Names::of(function.body.clone());
        for argument in arguments.iter().filter(|argument| body.has(&argument.name)) {
            let name = &argument.name;
            let span = place(name);
            let hint = match argument.is {
                Passed::Shared => continue,
                // A future that has the value itself, or the only reference to it, is `Send` where the value is.
                Passed::Value | Passed::Unique if !cost.has(name) => {
                    quote_spanned!(span=> let _moved = (#name,);)
                }
                // What only has fields named may be taken apart.
                Passed::Value | Passed::Unique if !cost.has_whole(name) => continue,
                Passed::Unique => quote_spanned!(span=> let _ = &mut *#name;),
                Passed::Value => {
                    if name == "self" {
                        captures.changes_receiver = true;
                    } else if !argument.is_mutable {
                        captures
                            .before
                            .extend(quote_spanned!(span=> let mut #name = #name;));
                    }
                    quote_spanned!(span=> let _ = &mut #name;)
                }
            };
            captures.hints.extend(hint);
        }
        captures
    }
}
