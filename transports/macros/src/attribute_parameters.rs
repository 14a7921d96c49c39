//! The attribute's parameters: `name = expression`, each name once.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::token::Brace;
use syn::{Error, Expr, Lit, LitStr, Path, Result, Token};

use crate::check_literals::A_LIST_OF_PAIRS;
use crate::closures;
use crate::groups;
use crate::nearest::nearest;

/// The parameters with their values.
#[derive(Default)]
pub(crate) struct Parameters {
    given: Vec<(Ident, Expr)>,
    /// The path of the adapter, if it was renamed.
    pub(crate) path: Option<Path>,
}

macro_rules! parameters {
    ($($name:ident = $text:literal,)*) => {
        /// A parameter of the attribute. If you add one here, the compiler points to the checks that need it; the code
        /// that it configures is in `configuration_code.rs`.
        #[derive(Clone, Copy)]
        pub(crate) enum Parameter {
            $($name,)*
        }

        const NAMES: &[&str] = &[$($text),*];

        impl Parameter {
            /// Returns the parameter with this name, if there is one.
            pub(crate) fn of(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

parameters! {
    Estimate = "estimate",
    Actual = "actual",
    ActualPerItem = "actual_per_item",
    Unit = "unit",
    ActionKind = "action_kind",
    ActionName = "action_name",
    ActionTags = "action_tags",
    TtlMs = "ttl_ms",
    GracePeriodMs = "grace_period_ms",
    OveragePolicy = "overage_policy",
    OnError = "on_error",
    DryRun = "dry_run",
    Mode = "mode",
    Tenant = "tenant",
    Workspace = "workspace",
    App = "app",
    Workflow = "workflow",
    Agent = "agent",
    Toolset = "toolset",
    Dimensions = "dimensions",
    Client = "client",
    Run = "run",
    Name = "name",
    UseEstimateIfActualNotProvided = "use_estimate_if_actual_not_provided",
    Crate = "crate",
}

impl Parameters {
    /// Parses the parameters.
    ///
    /// # Errors
    /// All problems with the names at once. The values are checked later.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        Self::parse_all.parse2(tokens)
    }

    fn parse_all(input: ParseStream<'_>) -> Result<Self> {
        let mut parameters = Self::default();
        let mut problems: Option<Error> = None;
        while !input.is_empty() {
            if let Err(problem) = parameters.parse_one(input)? {
                match &mut problems {
                    None => problems = Some(problem),
                    Some(problems) => problems.combine(problem),
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        problems.map_or(Ok(parameters), Err)
    }

    /// Parses one parameter. After an error in the inner result, the next parameter can still be parsed.
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<Result<()>> {
        if !input.peek(Ident::peek_any) {
            let problem = "every parameter needs a name: `estimate = 1000`";
            return Err(input.error(problem));
        }
        let name = input.call(Ident::parse_any)?;
        if !input.peek(Token![=]) {
            let word = name.to_string();
            if input.peek(Token![:]) && (NAMES.contains(&word.as_str()) || nearest(&word, NAMES).is_none()) {
                let problem = format!("a parameter's value follows `=`: write `{word} = ..`");
                return Err(input.error(problem));
            }
            let problem = match word.as_str() {
                "dry_run" => "give it a value: `dry_run = true`".to_owned(),
                known if NAMES.contains(&known) => format!("give it a value: `{known} = ..`"),
                _ => unknown(&word),
            };
            return Err(Error::new(name.span(), problem));
        }
        input.parse::<Token![=]>()?;
        if name == "crate" {
            if let Ok(text) = input.fork().parse::<LitStr>() {
                let problem = format!(
                    "`crate` is a path, not a string: write `crate = {}`",
                    text.value()
                );
                return Err(Error::new(text.span(), problem));
            }
            self.path = Some(input.call(Path::parse_mod_style)?);
            return Ok(Ok(()));
        }
        let word = name.to_string();
        if word == "dimensions" && input.peek(Brace) && input.fork().parse::<Expr>().is_err() {
            let map: TokenTree = input.parse()?;
            return Ok(Err(Error::new(map.span(), A_LIST_OF_PAIRS)));
        }
        let value = groups::expression(input.parse()?);
        if !NAMES.contains(&word.as_str()) {
            return Ok(Err(Error::new(name.span(), unknown(&word))));
        }
        if self.given.iter().any(|(other, _)| *other == name) {
            return Ok(Err(Error::new(name.span(), format!("`{name}` is given twice"))));
        }
        if let Expr::Closure(closure) = &value {
            return Ok(Err(closures::instead(&word, closure)));
        }
        self.given.push((name, value));
        Ok(Ok(()))
    }

    /// All names with their values, in the given order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(Ident, Expr)> {
        self.given.iter()
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&Expr> {
        self.given
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value)
    }

    /// Returns the value of a parameter that must be `true` or `false`.
    ///
    /// # Errors
    /// If the value is any other expression.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        if let Expr::Lit(literal) = value
            && let Lit::Bool(flag) = &literal.lit
        {
            return Ok(Some(flag.value));
        }
        Err(Error::new_spanned(
            value,
            format!("`{name}` must be `true` or `false`"),
        ))
    }
}

fn unknown(word: &str) -> String {
    // One letter away from `mode`, which is something else.
    let by_meaning = (word == "model").then_some("action_name");
    match by_meaning
        .or_else(|| nearest(word, NAMES))
        .or_else(|| that_has(word))
    {
        Some(name) => format!("there is no parameter `{word}`: did you mean `{name}`?"),
        None => format!(
            "there is no parameter `{word}`; the parameters are {}",
            NAMES.join(", ")
        ),
    }
}

/// The only parameter name that begins or ends with the word: `ttl_ms` for `ttl`, `action_tags` for `tags`.
fn that_has(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let has_it = |name: &&&str| {
        let at_start = name
            .strip_prefix(&*word)
            .is_some_and(|rest| rest.starts_with('_'));
        at_start || name.strip_suffix(&*word).is_some_and(|rest| rest.ends_with('_'))
    };
    let mut names = NAMES.iter().filter(has_it);
    names.next().copied().filter(|_| names.next().is_none())
}
