//! Edits of a bundle's decoded fields, as a [`Script`] decides them.
//!
//! Every field can be changed, taken from another bundle, dropped, doubled or swapped: what an attacker can
//! do who has seen many good bundles and holds none of the keys.

use crate::{der, good::World, script::Script};
use sealog_bundle::{
    Bundle, Content, InclusionProof, KeyMaterial, TransparencyLogEntry, Version, dsse::EnvelopeSignature,
};
use sealog_crypto::{Digest, HashAlgorithm};

/// Edits of one input; more only repeat each other.
const MAX_EDITS: usize = 12;
/// A list grows to this at the most: one more than the format allows anywhere.
const MAX_LIST: usize = 70;

/// A field with bytes or text in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Certificate(usize),
    Hint,
    LogId(usize),
    Kind(usize),
    KindVersion(usize),
    Promise(usize),
    RootHash(usize),
    Hash(usize, usize),
    Checkpoint(usize),
    Body(usize),
    Timestamp(usize),
    Digest,
    Signature,
    Payload,
    PayloadType,
    EnvelopeSignature(usize),
    KeyId(usize),
}

/// Changes the bundle as the script says.
pub fn edit(bundle: &mut Bundle, world: &World, script: &mut Script<'_>) {
    for _ in 0..MAX_EDITS {
        if script.is_over() {
            break;
        }
        let how = script.byte();
        let donor = |script: &mut Script<'_>| world.bundles.get(script.below(world.bundles.len()));
        match how % 8 {
            0 | 1 => edit_bytes(bundle, script),
            2 | 3 => {
                if let Some(donor) = donor(script) {
                    take_over(bundle, &donor.bundle, script);
                }
            }
            4 => {
                if let Some(donor) = donor(script) {
                    edit_der(bundle, &donor.bundle, script);
                }
            }
            5 => {
                if let Some(donor) = donor(script) {
                    edit_list(bundle, &donor.bundle, script);
                }
            }
            6 => edit_number(bundle, script),
            _ => {
                if let Some(donor) = donor(script) {
                    edit_shape(bundle, &donor.bundle, script);
                }
            }
        }
    }
    // Every reader takes an empty promise for none.
    for entry in &mut bundle.material.log_entries {
        entry.inclusion_promise.take_if(|promise| promise.is_empty());
    }
}

fn slots(bundle: &Bundle) -> Vec<Slot> {
    let mut slots = Vec::new();
    match &bundle.material.key {
        KeyMaterial::Certificate(_) => slots.push(Slot::Certificate(0)),
        KeyMaterial::Chain(chain) => slots.extend((0..chain.len()).map(Slot::Certificate)),
        KeyMaterial::PublicKey { .. } => slots.push(Slot::Hint),
    }
    for (at, entry) in bundle.material.log_entries.iter().enumerate() {
        slots.extend([Slot::LogId(at), Slot::Kind(at), Slot::KindVersion(at), Slot::Body(at)]);
        if entry.inclusion_promise.is_some() {
            slots.push(Slot::Promise(at));
        }
        if let Some(proof) = &entry.inclusion_proof {
            slots.extend([Slot::RootHash(at), Slot::Checkpoint(at)]);
            slots.extend((0..proof.hashes.len()).map(|hash| Slot::Hash(at, hash)));
        }
    }
    slots.extend((0..bundle.material.timestamps.len()).map(Slot::Timestamp));
    match &bundle.content {
        Content::Message(message) => {
            slots.push(Slot::Signature);
            slots.extend(message.digest.map(|_| Slot::Digest));
        }
        Content::Envelope(envelope) => {
            slots.extend([Slot::Payload, Slot::PayloadType]);
            let signatures = 0..envelope.signatures.len();
            slots.extend(signatures.flat_map(|at| [Slot::EnvelopeSignature(at), Slot::KeyId(at)]));
        }
    }
    slots
}

fn entry(bundle: &Bundle, at: usize) -> Option<&TransparencyLogEntry> {
    bundle.material.log_entries.get(at)
}

fn proof(bundle: &Bundle, at: usize) -> Option<&InclusionProof> {
    entry(bundle, at)?.inclusion_proof.as_ref()
}

fn get(bundle: &Bundle, slot: Slot) -> Option<Vec<u8>> {
    let bytes: &[u8] = match (slot, &bundle.material.key, &bundle.content) {
        (Slot::Certificate(0), KeyMaterial::Certificate(der), _) => der,
        (Slot::Certificate(at), KeyMaterial::Chain(chain), _) => chain.get(at)?,
        (Slot::Hint, KeyMaterial::PublicKey { hint }, _) => hint.as_bytes(),
        (Slot::LogId(at), ..) => &entry(bundle, at)?.log_id,
        (Slot::Kind(at), ..) => entry(bundle, at)?.kind_version.kind.as_bytes(),
        (Slot::KindVersion(at), ..) => entry(bundle, at)?.kind_version.version.as_bytes(),
        (Slot::Promise(at), ..) => entry(bundle, at)?.inclusion_promise.as_ref()?,
        (Slot::Body(at), ..) => &entry(bundle, at)?.canonicalized_body,
        (Slot::RootHash(at), ..) => &proof(bundle, at)?.root_hash,
        (Slot::Hash(at, hash), ..) => proof(bundle, at)?.hashes.get(hash)?,
        (Slot::Checkpoint(at), ..) => proof(bundle, at)?.checkpoint.as_bytes(),
        (Slot::Timestamp(at), ..) => bundle.material.timestamps.get(at)?,
        (Slot::Digest, _, Content::Message(message)) => message.digest.as_ref()?.as_bytes(),
        (Slot::Signature, _, Content::Message(message)) => &message.signature,
        (Slot::Payload, _, Content::Envelope(envelope)) => &envelope.payload,
        (Slot::PayloadType, _, Content::Envelope(envelope)) => envelope.payload_type.as_bytes(),
        (Slot::EnvelopeSignature(at), _, Content::Envelope(envelope)) => &envelope.signatures.get(at)?.sig,
        (Slot::KeyId(at), _, Content::Envelope(envelope)) => envelope.signatures.get(at)?.keyid.as_bytes(),
        _ => return None,
    };
    Some(bytes.to_vec())
}

/// Puts bytes into a field, where they fit its type.
fn set(bundle: &mut Bundle, slot: Slot, bytes: Vec<u8>) -> Option<()> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Bundle { material, content, .. } = bundle;
    let entries = &mut material.log_entries;
    match (slot, &mut material.key, content) {
        (Slot::Certificate(0), KeyMaterial::Certificate(der), _) => *der = bytes,
        (Slot::Certificate(at), KeyMaterial::Chain(chain), _) => *chain.get_mut(at)? = bytes,
        (Slot::Hint, KeyMaterial::PublicKey { hint }, _) => *hint = text(&bytes),
        (Slot::LogId(at), ..) => entries.get_mut(at)?.log_id = bytes,
        (Slot::Kind(at), ..) => entries.get_mut(at)?.kind_version.kind = text(&bytes),
        (Slot::KindVersion(at), ..) => entries.get_mut(at)?.kind_version.version = text(&bytes),
        (Slot::Promise(at), ..) => entries.get_mut(at)?.inclusion_promise = Some(bytes),
        (Slot::Body(at), ..) => entries.get_mut(at)?.canonicalized_body = bytes,
        (Slot::RootHash(at), ..) => {
            entries.get_mut(at)?.inclusion_proof.as_mut()?.root_hash = bytes.try_into().ok()?;
        }
        (Slot::Hash(at, hash), ..) => {
            let hashes = &mut entries.get_mut(at)?.inclusion_proof.as_mut()?.hashes;
            *hashes.get_mut(hash)? = bytes.try_into().ok()?;
        }
        (Slot::Checkpoint(at), ..) => {
            entries.get_mut(at)?.inclusion_proof.as_mut()?.checkpoint = text(&bytes);
        }
        (Slot::Timestamp(at), ..) => *material.timestamps.get_mut(at)? = bytes,
        (Slot::Digest, _, Content::Message(message)) => {
            let algorithm = HashAlgorithm::ALL.into_iter().find(|a| Digest::new(*a, &bytes).is_ok())?;
            message.digest = Digest::new(algorithm, &bytes).ok();
        }
        (Slot::Signature, _, Content::Message(message)) => message.signature = bytes,
        (Slot::Payload, _, Content::Envelope(envelope)) => envelope.payload = bytes,
        (Slot::PayloadType, _, Content::Envelope(envelope)) => envelope.payload_type = text(&bytes),
        (Slot::EnvelopeSignature(at), _, Content::Envelope(envelope)) => {
            envelope.signatures.get_mut(at)?.sig = bytes;
        }
        (Slot::KeyId(at), _, Content::Envelope(envelope)) => {
            envelope.signatures.get_mut(at)?.keyid = text(&bytes);
        }
        _ => return None,
    }
    Some(())
}

fn choose(slots: &[Slot], script: &mut Script<'_>) -> Option<Slot> {
    slots.get(script.below(slots.len())).copied()
}

/// Changes the bytes of a field.
fn edit_bytes(bundle: &mut Bundle, script: &mut Script<'_>) {
    let Some(slot) = choose(&slots(bundle), script) else { return };
    let Some(mut bytes) = get(bundle, slot) else { return };
    let at = script.below(bytes.len());
    match script.byte() % 7 {
        0 => {
            let flip = script.byte();
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= flip);
        }
        1 => {
            let new = script.byte();
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = new);
        }
        2 => drop(bytes.splice(at..at, script.bytes().iter().copied())),
        3 => {
            let end = at.saturating_add(usize::from(script.byte())).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => bytes.truncate(at),
        5 => bytes.extend_from_slice(script.bytes()),
        _ => bytes = script.bytes().to_vec(),
    }
    let _ = set(bundle, slot, bytes);
}

/// Takes a field from another bundle, or from another place of this one.
fn take_over(bundle: &mut Bundle, donor: &Bundle, script: &mut Script<'_>) {
    let Some(slot) = choose(&slots(bundle), script) else { return };
    let same_sort = |other: &Slot| core::mem::discriminant(other) == core::mem::discriminant(&slot);
    let mut others = slots(donor);
    // A signature is a signature, whichever way it was made; so for the rest of what is seldom compared.
    let signatures = |slot: &Slot| matches!(slot, Slot::Signature | Slot::EnvelopeSignature(_));
    if script.byte() % 4 != 3 {
        others.retain(|other| same_sort(other) || (signatures(other) && signatures(&slot)));
    }
    let Some(bytes) = choose(&others, script).and_then(|other| get(donor, other)) else { return };
    let _ = set(bundle, slot, bytes);
}

/// Edits a field that is in DER as a tree.
fn edit_der(bundle: &mut Bundle, donor: &Bundle, script: &mut Script<'_>) {
    let in_der = |slot: &Slot| {
        matches!(
            slot,
            Slot::Certificate(_)
                | Slot::Timestamp(_)
                | Slot::Signature
                | Slot::EnvelopeSignature(_)
                | Slot::Promise(_)
        )
    };
    let only_der = |bundle: &Bundle| slots(bundle).into_iter().filter(in_der).collect::<Vec<_>>();
    let Some(slot) = choose(&only_der(bundle), script) else { return };
    let foreign = choose(&only_der(donor), script).and_then(|slot| der::parse(&get(donor, slot)?));
    let Some(mut nodes) = get(bundle, slot).and_then(|bytes| der::parse(&bytes)) else { return };
    der::edit(&mut nodes, &foreign.unwrap_or_default(), script);
    let _ = set(bundle, slot, der::encode(&nodes));
}

/// Drops, doubles, swaps, adds.
fn edit_list(bundle: &mut Bundle, donor: &Bundle, script: &mut Script<'_>) {
    let which = script.byte();
    let Bundle { material, content, .. } = bundle;
    match (which % 5, &mut material.key, content) {
        (0, ..) => change(&mut material.log_entries, &donor.material.log_entries, script),
        (1, ..) => change(&mut material.timestamps, &donor.material.timestamps, script),
        (2, KeyMaterial::Chain(chain), _) => {
            let others: Vec<Vec<u8>> = match &donor.material.key {
                KeyMaterial::Chain(chain) => chain.clone(),
                KeyMaterial::Certificate(der) => vec![der.clone()],
                KeyMaterial::PublicKey { .. } => Vec::new(),
            };
            change(chain, &others, script);
        }
        (3, _, Content::Envelope(envelope)) => {
            let sig = donor.signature().unwrap_or_default().to_vec();
            change(&mut envelope.signatures, &[EnvelopeSignature { sig, keyid: String::new() }], script);
        }
        _ => {
            let others = proof(donor, 0).map(|proof| proof.hashes.clone()).unwrap_or_default();
            let at = script.below(material.log_entries.len());
            let entry = material.log_entries.get_mut(at);
            if let Some(proof) = entry.and_then(|entry| entry.inclusion_proof.as_mut()) {
                change(&mut proof.hashes, &others, script);
            }
        }
    }
}

fn change<T: Clone>(list: &mut Vec<T>, others: &[T], script: &mut Script<'_>) {
    let how = script.byte();
    let (at, to) = (script.below(list.len()), script.below(list.len().saturating_add(1)));
    let own = list.get(at).cloned();
    match (how % 6, own) {
        (0, Some(_)) => drop(list.remove(at)),
        (1, Some(own)) => list.insert(to, own),
        (2, Some(_)) if to < list.len() => list.swap(at, to),
        (3, Some(own)) => {
            let times = usize::from(script.byte()).min(MAX_LIST.saturating_sub(list.len()));
            list.extend(core::iter::repeat_n(own, times));
        }
        (4, _) => list.clear(),
        _ => {
            let other = others.get(script.below(others.len())).cloned();
            list.splice(to..to, other);
        }
    }
    list.truncate(MAX_LIST);
}

fn edit_number(bundle: &mut Bundle, script: &mut Script<'_>) {
    let at = script.below(bundle.material.log_entries.len());
    let Some(entry) = bundle.material.log_entries.get_mut(at) else { return };
    let (which, how) = (script.byte(), script.byte());
    let new = |old: u64, script: &mut Script<'_>| match how % 5 {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => u64::from(script.byte()),
        3 => old ^ 1_u64.rotate_left(u32::from(script.byte())),
        _ => script.long(),
    };
    match (which % 4, &mut entry.inclusion_proof) {
        (0, _) => entry.log_index = new(entry.log_index, script),
        (1, _) => entry.integrated_time = new(entry.integrated_time.cast_unsigned(), script).cast_signed(),
        (2, Some(proof)) => proof.log_index = new(proof.log_index, script),
        (_, Some(proof)) => proof.tree_size = new(proof.tree_size, script),
        (_, None) => {}
    }
}

/// Turns one kind of thing into another.
fn edit_shape(bundle: &mut Bundle, donor: &Bundle, script: &mut Script<'_>) {
    let which = script.byte();
    let at = script.below(bundle.material.log_entries.len());
    let entry = bundle.material.log_entries.get_mut(at);
    let other = donor.material.log_entries.first();
    match (which % 12, entry) {
        (0, _) => bundle.version = donor.version,
        (1, _) => bundle.version = Version::V01,
        (2, _) => bundle.material.key = donor.material.key.clone(),
        (3, _) => {
            let chain: Vec<Vec<u8>> = bundle.material.key.leaf().map(<[u8]>::to_vec).into_iter().collect();
            bundle.material.key = KeyMaterial::Chain(chain);
        }
        (4, _) => {
            let leaf = bundle.material.key.leaf().unwrap_or_default().to_vec();
            bundle.material.key = KeyMaterial::Certificate(leaf);
        }
        (5, _) => {
            let hint = String::from_utf8_lossy(script.bytes()).into_owned();
            bundle.material.key = KeyMaterial::PublicKey { hint };
        }
        (6, _) => bundle.content = donor.content.clone(),
        (7, _) => {
            if let Content::Message(message) = &mut bundle.content {
                message.digest = None;
            }
        }
        (8, Some(entry)) => entry.inclusion_promise = None,
        (9, Some(entry)) => {
            let foreign = other.and_then(|other| other.inclusion_promise.clone());
            entry.inclusion_promise = foreign.or_else(|| Some(script.bytes().to_vec()));
        }
        (10, Some(entry)) => entry.inclusion_proof = other.and_then(|other| other.inclusion_proof.clone()),
        (11, Some(entry)) => {
            if let Some(other) = other {
                entry.kind_version = other.kind_version.clone();
                entry.canonicalized_body = other.canonicalized_body.clone();
            }
        }
        _ => bundle.material = donor.material.clone(),
    }
}
