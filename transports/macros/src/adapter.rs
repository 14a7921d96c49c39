//! The adapters that export the attribute, and the kinds of functions that each of them can guard.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Ident, Path, Signature};

/// A crate that exports the attribute.
pub(crate) struct Adapter {
    name: &'static str,
    pub(crate) is_async: bool,
}

/// The path to the private items that an expansion uses.
pub(crate) struct Private(TokenStream);

impl Private {
    /// Returns the path with the location `span`, so that errors point there.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        let tokens = self.0.clone().into_iter().map(|mut token: TokenTree| {
            token.set_span(span);
            token
        });
        tokens.collect()
    }
}

/// Returns the location of `tokens`, with the hygiene of the expansion: names at this span never refer to the
/// function's names, even if they are spelled the same, and lints ignore the span.
pub(crate) fn place(tokens: &impl Spanned) -> Span {
    Span::mixed_site().located_at(tokens.span())
}

impl Adapter {
    pub(crate) const TOKIO: Self = Self {
        name: "cycles_tokio",
        is_async: true,
    };
    pub(crate) const ASYNC_STD: Self = Self {
        name: "cycles_async_std",
        is_async: true,
    };
    pub(crate) const UREQ: Self = Self {
        name: "cycles_ureq",
        is_async: false,
    };

    /// The path to the private items of this adapter, or of the crate at `path` if it was renamed.
    pub(crate) fn private(&self, path: Option<&Path>) -> Private {
        let name = Ident::new(self.name, Span::call_site());
        Private(path.map_or_else(|| quote!(::#name::__private), |path| quote!(#path::__private)))
    }

    /// Checks that the function is async if the adapter is, and blocking otherwise.
    ///
    /// # Errors
    /// If the adapter's client cannot guard that kind of function.
    pub(crate) fn check(&self, signature: &Signature) -> Result<(), Error> {
        let name = self.name;
        match (self.is_async, &signature.asyncness) {
            (true, Some(_)) | (false, None) => Ok(()),
            (true, None) => Err(Error::new(
                signature.fn_token.span,
                format!(
                    "`{name}` guards async functions, and this one is not async: write `async fn`, or use the \
                     attribute of `cycles_ureq`, which blocks. If another attribute removes the `async`, put \
                     this one above it"
                ),
            )),
            (false, Some(asyncness)) => Err(Error::new(
                asyncness.span,
                format!(
                    "`{name}` would block the executor of an async function: use the attribute of `cycles_tokio` \
                     or `cycles_async_std`"
                ),
            )),
        }
    }
}
