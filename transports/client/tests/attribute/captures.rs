// What the cost of a guarded function says over its arguments: each test is included by every async adapter.

use std::cell::Cell;

use super::*;

/// A text to format names an argument in many ways, and each tells what the body left.
mod formatted {
    use super::*;

    #[cycles(estimate = 100, unit = "TOKENS", actual = format!("{type}").len())]
    pub(super) async fn a_raw_name(mut r#type: u32) -> Result<(), Error> {
        r#type = 12345;
        yield_now().await;
        let _ = r#type;
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", actual = format!("{:typ$}", "").len())]
    pub(super) async fn a_width(mut typ: usize) -> Result<(), Error> {
        typ += 6;
        yield_now().await;
        let _ = typ;
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", actual = format!("{0:>width$.precision$}", 1.5).len())]
    pub(super) async fn width_and_precision(mut width: usize, precision: usize) -> Result<(), Error> {
        width += precision;
        yield_now().await;
        let _ = width;
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", actual = { let said = [format!("{x:?}"), format!("{{x}}{}", "")]; said[0].len() })]
    pub(super) async fn within_a_list(mut x: Option<u8>) -> Result<(), Error> {
        x = x.map(|x| x + 100);
        yield_now().await;
        let _ = x;
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", actual = counted!(concat(format!(r#"{label:_<9}"#))))]
    pub(super) async fn through_a_macro(mut label: &str) -> Result<(), Error> {
        label = &label[..1];
        yield_now().await;
        let _ = label;
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", actual = format!("{result}{result:>5}").len())]
    pub(super) async fn the_result() -> Result<String, Error> {
        Ok("abc".to_owned())
    }

    macro_rules! counted {
        (concat($text:expr)) => {
            $text.len()
        };
    }
    use counted;
}

/// A type that is `Send` but not `Sync`.
struct Model {
    price: Cell<i64>,
    name: String,
}

impl Model {
    #[cycles(estimate = 100, unit = "TOKENS", client = client, actual = self.total() + by)]
    async fn think(self, client: &CyclesClient, by: i64) -> Result<(), Error> {
        self.price.set(by);
        yield_now().await;
        assert_eq!(self.price.get(), by);
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", client = client, actual = by + 1)]
    async fn counts_beside(&mut self, client: &CyclesClient, by: i64) -> Result<(), Error> {
        self.price.set(by);
        yield_now().await;
        let _ = self.price.get();
        Ok(())
    }

    #[cycles(estimate = 100, unit = "TOKENS", client = client, actual = self.total())]
    async fn counts_named(&mut self, client: &CyclesClient) -> Result<(), Error> {
        self.price.set(9);
        yield_now().await;
        let _ = self.price.get();
        Ok(())
    }

    fn total(&self) -> i64 {
        self.price.get()
    }
}

#[cycles(estimate = 100, unit = "TOKENS", actual = rounds)]
async fn beside_one_that_is_named(
    cell: Cell<i64>,
    (other, _): (Cell<i64>, ()),
    rounds: i64,
) -> Result<(), Error> {
    cell.set(rounds);
    other.set(cell.get());
    yield_now().await;
    let _ = (cell.get(), other.get());
    Ok(())
}

#[cycles(estimate = 100, unit = "TOKENS", actual = cell.get() + model.price.get() + given.get())]
async fn named(cell: Cell<i64>, model: &mut Model, given: &mut Cell<i64>) -> Result<(), Error> {
    cell.set(cell.get() + 1);
    yield_now().await;
    model.price = Cell::new(cell.get() + 1);
    given.set(50);
    yield_now().await;
    Ok(())
}

#[cycles(estimate = 100, unit = "TOKENS", actual = model.price.get() + result.len() as i64)]
async fn takes_one_that_is_named_apart(model: Model) -> Result<String, Error> {
    yield_now().await;
    Ok(model.name)
}

#[cycles(estimate = 100, unit = "TOKENS", actual_per_item = item + *extra)]
async fn makes_a_stream(cell: Cell<i64>, extra: Box<i64>) -> Result<impl Stream<Item = i64>, Error> {
    cell.set(*extra);
    yield_now().await;
    Ok(futures::stream::iter([cell.get(), 2]))
}

#[cycles(estimate = 100, unit = "TOKENS", actual = text.len() + result.len())]
async fn is_lent<'a>(text: &'a str, into: &mut Vec<&'a str>) -> Result<&'a str, Error> {
    into.push(text);
    yield_now().await;
    Ok(&text[1..])
}

on_executor! {
async fn a_cost_that_formats_an_argument_reads_what_the_body_left() {
    let scene = Scene::new();
    with_default_client(scene.client(), async {
        let mut before = 0;
        let mut charged = || {
            let spent = scene.budget().0;
            spent - std::mem::replace(&mut before, spent)
        };
        formatted::a_raw_name(1).await.unwrap();
        assert_eq!(charged(), 5);
        formatted::a_width(1).await.unwrap();
        assert_eq!(charged(), 7);
        formatted::width_and_precision(4, 3).await.unwrap();
        assert_eq!(charged(), 7);
        formatted::within_a_list(Some(1)).await.unwrap();
        assert_eq!(charged(), 9);
        formatted::through_a_macro("0123456789").await.unwrap();
        assert_eq!(charged(), 9);
        assert_eq!(formatted::the_result().await.unwrap(), "abc");
        assert_eq!(charged(), 8);
    })
    .await;
}
}

on_executor! {
async fn a_future_is_send_where_its_arguments_are_whatever_its_cost_names() {
    let scene = Scene::new();
    let model = || Model { price: Cell::new(0), name: "gpt".to_owned() };
    let client = scene.client();
    with_default_client(client.clone(), async {
        is_send(beside_one_that_is_named(Cell::new(0), (Cell::new(0), ()), 5)).await.unwrap();
        assert_eq!(scene.budget(), (5, 0));
        let (mut other, mut given) = (model(), Cell::new(0));
        is_send(named(Cell::new(7), &mut other, &mut given)).await.unwrap();
        assert_eq!(scene.budget(), (5 + 8 + 9 + 50, 0));
        is_send(takes_one_that_is_named_apart(model())).await.unwrap();
        is_send(model().think(&client, 2)).await.unwrap();
        is_send(other.counts_beside(&client, 2)).await.unwrap();
        is_send(other.counts_named(&client)).await.unwrap();
        assert_eq!(scene.budget(), (72 + 3 + 4 + 3 + 9, 0));
        let mut items = std::pin::pin!(is_send(makes_a_stream(Cell::new(0), Box::new(1))).await.unwrap());
        while futures::StreamExt::next(&mut items).await.is_some() {}
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        assert_eq!(scene.budget(), (91 + 2 + 3, 0));
        let (text, mut into) = ("hello".to_owned(), Vec::new());
        assert_eq!(is_send(is_lent(&text, &mut into)).await.unwrap(), "ello");
        assert_eq!(scene.budget(), (96 + 9, 0));
    })
    .await;
}
}
