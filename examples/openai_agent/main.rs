//! async-openai, a client for language models, on a budget in US dollars: an answer in one piece, an answer as a
//! stream, a reader who leaves in the middle of a stream, and servers that report no usage, or a usage of zeros.
//!
//! `cargo run -p cycles-examples --features openai --bin openai_agent` needs no setup: it starts a Cycles server and a
//! stub of OpenAI's API. Set `CYCLES_BASE_URL`, `CYCLES_API_KEY` and `CYCLES_TENANT` to use your Cycles server, and
//! `OPENAI_API_KEY`, with an optional `OPENAI_BASE_URL`, to use your model.
#![allow(clippy::print_stdout)]

mod model;

use std::io::Write as _;
use std::process::ExitCode;

use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CreateChatCompletionRequest,
    CreateChatCompletionStreamResponse,
};
use cycles_examples::{Failure, Scene, end, own_balance};
use cycles_tokio::models::*;
use cycles_tokio::money::{Bounds, Part, PriceTable, Prices, Usage, Usd};
use cycles_tokio::{CyclesClient, Reading, Receipt, WithCyclesConfig, with_cycles};
use futures::StreamExt as _;

type OpenAi = async_openai::Client<OpenAIConfig>;

const MODEL: &str = "gpt-4o-mini";

/// The stub's models that report no usage and a usage of zeros, as some servers do.
const CARELESS: [&str; 2] = ["reports-nothing", "reports-zeros"];

const QUESTION: &str = "What is a budget for?";

/// Example prices: prices change, so use your own.
const PRICES: &str = r#"
version = "2026-11-22"

[models.gpt-4o-mini]       # US dollars per million tokens
aliases = ["reports-nothing", "reports-zeros"]
input = 0.15
cached_input = 0.075
output = 0.60
"#;

#[tokio::main]
async fn main() -> ExitCode {
    end("openai_agent", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let scene = Scene::new("openai_agent")?;
    let (model, is_stub) = openai()?;
    let agent = Agent {
        cycles: CyclesClient::new(scene.config.clone()),
        model,
        prices: PRICES.parse()?,
    };
    let before = agent.spent().await?;
    let mut known = Usd::ZERO;

    println!("1. In one piece:");
    let (answer, cost) = agent.answer(MODEL).await?;
    println!("   {answer}\n   it cost ${cost}");
    known = known.checked_add(cost).ok_or("too much")?;

    println!("2. As a stream:");
    let cost = agent.stream(MODEL, usize::MAX).await?;
    println!("\n   it cost ${cost}, according to the model's last chunk");
    known = known.checked_add(cost).ok_or("too much")?;

    println!("3. As a stream whose reader leaves early:");
    let cost = agent.stream(MODEL, 4).await?;
    println!(" …\n   it had cost ${cost} by then");
    known = known.checked_add(cost).ok_or("too much")?;

    for model in CARELESS.into_iter().filter(|_| is_stub) {
        println!("4. A server that {}:", model.replace('-', " "));
        let (_, cost) = agent.answer(model).await?;
        println!("   in one piece it is charged the estimate, ${cost}");
        known = known.checked_add(cost).ok_or("too much")?;
        let cost = agent.stream(model, usize::MAX).await?;
        println!("\n   as a stream it is charged what was counted, ${cost}");
        known = known.checked_add(cost).ok_or("too much")?;
    }

    let left = agent
        .cycles
        .flush(agent.cycles.config().retry_flush_timeout)
        .await?;
    if !left.is_complete() {
        println!("Some costs are left for the next run: {left:?}");
    }
    let charged = agent.spent().await?.checked_sub(before).unwrap_or_default();
    println!(
        "By the price list {}: ${known}; charged by the ledger: ${charged}",
        agent.prices.version()
    );
    Ok(())
}

struct Agent {
    cycles: CyclesClient,
    model: OpenAi,
    prices: PriceTable,
}

impl Agent {
    /// Asks for an answer in one piece. The reservation is for the longest possible answer, the charge for the actual
    /// one.
    async fn answer(&self, model: &str) -> Result<(String, Usd), Failure> {
        // Looked up before the call: the answer may name a dated version of the model, which may have no price of its
        // own.
        let prices = self.prices.model(model)?;
        let config = WithCyclesConfig::new(prices.estimate(&bounds())?)
            .action("llm.completion", model)
            .metadata(JsonObject::new().with("prices", self.prices.version()));
        let answer = with_cycles(&self.cycles, config, async |ctx| {
            let most = ctx.caps.as_ref().map_or(200, |caps| caps.clamp_max_tokens(200));
            let response = self.model.chat().create(request(model, most)?).await?;
            // From here on the answer is paid for, whatever fails.
            ctx.spent(&ctx.estimate)?;
            // An answer with no tokens is one that the server did not count.
            let usage = Usage::from_openai(&response).with_an_answer();
            ctx.set_metrics(usage.metrics());
            // If the usage is not known, charge the estimate.
            let cost = prices.cost(&usage).unwrap_or_else(|_| ctx.estimate_as_cost());
            let answer = response
                .choices
                .into_iter()
                .find_map(|choice| choice.message.content);
            Ok(((answer.unwrap_or_default(), Usd::try_from(&cost)?), cost))
        });
        Ok(answer.await?)
    }

    /// Asks for the answer as a stream, of which at most `take` pieces are read. Until the model reports the usage,
    /// each piece counts as a token: a reader who leaves early is charged for the pieces so far, and for the prompt.
    async fn stream(&self, model: &str, take: usize) -> Result<Usd, Failure> {
        let prices = self.prices.model(model)?;
        let estimate = prices.estimate(&bounds())?;
        let reservation = ReservationCreateRequest::builder()
            .subject(Subject::default()) // the configuration's
            .action(Action::new("llm.completion", model))
            .estimate(estimate.clone())
            .build();
        let guard = self.cycles.reserve(reservation).await?;
        let most = guard.caps().map_or(200, |caps| caps.clamp_max_tokens(200));
        // If this fails, the guard is dropped and its budget is given back.
        let mut request = request(model, most)?;
        request.stream_options = Some(ChatCompletionStreamOptions {
            include_usage: Some(true),
            include_obfuscation: None,
        });
        let pieces = self.model.chat().create_stream(request).await?;
        let mut pieces = guard
            .try_meter(pieces, count(prices, estimate))
            .stop_at_tokens(most)
            .metadata(JsonObject::new().with("prices", self.prices.version()));
        let settling = pieces.settling();
        print!("   ");
        for _ in 0..take {
            let Some(piece) = pieces.next().await else { break };
            show(&piece?);
        }
        let cost = Usd::try_from(pieces.consumed())?;
        drop(pieces);
        match settling.await? {
            Some(receipt) if !receipt.is_settled() => println!("\n   not settled yet: {receipt:?}"),
            Some(Receipt::RecoveredViaEvent(_)) => {
                println!("\n   the lease had expired, and the cost was charged as an event")
            }
            _ => {}
        }
        Ok(cost)
    }

    /// The amount that the tenant's own budget of dollars has spent so far.
    async fn spent(&self) -> Result<Usd, Failure> {
        let spent = own_balance(&self.cycles, Unit::UsdMicrocents).await?.spent;
        Ok(spent.as_ref().map(Usd::try_from).transpose()?.unwrap_or_default())
    }
}

/// Counts the cost of the pieces of a stream so far, at these prices.
fn count(
    prices: &Prices,
    estimate: Amount,
) -> impl FnMut(&CreateChatCompletionStreamResponse) -> Option<Reading> {
    // The prompt counts first: it is paid for, however early the reader leaves.
    let (mut counted, mut told) = (Usage::tokens(prompt_tokens(), 0), Usage::unknown());
    move |piece| {
        let more = u64::from(text(piece).is_some_and(|text| !text.is_empty()));
        counted = counted.clone().with(Part::Output, more);
        told = told.clone().followed_by(&Usage::from_openai(piece));
        let so_far = told.clone().or_counted(&counted);
        // If any part of the usage has no price, charge the estimate.
        let reading = Reading::total(prices.cost(&so_far).unwrap_or_else(|_| estimate.clone()));
        let tokens = i64::try_from(so_far.output_tokens()).ok()?;
        Some(reading.with_tokens(tokens).with_metrics(so_far.metrics()))
    }
}

/// The bounds: a prompt and an answer of at most 200 tokens, in the standard service tier, without tools.
fn bounds() -> Bounds {
    Bounds::tokens(prompt_tokens(), 200).nothing_else()
}

/// An upper bound without a tokenizer: every token is at least one byte long. The rest is for the message's framing.
fn prompt_tokens() -> u64 {
    QUESTION.len() as u64 + 16
}

fn request(model: &str, most: i64) -> Result<CreateChatCompletionRequest, Failure> {
    Ok(CreateChatCompletionRequest {
        model: model.to_owned(),
        messages: vec![ChatCompletionRequestUserMessage::from(QUESTION).into()],
        max_completion_tokens: Some(u32::try_from(most)?),
        ..Default::default()
    })
}

fn text(piece: &CreateChatCompletionStreamResponse) -> Option<&str> {
    piece.choices.first()?.delta.content.as_deref()
}

fn show(piece: &CreateChatCompletionStreamResponse) {
    print!("{}", text(piece).unwrap_or_default());
    let _ = std::io::stdout().flush();
}

/// Your model, or the stub that this run starts; and whether it is the stub.
fn openai() -> Result<(OpenAi, bool), Failure> {
    if std::env::var_os("OPENAI_API_KEY").is_some() {
        return Ok((OpenAi::new(), false));
    }
    let config = OpenAIConfig::new()
        .with_api_key("none")
        .with_api_base(model::start()?);
    // The stub is on this machine: do not use a proxy.
    let http = reqwest::Client::builder().no_proxy().build()?;
    Ok((OpenAi::with_config(config).with_http_client(http), true))
}
