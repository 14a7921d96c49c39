//! What does not compile, and what the compiler says about it. The texts are those of the stable compiler of the
//! day: `TRYBUILD=overwrite cargo test -p cycles-macros` writes them anew.

#[test]
fn what_cannot_work_is_an_error_that_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
