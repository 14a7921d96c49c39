//! The function below the attribute. Its body is copied without being parsed: the compiler reports any error in it.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::{VisitMut, visit_pat_ident_mut, visit_type_mut};
use syn::{
    AttrStyle, Attribute, Error, FnArg, Pat, PatIdent, Path, ReceiverKind, Result, ReturnType, Signature,
    Token, Type, Visibility, braced,
};

use crate::adapter::Adapter;
use crate::groups;

/// A function or method with a body.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// The tokens between the braces.
    pub(crate) body: TokenStream,
    /// The location of the braces.
    pub(crate) braces: Span,
}

impl Function {
    /// Checks that the adapter's client can guard this function.
    ///
    /// # Errors
    /// If it cannot guard a function of this kind, or the function cannot return a denial.
    pub(crate) fn check(&self, adapter: &Adapter) -> Result<()> {
        let signature = &self.signature;
        if let Some(constness) = &signature.constness {
            let problem = if adapter.is_async {
                "a const function cannot ask a server: write `async fn` in place of `const fn`"
            } else {
                "a const function cannot ask a server: remove `const`"
            };
            return Err(Error::new(constness.span, problem));
        }
        if let Some(abi) = &signature.abi {
            let guarded = if adapter.is_async {
                "an `async fn`"
            } else {
                "a function"
            };
            let problem = format!(
                "a denial cannot be returned across a foreign interface: guard {guarded} without `extern` and call that"
            );
            return Err(Error::new_spanned(abi, problem));
        }
        adapter.check(signature)?;
        let return_type = match &signature.output {
            ReturnType::Default => {
                let problem = "this function does not return a `Result`, so it could not return a denial: return \
                               `Result<(), E>`, where `E` is `Error` or implements `From<Error>`";
                return Err(Error::new_spanned(&signature.ident, problem));
            }
            ReturnType::Type(_, return_type) => return_type,
        };
        let problem = match groups::ty(return_type) {
            Type::ImplTrait(_) => {
                "an `impl Trait` is not a `Result`, so the function could not return a denial: return \
                 `Result<impl Trait, E>`, where `E` is `Error` or implements `From<Error>`; make a function that \
                 returns a future an `async fn`"
            }
            Type::Path(path) if !is_known(&path.path) => return Ok(()),
            Type::Macro(_) => return Ok(()),
            _ => {
                "this is not a `Result`, so the function could not return a denial: return a `Result` of it, whose \
                 error is `Error` or implements `From<Error>`"
            }
        };
        Err(Error::new_spanned(return_type, problem))
    }

    /// The names that the parameters bind for the body.
    pub(crate) fn arguments(&self) -> Vec<Argument> {
        let mut named = Named(Vec::new());
        for argument in &self.signature.inputs {
            match argument {
                FnArg::Receiver(receiver) => named.0.push(Argument {
                    name: receiver.self_token.into(),
                    is_mutable: receiver.mutability.is_some(),
                    is: match &receiver.kind {
                        ReceiverKind::Reference(_, _, None) => Passed::Shared,
                        ReceiverKind::Reference(_, _, Some(_)) => Passed::Unique,
                        ReceiverKind::Typed(_, of) => Passed::of(of),
                        _ => Passed::Value,
                    },
                }),
                FnArg::Typed(argument) => {
                    let before = named.0.len();
                    // The pattern is only read: the mutable visitor is the one that this crate uses anyway.
                    named.visit_pat_mut(&mut Pat::clone(&argument.pat));
                    if let (Pat::Ident(_), Some(named)) = (&*argument.pat, named.0.get_mut(before))
                        && named.is == Passed::Value
                    {
                        named.is = Passed::of(&argument.ty);
                    }
                }
            }
        }
        named.0
    }

    /// Whether the signature leaves a part of the return type to the compiler.
    pub(crate) fn is_inferred(&self) -> bool {
        let mut inferred = Inferred(false);
        if let ReturnType::Type(_, return_type) = &self.signature.output {
            inferred.visit_type_mut(&mut Type::clone(return_type));
        }
        inferred.0
    }

    /// The return type, as it can be written within the body: each `impl Trait` is replaced by `_`.
    pub(crate) fn return_type(&self) -> Type {
        match &self.signature.output {
            ReturnType::Default => syn::parse_quote!(()),
            ReturnType::Type(_, return_type) => {
                let mut return_type = Type::clone(return_type);
                Inferred(false).visit_type_mut(&mut return_type);
                return_type
            }
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let begin = input.span();
        let problem = "the attribute `cycles` guards a function or a method with a body";
        let Ok(signature) = input.parse::<Signature>() else {
            return Err(Error::new(begin, problem));
        };
        if input.peek(Token![;]) {
            let problem = format!("{problem}: put it on the implementation of this one");
            return Err(Error::new_spanned(signature, problem));
        }
        let content;
        let braces = braced!(content in input);
        let inner = content.call(Attribute::parse_inner)?;
        attributes.extend(inner.into_iter().map(|mut attribute| {
            attribute.style = AttrStyle::Outer;
            attribute
        }));
        Ok(Self {
            attributes,
            visibility,
            signature,
            body: content.parse()?,
            braces: braces.span.join(),
        })
    }
}

/// Whether this is a built-in or standard type that is certainly not a `Result`. The compiler checks other types.
fn is_known(path: &Path) -> bool {
    const KNOWN: [&str; 20] = [
        "String", "Option", "Vec", "Box", "bool", "char", "str", "f32", "f64", "i8", "i16", "i32", "i64",
        "i128", "u8", "u16", "u32", "u64", "u128", "usize",
    ];
    let name = path.segments.last().filter(|_| path.segments.len() == 1);
    name.is_some_and(|name| KNOWN.iter().any(|known| name.ident == known))
}

/// A named argument of the function.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Whether the name is declared `mut`.
    pub(crate) is_mutable: bool,
    pub(crate) is: Passed,
}

/// How an argument is passed, as far as its type shows that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// By value, or as a type alias that may be a reference.
    Value,
    Shared,
    Unique,
}

impl Passed {
    fn of(ty: &Type) -> Self {
        match groups::ty(ty) {
            Type::Reference(reference) if reference.mutability.is_some() => Self::Unique,
            Type::Reference(_) => Self::Shared,
            _ => Self::Value,
        }
    }
}

/// The names in a pattern.
struct Named(Vec<Argument>);

impl VisitMut for Named {
    fn visit_pat_ident_mut(&mut self, named: &mut PatIdent) {
        let is = match (&named.by_ref, &named.mutability) {
            (None, _) => Passed::Value,
            (Some(_), None) => Passed::Shared,
            (Some(_), Some(_)) => Passed::Unique,
        };
        // A name that begins with a capital letter is a constant or a variant.
        if !named.ident.unraw().to_string().starts_with(char::is_uppercase) {
            self.0.push(Argument {
                name: named.ident.clone(),
                is_mutable: is == Passed::Value && named.mutability.is_some(),
                is,
            });
        }
        visit_pat_ident_mut(self, named);
    }
}

/// Replaces each `impl Trait` by `_`, and records whether there was one.
struct Inferred(bool);

impl VisitMut for Inferred {
    fn visit_type_mut(&mut self, of: &mut Type) {
        if matches!(of, Type::ImplTrait(_)) {
            *of = syn::parse_quote!(_);
            self.0 = true;
        } else {
            visit_type_mut(self, of);
        }
    }
}
