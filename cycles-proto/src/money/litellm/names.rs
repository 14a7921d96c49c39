//! What the names of LiteLLM's price members say: the part, the size of the request, the service tier.

use crate::money::model_prices::{STANDARD, service_tier};
use crate::money::part::{CacheLifetime, Part};

/// What the name of a member says, for example `cache_read_input_token_cost_above_272k_tokens_flex`.
pub(super) struct Name {
    pub(super) part: Part,
    /// The number of units that the price is for.
    pub(super) of: u128,
    pub(super) above: u64,
    pub(super) tier: String,
}

impl Name {
    pub(super) fn read(member: &str) -> Option<Self> {
        if let Some((part, of)) = part(member) {
            return Some(Self {
                part,
                of,
                above: 0,
                tier: String::new(),
            });
        }
        // A size, with or without a service tier after it.
        if let Some((base, rest)) = member.rsplit_once("_above_")
            && let Some((part, of)) = part(base)
            && let Some((thousands, tier)) = rest.split_once("k_tokens")
        {
            let tier = match tier.strip_prefix('_') {
                Some(tier) => tier_of(tier)?,
                None if tier.is_empty() => String::new(),
                None => return None,
            };
            return Some(Self {
                part,
                of,
                above: thousands.parse::<u64>().ok()?.checked_mul(1_000)?,
                tier,
            });
        }
        let (base, tier) = member.rsplit_once('_')?;
        let (part, of) = part(base)?;
        Some(Self {
            part,
            of,
            above: 0,
            tier: tier_of(tier)?,
        })
    }
}

/// The service tier with this name, if it is one: its name is a single word, while `1080p` is a size.
fn tier_of(name: &str) -> Option<String> {
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    match name {
        "batches" => Some("batch".to_owned()),
        name if is_word => Some(service_tier(name)).filter(|name| name != STANDARD),
        _ => None,
    }
}

/// The part that a member without size and tier is the price of, and the number of units that the price is for.
fn part(member: &str) -> Option<(Part, u128)> {
    let part = match member {
        "input_cost_per_token" => Part::Input,
        "output_cost_per_token" => Part::Output,
        "cache_read_input_token_cost" | "input_cost_per_token_cache_hit" => Part::CachedInput,
        "cache_creation_input_token_cost" => Part::CacheWrite(CacheLifetime::Default),
        "cache_creation_input_token_cost_above_1hr" => Part::CacheWrite(CacheLifetime::OneHour),
        "cache_creation_input_token_cost_above_12hr" => Part::CacheWrite(CacheLifetime::TwelveHours),
        "output_cost_per_reasoning_token" => Part::Reasoning,
        "input_cost_per_audio_token" => Part::AudioInput,
        "cache_read_input_audio_token_cost" => Part::CachedAudioInput,
        "output_cost_per_audio_token" => Part::AudioOutput,
        "input_cost_per_image_token" => Part::ImageInput,
        "cache_read_input_image_token_cost" => Part::CachedImageInput,
        "output_cost_per_image_token" => Part::ImageOutput,
        "input_cost_per_video_token" => Part::VideoInput,
        "output_cost_per_video_token" => Part::VideoOutput,
        "input_cost_per_character" => Part::InputCharacter,
        "output_cost_per_character" => Part::OutputCharacter,
        "input_cost_per_image" => Part::InputImage,
        "output_cost_per_image" => Part::OutputImage,
        "input_cost_per_second" | "input_cost_per_audio_per_second" | "input_cost_per_video_per_second" => {
            Part::InputSecond
        }
        "output_cost_per_second" | "output_cost_per_video_per_second" => Part::OutputSecond,
        "input_cost_per_query" => Part::Query,
        "input_cost_per_request" => Part::Request,
        "ocr_cost_per_page" => Part::Page,
        "google_maps_grounding_cost_per_query" => Part::tool_call("google_maps"),
        "code_interpreter_cost_per_session" => Part::tool_call("code_interpreter"),
        "file_search_cost_per_1k_calls" => return Some((Part::tool_call("file_search"), 1_000)),
        "annotation_cost_per_page" => Part::tool_call("annotated_page"),
        _ => return None,
    };
    Some((part, 1))
}
