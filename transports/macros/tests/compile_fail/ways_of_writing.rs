//! Habits from other languages, each with one error at its place.

mod on_tokio {
    use cycles_tokio::{Error, cycles};

    #[cycles(estimate: 9, action_name = "x")]
    async fn as_in_a_struct() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate(9))]
    async fn as_in_a_list() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(crate = "renamed::budget", estimate = 9)]
    async fn as_for_serde() -> Result<(), Error> {
        Ok(())
    }

    #[cycles = 5]
    async fn as_for_a_document() -> Result<(), Error> {
        Ok(())
    }

    #[cycles]
    async fn says_nothing() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 9, actual = price(result).await)]
    async fn awaits_its_price() -> Result<String, Error> {
        Ok(String::new())
    }

    #[cycles(estimate = 9, actual = result.parse::<u64>()?)]
    async fn may_not_know_its_price() -> Result<String, Error> {
        Ok(String::new())
    }

    #[cycles(estimate = 9, actual = if result.is_empty() { return 0 } else { 1 })]
    async fn returns_its_price() -> Result<String, Error> {
        Ok(String::new())
    }

    async fn price(_: &str) -> u64 {
        1
    }

    #[cycles(estimate = 9)]
    const fn is_constant() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 9)]
    extern "C" fn is_foreign() -> Result<(), Error> {
        Ok(())
    }

    macro_rules! returning {
        ($name:ident, $returned:ty, $body:expr) => {
            #[cycles(estimate = 9)]
            async fn $name() -> $returned {
                $body
            }
        };
    }

    returning!(a_stream, Result<impl futures::Stream<Item = u8>, Error>, Ok(futures::stream::empty()));
    returning!(no_result, Option<u8>, None);

    macro_rules! streaming {
        () => {
            Result<futures::stream::BoxStream<'static, u8>, Error>
        };
    }

    #[cycles(estimate = 9)]
    async fn is_known_to_the_compiler() -> streaming!() {
        Ok(Box::pin(futures::stream::empty()))
    }

    type Answer = streaming!();

    #[cycles(estimate = 9, actual = 5)]
    async fn is_named_otherwise() -> Answer {
        Ok(Box::pin(futures::stream::empty()))
    }

    #[cycles(estimate = 9, actual = format!("{taken:>5}").len())]
    async fn takes_what_its_price_formats(taken: String) -> Result<String, Error> {
        Ok(taken)
    }

    /// `?` is allowed inside a function or a closure within the expression: all of this compiles.
    #[cycles(
        estimate = 9,
        actual = {
            fn one() -> Option<u64> { Some(Some(1)?) }
            let two = || Some(one()? + 1);
            two()
        }
    )]
    async fn leaves_a_closure() -> Result<(), Error> {
        Ok(())
    }
}

mod on_ureq {
    use cycles_ureq::{Error, cycles};

    #[cycles(estimate: 9)]
    fn as_in_a_struct() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 9, actual = result.parse::<u64>()?)]
    fn may_not_know_its_price() -> Result<String, Error> {
        Ok(String::new())
    }

    macro_rules! returning {
        ($name:ident, $returned:ty, $body:expr) => {
            #[cycles(estimate = 9)]
            fn $name() -> $returned {
                $body
            }
        };
    }

    returning!(an_iterator, Result<Box<dyn Iterator<Item = u8>>, Error>, Ok(Box::new(0..3)));
}

fn main() {}
