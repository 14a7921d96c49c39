//! The variables that tokens name, as identifiers or within the braces of a format string.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::Lit;
use syn::ext::IdentExt;

/// The variables that some tokens name. This errs on the side of too many, because a string with braces may not be a
/// format string.
#[derive(Default)]
pub(crate) struct Names {
    named: Vec<Name>,
    /// Whether a macro is called, which may use more names than can be seen here.
    pub(crate) calls_macros: bool,
}

struct Name {
    /// The name without `r#`.
    word: String,
    span: Span,
    /// Whether only a field of the variable is named.
    is_field: bool,
}

impl Names {
    pub(crate) fn of(tokens: TokenStream) -> Self {
        let mut names = Self::default();
        names.add(tokens);
        names
    }

    /// Whether this variable is named.
    pub(crate) fn has(&self, variable: &Ident) -> bool {
        let word = variable.unraw();
        self.named.iter().any(|name| word == name.word)
    }

    /// Whether this variable is named as a whole, and not only fields of it.
    pub(crate) fn has_whole(&self, variable: &Ident) -> bool {
        let word = variable.unraw();
        self.named.iter().any(|name| word == name.word && !name.is_field)
    }

    /// The variable called `word`, with the hygiene of the tokens.
    pub(crate) fn find(&self, word: &str) -> Option<Ident> {
        let name = self.named.iter().find(|name| name.word == word)?;
        Some(Ident::new(word, name.span))
    }

    fn add(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: Option<usize>, sign: char| {
            let token = at.and_then(|at| tokens.get(at));
            matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
        };
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) => {
                    let is_member = is(at.checked_sub(1), '.') && !is(at.checked_sub(2), '.');
                    if !is_member {
                        self.named.push(Name {
                            word: ident.unraw().to_string(),
                            span: ident.span(),
                            is_field: is(Some(at + 1), '.') && is_field(&tokens[at + 2..]),
                        });
                    }
                }
                TokenTree::Group(group) => {
                    self.calls_macros |= is(at.checked_sub(1), '!') && group.delimiter() != Delimiter::None;
                    self.add(group.stream());
                }
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal.clone()) {
                        self.named.extend(captured(&text.value()).map(|word| Name {
                            word,
                            span: literal.span(),
                            is_field: false,
                        }));
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

/// Whether the tokens after a dot are a field, not a method.
fn is_field(tokens: &[TokenTree]) -> bool {
    let is_called = match tokens.get(1) {
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Parenthesis,
        Some(TokenTree::Punct(punct)) => punct.as_char() == ':',
        _ => false,
    };
    match tokens.first() {
        Some(TokenTree::Ident(word)) => word != "await" && !is_called,
        Some(TokenTree::Literal(_)) => true,
        _ => false,
    }
}

/// The variables that a format string captures: `{name}`, `{name:?}`, `{:name$}`, `{:.name$}`.
fn captured(text: &str) -> impl Iterator<Item = String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some((_, opened)) = rest.split_once('{') {
        if let Some(escaped) = opened.strip_prefix('{') {
            rest = escaped;
            continue;
        }
        let (inner, after) = opened.split_once('}').unwrap_or((opened, ""));
        let (argument, form) = inner.split_once(':').unwrap_or((inner, ""));
        words.push(argument.trim().to_owned());
        let counts = form.split('$').rev().skip(1);
        words.extend(counts.filter_map(|count| {
            let is_letter = |c: char| c == '_' || c.is_alphanumeric();
            count.rsplit(|c| !is_letter(c)).next().map(str::to_owned)
        }));
        rest = after;
    }
    words.into_iter().filter_map(|word| {
        // A number is the index of an argument, and a zero before a name is a fill character.
        let name = word.trim_start_matches(|c: char| c.is_ascii_digit());
        (!name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured_by(text: &str) -> Vec<String> {
        captured(text).collect()
    }

    #[test]
    fn a_text_captures_what_it_formats_and_what_it_is_formatted_by() {
        assert_eq!(captured_by("{x}"), ["x"]);
        assert_eq!(captured_by("{x:?} and { y :#?}"), ["x", "y"]);
        assert_eq!(captured_by("{:width$}"), ["width"]);
        assert_eq!(captured_by("{0:>width$}"), ["width"]);
        assert_eq!(
            captured_by("{x:_<_width$.prec$} {:05} {x:#0most$?}"),
            ["x", "prec", "_width", "x", "most"]
        );
        assert_eq!(captured_by("{:.*} {} {0} {0:1$} {{x}}"), ["*"; 0]);
        assert_eq!(captured_by("{größe} {{{x}}} {"), ["größe", "x"]);
    }

    #[test]
    fn a_variable_is_named_whole_or_by_its_fields_and_a_member_is_none() {
        let names = |tokens: TokenStream| Names::of(tokens);
        let ident = |word| Ident::new(word, Span::call_site());
        let of = names(quote::quote!(
            request.most + other.request.price() + (0..count) + pair.0
        ));
        assert!(of.has(&ident("request")) && !of.has_whole(&ident("request")));
        assert!(of.has_whole(&ident("count")) && !of.has(&ident("price")) && !of.has_whole(&ident("pair")));
        assert!(names(quote::quote!(request.most + request.price())).has_whole(&ident("request")));
        assert!(names(quote::quote!(request.price::<u8>())).has_whole(&ident("request")));
        let of = names(quote::quote!(f(g!("{type}")) + !(x)));
        assert!(of.has_whole(&Ident::new_raw("type", Span::call_site())) && of.calls_macros);
    }
}
