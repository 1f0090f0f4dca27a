//! The changes of a bundle that mean the same, each with the reason. All others must be refused.

use crate::change::Change;
use std::collections::BTreeSet;

/// What an accepted change may do to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Nothing.
    Same,
    /// It may be the verdict on the bundle without an entry, a promise or a timestamp that it had.
    Less,
}

use Change::{Drop, FieldOrder, Order, Swap, Twice, Value};
use Excuse::{Less, Same};

/// A place and its changes, what they may do, in which of our bundles (all, when none is named), and why.
pub(crate) struct Row {
    place: &'static str,
    changes: &'static [Change],
    excuse: Excuse,
    only: &'static [&'static str],
    why: &'static str,
}

const fn row(
    place: &'static str,
    changes: &'static [Change],
    excuse: Excuse,
    only: &'static [&'static str],
    why: &'static str,
) -> Row {
    Row { place, changes, excuse, only, why }
}

/// Bundles with more than one entry and timestamp.
const TWO: &[&str] = &["two of everything"];
/// Bundles that have a time without their timestamp, or need none.
const TIMED_OTHERWISE: &[&str] = &["promise and timestamp", "managed key", "two of everything"];
/// Bundles that have a time without their promise, or need none.
const TIMED_BY_TSA: &[&str] = &["promise and timestamp", "promised managed key", "two of everything"];
/// Bundles with an entry of Rekor v1 that nobody promised.
const UNPROMISED: &[&str] = &["intoto v1, timestamp", "managed key, hashedrekord v1"];

/// Bundles of two shapes by the same person, with the same certificate, about the same file.
const TWO_SHAPES: &[&str] = &[" / "];

/// Of these the ones whose policy wants no entry, and those whose policy wants no proof of it.
const BESIDE_NO_LOG: &[&str] = &["/ no log"];
const BESIDE_PROMISE: &[&str] = &["/ promise alone"];

/// The list.
pub(crate) const EXCUSED: &[Row] = &[
    row("*", &[FieldOrder], Same, &[], "the fields of an object have no order"),
    row(
        "mediaType",
        &[Value],
        Same,
        &[],
        "nobody signs the format's version, and what has one certificate or a key's hint is good in another one",
    ),
    row(
        "messageSignature.messageDigest",
        &[Drop],
        Same,
        &[],
        "what the signer says the digest is; the file is hashed in any case, and the entry has its digest too",
    ),
    row(
        "messageSignature.messageDigest.algorithm",
        &[Swap],
        Same,
        &["same file"],
        "the same file's digest by another algorithm",
    ),
    row(
        "messageSignature.messageDigest.digest",
        &[Swap],
        Same,
        &["same file"],
        "the same file's digest by another algorithm",
    ),
    row(
        "dsseEnvelope.signatures[].keyid",
        &[Value, Drop],
        Same,
        &[],
        "a hint that DSSE does not sign and nobody follows",
    ),
    row(
        "verificationMaterial.publicKey.hint",
        &[Value, Drop],
        Same,
        &["managed key"],
        "a hint that is no digest is a name that means something to somebody else; the key is the policy's",
    ),
    row(
        "verificationMaterial.x509CertificateChain.certificates[0]",
        &[Twice],
        Same,
        &["chain"],
        "certificates above the signer's are candidates for a path, and this one leads nowhere",
    ),
    row(
        "verificationMaterial.x509CertificateChain.certificates[1..]",
        &[Drop, Twice],
        Same,
        &["chain"],
        "the trusted root has the path without them",
    ),
    row(
        "verificationMaterial.x509CertificateChain.certificates[1..].rawBytes",
        &[Value],
        Same,
        &["chain"],
        "a certificate that leads nowhere; the trusted root has the path without it",
    ),
    row(
        "verificationMaterial.timestampVerificationData",
        &[Drop],
        Less,
        TIMED_OTHERWISE,
        "a promise states the time, or a key needs none",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps",
        &[Drop],
        Less,
        TIMED_OTHERWISE,
        "a promise states the time, or a key needs none",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps[]",
        &[Drop],
        Less,
        TIMED_OTHERWISE,
        "a promise or another timestamp states the time, or a key needs none",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps[]",
        &[Order],
        Same,
        TWO,
        "timestamps have no order: the earliest is told",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps[].signedTimestamp (status)",
        &[Value],
        Same,
        &[],
        "granted, and granted with modifications, both come with a token (RFC 3161 §2.4.2)",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps[].signedTimestamp (digest algorithms)",
        &[Value],
        Same,
        &[],
        "a table of contents for streaming readers; the signer names its algorithm itself (RFC 5652 §5.1)",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps[].signedTimestamp (certificates)",
        &[Value],
        Same,
        &[],
        "no signature covers them; the trusted root has the authority's, and one embedded under its name must be it",
    ),
    row(
        "verificationMaterial.tlogEntries[]",
        &[Drop, Order],
        Less,
        TWO,
        "the other entry is enough; of several the first is told",
    ),
    row(
        "verificationMaterial.tlogEntries[].logId",
        &[Drop],
        Less,
        TWO,
        "an entry by a log we do not know is passed over, and the other is enough",
    ),
    row(
        "verificationMaterial.tlogEntries[].logId.keyId",
        &[Value, Drop],
        Less,
        TWO,
        "an entry by a log we do not know is passed over, and the other is enough",
    ),
    row(
        "verificationMaterial.tlogEntries[].logIndex",
        &[Value, Drop, Swap],
        Same,
        UNPROMISED,
        "only a promise covers the index across shards; the proof has its own, and that is told",
    ),
    row(
        "verificationMaterial.tlogEntries[].integratedTime",
        &[Value, Drop],
        Same,
        UNPROMISED,
        "only a promise covers it; it is no time, and must only not speak against the certificate",
    ),
    row(
        "verificationMaterial.tlogEntries[].inclusionPromise",
        &[Drop],
        Less,
        TIMED_BY_TSA,
        "the proof is there, and a timestamp states the time or none is needed",
    ),
    row(
        "verificationMaterial.tlogEntries[].inclusionPromise.signedEntryTimestamp",
        &[Drop],
        Less,
        TIMED_BY_TSA,
        "the proof is there, and a timestamp states the time or none is needed",
    ),
    row(
        "verificationMaterial.tlogEntries[].inclusionProof.checkpoint.envelope (cosignature)",
        &[Value],
        Same,
        &["cosigned"],
        "another's signature line, which nobody was asked to believe",
    ),
    row("mediaType", &[Swap], Same, TWO_SHAPES, "nobody signs the format's version"),
    row(
        "verificationMaterial.certificate.rawBytes",
        &[Swap],
        Same,
        TWO_SHAPES,
        "the same certificate, alone or as a chain's first",
    ),
    row(
        "verificationMaterial.x509CertificateChain.certificates[0].rawBytes",
        &[Swap],
        Same,
        TWO_SHAPES,
        "the same certificate, alone or as a chain's first",
    ),
    row(
        "verificationMaterial.x509CertificateChain.certificates[1..].rawBytes",
        &[Swap],
        Same,
        TWO_SHAPES,
        "the trusted root has the path without it",
    ),
    row(
        "verificationMaterial.timestampVerificationData.rfc3161Timestamps[].signedTimestamp",
        &[Swap],
        Less,
        TWO_SHAPES,
        "the timestamp is left out, and something else states the time, or nothing must",
    ),
    row(
        "verificationMaterial.tlogEntries[].inclusionPromise.signedEntryTimestamp",
        &[Swap],
        Less,
        TWO_SHAPES,
        "the promise is left out, and a timestamp states the time",
    ),
    row(
        "verificationMaterial.tlogEntries[].integratedTime",
        &[Swap],
        Less,
        TWO_SHAPES,
        "the promise is left out, and its time is nobody's any more",
    ),
    row(
        "verificationMaterial.tlogEntries[].logIndex",
        &[Swap],
        Less,
        &["dsse v1, promise and timestamp, chain / ", " / dsse v1, promise and timestamp, chain"],
        "the promise is left out, and nothing else covers the index across shards; the proof has its own",
    ),
    row(
        "verificationMaterial.tlogEntries[]*",
        &[Swap],
        Less,
        BESIDE_NO_LOG,
        "the entry is left out, and the policy that is asked wants none",
    ),
    row(
        "verificationMaterial.tlogEntries[].inclusionProof*",
        &[Swap],
        Less,
        BESIDE_PROMISE,
        "the proof is left out, and the policy that is asked takes the promise alone",
    ),
];

/// The rows that excuse a change of a place, in bundles of this name.
pub(crate) fn excuse_of(place: &str, change: Change, name: &str) -> Option<(usize, Excuse)> {
    let fits = |row: &Row| {
        let here = row.place.strip_suffix('*').map_or(row.place == place, |start| place.starts_with(start));
        let in_this = row.only.is_empty() || row.only.iter().any(|part| name.contains(part));
        here && in_this && row.changes.contains(&change)
    };
    EXCUSED.iter().position(fits).map(|row| (row, EXCUSED[row].excuse))
}

/// Rows, each with its change, that nothing needed.
pub(crate) fn unused(used: &BTreeSet<(usize, Change)>) -> Vec<String> {
    let mut unused = Vec::new();
    for (at, row) in EXCUSED.iter().enumerate() {
        let idle = row.changes.iter().filter(|change| !used.contains(&(at, **change)));
        unused.extend(idle.map(|change| format!("{} {change:?}: {}", row.place, row.why)));
    }
    unused
}
