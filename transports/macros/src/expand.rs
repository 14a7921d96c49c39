//! The function with its body handed to the adapter.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Error, Expr, Result};

use crate::adapter::{Adapter, Private, place};
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
    let private = private.at(Span::mixed_site());
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
fn body(adapter: &Adapter, private: &Private, function: &Function) -> TokenStream {
    let (return_type, body) = (function.return_type(), &function.body);
    let span = place(&return_type);
    let private = private.at(span);
    // It is never run, and tells the compiler what `?` and `return` lead to, and whether that can tell of a denial.
    let typed = quote_spanned! {span=>
        if false {
            let returned: #return_type = #private::returned();
            return returned;
        }
    };
    let span = Span::mixed_site().located_at(function.braces);
    if adapter.is_async {
        let body = quote_spanned!(span=> async move { #typed #body });
        quote!(::core::pin::pin!(#body))
    } else {
        quote_spanned!(span=> move || -> #return_type { #typed #body })
    }
}

/// What tells the cost from the value that the function returned; nothing if that is the estimate.
fn actual(parameters: &Parameters, private: &Private) -> Result<Option<TokenStream>> {
    let is_estimate = parameters.flag("use_estimate_if_actual_not_provided")?;
    let Some(actual) = parameters.get("actual") else {
        if is_estimate == Some(false) {
            let flag = parameters.get("use_estimate_if_actual_not_provided");
            let problem = "then somebody has to say what it cost: give an expression over `result`, such as \
                           `actual = result.len() * 5`";
            return Err(Error::new_spanned(flag, problem));
        }
        return Ok(None);
    };
    let (span, path) = (place(actual), private.at(place(actual)));
    let unit = Ident::new("unit", span);
    let amount = settings::amount(private, actual, &quote!(#unit))?;
    let result = result(actual).map_or_else(|| quote!(_), Ident::into_token_stream);
    Ok(Some(
        quote_spanned!(span=> |#result: &_, #unit: &#path::Unit| #amount),
    ))
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
