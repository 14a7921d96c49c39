use super::*;
use crate::outcome::InvalidCommit;
use crate::time::{Now, UnixMillis};

const UNIT: Unit = Unit::Tokens;

/// What a meter counts for the first item of a stream of tokens.
fn counted(reading: Reading) -> Option<Amount> {
    let now = Now {
        mono: core::time::Duration::ZERO,
        wall: UnixMillis(0),
    };
    crate::meter::Meter::new(Amount::new(UNIT, 0), now).read(reading)
}

#[test]
fn an_integer_is_an_amount_of_the_unit_beside_it_and_never_a_smaller_one() {
    let five = Amount::tokens(5);
    for made in [
        amount(&5_i8, &UNIT),
        amount(&5_i16, &UNIT),
        amount(&5_i32, &UNIT),
        amount(&5_i64, &UNIT),
        amount(&5_u8, &UNIT),
        amount(&5_u16, &UNIT),
        amount(&5_u32, &UNIT),
        amount(&5_u64, &UNIT),
        amount(&5_usize, &UNIT),
        amount(&&5_u64, &UNIT),
    ] {
        assert_eq!(made, five);
    }
    assert_eq!(amount(&u64::MAX, &UNIT), Amount::tokens(i64::MAX));
    // The request that uses it refuses it by the name of its field.
    assert_eq!(amount(&-1_i64, &UNIT), Amount::tokens(-1));
}

#[test]
fn an_amount_and_dollars_keep_the_unit_they_have() {
    let cent = Amount::usd_microcents(1_000_000);
    assert_eq!(amount(&cent, &UNIT), cent);
    let usd: Usd = "0.01".parse().unwrap();
    assert_eq!(amount(&usd, &UNIT), cent);
    assert_eq!(cost(&Some(&usd), &UNIT), Some(cent));
}

#[test]
fn a_cost_that_is_not_known_is_none() {
    assert_eq!(cost(&None::<u64>, &UNIT), None);
    assert_eq!(cost(&Some(7_u64), &UNIT), Some(Amount::tokens(7)));
    assert_eq!(cost(&&Some(7_u64), &UNIT), Some(Amount::tokens(7)));
}

#[test]
fn an_item_says_what_it_adds_or_what_the_total_is_or_nothing() {
    assert_eq!(counted(reading(&7_u32, &UNIT)), Some(Amount::tokens(7)));
    let total = Reading::total(Amount::tokens(9));
    assert_eq!(counted(reading(&total, &UNIT)), Some(Amount::tokens(9)));
    assert_eq!(counted(reading(&&Some(total), &UNIT)), Some(Amount::tokens(9)));
    assert_eq!(counted(reading(&None::<u32>, &UNIT)), None);
}

#[test]
fn a_text_is_taken_from_whatever_holds_one() {
    let held = String::from("acme");
    for made in [
        text("acme"),
        text(&"acme"),
        text(&held),
        text(&Some(&held)),
        text(&Cow::Borrowed("acme")),
        text(&Box::<str>::from("acme")),
        text(&Arc::<str>::from("acme")),
    ] {
        assert_eq!(made.as_deref(), Some("acme"));
    }
    assert_eq!(text(&None::<&str>), None);
}

#[test]
fn a_dimension_without_a_value_is_left_out() {
    let list = [("region", Some("eu")), ("shard", None)];
    let of_list = dimensions(list.iter().map(Pair::texts)).unwrap();
    let map = BTreeMap::from([("region", "eu")]);
    let of_map = dimensions(map.iter().map(Pair::texts)).unwrap();
    assert_eq!(of_list, of_map);
    assert_eq!(of_list, BTreeMap::from([("region".to_owned(), "eu".to_owned())]));
}

#[test]
fn an_estimate_of_another_unit_than_the_attribute_says_is_refused_and_nothing_is_sent() {
    let config = WithCyclesConfig::new(Amount::usd_microcents(5)).action("k", "n");
    assert_eq!(in_unit(Ok(1), &config, &Unit::UsdMicrocents).unwrap(), 1);
    let error = in_unit(Ok(1), &config, &UNIT).unwrap_err();
    assert!(matches!(error, Error::Validation(_)));
    let told = error.to_string();
    for part in ["estimate.unit", "is USD_MICROCENTS", "sets `unit` to TOKENS"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    // The missing client is reported only if the units agree: the attribute is wrong with any client.
    let none = || Err::<(), _>(Error::from(InvalidCommit::NotHeld));
    assert!(matches!(
        in_unit(none(), &config, &UNIT),
        Err(Error::Validation(_))
    ));
    assert!(matches!(
        in_unit(none(), &config, &Unit::UsdMicrocents),
        Err(Error::InvalidCommit(_))
    ));
}

#[test]
fn what_a_function_returns_is_its_own_and_why_it_was_not_run_is_made_its_error() {
    #[derive(Debug, PartialEq)]
    enum Mine {
        Own,
        Cycles(String),
    }
    impl From<Error> for Mine {
        fn from(error: Error) -> Self {
            Self::Cycles(error.to_string())
        }
    }
    let refused = || Error::from(InvalidCommit::NotHeld);
    assert_eq!(returning::<_, Mine>(Ok(5)), Ok(5));
    let own = returning::<(), _>(Err(NotCompleted::Action(Mine::Own)));
    assert_eq!(own, Err(Mine::Own));
    for why in [
        NotCompleted::NotReserved(refused()),
        NotCompleted::Cancelled(refused()),
    ] {
        let told = Err(Mine::Cycles(refused().to_string()));
        assert_eq!(returning::<(), Mine>(Err(why)), told);
    }
}

#[test]
fn the_cost_of_a_value_is_asked_after_it_is_there_and_not_of_an_error() {
    let actual = |value: &u64, unit: &Unit| cost(value, unit);
    let (value, actual_of) = ended(Ok::<_, ()>(7_u64), actual).unwrap();
    assert_eq!(actual_of(&value, &UNIT), Some(Amount::tokens(7)));
    assert_eq!(ended(Err::<u64, _>("failed"), actual).err(), Some("failed"));
}
