//! Turns parameters into the code that configures a reservation.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitInt, Result, UnOp};

use crate::adapter::{Private, place};
use crate::attribute_parameters::Parameters;
use crate::nearest::nearest;

/// The levels of a subject.
const LEVELS: [&str; 6] = ["tenant", "workspace", "app", "workflow", "agent", "toolset"];

/// The names of values, in the protocol or the attribute, and in the models.
type Values<const N: usize> = [(&'static str, &'static str); N];

const UNITS: Values<4> = [
    ("USD_MICROCENTS", "UsdMicrocents"),
    ("TOKENS", "Tokens"),
    ("CREDITS", "Credits"),
    ("RISK_POINTS", "RiskPoints"),
];

const POLICIES: Values<3> = [
    ("REJECT", "Reject"),
    ("ALLOW_IF_AVAILABLE", "AllowIfAvailable"),
    ("ALLOW_WITH_OVERDRAFT", "AllowWithOverdraft"),
];

const ON_ERROR: Values<4> = [
    ("release", "Release"),
    ("spent", "Spent"),
    ("estimate", "Estimate"),
    ("hold", "Hold"),
];

const MODES: Values<2> = [("enforce", "Enforce"), ("shadow", "Shadow")];

/// An expression for the `Unit` of integers.
///
/// # Errors
/// If it is a literal that does not name a unit.
pub(crate) fn unit(parameters: &Parameters, private: &Private) -> Result<TokenStream> {
    match parameters.get("unit") {
        Some(unit) => value(private, "Unit", &UNITS, unit),
        None if parameters.get("run").is_some() => {
            let (path, run) = (private.at(Span::mixed_site()), client_name());
            Ok(quote!(#path::unit_of(&#run)))
        }
        None => {
            let path = private.at(Span::mixed_site());
            Ok(quote!(#path::Unit::UsdMicrocents))
        }
    }
}

/// An expression for the `WithCyclesConfig`, or for the `Step` if it is one, to be used where `__cycles_unit` is the [unit]. It only borrows the
/// arguments, so that the body can still use them.
///
/// # Errors
/// If there is no estimate, or a literal is not valid for its parameter.
pub(crate) fn config(parameters: &Parameters, private: &Private) -> Result<TokenStream> {
    let Some(estimate) = parameters.get("estimate") else {
        let problem = "the amount to reserve is missing: give an estimate, such as `estimate = 1000` or, over an \
                       argument, `estimate = max_tokens * 10`";
        return Err(Error::new(Span::call_site(), problem));
    };
    let path = private.at(Span::mixed_site());
    let unit = Ident::new("__cycles_unit", Span::mixed_site());
    let estimate = amount(private, estimate, &quote!(&#unit))?;
    let on_error = match parameters.get("on_error") {
        None => None,
        Some(policy) => {
            let policy = value(private, "OnError", &ON_ERROR, policy)?;
            Some(quote!(.on_error(#policy)))
        }
    };
    if parameters.get("run").is_some() {
        let name = parameters.get("name").map(|name| {
            let name = text(private, name);
            quote!(.named(#name))
        });
        return Ok(quote!(#path::Step::new(#estimate) #name #on_error));
    }
    let mut config = quote!(#path::WithCyclesConfig::new(#estimate));
    let (kind, name) = (parameters.get("action_kind"), parameters.get("action_name"));
    if kind.is_some() || name.is_some() {
        let (kind, name) = (named(private, kind), named(private, name));
        config.extend(quote!(.action(#kind, #name)));
    }
    if let Some(tags) = parameters.get("action_tags") {
        let tags = texts(private, tags);
        config.extend(quote!(.action_tags(#tags)));
    }
    if let Some(subject) = subject(parameters, private)? {
        config.extend(quote!(.subject(#subject)));
    }
    for name in ["ttl_ms", "grace_period_ms", "dry_run"] {
        if let Some(value) = parameters.get(name) {
            let set = Ident::new(name, place(value));
            config.extend(quote!(.#set(#value)));
        }
    }
    if let Some(policy) = parameters.get("overage_policy") {
        let policy = value(private, "CommitOveragePolicy", &POLICIES, policy)?;
        config.extend(quote!(.overage_policy(#policy)));
    }
    if let Some(mode) = parameters.get("mode") {
        let mode = value(private, "Mode", &MODES, mode)?;
        config.extend(quote!(.mode(#mode)));
    }
    config.extend(on_error);
    Ok(config)
}

/// An expression for an `Amount`. Integers are counted in `unit`, a `&Unit`.
///
/// # Errors
/// If it is a literal that is not an amount.
pub(crate) fn amount(private: &Private, value: &Expr, unit: &TokenStream) -> Result<TokenStream> {
    counted(private, "amount", value, unit)
}

/// An expression for an `Option<Amount>`. Integers are counted in `unit`, a `&Unit`.
///
/// # Errors
/// If it is a literal that is not an amount.
pub(crate) fn cost(private: &Private, value: &Expr, unit: &TokenStream) -> Result<TokenStream> {
    counted(private, "cost", value, unit)
}

/// An expression for a `Reading`. Integers are counted in `unit`, a `&Unit`.
///
/// # Errors
/// If it is a literal that is not an amount.
pub(crate) fn reading(private: &Private, value: &Expr, unit: &TokenStream) -> Result<TokenStream> {
    counted(private, "reading", value, unit)
}

/// Reports a unit or a policy that was written as a bare name in lower case, unless an argument has that name.
///
/// # Errors
/// If the name is close to that of a unit or a policy.
pub(crate) fn bare(name: &str, value: &Expr, is_argument: impl Fn(&str) -> bool) -> Result<()> {
    let names: Vec<_> = match name {
        "unit" => UNITS.iter().map(|(name, _)| *name).collect(),
        "on_error" => ON_ERROR.iter().map(|(name, _)| *name).collect(),
        "mode" => MODES.iter().map(|(name, _)| *name).collect(),
        "overage_policy" => POLICIES.iter().map(|(name, _)| *name).collect(),
        _ => return Ok(()),
    };
    let Expr::Path(path) = value else { return Ok(()) };
    let Some(word) = path.path.get_ident().map(Ident::to_string) else {
        return Ok(());
    };
    match nearest(&word, &names) {
        Some(meant) if word == word.to_lowercase() && !is_argument(&word) => Err(Error::new_spanned(
            value,
            format!("there is no argument `{word}`: did you mean `{name} = \"{meant}\"`?"),
        )),
        _ => Ok(()),
    }
}

fn counted(private: &Private, as_what: &str, value: &Expr, unit: &TokenStream) -> Result<TokenStream> {
    if let Some(problem) = no_amount(value) {
        return Err(Error::new_spanned(value, problem));
    }
    let (span, private) = (place(value), private.at(place(value)));
    let made = Ident::new(as_what, span);
    Ok(match integer(value) {
        Some(integer) => quote_spanned!(span=> #private::#made(&#integer, #unit)),
        None => quote_spanned!(span=> #private::#made(&(#value), #unit)),
    })
}

/// An integer literal, as an `i64`: without a suffix it would become an `i32`, which is too small for amounts.
fn integer(value: &Expr) -> Option<LitInt> {
    let Expr::Lit(ExprLit {
        lit: Lit::Int(integer),
        ..
    }) = value
    else {
        return None;
    };
    let digits = integer.base10_digits();
    integer
        .suffix()
        .is_empty()
        .then(|| LitInt::new(&format!("{digits}i64"), integer.span()))
}

/// The reason why a literal is not an amount, if that is certain.
fn no_amount(value: &Expr) -> Option<&'static str> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Float(_), ..
        }) => Some("an amount is an integer: a US dollar is 100_000_000 of `USD_MICROCENTS`"),
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => {
            Some("an amount is an integer or an `Amount`; its unit is another parameter: `unit = \"TOKENS\"`")
        }
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) if matches!(**expr, Expr::Lit(_)) => Some("an amount must be 0 or more"),
        _ => None,
    }
}

/// The name of the variable with the client, or with the run.
fn client_name() -> Ident {
    Ident::new("__cycles_client", Span::mixed_site())
}

/// The client to use, as a `Result`, or the run that a step belongs to.
pub(crate) fn client(parameters: &Parameters, private: &Private) -> TokenStream {
    if let Some(run) = parameters.get("run") {
        let (span, private) = (place(run), private.at(place(run)));
        return quote_spanned! {span=>
            match &(#run) {
                __cycles_run => #private::run(__cycles_run),
            }
        };
    }
    match parameters.get("client") {
        None => {
            let private = private.at(Span::mixed_site());
            quote!(#private::default_client())
        }
        Some(client) => {
            let (span, private) = (place(client), private.at(place(client)));
            // Bound to a name first, so that a value that is already a reference works as well.
            quote_spanned! {span=>
                match &(#client) {
                    __cycles_client => ::core::result::Result::Ok(#private::client(__cycles_client)),
                }
            }
        }
    }
}

fn subject(parameters: &Parameters, private: &Private) -> Result<Option<TokenStream>> {
    let names = LEVELS.iter().chain(&["dimensions"]);
    if !names.clone().any(|name| parameters.get(name).is_some()) {
        return Ok(None);
    }
    // Lists every member, because a lint would complain about a needless `..Default::default()`.
    let members = names.map(|name| {
        let value = match parameters.get(name) {
            None => quote!(::core::option::Option::None),
            Some(value) if *name == "dimensions" => pairs(private, value)?,
            Some(value) => text(private, value),
        };
        let name = Ident::new(name, Span::mixed_site());
        Ok(quote!(#name: #value))
    });
    let members = members.collect::<Result<Vec<_>>>()?;
    let path = private.at(Span::mixed_site());
    Ok(Some(quote!(#path::Subject { #(#members),* })))
}

/// An expression for a value of one of the protocol's enumerations, given by its name in the protocol or by an
/// expression of its type.
fn value(private: &Private, of: &str, values: &[(&str, &str)], given: &Expr) -> Result<TokenStream> {
    let of = Ident::new(of, Span::mixed_site());
    let (span, private) = (place(given), private.at(place(given)));
    if let Expr::Lit(literal) = given
        && let Lit::Str(text) = &literal.lit
    {
        let word = text.value();
        let Some((_, variant)) = values.iter().find(|(name, _)| *name == word) else {
            let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
            let problem = match nearest(&word, &names) {
                Some(name) => format!("there is no `{word}`: did you mean `{name}`?"),
                None => format!("there is no `{word}`; the values are {}", names.join(", ")),
            };
            return Err(Error::new(text.span(), problem));
        };
        let variant = Ident::new(variant, span);
        return Ok(quote!(#private::#of::#variant));
    }
    Ok(quote_spanned! {span=>
        match &(#given) {
            __cycles_value => <#private::#of as ::core::clone::Clone>::clone(__cycles_value),
        }
    })
}

/// An expression for an `Option<String>`.
fn text(private: &Private, value: &Expr) -> TokenStream {
    let (span, private) = (place(value), private.at(place(value)));
    quote_spanned!(span=> #private::text(&(#value)))
}

/// An expression for a `String`; without a value, the name of an unnamed action.
fn named(private: &Private, value: Option<&Expr>) -> TokenStream {
    match value {
        None => quote!("unknown"),
        Some(value) => {
            let text = text(private, value);
            quote!(#text.unwrap_or_else(|| ::std::borrow::ToOwned::to_owned("unknown")))
        }
    }
}

/// An expression for an iterator over `String`. The elements of an array literal may have different types.
fn texts(private: &Private, list: &Expr) -> TokenStream {
    if let Expr::Array(array) = list {
        let texts = array.elems.iter().map(|element| text(private, element));
        return quote! {
            ::core::iter::Iterator::flatten(::core::iter::IntoIterator::into_iter([#(#texts),*]))
        };
    }
    let (span, private) = (place(list), private.at(place(list)));
    quote_spanned! {span=>
        ::core::iter::Iterator::filter_map((#list).iter(), |__cycles_text| #private::text(__cycles_text))
    }
}

/// An expression for an `Option` of a map of strings, from an array literal of pairs or from any iterator over pairs.
fn pairs(private: &Private, list: &Expr) -> Result<TokenStream> {
    let (span, path) = (place(list), private.at(place(list)));
    let Expr::Array(array) = list else {
        return Ok(quote_spanned! {span=>
            #path::dimensions(::core::iter::Iterator::map((#list).iter(), #path::Pair::texts))
        });
    };
    let mut pairs = Vec::new();
    for element in &array.elems {
        let Expr::Tuple(pair) = element else {
            return Err(not_a_pair(element));
        };
        let [name, value] = &Vec::from_iter(&pair.elems)[..] else {
            return Err(not_a_pair(element));
        };
        let (name, value) = (text(private, name), text(private, value));
        pairs.push(quote!((#name, #value)));
    }
    Ok(quote_spanned!(span=> #path::dimensions([#(#pairs),*])))
}

fn not_a_pair(element: &Expr) -> Error {
    Error::new_spanned(
        element,
        "a dimension is a pair: `dimensions = [(\"region\", region)]`",
    )
}
