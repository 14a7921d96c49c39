//! The attribute on functions that block: what their costs name, what macros make of them, and the names around them.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unused_imports)]
#![allow(
    clippy::let_and_return,
    reason = "a reference behind a block is one of the things tried"
)]

use std::cell::Cell;

include!("../../../client/tests/python_page/page.rs");

#[test]
fn a_cost_that_formats_an_argument_reads_what_the_body_left() -> Outcome {
    #[cycles(estimate = 100, actual = format!("{type}").len())]
    fn a_raw_name(mut r#type: u32) -> Result<(), Error> {
        r#type = 12345;
        let _ = r#type;
        Ok(())
    }
    #[cycles(estimate = 100, actual = format!("{0:>width$}", "").len())]
    fn a_width(mut width: usize) -> Result<(), Error> {
        width += 6;
        let _ = width;
        Ok(())
    }
    #[cycles(estimate = 100, actual = [format!("{x:?}")][0].len() + cell.get())]
    fn in_a_list(mut x: Option<u8>, cell: Cell<usize>) -> Result<(), Error> {
        (x, _) = (x.map(|x| x + 100), cell.set(1));
        let _ = x;
        Ok(())
    }
    #[cycles(estimate = 100, actual_per_item = format!("{item}{each:?}").len())]
    fn items(mut each: i64) -> Result<impl Iterator<Item = i64>, Error> {
        each *= 100;
        let _ = each;
        Ok([1, 22].into_iter())
    }
    let page = Page::new();
    with_default_client(page.client(), || {
        a_raw_name(1)?;
        assert_eq!(page.dollars(), (5, 0));
        a_width(1)?;
        assert_eq!(page.dollars(), (5 + 7, 0));
        in_a_list(Some(1), Cell::new(0))?;
        assert_eq!(page.dollars(), (12 + 9 + 1, 0));
        assert_eq!(items(1)?.count(), 2);
        assert_eq!(page.dollars(), (22 + 4 + 5, 0));
        Ok(())
    })
}

macro_rules! guarded {
    ($function:item, $name:ident, $unit:expr, $policy:expr, $tags:expr, $dimensions:expr, $actual:expr,
     $argument:ident: $type:ty => $returned:ty) => {
        $function

        #[cycles(
            estimate = 100,
            unit = $unit,
            overage_policy = $policy,
            action_tags = $tags,
            dimensions = $dimensions,
            actual = $actual,
        )]
        fn $name($argument: $type) -> $returned {
            Ok($argument)
        }
    };
}

macro_rules! guarded_items {
    ($name:ident, $returned:ty, $per_item:expr, $body:block) => {
        #[cycles(estimate = 100, actual_per_item = $per_item)]
        fn $name() -> $returned $body
    };
}

guarded!(
    #[cycles(estimate = 3)]
    fn is_an_item() -> Result<(), Error> {
        Ok(())
    },
    is_made_of_fragments,
    "USD_MICROCENTS",
    "REJECT",
    ["one", Some("two")],
    [("region", "eu"), ("tier", None::<&str>)],
    7,
    model: &'static str => Result<&'static str, Error>
);
guarded_items!(some_items, Result<impl Iterator<Item = u8>, Error>, 3, {
    Ok([1, 2].into_iter())
});
guarded_items!(
    boxed_items,
    Result<Box<dyn Iterator<Item = Result<u8, Error>>>, Error>,
    4,
    { Ok(Box::new([Ok(1)].into_iter())) }
);

#[test]
fn what_a_macro_was_given_is_looked_through() -> Outcome {
    let page = Page::new();
    with_default_client(page.client(), || {
        is_an_item()?;
        assert_eq!(is_made_of_fragments("gpt")?, "gpt");
        assert_eq!(page.dollars(), (3 + 7, 0));
        let reserve = page.asked(Operation::CreateReservation).pop().unwrap();
        assert_eq!(reserve["action"]["tags"], json!(["one", "two"]));
        assert_eq!(reserve["subject"]["dimensions"], json!({"region": "eu"}));
        assert_eq!(some_items()?.count() + boxed_items()?.count(), 3);
        assert_eq!(page.dollars(), (10 + 6 + 4, 0));
        Ok(())
    })
}

/// Items of these names cannot be shadowed by a `let`.
mod among_items {
    #![allow(non_upper_case_globals, non_camel_case_types, unused)]
    use runcycles::{CyclesClient, Error, cycles};

    static client: i64 = 1;
    static returned: i64 = 1;
    static made: i64 = 1;
    static error: i64 = 1;
    static text: i64 = 1;
    const body: i64 = 1;
    const config: i64 = 1;
    const item: i64 = 1;
    struct unit;
    struct ended;
    struct result;

    #[cycles(
        estimate = client + body,
        action_name = of,
        action_tags = ["tag", of],
        dimensions = [("region", of)],
        client = { let given = by; given },
        actual = config + length as i64
    )]
    pub(super) fn value_of(by: &CyclesClient, of: &str, length: usize) -> Result<String, Error> {
        let _ = (client, body, unit, of.len() + length);
        Ok(of.to_owned())
    }

    #[cycles(estimate = 9, client = by, action_tags = tags, dimensions = pairs, actual_per_item = 2)]
    pub(super) fn items_of(
        by: &CyclesClient,
        tags: &[String],
        pairs: &[(&str, &str)],
    ) -> Result<Box<dyn Iterator<Item = u8>>, Error> {
        Ok(Box::new([1].into_iter()))
    }
}

/// Every name of the prelude is missing, and a trait of the program's own gives every type methods that the expansion
/// calls, or could.
#[no_implicit_prelude]
mod among_others {
    #![allow(unused)]
    use ::runcycles::{CyclesClient, Error, cycles};
    use ::std::marker::Sized;

    trait Everything: Sized {
        fn into(self) {}
        fn into_iter(self) {}
        fn flatten(self) {}
        fn filter_map(self) {}
        fn map(self) {}
        fn when_made(self) {}
        fn estimate(self) {}
        fn clone(self) {}
        fn unwrap_or_else(self) {}
        fn action_tags(self) {}
    }

    impl<T> Everything for T {}

    #[cycles(
        estimate = 9,
        unit = "USD_MICROCENTS",
        action_kind = "llm",
        action_tags = ["tag"],
        dimensions = [("region", "eu")],
        client = by,
        actual = *result
    )]
    pub(super) fn value_of(by: &CyclesClient) -> ::core::result::Result<i64, Error> {
        ::core::result::Result::Ok(4)
    }

    #[cycles(estimate = 9, client = by, action_name = "x", action_tags = tags, dimensions = pairs, actual_per_item = 2)]
    pub(super) fn items_of(
        by: &CyclesClient,
        tags: &[&str],
        pairs: &[(&str, &str)],
    ) -> ::core::result::Result<impl ::core::iter::Iterator<Item = u8>, Error> {
        ::core::result::Result::Ok(::core::iter::once(1))
    }
}

#[test]
fn no_name_around_the_function_gets_into_its_way() -> Outcome {
    let page = Page::new();
    let client = page.client();
    assert_eq!(among_items::value_of(&client, "x", 2)?, "x");
    assert_eq!(among_others::value_of(&client)?, 4);
    assert_eq!(page.dollars(), (3 + 4, 0));
    let pairs = [("region", "eu")];
    assert_eq!(
        among_items::items_of(&client, &["tag".to_owned()], &pairs)?.count(),
        1
    );
    assert_eq!(among_others::items_of(&client, &["tag"], &pairs)?.count(), 1);
    assert_eq!(page.dollars(), (7 + 4, 0));
    Ok(())
}
