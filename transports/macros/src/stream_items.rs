//! Streams, iterators and readers in return types: values that are consumed after the function returns.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::visit_mut::{VisitMut, visit_assoc_type_mut, visit_trait_bound_mut, visit_type_path_mut};
use syn::{
    AssocType, Error, GenericArgument, Path, PathArguments, Result, ReturnType, TraitBound, Type, TypePath,
};

use crate::adapter::{Adapter, place};
use crate::groups;
use crate::guarded_function::Function;

/// A return value that is consumed item by item.
pub(crate) struct Items {
    /// The name of its trait or type in the signature.
    name: Ident,
    kind: Kind,
    /// Whether the signature writes each item as a `Result`.
    pub(crate) are_results: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Iterator,
    Read,
    AsyncRead,
}

/// The names of streams, iterators and readers. They are compared as a whole: a `TcpStream` is not a stream.
const TRAITS: [(&str, Kind); 11] = [
    ("Stream", Kind::Stream),
    ("TryStream", Kind::Stream),
    ("FusedStream", Kind::Stream),
    ("Iterator", Kind::Iterator),
    ("FusedIterator", Kind::Iterator),
    ("DoubleEndedIterator", Kind::Iterator),
    ("ExactSizeIterator", Kind::Iterator),
    ("Read", Kind::Read),
    ("BufRead", Kind::Read),
    ("AsyncRead", Kind::AsyncRead),
    ("AsyncBufRead", Kind::AsyncRead),
];

/// The names in [`TRAITS`] that are types, not traits.
const BOXED: [&str; 2] = ["BoxStream", "LocalBoxStream"];

impl Items {
    /// Finds the stream, iterator or reader in the return type. `None` if it blocks and the function is async, where it
    /// counts as complete.
    pub(crate) fn of(adapter: &Adapter, function: &Function) -> Option<Self> {
        let value = value(&function.signature.output)?;
        let mut search = Search::default();
        // The type is only read: the mutable visitor is the one that this crate uses anyway.
        search.visit_type_mut(&mut value.clone());
        let (name, kind) = search.found?;
        let blocks = matches!(kind, Kind::Iterator | Kind::Read);
        (!(adapter.is_async && blocks)).then_some(Self {
            name,
            kind,
            are_results: search.are_results,
        })
    }

    /// The error if the attribute gives no cost per item.
    pub(crate) fn unpaid(&self, adapter: &Adapter) -> Error {
        let problem = self.foreign(adapter).unwrap_or(match self.kind {
            Kind::Stream | Kind::AsyncRead => {
                "a stream has cost nothing yet when the function returns: give the cost of each item, such as \
                 `actual_per_item = item.len()`"
            }
            Kind::Iterator => {
                "an iterator has cost nothing yet when the function returns: give the cost of each item, such as \
                 `actual_per_item = item.len()`, or return a complete value, such as a `Vec`"
            }
            Kind::Read => {
                "a reader has cost nothing yet when the function returns: give the cost of the bytes of each read, \
                 such as `actual_per_item = item.len()`"
            }
        });
        Error::new_spanned(&self.name, problem)
    }

    /// The reason why this adapter cannot charge for it at all, if there is one.
    fn foreign(&self, adapter: &Adapter) -> Option<&'static str> {
        match self.kind {
            Kind::Stream if !adapter.is_async => Some(
                "this function blocks, and a stream does not: return an iterator, or use the attribute of \
                 `cycles_tokio` or `cycles_async_std`",
            ),
            Kind::AsyncRead if adapter.is_async => Some(
                "a reader has cost nothing yet when the function returns, and only streams are charged item by item: \
                 return a stream of the bytes, and give the cost of each item as `actual_per_item`",
            ),
            Kind::AsyncRead => Some("this function blocks, and an async reader does not: return `impl Read`"),
            Kind::Stream | Kind::Iterator | Kind::Read => None,
        }
    }

    /// The return expression. `made` is the `Result` of the wrapped stream, iterator or reader, which is boxed if the
    /// signature says so.
    ///
    /// # Errors
    /// If the wrapped value does not fit the signature.
    pub(crate) fn returned(
        &self,
        adapter: &Adapter,
        function: &Function,
        made: &TokenStream,
    ) -> Result<TokenStream> {
        let is = |name: &str| self.name == name;
        let lost = match self.foreign(adapter) {
            Some(problem) => Some(problem),
            None if is("DoubleEndedIterator") || is("ExactSizeIterator") => {
                Some("items are charged in order, from the first one: return `impl Iterator<Item = ..>`")
            }
            None if is("BufRead") => Some(
                "each read is charged as it happens: return `impl Read`, which a caller may put into a `BufReader`",
            ),
            None => None,
        };
        if let Some(problem) = lost {
            return Err(Error::new_spanned(&self.name, problem));
        }
        let span = place(&self.name);
        let put = match value(&function.signature.output).and_then(held) {
            Some(Held::Plain) => return Ok(made.clone()),
            Some(Held::Boxed) => quote!(new),
            Some(Held::Pinned) => quote!(pin),
            None => return Err(nothing_to_consume(adapter, function)),
        };
        Ok(quote_spanned! {span=>
            match #made {
                ::core::result::Result::Ok(__cycles_made) => {
                    ::core::result::Result::Ok(::std::boxed::Box::#put(__cycles_made))
                }
                ::core::result::Result::Err(__cycles_error) => ::core::result::Result::Err(__cycles_error),
            }
        })
    }

    /// The names of two functions: the one that runs the body, and the one that combines its result with the cost.
    pub(crate) fn metered(&self) -> (&'static str, &'static str) {
        if self.kind == Kind::Read {
            ("metered_read", "made_read")
        } else {
            ("metered", "made")
        }
    }

    /// The type of an item, where the compiler cannot infer it.
    pub(crate) fn item(&self) -> TokenStream {
        if self.kind == Kind::Read {
            quote!([u8])
        } else {
            quote!(_)
        }
    }
}

/// The error if the return type has no items to charge.
pub(crate) fn nothing_to_consume(adapter: &Adapter, function: &Function) -> Error {
    let problem = if adapter.is_async {
        "this has no items that could be charged: the value has to be the stream itself, written out as \
         `Result<impl Stream<Item = ..>, E>`, `Result<BoxStream<..>, E>` or `Result<Pin<Box<dyn Stream<Item = ..>>>, E>`; \
         for a value that is complete when the function returns, give its cost as `actual`"
    } else {
        "this has no items that could be charged: the value has to be the iterator or the reader itself, written out \
         as `Result<impl Iterator<Item = ..>, E>`, `Result<impl Read, E>` or a `Box<dyn ..>` of one; for a value that is \
         complete when the function returns, give its cost as `actual`"
    };
    Error::new_spanned(&function.signature.output, problem)
}

/// How the return type wraps the stream, iterator or reader.
enum Held {
    Plain,
    Boxed,
    Pinned,
}

/// How the type is held; `None` if it is a part of another type.
fn held(value: &Type) -> Option<Held> {
    match groups::ty(value) {
        Type::ImplTrait(_) => Some(Held::Plain),
        Type::Path(TypePath { path, .. }) => {
            let last = path.segments.last()?;
            let inner = || match first(path).map(groups::ty) {
                Some(Type::Path(inner)) => inner.path.segments.last().map(|last| last.ident.clone()),
                _ => None,
            };
            let of_trait = || {
                matches!(
                    first(path).map(groups::ty),
                    Some(Type::TraitObject(_) | Type::ImplTrait(_))
                )
            };
            if BOXED.iter().any(|name| last.ident == name) || (last.ident == "Pin" && inner()? == "Box") {
                Some(Held::Pinned)
            } else {
                (last.ident == "Box" && of_trait()).then_some(Held::Boxed)
            }
        }
        _ => None,
    }
}

/// The type inside the `Result`.
pub(crate) fn value(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Type(_, result) => match groups::ty(result) {
            Type::Path(result) => first(&result.path),
            _ => None,
        },
        ReturnType::Default => None,
    }
}

/// The first type argument.
fn first(path: &Path) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &path.segments.last()?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(first) => Some(first),
        _ => None,
    })
}

#[derive(Default)]
struct Search {
    found: Option<(Ident, Kind)>,
    are_results: bool,
}

impl VisitMut for Search {
    fn visit_trait_bound_mut(&mut self, bound: &mut TraitBound) {
        if let Some(last) = bound.path.segments.last()
            && let Some((_, kind)) = TRAITS.iter().find(|(name, _)| last.ident == name)
        {
            self.found.get_or_insert((last.ident.clone(), *kind));
        }
        visit_trait_bound_mut(self, bound);
    }

    fn visit_type_path_mut(&mut self, named: &mut TypePath) {
        if let Some(last) = named.path.segments.last()
            && BOXED.iter().any(|name| last.ident == name)
        {
            self.found.get_or_insert((last.ident.clone(), Kind::Stream));
            self.are_results |= first(&named.path).is_some_and(is_result);
        }
        visit_type_path_mut(self, named);
    }

    fn visit_assoc_type_mut(&mut self, item: &mut AssocType) {
        self.are_results |= item.ident == "Item" && is_result(&item.ty);
        visit_assoc_type_mut(self, item);
    }
}

/// Whether the type is called `Result`, which may be an alias.
pub(crate) fn is_result(item: &Type) -> bool {
    let Type::Path(item) = groups::ty(item) else {
        return false;
    };
    let last = item.path.segments.last();
    last.is_some_and(|name| name.ident.to_string().ends_with("Result"))
}
