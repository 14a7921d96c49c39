//! How the body captures the arguments if the cost reads some of them after the body. An argument that was captured by
//! reference is seen by the cost as the body left it; the compiler does not let the cost use an argument that the body
//! moved.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::adapter::{Adapter, place};
use crate::guarded_function::{Function, Passed};
use crate::named_variables::Names;

/// The additional tokens of an async body. A blocking function needs none, because it sends nothing to another thread.
#[derive(Default)]
pub(crate) struct Captures {
    /// `move`, if the cost does not read any argument.
    pub(crate) takes: TokenStream,
    /// Statements in front of the body.
    pub(crate) before: TokenStream,
    /// Statements in a branch of the body that is never executed; they make the compiler choose how arguments are
    /// captured.
    pub(crate) hints: TokenStream,
    /// Whether the receiver has to be declared `mut`.
    pub(crate) changes_receiver: bool,
}

impl Captures {
    /// Decides how each argument is captured. `cost` contains the names in the expression for the cost.
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
                // A future that owns the value, or has the only reference to it, is `Send` if the value is.
                Passed::Value | Passed::Unique if !cost.has(name) => {
                    quote_spanned!(span=> let _moved = (#name,);)
                }
                // If the cost names only fields of the argument, the body may move the other fields.
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
