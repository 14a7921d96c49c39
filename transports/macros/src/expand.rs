//! The function with its body handed to the adapter.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, Expr, Result};

use crate::adapter::{Adapter, Private, place};
use crate::function::{Function, Items};
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
    let Charge { by, before, cost } = charge(parameters, function, &private)?;
    let body = body(adapter, &private, function);
    let Function {
        attributes,
        visibility,
        signature,
        ..
    } = function;
    let returned = place(&function.return_type());
    let private = private.at(returned);
    let by = Ident::new(by, returned);
    // The cost after the body, from which the compiler knows what it is the cost of.
    let ended = quote_spanned!(returned=> #private::#by(client, config, body, #cost));
    let ended = if adapter.is_async {
        quote_spanned!(returned=> #ended.await)
    } else {
        ended
    };
    let span = Span::mixed_site();
    let guarded = quote_spanned! {span=>
        let client = #client;
        let config = #config;
        #before
        let body = #body;
    };
    let returning = quote_spanned!(returned=> #private::returning(#ended));
    let guarded = quote!(#guarded #returning);
    Ok(quote!(#(#attributes)* #visibility #signature { #guarded }))
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

/// What runs the body and charges for it.
#[derive(Default)]
struct Charge {
    by: &'static str,
    /// What it has to know of the configuration.
    before: TokenStream,
    /// What it is told the cost by.
    cost: TokenStream,
}

fn charge(parameters: &Parameters, function: &Function, private: &Private) -> Result<Charge> {
    let is_estimate = parameters.flag("use_estimate_if_actual_not_provided")?;
    let items = Items::of(function);
    match (parameters.get("actual"), parameters.get("actual_per_item")) {
        (Some(_), Some(per_item)) => {
            let problem = "`actual` is the cost of what is there when the function returns, and this is that of each \
                           item of a stream: give one of them";
            Err(Error::new_spanned(per_item, problem))
        }
        (None, Some(per_item)) => Ok(Charge {
            by: "metered",
            before: quote_spanned! {place(per_item)=>
                let unit = ::core::clone::Clone::clone(&config.estimate().unit);
            },
            cost: read(private, per_item, &items)?,
        }),
        _ if items.is_stream => {
            let problem = "a stream is not paid for when it is made: say what each item costs, such as \
                           `actual_per_item = item.len()`";
            Err(Error::new_spanned(&function.signature.output, problem))
        }
        (Some(actual), None) => Ok(Charge {
            by: "guarded",
            cost: cost(private, actual)?,
            ..Charge::default()
        }),
        (None, None) if is_estimate == Some(false) => {
            let flag = parameters.get("use_estimate_if_actual_not_provided");
            let problem = "then somebody has to say what it cost: give an expression over `result`, such as \
                           `actual = result.len() * 5`";
            Err(Error::new_spanned(flag, problem))
        }
        (None, None) => {
            let unit = private.at(Span::mixed_site());
            Ok(Charge {
                by: "guarded",
                cost: quote!(|_: &_, _: &#unit::Unit| ::core::option::Option::None),
                ..Charge::default()
            })
        }
    }
}

/// A closure that tells the cost of a result, if it is known. Integers are of the unit that it is given.
fn cost(private: &Private, actual: &Expr) -> Result<TokenStream> {
    let (span, path) = (place(actual), private.at(place(actual)));
    let unit = Ident::new("unit", span);
    let cost = settings::cost(private, actual, &quote!(#unit))?;
    let result = named("result", actual);
    Ok(quote_spanned!(span=> |#result: &_, #unit: &#path::Unit| #cost))
}

/// A closure that reads an item; of a result it reads the value.
fn read(private: &Private, per_item: &Expr, items: &Items) -> Result<TokenStream> {
    let span = place(per_item);
    let reading = settings::reading(private, per_item, &quote_spanned!(span=> &unit))?;
    let item = named("item", per_item);
    Ok(if items.are_results {
        quote_spanned! {span=>
            move |item: &::core::result::Result<_, _>| match item {
                ::core::result::Result::Ok(#item) => ::core::option::Option::Some(#reading),
                ::core::result::Result::Err(_) => ::core::option::Option::None,
            }
        }
    } else {
        quote_spanned!(span=> move |#item: &_| ::core::option::Option::Some(#reading))
    })
}

/// The pattern for what an expression calls `name`: the name as it is written there, so that it is the same one for
/// the compiler.
fn named(name: &str, expression: &Expr) -> TokenStream {
    find(name, expression.to_token_stream()).map_or_else(|| quote!(_), Ident::into_token_stream)
}

fn find(name: &str, tokens: TokenStream) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) if ident == name => Some(ident),
        TokenTree::Group(group) => find(name, group.stream()),
        _ => None,
    })
}
