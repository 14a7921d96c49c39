//! The error for a closure, as used in other languages' decorators, where the attribute takes an expression.

use quote::{ToTokens, quote};
use syn::visit_mut::{VisitMut, visit_expr_mut, visit_field_value_mut, visit_pat_ident_mut};
use syn::{Error, Expr, ExprClosure, FieldValue, Ident, Macro, Pat, PatIdent};

/// Makes the error, which shows the equivalent expression.
pub(crate) fn instead(name: &str, closure: &ExprClosure) -> Error {
    let (over, named) = match name {
        "actual" => ("`result`", Some("result")),
        "actual_per_item" => ("`item`", Some("item")),
        _ => ("the arguments", None),
    };
    let body = match named {
        Some(named) => over_its_name(closure, named),
        None => closure.body.to_token_stream(),
    };
    let problem = format!("give an expression over {over}, not a closure: write `{name} = {body}`");
    Error::new_spanned(closure, problem)
}

/// The closure's body, with its parameter renamed to the attribute's name for it.
fn over_its_name(closure: &ExprClosure, named: &str) -> proc_macro2::TokenStream {
    let mut pattern = match closure.inputs.first() {
        Some(pattern) if closure.inputs.len() == 1 => pattern,
        _ => return closure.body.to_token_stream(),
    };
    while let Pat::Type(typed) = pattern {
        pattern = &typed.pat;
    }
    let name = Ident::new(named, proc_macro2::Span::call_site());
    let body = &closure.body;
    match pattern {
        Pat::Wild(_) => return body.to_token_stream(),
        Pat::Ident(parameter) if parameter.by_ref.is_none() && parameter.subpat.is_none() => {
            if parameter.ident == name {
                return body.to_token_stream();
            }
            let mut renamed = Renamed {
                from: parameter.ident.clone(),
                to: name.clone(),
                is_simple: parameter.mutability.is_none(),
            };
            let mut body = body.clone();
            renamed.visit_expr_mut(&mut body);
            if renamed.is_simple {
                return body.to_token_stream();
            }
        }
        _ => {}
    }
    quote!({ let #pattern = #name; #body })
}

/// Renames a variable.
struct Renamed {
    from: Ident,
    to: Ident,
    /// Whether every occurrence of the name is an expression that refers to the variable.
    is_simple: bool,
}

impl VisitMut for Renamed {
    fn visit_expr_mut(&mut self, of: &mut Expr) {
        match of {
            Expr::Path(path) if path.path.is_ident(&self.from) => {
                path.path = self.to.clone().into();
            }
            _ => visit_expr_mut(self, of),
        }
    }

    fn visit_pat_ident_mut(&mut self, bound: &mut PatIdent) {
        self.is_simple &= bound.ident != self.from && bound.ident != self.to;
        visit_pat_ident_mut(self, bound);
    }

    fn visit_field_value_mut(&mut self, field: &mut FieldValue) {
        self.is_simple &= field.colon_token.is_some();
        visit_field_value_mut(self, field);
    }

    // The macro's tokens may use the variable in any way.
    fn visit_macro_mut(&mut self, _: &mut Macro) {
        self.is_simple = false;
    }
}
