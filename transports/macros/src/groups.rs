//! Groups without delimiters: `macro_rules!` macros put them around the types and expressions that were passed to them.
//! Code that inspects a type or an expression has to look through these groups.

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

/// An expression without the groups and parentheses around it and, if it is an array or a tuple, around its elements.
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
