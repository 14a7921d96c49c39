//! The function with its body handed to the adapter.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, Result};

use crate::adapter::Adapter;
use crate::function::Function;
use crate::parameters::Parameters;
use crate::settings;

/// What takes the place of the attribute and its function. If something is wrong with either, the function stays
/// as it is, so that nothing is said of its callers.
pub(crate) fn attribute(adapter: &Adapter, parameters: TokenStream, function: TokenStream) -> TokenStream {
    let guarded = syn::parse2::<Function>(function.clone()).and_then(|function| {
        adapter.check(&function.signature)?;
        function.check()?;
        guarded(adapter, &Parameters::parse(parameters)?, &function)
    });
    guarded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #function)
    })
}

fn guarded(adapter: &Adapter, parameters: &Parameters, function: &Function) -> Result<TokenStream> {
    let private = adapter.private(parameters.path.as_ref());
    let config = settings::config(parameters, &private)?;
    let client = settings::client(parameters, &private);
    let actual = actual(parameters, &private)?;
    let guarded = format_ident!("guarded{}", if actual.is_some() { "" } else { "_by_estimate" });
    // After the body, from which the compiler knows what the result is.
    let actual = actual.map(|actual| quote!(, #actual));
    let body = body(adapter, &private, function);
    let wait = adapter.is_async.then(|| quote!(.await));
    let Function {
        attributes,
        visibility,
        signature,
        ..
    } = function;
    // Names of the expansion are not those of the function, even if they are spelled the same.
    let [its_client, its_config, its_body] =
        ["client", "config", "body"].map(|name| Ident::new(name, Span::mixed_site()));
    Ok(quote! {
        #(#attributes)*
        #visibility #signature {
            let #its_client = #client;
            let #its_config = #config;
            let #its_body = #body;
            #private::#guarded(#its_client, #its_config, #its_body #actual) #wait
        }
    })
}

/// The body as what it is not yet: something to run.
fn body(adapter: &Adapter, private: &TokenStream, function: &Function) -> TokenStream {
    let return_type = function.return_type();
    let body = &function.body;
    let span = function.signature.output.span();
    let returned = Ident::new("returned", Span::mixed_site());
    // It is never run, and tells the compiler what `?` and `return` lead to, and whether that can tell of a denial.
    let typed = quote_spanned! {span=>
        if false {
            let #returned: #return_type = #private::returned();
            return #returned;
        }
    };
    if adapter.is_async {
        quote!(::core::pin::pin!(async move { #typed #body }))
    } else {
        quote!(move || -> #return_type { #typed #body })
    }
}

/// What tells the cost from the value that the function returned; nothing if that is the estimate.
fn actual(parameters: &Parameters, private: &TokenStream) -> Result<Option<TokenStream>> {
    let is_estimate = parameters.flag("use_estimate_if_actual_not_provided")?;
    let Some(actual) = parameters.get("actual") else {
        if is_estimate == Some(false) {
            let flag = parameters.get("use_estimate_if_actual_not_provided");
            let problem = "then what did it cost? Give it as an expression over `result`, such as \
                           `actual = result.len() * 5`, or let the estimate be charged";
            return Err(Error::new_spanned(flag, problem));
        }
        return Ok(None);
    };
    let unit = Ident::new("unit", Span::mixed_site());
    let amount = settings::amount(private, actual, &quote!(#unit))?;
    let result = result(actual).map_or_else(|| quote!(_), Ident::into_token_stream);
    Ok(Some(quote!(|#result: &_, #unit: &#private::Unit| #amount)))
}

/// The name by which the expression calls the result.
fn result(actual: &Expr) -> Option<Ident> {
    fn find(tokens: TokenStream) -> Option<Ident> {
        tokens.into_iter().find_map(|token| match token {
            TokenTree::Ident(name) if name == "result" => Some(name),
            TokenTree::Group(group) => find(group.stream()),
            _ => None,
        })
    }
    find(actual.to_token_stream())
}
