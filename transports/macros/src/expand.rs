//! The expansion: the function, which passes its body to the adapter.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, Expr, FnArg, Result, Token};

use crate::adapter::{Adapter, Private, place};
use crate::attribute_parameters::Parameters;
use crate::captures::Captures;
use crate::check_literals;
use crate::configuration_code;
use crate::guarded_function::Function;
use crate::named_variables::Names;
use crate::stream_items::{self, Items};

/// Expands the attribute and its function. If there is an error in either, the function is emitted unchanged along with
/// the error, so that its callers cause no further errors.
pub(crate) fn attribute(adapter: &Adapter, parameters: TokenStream, function: TokenStream) -> TokenStream {
    let guarded = syn::parse2::<Function>(function.clone()).and_then(|function| {
        function.check(adapter)?;
        let parameters = Parameters::parse(parameters)?;
        check_literals::check(&parameters, &function.arguments())?;
        guarded(adapter, &parameters, &function)
    });
    guarded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #function)
    })
}

fn guarded(adapter: &Adapter, parameters: &Parameters, function: &Function) -> Result<TokenStream> {
    let private = adapter.private(parameters.path.as_ref());
    let unit = configuration_code::unit(parameters, &private)?;
    let config = configuration_code::config(parameters, &private)?;
    let client = configuration_code::client(parameters, &private);
    let charge = charge(adapter, parameters, function, &private)?;
    let captures = Captures::of(adapter, function, &charge.names);
    let body = body(adapter, &private, function, &charge, &captures);
    let Function {
        attributes,
        visibility,
        signature,
        ..
    } = function;
    let mut signature = signature.clone();
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first_mut()
        && captures.changes_receiver
    {
        receiver.mutability = Some(Token![mut](receiver.self_token.span));
    }
    let returned = place(&function.return_type());
    let private = private.at(returned);
    let is_step = parameters.get("run").is_some();
    let by = Ident::new(if is_step { "step" } else { charge.by }, returned);
    let ended = quote_spanned! {returned=>
        #private::#by(__cycles_client, __cycles_config, __cycles_body)
    };
    let ended = if adapter.is_async {
        quote_spanned!(returned=> #ended.await)
    } else {
        ended
    };
    let returning = quote_spanned!(returned=> #private::returning(#ended));
    let returning = match charge.items {
        Some(items) => items.returned(adapter, function, &returning)?,
        None => returning,
    };
    let (span, before) = (Span::mixed_site(), charge.before);
    // A run refuses a step in another unit.
    let checked = parameters.get("unit").filter(|_| !is_step).map(|unit| {
        let span = place(unit);
        quote_spanned! {span=>
            let __cycles_client = #private::in_unit(__cycles_client, &__cycles_config, &__cycles_unit);
        }
    });
    let guarded = quote_spanned! {span=>
        let __cycles_client = #client;
        let __cycles_unit = #unit;
        let __cycles_config = #config;
        #checked
        #before
        let __cycles_body = #body;
    };
    let guarded = quote!(#guarded #returning);
    Ok(quote!(#(#attributes)* #visibility #signature { #guarded }))
}

/// The body as a future or a closure. The expression for its cost follows it, so that the compiler knows the type of
/// the result, and that the body no longer uses its arguments.
fn body(
    adapter: &Adapter,
    private: &Private,
    function: &Function,
    charge: &Charge,
    captures: &Captures,
) -> TokenStream {
    let Captures {
        takes, before, hints, ..
    } = captures;
    let (return_type, body) = (function.return_type(), &function.body);
    let span = place(&return_type);
    let path = private.at(span);
    // Never executed. Tells the compiler the type for `?` and `return`, and checks that this type can represent a
    // denial.
    let typed = quote_spanned! {span=>
        if false {
            #hints
            let __cycles_returned: #return_type = #path::returned();
            return __cycles_returned;
        }
    };
    let span = Span::mixed_site().located_at(function.braces);
    let (path, cost) = (private.at(span), &charge.cost);
    let ended = Ident::new(charge.ended, span);
    if adapter.is_async {
        quote_spanned! {span=>
            ::core::pin::pin!(async move {
                #before
                let __cycles_ended = async #takes { #typed #body }.await;
                #path::#ended(__cycles_ended, #cost)
            })
        }
    } else {
        quote_spanned! {span=>
            move || {
                let __cycles_ended = #path::called(#takes || -> #return_type { #typed #body });
                #path::#ended(__cycles_ended, #cost)
            }
        }
    }
}

/// How the body is run and charged.
struct Charge {
    /// The function that runs the body.
    by: &'static str,
    /// Statements that read the configuration first.
    before: TokenStream,
    /// The function that combines the body's result with its cost.
    ended: &'static str,
    cost: TokenStream,
    /// The names in the expression for the cost.
    names: Names,
    /// The stream, iterator or reader that is charged item by item.
    items: Option<Items>,
}

impl Charge {
    /// The charge of a function whose cost is known when it returns.
    fn guarded(cost: TokenStream, names: Names) -> Self {
        Self {
            by: "guarded",
            before: TokenStream::new(),
            ended: "ended",
            cost,
            names,
            items: None,
        }
    }
}

fn charge(
    adapter: &Adapter,
    parameters: &Parameters,
    function: &Function,
    private: &Private,
) -> Result<Charge> {
    let is_estimate = parameters.flag("use_estimate_if_actual_not_provided")?;
    let items = Items::of(adapter, function);
    if let (None, Some(items)) = (parameters.get("actual_per_item"), &items) {
        return Err(items.unpaid(adapter));
    }
    match (parameters.get("actual"), parameters.get("actual_per_item")) {
        (Some(_), Some(per_item)) => {
            let problem = "`actual` is the cost of a value that is complete when the function returns, and \
                           `actual_per_item` the cost of each item of a stream: give one of them";
            Err(Error::new_spanned(per_item, problem))
        }
        (None, Some(per_item)) => {
            let items = items.ok_or_else(|| stream_items::nothing_to_consume(adapter, function))?;
            let (by, ended) = items.metered();
            let path = private.at(place(per_item));
            let names = Names::of(per_item.to_token_stream());
            Ok(Charge {
                by,
                before: quote_spanned! {place(per_item)=>
                    let __cycles_unit = ::core::clone::Clone::clone(
                        &#path::WithCyclesConfig::estimate(&__cycles_config).unit
                    );
                },
                ended,
                cost: read(private, per_item, &names, &items)?,
                names,
                items: Some(items),
            })
        }
        (Some(actual), None) => {
            let names = Names::of(actual.to_token_stream());
            let cost = cost(private, actual, &names, function)?;
            Ok(Charge::guarded(cost, names))
        }
        (None, None) if is_estimate == Some(false) => {
            let flag = parameters.get("use_estimate_if_actual_not_provided");
            let problem = "with `false`, the cost must be given: add an expression over `result`, such as \
                           `actual = result.len() * 5`";
            Err(Error::new_spanned(flag, problem))
        }
        (None, None) => {
            let span = Span::mixed_site();
            let path = private.at(span);
            let paid = paid(private, function);
            let cost = quote_spanned! {span=>
                |__cycles_result: &_, _: &#path::Unit| {
                    #paid
                    ::core::option::Option::None
                }
            };
            Ok(Charge::guarded(cost, Names::default()))
        }
    }
}

/// A closure that returns the cost of a result, if the cost is known. Integers have the unit that is passed to it.
fn cost(private: &Private, actual: &Expr, names: &Names, function: &Function) -> Result<TokenStream> {
    let (span, path) = (place(actual), private.at(place(actual)));
    let (unit, value) = (
        Ident::new("__cycles_unit", span),
        Ident::new("__cycles_result", Span::mixed_site()),
    );
    let cost = configuration_code::cost(private, actual, &quote!(#unit))?;
    let paid = paid(private, function);
    let result = named("result", names);
    Ok(quote_spanned! {span=>
        move |#value: &_, #unit: &#path::Unit| {
            #paid
            let #result = #value;
            #cost
        }
    })
}

/// Makes the compiler check that the result is complete when the function returns, if the signature spells out its
/// type; for an `impl Trait`, the name of the trait has already been checked.
fn paid(private: &Private, function: &Function) -> TokenStream {
    // If the type may not be a `Result`, the compiler reports that instead.
    if function.is_inferred() {
        return TokenStream::new();
    }
    let value = stream_items::value(&function.signature.output);
    let span = value.map_or_else(|| place(&function.return_type()), place);
    let private = private.at(span);
    let result = Ident::new("__cycles_result", Span::mixed_site());
    quote_spanned! {span=>
        {
            use #private::AnyValue as _;
            #private::paid(#private::Value(#result).cycles_when_made());
        }
    }
}

/// A closure that reads the cost of an item or, if the items are results, the cost of the value inside `Ok`.
fn read(private: &Private, per_item: &Expr, names: &Names, items: &Items) -> Result<TokenStream> {
    let span = place(per_item);
    let reading = configuration_code::reading(private, per_item, &quote_spanned!(span=> &__cycles_unit))?;
    let item = named("item", names);
    Ok(if items.are_results {
        quote_spanned! {span=>
            move |__cycles_item: &::core::result::Result<_, _>| match __cycles_item {
                ::core::result::Result::Ok(#item) => ::core::option::Option::Some(#reading),
                ::core::result::Result::Err(_) => ::core::option::Option::None,
            }
        }
    } else {
        let of = items.item();
        quote_spanned!(span=> move |#item: &#of| ::core::option::Option::Some(#reading))
    })
}

/// The pattern that binds `word` for an expression. It uses the identifier as it is written in the expression, so that
/// both have the same hygiene.
fn named(word: &str, names: &Names) -> TokenStream {
    names
        .find(word)
        .map_or_else(|| quote!(_), Ident::into_token_stream)
}
