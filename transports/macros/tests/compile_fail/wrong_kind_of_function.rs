mod on_tokio {
    use cycles_tokio::{Error, cycles};

    #[cycles(estimate = 1000)]
    fn blocks() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 1000)]
    fn returns_a_future() -> impl Future<Output = Result<(), Error>> {
        async { Ok(()) }
    }
}

mod on_ureq {
    use cycles_ureq::{Error, cycles};

    #[cycles(estimate = 1000)]
    async fn awaits() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 1000)]
    const fn is_constant() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 1000)]
    extern "C" fn is_foreign() -> Result<(), Error> {
        Ok(())
    }

    #[cycles(estimate = 1000)]
    struct Agent;

    trait Model {
        #[cycles(estimate = 1000)]
        fn think(&self) -> Result<(), Error>;
    }
}

fn main() {}
