//! Parameters as the code that sets a reservation up.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprUnary, Lit, LitInt, Result, UnOp};

use crate::nearest::nearest;
use crate::parameters::Parameters;

/// The levels of a subject.
const LEVELS: [&str; 6] = ["tenant", "workspace", "app", "workflow", "agent", "toolset"];

/// Names of values as the protocol writes them, and as the models do.
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

/// An expression that makes a `WithCyclesConfig`. Arguments are only looked at, so that the body can have them.
///
/// # Errors
/// If there is no estimate, or a literal cannot be what it stands for.
pub(crate) fn config(parameters: &Parameters, private: &TokenStream) -> Result<TokenStream> {
    let Some(estimate) = parameters.get("estimate") else {
        let problem = "how much is to be reserved? Give an estimate, such as `estimate = 1000` or, over an argument, \
                       `estimate = max_tokens * 10`";
        return Err(Error::new(Span::call_site(), problem));
    };
    let unit = match parameters.get("unit") {
        Some(unit) => value(private, "Unit", &UNITS, unit)?,
        None => quote!(#private::Unit::UsdMicrocents),
    };
    let estimate = amount(private, estimate, &quote!(&#unit))?;
    let mut config = quote!(#private::WithCyclesConfig::new(#estimate));
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
            let set = format_ident!("{name}", span = value.span());
            config.extend(quote!(.#set(#value)));
        }
    }
    if let Some(policy) = parameters.get("overage_policy") {
        let policy = value(private, "CommitOveragePolicy", &POLICIES, policy)?;
        config.extend(quote!(.overage_policy(#policy)));
    }
    Ok(config)
}

/// An expression that makes an `Amount`. An integer is one of `unit`, a `&Unit`.
///
/// # Errors
/// If it is a literal that is no amount.
pub(crate) fn amount(private: &TokenStream, value: &Expr, unit: &TokenStream) -> Result<TokenStream> {
    let problem = match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(integer) if integer.suffix().is_empty() => {
                // Amounts are larger than what a literal is taken for where nothing tells its type.
                let integer = LitInt::new(&format!("{}i64", integer.base10_digits()), integer.span());
                return Ok(quote!(#private::amount(&#integer, #unit)));
            }
            Lit::Float(_) => "an amount is an integer: a US dollar is 100_000_000 of `USD_MICROCENTS`",
            Lit::Str(_) => {
                "an amount is an integer or an `Amount`, and its unit is a parameter: `unit = \"TOKENS\"`"
            }
            _ => "",
        },
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) if matches!(**expr, Expr::Lit(_)) => "an amount is 0 or more",
        _ => "",
    };
    if !problem.is_empty() {
        return Err(Error::new_spanned(value, problem));
    }
    Ok(quote_spanned!(value.span()=> #private::amount(&(#value), #unit)))
}

/// The client to use, or why there is none.
pub(crate) fn client(parameters: &Parameters, private: &TokenStream) -> TokenStream {
    match parameters.get("client") {
        None => quote!(#private::default_client()),
        Some(client) => {
            let span = client.span();
            quote_spanned!(span=> ::core::result::Result::Ok(#private::client(&(#client))))
        }
    }
}

fn subject(parameters: &Parameters, private: &TokenStream) -> Result<Option<TokenStream>> {
    let mut members = TokenStream::new();
    for level in LEVELS {
        if let Some(value) = parameters.get(level) {
            let (level, value) = (format_ident!("{level}"), text(private, value));
            members.extend(quote!(#level: #value,));
        }
    }
    if let Some(dimensions) = parameters.get("dimensions") {
        let dimensions = pairs(private, dimensions)?;
        members.extend(quote!(dimensions: #dimensions,));
    }
    if members.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        quote!(#private::Subject { #members ..::core::default::Default::default() }),
    ))
}

/// A value of one of the protocol's enumerations: its name there, or an expression of its type.
fn value(private: &TokenStream, of: &str, values: &[(&str, &str)], given: &Expr) -> Result<TokenStream> {
    let of = format_ident!("{of}");
    if let Expr::Lit(literal) = given
        && let Lit::Str(text) = &literal.lit
    {
        let word = text.value();
        let Some((_, variant)) = values.iter().find(|(name, _)| *name == word) else {
            let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
            let problem = match nearest(&word, &names) {
                Some(name) => format!("there is no `{word}`: is it `{name}`?"),
                None => format!("there is no `{word}`; there are {}", names.join(", ")),
            };
            return Err(Error::new(text.span(), problem));
        };
        let variant = Ident::new(variant, Span::call_site());
        return Ok(quote!(#private::#of::#variant));
    }
    Ok(quote_spanned!(given.span()=> <#private::#of as ::core::clone::Clone>::clone(&(#given))))
}

/// An `Option<String>`.
fn text(private: &TokenStream, value: &Expr) -> TokenStream {
    quote_spanned!(value.span()=> #private::text(&(#value)))
}

/// A `String`, that of an action without a name if there is none.
fn named(private: &TokenStream, value: Option<&Expr>) -> TokenStream {
    match value {
        None => quote!("unknown"),
        Some(value) => {
            let text = text(private, value);
            quote!(#text.unwrap_or_else(|| "unknown".into()))
        }
    }
}

/// An iterator over `String`. The elements of a list that is written out need not be of one type.
fn texts(private: &TokenStream, list: &Expr) -> TokenStream {
    if let Expr::Array(array) = list {
        let texts = array.elems.iter().map(|element| text(private, element));
        return quote!([#(#texts),*].into_iter().flatten());
    }
    quote_spanned!(list.span()=> (#list).iter().filter_map(|__text| #private::text(__text)))
}

/// An `Option` of a map of texts, from a list of pairs that is written out, or from anything that iterates over
/// pairs.
fn pairs(private: &TokenStream, list: &Expr) -> Result<TokenStream> {
    let Expr::Array(array) = list else {
        return Ok(
            quote_spanned!(list.span()=> #private::dimensions((#list).iter().map(#private::Pair::texts))),
        );
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
    Ok(quote!(#private::dimensions([#(#pairs),*])))
}

fn not_a_pair(element: &Expr) -> Error {
    Error::new_spanned(
        element,
        "a dimension is a pair: `dimensions = [(\"region\", region)]`",
    )
}
