//! One answer: what it has of its own, beside the template that it shares with its like.

use super::bytes::{Reader, put_block, put_number};
use super::digest::Digest;
use crate::ledger::evidence::EvidenceRef;

/// An answer, with the request that it was given to.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ledger) struct Answer<R> {
    pub(in crate::ledger) key: Digest,
    pub(in crate::ledger) request: Digest,
    /// The last moment at which the request is recognised.
    pub(in crate::ledger) kept_until: i64,
    pub(in crate::ledger) reply: R,
}

/// What can be packed. What two replies to like requests differ in is taken out, and the rest is a template for both.
pub(in crate::ledger) trait Reply: Clone + PartialEq {
    /// The numbers in which they differ.
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64>;

    /// Takes out what else is its own.
    fn take_own(&mut self) -> Own;

    /// Puts it back.
    fn give_own(&mut self, own: Own);
}

/// What a reply has of its own, apart from numbers.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Own {
    /// The path of its deepest scope.
    pub(in crate::ledger) path: Option<String>,
    /// Its id, which the ledger made.
    pub(in crate::ledger) id: Option<String>,
    pub(in crate::ledger) digest: Option<Digest>,
    pub(in crate::ledger) evidence: Option<EvidenceRef>,
}

/// What the answer before had, to which the next one says what it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    numbers: Vec<i64>,
    path: String,
}

// What an answer has of its own.
const PATH: i64 = 1;
const SAME_PATH: i64 = 2;
const ID: i64 = 4;
const DIGEST: i64 = 8;
const EVIDENCE: i64 = 16;

impl<R: Reply> Answer<R> {
    /// Its bytes. The rest of it is among `templates` afterwards.
    pub(super) fn pack(mut self, templates: &mut Vec<R>, before: &mut Before) -> Vec<u8> {
        let own = self.reply.take_own();
        let mut numbers = vec![self.kept_until];
        numbers.extend(self.reply.numbers().map(core::mem::take));
        let known = templates.iter().position(|known| *known == self.reply);
        let template = known.unwrap_or_else(|| {
            templates.push(self.reply);
            templates.len() - 1
        });
        let mut bytes = Vec::with_capacity(96);
        put_number(&mut bytes, template as i64);
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.request.0);
        own.pack(&mut bytes, before);
        for change in before.changes_to(&numbers) {
            put_number(&mut bytes, change);
        }
        bytes
    }

    /// The answer that [`Self::pack`] packed; `None` if there is none in these bytes.
    pub(super) fn unpack(bytes: &[u8], templates: &[R], before: &mut Before) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let template = templates.get(usize::try_from(reader.number()?).ok()?)?;
        let mut answer = Self {
            key: Digest(reader.array()?),
            request: Digest(reader.array()?),
            kept_until: 0,
            reply: template.clone(),
        };
        answer.reply.give_own(Own::unpack(&mut reader, before)?);
        let numbers = core::iter::once(&mut answer.kept_until).chain(answer.reply.numbers());
        before.change(&mut reader, numbers)?;
        Some(answer)
    }
}

impl Own {
    fn pack(self, bytes: &mut Vec<u8>, before: &mut Before) {
        let is_same = self.path.as_ref() == Some(&before.path);
        let path = self.path.as_ref().filter(|_| !is_same);
        let bits = self.id.as_deref().and_then(id_bits);
        let has = [
            (path.is_some(), PATH),
            (is_same, SAME_PATH),
            (bits.is_some(), ID),
            (self.digest.is_some(), DIGEST),
            (self.evidence.is_some(), EVIDENCE),
        ];
        put_number(
            bytes,
            has.iter().filter(|(has, _)| *has).map(|(_, flag)| flag).sum(),
        );
        if let Some(path) = path {
            put_block(bytes, path.as_bytes());
            before.path.clone_from(path);
        }
        if let Some(bits) = bits {
            bytes.extend_from_slice(&bits.to_be_bytes());
        }
        if let Some(digest) = self.digest {
            bytes.extend_from_slice(&digest.0);
        }
        if let Some((id, url)) = self.evidence.map(EvidenceRef::into_parts) {
            put_block(bytes, id.as_bytes());
            put_block(bytes, url.as_bytes());
        }
    }

    fn unpack(reader: &mut Reader<'_>, before: &mut Before) -> Option<Self> {
        let flags = reader.number()?;
        let has = |flag| flags & flag != 0;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let mut own = Self::default();
        if has(PATH) {
            before.path = text(reader.block()?)?;
        }
        if has(PATH) || has(SAME_PATH) {
            own.path = Some(before.path.clone());
        }
        if has(ID) {
            own.id = Some(id_of(u128::from_be_bytes(reader.array()?)));
        }
        if has(DIGEST) {
            own.digest = Some(Digest(reader.array()?));
        }
        if has(EVIDENCE) {
            own.evidence = Some(EvidenceRef::from_parts(
                text(reader.block()?)?,
                text(reader.block()?)?,
            ));
        }
        Some(own)
    }
}

impl Before {
    fn changes_to(&mut self, numbers: &[i64]) -> Vec<i64> {
        self.numbers.resize(self.numbers.len().max(numbers.len()), 0);
        let pairs = self.numbers.iter_mut().zip(numbers);
        pairs
            .map(|(before, number)| number.wrapping_sub(core::mem::replace(before, *number)))
            .collect()
    }

    fn change<'a>(
        &mut self,
        reader: &mut Reader<'_>,
        numbers: impl Iterator<Item = &'a mut i64>,
    ) -> Option<()> {
        for (place, number) in numbers.enumerate() {
            if place == self.numbers.len() {
                self.numbers.push(0);
            }
            let before = self.numbers.get_mut(place)?;
            *before = before.wrapping_add(reader.number()?);
            *number = *before;
        }
        Some(())
    }
}

/// The bits of an id; `None` if the ledger writes no id like this.
fn id_bits(id: &str) -> Option<u128> {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    let bits = u128::from_str_radix(&digits, 16).ok()?;
    (id_of(bits) == id).then_some(bits)
}

fn id_of(bits: u128) -> String {
    let digits = format!("{bits:032x}");
    let group = |range: core::ops::Range<usize>| digits.get(range).unwrap_or_default();
    [
        group(0..8),
        group(8..12),
        group(12..16),
        group(16..20),
        group(20..32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::{id_bits, id_of};

    #[test]
    fn only_ids_as_the_ledger_writes_them_have_bits() {
        let id = "00b1402e-0a4c-4e3a-9708-c7c50df619f6";
        assert_eq!(id_bits(id).map(id_of).as_deref(), Some(id));
        for other in [
            "00B1402e-0a4c-4e3a-9708-c7c50df619f6",
            "00b1402e0a4c4e3a9708c7c50df619f6",
            "+0b1402e-0a4c-4e3a-9708-c7c50df619f6",
            "",
        ] {
            assert_eq!(id_bits(other), None, "{other}");
        }
    }
}
