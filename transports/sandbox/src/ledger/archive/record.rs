//! One record: which numbers, digests and texts it has, beside the template that it shares with its like.

use super::bytes::{Reader, put_block, put_number};
use super::digest::Digest;
use crate::ledger::evidence::EvidenceRef;
use crate::ledger::replies::{ReserveReply, SettleReply};
use crate::ledger::scope;
use crate::ledger::wire_enums::ReservationStatus;

/// What is left of a reservation.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ledger) struct Ended {
    pub(in crate::ledger) id: String,
    pub(in crate::ledger) tenant: String,
    pub(in crate::ledger) status: ReservationStatus,
    /// The end of its retention.
    pub(in crate::ledger) kept_until: i64,
    /// The request that made it, unless its key has been forgotten.
    pub(in crate::ledger) answered: Option<Answered>,
    /// How it was settled, unless it expired.
    pub(in crate::ledger) settled: Option<Settled>,
}

/// The request that made a reservation, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ledger) struct Answered {
    pub(in crate::ledger) key: Digest,
    pub(in crate::ledger) request: Digest,
    pub(in crate::ledger) kept_until: i64,
    pub(in crate::ledger) reply: ReserveReply,
}

/// The request that settled a reservation, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ledger) struct Settled {
    pub(in crate::ledger) key: Digest,
    pub(in crate::ledger) request: Digest,
    pub(in crate::ledger) reply: SettleReply,
}

/// What a record shares with others of its chunk: most of its texts, and 0 in place of its numbers. Of the numbers, a record
/// has by how much they differ from those before, mostly by little.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    tenant: String,
    status: ReservationStatus,
    reserve: Option<ReserveReply>,
    settle: Option<SettleReply>,
}

impl Ended {
    pub(super) fn id_hash(&self) -> u32 {
        id_hash(&self.id).unwrap_or_default()
    }

    /// Its bytes. The rest of it is among `templates` afterwards.
    pub(super) fn pack(mut self, templates: &mut Vec<Template>, before: &mut Before) -> Vec<u8> {
        let numbers: Vec<i64> = self.numbers().map(core::mem::take).collect();
        let mut bytes = id_bits(&self.id).unwrap_or_default().to_be_bytes().to_vec();
        let mut put = |key: Digest, request: Digest, evidence: Option<EvidenceRef>| {
            bytes.extend_from_slice(&key.0);
            bytes.extend_from_slice(&request.0);
            put_evidence(&mut bytes, evidence);
        };
        let mut path = None;
        let reserve = self.answered.map(|mut answered| {
            put(
                answered.key,
                answered.request,
                answered.reply.cycles_evidence.take(),
            );
            answered.reply.reservation_id = None;
            answered.reply.affected_scopes.clear();
            path = Some(core::mem::take(&mut answered.reply.scope_path));
            answered.reply
        });
        let settle = self.settled.map(|mut settled| {
            put(settled.key, settled.request, settled.reply.cycles_evidence.take());
            settled.reply
        });
        if let Some(path) = path {
            let is_new = before.path != path;
            put_block(&mut bytes, if is_new { path.as_bytes() } else { &[] });
            before.path = path;
        }
        for change in before.changes_to(&numbers) {
            put_number(&mut bytes, change);
        }
        let template = Template {
            tenant: self.tenant,
            status: self.status,
            reserve,
            settle,
        };
        let known = templates.iter().position(|known| *known == template);
        let number = known.unwrap_or_else(|| {
            templates.push(template);
            templates.len() - 1
        });
        let mut record = Vec::with_capacity(bytes.len() + 2);
        put_number(&mut record, number as i64);
        record.append(&mut bytes);
        record
    }

    /// The record that [`Self::pack`] made.
    pub(super) fn unpack(record: &[u8], templates: &[Template], before: &mut Before) -> Option<Self> {
        let mut reader = Reader::new(record);
        let template = templates.get(usize::try_from(reader.number()?).ok()?)?;
        let id = id_of(u128::from_be_bytes(reader.array()?));
        let mut unpacked = Self {
            tenant: template.tenant.clone(),
            status: template.status,
            kept_until: 0,
            answered: None,
            settled: None,
            id,
        };
        if let Some(reply) = &template.reserve {
            unpacked.answered = Some(Answered {
                key: Digest(reader.array()?),
                request: Digest(reader.array()?),
                kept_until: 0,
                reply: ReserveReply {
                    cycles_evidence: evidence(&mut reader)?,
                    reservation_id: Some(unpacked.id.clone()),
                    ..reply.clone()
                },
            });
        }
        if let Some(reply) = &template.settle {
            unpacked.settled = Some(Settled {
                key: Digest(reader.array()?),
                request: Digest(reader.array()?),
                reply: SettleReply {
                    cycles_evidence: evidence(&mut reader)?,
                    ..reply.clone()
                },
            });
        }
        if let Some(answered) = &mut unpacked.answered {
            let path = reader.block()?;
            if !path.is_empty() {
                before.path = String::from_utf8(path.to_vec()).ok()?;
            }
            answered.reply.affected_scopes = scope::up_to(&before.path);
            before.path.clone_into(&mut answered.reply.scope_path);
        }
        before.change(&mut reader, unpacked.numbers())?;
        Some(unpacked)
    }

    /// Its numbers, in the order in which a record has them.
    fn numbers(&mut self) -> impl Iterator<Item = &mut i64> {
        let answered = self.answered.iter_mut().flat_map(|answered| {
            let own = core::iter::once(&mut answered.kept_until);
            own.chain(answered.reply.numbers())
        });
        let settled = self
            .settled
            .iter_mut()
            .flat_map(|settled| settled.reply.numbers());
        core::iter::once(&mut self.kept_until)
            .chain(answered)
            .chain(settled)
    }
}

/// What the record before had, to which the next one says what it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    numbers: Vec<i64>,
    /// The path of the deepest scope.
    path: String,
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

/// Without evidence, an empty block.
fn put_evidence(bytes: &mut Vec<u8>, evidence: Option<EvidenceRef>) {
    let (id, url) = evidence.map(EvidenceRef::into_parts).unwrap_or_default();
    put_block(bytes, id.as_bytes());
    if !id.is_empty() {
        put_block(bytes, url.as_bytes());
    }
}

/// The outer `None` if the bytes are not those of evidence.
#[expect(clippy::option_option, reason = "evidence may be absent")]
fn evidence(reader: &mut Reader<'_>) -> Option<Option<EvidenceRef>> {
    let id = reader.block()?;
    if id.is_empty() {
        return Some(None);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(Some(EvidenceRef::from_parts(text(id)?, text(reader.block()?)?)))
}

/// The bits of an id; `None` if no id of a reservation is written like this.
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

/// A hash of the id, if it is one of a reservation.
pub(super) fn id_hash(id: &str) -> Option<u32> {
    u32::try_from(id_bits(id)? >> 96).ok()
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
