use std::io::{BufRead, Read};

use cycles_ureq::{Error, cycles};
use futures::stream::{self, Stream};

#[cycles(estimate = 1000)]
fn is_not_paid_for_when_it_is_made() -> Result<impl Iterator<Item = String>, Error> {
    Ok(std::iter::empty())
}

#[cycles(estimate = 1000, actual = 5)]
fn is_boxed() -> Result<Box<dyn DoubleEndedIterator<Item = String>>, Error> {
    Ok(Box::new(std::iter::empty()))
}

#[cycles(estimate = 1000, actual_per_item = item.len())]
fn goes_both_ways() -> Result<impl DoubleEndedIterator<Item = String>, Error> {
    Ok(std::iter::empty())
}

#[cycles(estimate = 1000)]
fn is_a_type_of_its_own() -> Result<std::vec::IntoIter<String>, Error> {
    Ok(Vec::new().into_iter())
}

#[cycles(estimate = 1000)]
fn is_read_later() -> std::io::Result<Box<dyn Read>> {
    Ok(Box::new(std::io::empty()))
}

#[cycles(estimate = 1000, actual_per_item = item.len())]
fn is_buffered() -> Result<impl BufRead, Error> {
    Ok(std::io::empty())
}

#[cycles(estimate = 1000, actual_per_item = item.len())]
fn is_there_at_once() -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}

#[cycles(estimate = 1000, actual_per_item = 1)]
fn is_async() -> Result<impl Stream<Item = String>, Error> {
    Ok(stream::empty())
}

fn main() {}
