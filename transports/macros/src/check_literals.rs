//! Checks the values of parameters at compile time: literals, and names that are not available in an expression. The
//! limits are the protocol's; at run time the client checks all values again before it sends anything.

use core::ops::RangeInclusive;

use quote::ToTokens;
use syn::visit_mut::{
    VisitMut, visit_expr_call_mut, visit_expr_mut, visit_expr_path_mut, visit_pat_ident_mut,
};
use syn::{Error, Expr, ExprCall, ExprPath, Item, Lit, PatIdent, Result, Stmt};

use crate::attribute_parameters::{Parameter, Parameters};
use crate::configuration_code;
use crate::guarded_function::Argument;

const USD: &str = "USD_MICROCENTS";

/// Checks all parameters.
///
/// # Errors
/// All problems at once.
pub(crate) fn check(parameters: &Parameters, arguments: &[Argument]) -> Result<()> {
    let mut problems: Option<Error> = None;
    let values = parameters.all().map(|(name, value)| {
        let name = name.to_string();
        names(&name, value, arguments)
            .and_then(|()| control(&name, value))
            .and_then(|()| one(&name, value))
            .and_then(|()| {
                let is_argument = |word: &str| arguments.iter().any(|argument| argument.name == word);
                configuration_code::bare(&name, value, is_argument)
            })
    });
    let whole = [units(parameters), step(parameters)];
    for problem in values.chain(whole).filter_map(Result::err) {
        match &mut problems {
            None => problems = Some(problem),
            Some(problems) => problems.combine(problem),
        }
    }
    problems.map_or(Ok(()), Err)
}

fn one(name: &str, value: &Expr) -> Result<()> {
    // Only known names are parsed.
    let Some(parameter) = Parameter::of(name) else {
        return Ok(());
    };
    match parameter {
        Parameter::TtlMs => milliseconds(name, value, 1_000..=86_400_000),
        Parameter::GracePeriodMs => milliseconds(name, value, 0..=60_000),
        Parameter::ActionKind => text(name, value, 1..=64),
        Parameter::ActionName => text(name, value, 1..=256),
        Parameter::Tenant
        | Parameter::Workspace
        | Parameter::App
        | Parameter::Workflow
        | Parameter::Agent
        | Parameter::Toolset => level(name, value),
        Parameter::ActionTags => tags(value),
        Parameter::Dimensions => dimensions(value),
        Parameter::DryRun => match literal(value) {
            Some(Lit::Bool(_)) | None => Ok(()),
            Some(_) => Err(wrong(
                value,
                "`dry_run` must be `true` or `false`, or an expression of type `bool`",
            )),
        },
        Parameter::Client => match literal(value) {
            None => Ok(()),
            Some(_) => Err(wrong(
                value,
                "this must be a `CyclesClient`, such as `client = self.client`",
            )),
        },
        Parameter::Run => match literal(value) {
            None => Ok(()),
            Some(_) => Err(wrong(value, "this must be a `Run`, such as `run = self.run`")),
        },
        Parameter::Name => text(name, value, 1..=256),
        // These are checked where their code is generated.
        Parameter::Estimate
        | Parameter::Actual
        | Parameter::ActualPerItem
        | Parameter::Unit
        | Parameter::OveragePolicy
        | Parameter::OnError
        | Parameter::Mode
        | Parameter::UseEstimateIfActualNotProvided
        | Parameter::Crate => Ok(()),
    }
}

fn milliseconds(name: &str, value: &Expr, range: RangeInclusive<u64>) -> Result<()> {
    let problem = match literal(value) {
        None if matches!(value, Expr::Unary(negative) if literal(&negative.expr).is_some()) => {
            format!(
                "`{name}` must be from {} to {} milliseconds",
                range.start(),
                range.end()
            )
        }
        None => return Ok(()),
        Some(Lit::Int(ms)) if ms.base10_parse().is_ok_and(|ms| range.contains(&ms)) => return Ok(()),
        Some(Lit::Int(_)) => format!(
            "`{name}` must be from {} to {} milliseconds",
            range.start(),
            range.end()
        ),
        Some(_) => format!("`{name}` must be a number of milliseconds: a minute is `{name} = 60_000`"),
    };
    Err(wrong(value, problem))
}

fn text(name: &str, value: &Expr, length: RangeInclusive<usize>) -> Result<()> {
    let problem = match literal(value) {
        None => return Ok(()),
        Some(Lit::Str(text)) => {
            let (text, most) = (text.value(), length.end());
            let is_blank = text.chars().all(|c| c <= ' ' || c.is_whitespace());
            if is_blank && *length.start() > 0 {
                format!("`{name}` is blank: give it a value, or omit it")
            } else if text.chars().count() > *most {
                format!("`{name}` has more than {most} characters")
            } else {
                return Ok(());
            }
        }
        Some(other) => format!(
            "`{name}` must be a string: write `\"{}\"`",
            other.to_token_stream()
        ),
    };
    Err(wrong(value, problem))
}

/// Checks a level of a scope path.
fn level(name: &str, value: &Expr) -> Result<()> {
    text(name, value, 1..=128)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match literal(value) {
        Some(Lit::Str(text)) if !text.value().chars().all(allowed) => {
            let problem =
                format!("`{name}` is part of a scope path: only `A-Z a-z 0-9 _ . -` are allowed there");
            Err(wrong(value, problem))
        }
        _ => Ok(()),
    }
}

fn tags(value: &Expr) -> Result<()> {
    match value {
        Expr::Array(tags) if tags.elems.len() > 10 => Err(wrong(value, "an action has at most 10 tags")),
        Expr::Array(tags) => tags
            .elems
            .iter()
            .try_for_each(|tag| text("action_tags", tag, 0..=64)),
        _ if literal(value).is_some() => {
            let problem = format!(
                "this must be a list of strings: write `action_tags = [{}]`",
                value.to_token_stream()
            );
            Err(wrong(value, problem))
        }
        _ => Ok(()),
    }
}

fn dimensions(value: &Expr) -> Result<()> {
    match value {
        Expr::Array(pairs) if pairs.elems.len() > 16 => {
            Err(wrong(value, "at most 16 dimensions are allowed"))
        }
        Expr::Array(pairs) => pairs.elems.iter().try_for_each(|pair| match pair {
            Expr::Tuple(pair) => pair
                .elems
                .iter()
                .try_for_each(|part| text("dimensions", part, 0..=256)),
            _ => Ok(()),
        }),
        Expr::Block(block) => match block.block.stmts.last() {
            None | Some(Stmt::Expr(Expr::Lit(_) | Expr::Assign(_), _)) => Err(wrong(value, A_LIST_OF_PAIRS)),
            Some(_) => Ok(()),
        },
        _ if literal(value).is_some() => Err(wrong(value, A_LIST_OF_PAIRS)),
        _ => Ok(()),
    }
}

/// The error for a value that is not a list of pairs; also used if the value is not an expression at all.
pub(crate) const A_LIST_OF_PAIRS: &str =
    "dimensions are a list of pairs, or a map: `dimensions = [(\"region\", \"eu\"), (\"tier\", tier)]`";

/// Finds uses of `result` and `item` in expressions where they are not available.
fn names(name: &str, value: &Expr, arguments: &[Argument]) -> Result<()> {
    let uses = |word: &str| {
        let mut search = Uses {
            word,
            found: None,
            is_bound: arguments.iter().any(|argument| argument.name == word),
        };
        search.visit_expr_mut(&mut value.clone());
        search.found.filter(|_| !search.is_bound)
    };
    let told = |found: ExprPath, problem: String| Err(Error::new_spanned(found, problem));
    match (name, uses("result"), uses("item")) {
        ("actual_per_item", Some(found), _) => told(
            found,
            "the cost of an item is an expression over `item`: there is no `result` here".to_owned(),
        ),
        ("actual", _, Some(found)) => told(
            found,
            "`actual` is an expression over `result`; the cost of each item of a stream is `actual_per_item`"
                .to_owned(),
        ),
        ("actual" | "actual_per_item", ..) | (_, None, None) => Ok(()),
        (_, Some(found), _) | (_, _, Some(found)) => {
            let problem = format!(
                "`{name}` is evaluated before the body runs, when only the arguments exist: the final cost is \
                 `actual`, over `result`, or `actual_per_item`, over `item`"
            );
            told(found, problem)
        }
    }
}

/// Searches for a variable.
struct Uses<'a> {
    word: &'a str,
    found: Option<ExprPath>,
    /// Whether the name is an argument, or is bound in the expression.
    is_bound: bool,
}

impl VisitMut for Uses<'_> {
    fn visit_expr_path_mut(&mut self, path: &mut ExprPath) {
        if path.path.is_ident(self.word) {
            self.found.get_or_insert_with(|| path.clone());
        }
        visit_expr_path_mut(self, path);
    }

    fn visit_pat_ident_mut(&mut self, named: &mut PatIdent) {
        self.is_bound |= named.ident == self.word;
        visit_pat_ident_mut(self, named);
    }

    fn visit_expr_call_mut(&mut self, call: &mut ExprCall) {
        // A function with that name is not the variable.
        if let Expr::Path(_) = *call.func {
            call.args
                .iter_mut()
                .for_each(|argument| self.visit_expr_mut(argument));
        } else {
            visit_expr_call_mut(self, call);
        }
    }
}

/// Finds `.await`, `?` and `return` in the expression for a cost.
fn control(name: &str, value: &Expr) -> Result<()> {
    if !matches!(name, "actual" | "actual_per_item") {
        return Ok(());
    }
    let mut search = Leaves(None);
    search.visit_expr_mut(&mut value.clone());
    let Some(found) = search.0 else { return Ok(()) };
    let problem = match found {
        Expr::Await(_) => {
            format!(
                "`{name}` cannot await: do the awaiting in the function, and return what the cost depends on"
            )
        }
        _ => format!(
            "`{name}` is evaluated after the action has run, so it cannot fail or return: give `None` if the cost is \
             not known, for example with `.ok()`; then the estimate is charged"
        ),
    };
    Err(Error::new_spanned(found, problem))
}

/// Searches for expressions that would leave the function.
struct Leaves(Option<Expr>);

impl VisitMut for Leaves {
    fn visit_expr_mut(&mut self, of: &mut Expr) {
        match of {
            // Inside these, they leave only the closure or the async block.
            Expr::Closure(_) | Expr::Async(_) => {}
            Expr::Await(_) | Expr::Try(_) | Expr::Return(_) => {
                self.0.get_or_insert_with(|| of.clone());
            }
            _ => visit_expr_mut(self, of),
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}
}

/// Checks that a step of a run has the parameters of a step, and that everything else has none of them.
fn step(parameters: &Parameters) -> Result<()> {
    const OF_A_STEP: [&str; 7] = [
        "run",
        "name",
        "estimate",
        "actual",
        "unit",
        "on_error",
        "use_estimate_if_actual_not_provided",
    ];
    if parameters.get("run").is_none() {
        let problem = "`name` is the name of a step: it needs the run, such as `run = self.run`. The name of an \
                       action is `action_name`";
        let name = parameters.all().find(|(name, _)| name == "name");
        return name.map_or(Ok(()), |(name, _)| Err(Error::new(name.span(), problem)));
    }
    let mut others = parameters
        .all()
        .filter(|(name, _)| !OF_A_STEP.iter().any(|known| name == known));
    let Some((other, _)) = others.next() else {
        return Ok(());
    };
    let problem = match other.to_string().as_str() {
        "actual_per_item" => {
            "a step of a run is charged when the function returns, so it cannot return a stream: give `actual`, over \
             `result`"
                .to_owned()
        }
        other => format!(
            "a step draws from its run, which was reserved with a client, a subject and an action of its own: remove \
             `{other}`, or `run`"
        ),
    };
    Err(Error::new(other.span(), problem))
}

/// Checks that the units agree.
fn units(parameters: &Parameters) -> Result<()> {
    let given = parameters.get("unit");
    let estimate = parameters.get("estimate");
    let said = given.and_then(|unit| match literal(unit) {
        Some(Lit::Str(unit)) => Some(unit.value()),
        _ => None,
    });
    let estimated = estimate.and_then(unit_of).map(str::to_owned);
    if let (Some(unit), Some(said), Some(estimated)) = (given, &said, &estimated)
        && said != estimated
    {
        let problem = format!(
            "the estimate is in {estimated}, but `unit` is {said}: omit `unit`, or give the estimate as an integer"
        );
        return Err(wrong(unit, problem));
    }
    let is_counted = estimate.is_some_and(|estimate| matches!(literal(estimate), Some(Lit::Int(_))));
    // The integers of a step are in the unit of its run.
    let is_usd = given.is_none() && is_counted && parameters.get("run").is_none();
    let default = is_usd.then(|| USD.to_owned());
    let Some(reserved) = said.or(estimated).or(default) else {
        return Ok(());
    };
    for name in ["actual", "actual_per_item"] {
        if let Some(actual) = parameters.get(name)
            && let Some(unit) = unit_of(actual)
            && unit != reserved
        {
            let problem =
                format!("the reservation is in {reserved}, and a cost in {unit} cannot be charged to it");
            return Err(wrong(actual, problem));
        }
    }
    Ok(())
}

/// The unit of an amount that the expression itself creates, such as `Amount::tokens(5)`.
fn unit_of(value: &Expr) -> Option<&'static str> {
    match value {
        Expr::Paren(inner) => unit_of(&inner.expr),
        Expr::Group(inner) => unit_of(&inner.expr),
        Expr::Reference(inner) => unit_of(&inner.expr),
        Expr::Call(call) => {
            let Expr::Path(function) = &*call.func else {
                return None;
            };
            let segments = &function.path.segments;
            let mut names = segments.iter().rev().map(|segment| segment.ident.to_string());
            let (made, of) = (names.next()?, names.next()?);
            match (of.as_str(), made.as_str()) {
                ("Amount", "tokens") => Some("TOKENS"),
                ("Amount", "credits") => Some("CREDITS"),
                ("Amount", "risk_points") => Some("RISK_POINTS"),
                ("Amount", "usd_microcents") | ("Usd", "cents" | "dollars") => Some(USD),
                _ => None,
            }
        }
        _ => None,
    }
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        _ => None,
    }
}

fn wrong(value: &Expr, problem: impl core::fmt::Display) -> Error {
    Error::new_spanned(value, problem)
}
