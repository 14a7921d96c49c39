//! What a `macro_rules!` macro was given as a type or an expression stands in its output within a group that has no
//! delimiters. Whatever asks what a type or an expression is looks through such groups.

use syn::{Expr, Type};

/// A type without the groups and parentheses around it.
pub(crate) fn ty(mut of: &Type) -> &Type {
    loop {
        of = match of {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return of,
        };
    }
}

/// An expression without the groups and parentheses around it and, in a list or a tuple that is written out, around
/// what that has.
pub(crate) fn expression(of: Expr) -> Expr {
    match of {
        Expr::Group(group) => expression(*group.expr),
        Expr::Paren(paren) => expression(*paren.expr),
        Expr::Array(mut array) => {
            array.elems = array.elems.into_iter().map(expression).collect();
            Expr::Array(array)
        }
        Expr::Tuple(mut tuple) => {
            tuple.elems = tuple.elems.into_iter().map(expression).collect();
            Expr::Tuple(tuple)
        }
        other => other,
    }
}
