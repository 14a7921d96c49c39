//! What providers charge for: the vocabulary of prices, usage and bounds.

use core::fmt;
use std::borrow::Cow;

/// Something that a provider charges for. Prices, usage and bounds are all expressed in parts.
///
/// Each token counts in one part only: [`Input`](Self::Input) is the plain text of the prompt, without the tokens that
/// were read from or written to a cache and without audio, images and video; [`Output`](Self::Output) is the answer
/// without reasoning and media.
///
/// The text form is the key in a [price table](super::PriceTable)'s TOML.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Tokens that the provider read from its cache. Charged as [`Input`](Self::Input) unless priced separately.
    CachedInput,
    /// Audio tokens from the cache. Charged as [`AudioInput`](Self::AudioInput) unless priced separately.
    CachedAudioInput,
    /// Image tokens from the cache. Charged as [`ImageInput`](Self::ImageInput) unless priced separately.
    CachedImageInput,
    /// Tokens that the provider wrote to its cache, to be kept for this long. Must have a price to be charged for.
    CacheWrite(CacheLifetime),
    /// Audio tokens of the prompt. Charged as [`Input`](Self::Input) unless priced separately.
    AudioInput,
    /// Image tokens of the prompt. Charged as [`Input`](Self::Input) unless priced separately.
    ImageInput,
    /// Video tokens of the prompt. Charged as [`Input`](Self::Input) unless priced separately.
    VideoInput,
    /// Plain text tokens of the prompt.
    Input,
    /// Text tokens of the answer.
    Output,
    /// Tokens of the model's reasoning. Charged as [`Output`](Self::Output) unless priced separately.
    Reasoning,
    /// Audio tokens of the answer. Charged as [`Output`](Self::Output) unless priced separately.
    AudioOutput,
    /// Image tokens of the answer. Charged as [`Output`](Self::Output) unless priced separately.
    ImageOutput,
    /// Video tokens of the answer. Charged as [`Output`](Self::Output) unless priced separately.
    VideoOutput,
    /// Characters of the prompt.
    InputCharacter,
    /// Characters of the answer.
    OutputCharacter,
    /// An image in the prompt, for models that charge per image.
    InputImage,
    /// An image in the answer, for models that charge per image.
    OutputImage,
    /// A second of audio or video in the prompt. Round up.
    InputSecond,
    /// A second of audio or video in the answer. Round up.
    OutputSecond,
    /// A page of a document.
    Page,
    /// A query, as rerankers count them.
    Query,
    /// The request itself. Every usage includes one.
    Request,
    /// A call to a tool that the provider runs, with the tool's name.
    ToolCall(Cow<'static, str>),
}

/// How long a provider keeps what is written to its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CacheLifetime {
    /// The provider's shortest lifetime: 5 minutes at Anthropic.
    Default,
    /// One hour.
    OneHour,
    /// Twelve hours or more.
    TwelveHours,
}

/// What a part counts towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The tokens of the prompt, which determine the size of the request.
    Input,
    /// The tokens of the answer.
    Output,
    /// Neither: the part is counted on its own.
    Count,
}

impl Part {
    /// All parts except tool calls.
    pub(super) const ALL: [Self; 24] = [
        Self::CachedInput,
        Self::CachedAudioInput,
        Self::CachedImageInput,
        Self::CacheWrite(CacheLifetime::Default),
        Self::CacheWrite(CacheLifetime::OneHour),
        Self::CacheWrite(CacheLifetime::TwelveHours),
        Self::AudioInput,
        Self::ImageInput,
        Self::VideoInput,
        Self::Input,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
        Self::VideoOutput,
        Self::InputCharacter,
        Self::OutputCharacter,
        Self::InputImage,
        Self::OutputImage,
        Self::InputSecond,
        Self::OutputSecond,
        Self::Page,
        Self::Query,
        Self::Request,
    ];

    /// Creates the part for a call to the tool with this name.
    pub fn tool_call(name: impl Into<Cow<'static, str>>) -> Self {
        Self::ToolCall(name.into())
    }

    /// The number of units that a price in US dollars is for: a million tokens or characters, or one of anything else.
    pub fn priced_by(&self) -> u64 {
        match (self.side(), self) {
            (Side::Input | Side::Output, _) | (_, Self::InputCharacter | Self::OutputCharacter) => 1_000_000,
            (Side::Count, _) => 1,
        }
    }

    pub(super) fn side(&self) -> Side {
        match self {
            Self::CachedInput
            | Self::CachedAudioInput
            | Self::CachedImageInput
            | Self::CacheWrite(_)
            | Self::AudioInput
            | Self::ImageInput
            | Self::VideoInput
            | Self::Input => Side::Input,
            Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput | Self::VideoOutput => {
                Side::Output
            }
            Self::InputCharacter
            | Self::OutputCharacter
            | Self::InputImage
            | Self::OutputImage
            | Self::InputSecond
            | Self::OutputSecond
            | Self::Page
            | Self::Query
            | Self::Request
            | Self::ToolCall(_) => Side::Count,
        }
    }

    /// The fallback: the part whose price applies if this one has none.
    pub(super) fn fallback(&self) -> Option<Self> {
        match self {
            Self::CachedInput | Self::AudioInput | Self::ImageInput | Self::VideoInput => Some(Self::Input),
            Self::CachedAudioInput => Some(Self::AudioInput),
            Self::CachedImageInput => Some(Self::ImageInput),
            Self::Reasoning | Self::AudioOutput | Self::ImageOutput | Self::VideoOutput => Some(Self::Output),
            Self::CacheWrite(_)
            | Self::Input
            | Self::Output
            | Self::InputCharacter
            | Self::OutputCharacter
            | Self::InputImage
            | Self::OutputImage
            | Self::InputSecond
            | Self::OutputSecond
            | Self::Page
            | Self::Query
            | Self::Request
            | Self::ToolCall(_) => None,
        }
    }

    /// The part that this one counts as in bounds. Before the call, it is not known how much of a prompt comes from a
    /// cache or is written to it, nor how much of an answer is reasoning.
    pub(super) fn bounded_as(&self) -> Self {
        match self {
            Self::CachedInput | Self::CacheWrite(_) => Self::Input,
            Self::CachedAudioInput => Self::AudioInput,
            Self::CachedImageInput => Self::ImageInput,
            Self::Reasoning => Self::Output,
            Self::AudioInput
            | Self::ImageInput
            | Self::VideoInput
            | Self::Input
            | Self::Output
            | Self::AudioOutput
            | Self::ImageOutput
            | Self::VideoOutput
            | Self::InputCharacter
            | Self::OutputCharacter
            | Self::InputImage
            | Self::OutputImage
            | Self::InputSecond
            | Self::OutputSecond
            | Self::Page
            | Self::Query
            | Self::Request
            | Self::ToolCall(_) => self.clone(),
        }
    }

    #[cfg(feature = "prices")]
    pub(super) fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.key() == Some(key))
    }

    /// The part's key in a price table; `None` for tools, which have a table of their own.
    fn key(&self) -> Option<&'static str> {
        Some(match self {
            Self::CachedInput => "cached_input",
            Self::CachedAudioInput => "cached_audio_input",
            Self::CachedImageInput => "cached_image_input",
            Self::CacheWrite(CacheLifetime::Default) => "cache_write",
            Self::CacheWrite(CacheLifetime::OneHour) => "cache_write_1h",
            Self::CacheWrite(CacheLifetime::TwelveHours) => "cache_write_12h",
            Self::AudioInput => "audio_input",
            Self::ImageInput => "image_input",
            Self::VideoInput => "video_input",
            Self::Input => "input",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
            Self::VideoOutput => "video_output",
            Self::InputCharacter => "input_characters",
            Self::OutputCharacter => "output_characters",
            Self::InputImage => "per_input_image",
            Self::OutputImage => "per_output_image",
            Self::InputSecond => "per_input_second",
            Self::OutputSecond => "per_output_second",
            Self::Page => "per_page",
            Self::Query => "per_query",
            Self::Request => "per_request",
            Self::ToolCall(_) => return None,
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::ToolCall(name) = self {
            return write!(f, "tool_calls.{name}");
        }
        f.write_str(self.key().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_has_a_key_of_its_own() {
        let keys: BTreeSet<_> = Part::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(keys.len(), Part::ALL.len());
        assert_eq!(Part::tool_call("web_search").to_string(), "tool_calls.web_search");
    }

    #[test]
    fn a_bound_and_a_fallback_are_of_the_same_side() {
        for part in Part::ALL {
            assert_eq!(part.bounded_as().side(), part.side(), "{part}");
            assert!(
                part.fallback().is_none_or(|other| other.side() == part.side()),
                "{part}"
            );
        }
    }
}
