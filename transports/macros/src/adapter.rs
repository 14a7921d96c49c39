//! Whose client an attribute uses, and on which functions it can stand.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Ident, Path, Signature};

/// A crate that exports the attribute.
pub(crate) struct Adapter {
    name: &'static str,
    pub(crate) is_async: bool,
}

/// The path to what an expansion is made of.
pub(crate) struct Private(TokenStream);

impl Private {
    /// The path as it is written for what stands at `span`, so that the compiler points there.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        let tokens = self.0.clone().into_iter().map(|mut token: TokenTree| {
            token.set_span(span);
            token
        });
        tokens.collect()
    }
}

/// Where `tokens` stand, as a place in the expansion: names there are not those of the function, even if they are
/// spelled the same, and lints leave it alone.
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

    /// Where the expansion finds what it is made of.
    pub(crate) fn private(&self, path: Option<&Path>) -> Private {
        let name = Ident::new(self.name, Span::call_site());
        Private(path.map_or_else(|| quote!(::#name::__private), |path| quote!(#path::__private)))
    }

    /// # Errors
    /// If its client cannot guard that kind of function.
    pub(crate) fn check(&self, signature: &Signature) -> Result<(), Error> {
        let name = self.name;
        match (self.is_async, &signature.asyncness) {
            (true, Some(_)) | (false, None) => Ok(()),
            (true, None) => Err(Error::new(
                signature.fn_token.span,
                format!(
                    "`{name}` awaits its server, and this function is not async: write `async fn`, or use the \
                     attribute of `cycles_ureq`, which blocks. If another attribute takes the `async` away, put \
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
