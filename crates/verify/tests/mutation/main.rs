//! Every change of good bundles of every shape: each must be refused, or stand in the list of those that
//! mean the same. What is accepted must say what the good bundle said.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod change;
mod conformance;
mod document;
mod excused;
mod subject;
mod swap;

use change::{Accepted, Change, Court};
use excused::{Excuse, excuse_of};
use std::collections::{BTreeMap, BTreeSet};
use subject::{Depth, Judge, KINDS, Pair, Says, Subject, pairs, subjects};

/// Which rows of the list were needed, and for which change.
type Used = BTreeSet<(usize, Change)>;

/// What was accepted and should not have been, for people.
fn unexcused(subject: &Subject, accepted: &[Accepted], used: &mut Used) -> Vec<String> {
    let mut wrong = Vec::new();
    for one in accepted {
        let complaint = match excuse_of(&one.place, one.change, &subject.name) {
            None => Some("accepted"),
            Some((row, excuse)) => {
                used.insert((row, one.change));
                match excuse {
                    Excuse::Same if one.says != subject.says => Some("accepted with another verdict"),
                    Excuse::Less
                        if one.says != subject.says && !subject.says_of(subject).contains(&one.says) =>
                    {
                        Some("accepted with a verdict that no part of the bundle has")
                    }
                    Excuse::Same | Excuse::Less => None,
                }
            }
        };
        wrong.extend(complaint.map(|what| {
            format!("{}: {} {:?} {what}: e.g. {}", subject.name, one.place, one.change, one.detail)
        }));
    }
    wrong
}

/// Every change of one bundle, judged by somebody.
fn every_change(subject: &Subject, judge: &Judge<'_>, step: usize, used: &mut Used) -> (Vec<String>, usize) {
    let court = Court::new(subject, judge);
    court.change_structure();
    court.change_values(step);
    let (accepted, tried) = court.rise();
    (unexcused(subject, &accepted, used), tried)
}

#[test]
fn every_change_is_refused_or_means_the_same() {
    let (mut used, mut wrong, mut tried) = (Used::new(), Vec::new(), 0);
    for subject in subjects() {
        let (complaints, count) = every_change(&subject, &|bundle| subject.judge(bundle), 1, &mut used);
        wrong.extend(complaints);
        tried += count;
    }
    let (complaints, count) = every_mixture(&mut used);
    wrong.extend(complaints);
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), shown(&wrong));
    // Signatures are not always of one length; but there are as many values, and what is left out without a word would
    // not be missed. New kinds and fields make more of them.
    assert!(tried > 70_000, "{tried}");
    assert_eq!(count, 29_462);
    // A row that nothing needs any more says something that is not true.
    assert_eq!(excused::unused(&used), Vec::<String>::new());
}

/// Values of one bundle in another, judged as each of the two is.
fn every_mixture(used: &mut Used) -> (Vec<String>, usize) {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    let pairs = pairs();
    assert_eq!(pairs.len(), KINDS * 4 - 3 + KINDS * (KINDS - 1) / 2 * 4);
    for pair in &pairs {
        let [a, b] = &pair.bundles;
        let judges: [&Judge<'_>; 2] = [&|bundle| a.judge(bundle), &|bundle| b.judge(bundle)];
        // Two that ask the same are one.
        let asked = if a.asks_as(b) { &judges[..1] } else { &judges };
        let (complaints, count) = mixtures(pair, asked, used);
        wrong.extend(complaints);
        tried += count;
    }
    (wrong, tried)
}

/// Values of one bundle of a pair in the other, judged by somebody.
fn mixtures(pair: &Pair, judges: &[&Judge<'_>], used: &mut Used) -> (Vec<String>, usize) {
    let (mixtures, tried) = swap::every(pair, judges);
    let mut wrong = Vec::new();
    for mixture in mixtures {
        let excuses = |(places, says_of): &(BTreeSet<String>, Vec<Says>)| -> Option<Vec<usize>> {
            let rows = places.iter().map(|place| excuse_of(place, Change::Swap, &pair.name));
            let rows = rows.collect::<Option<Vec<_>>>()?;
            let less = rows.iter().any(|(_, excuse)| *excuse == Excuse::Less);
            let (whole, parts) = says_of.split_first()?;
            (mixture.says == *whole || less && parts.contains(&mixture.says))
                .then(|| rows.into_iter().map(|(row, _)| row).collect())
        };
        match mixture.passes_for.iter().find_map(excuses) {
            Some(rows) => used.extend(rows.into_iter().map(|row| (row, Change::Swap))),
            None => {
                let places: Vec<_> = mixture.passes_for.iter().map(|(places, _)| places).collect();
                wrong.push(format!("{}: accepted: e.g. {places:?}", pair.name));
            }
        }
    }
    (wrong, tried)
}

/// One line for each kind of complaint, with its first example.
fn shown(wrong: &[String]) -> String {
    let mut kinds: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for complaint in wrong {
        let (kind, example) = complaint.split_once(": e.g. ").unwrap_or((complaint, ""));
        kinds.entry(kind).or_insert((0, example)).0 += 1;
    }
    let line =
        |(kind, (count, example)): (&str, (usize, &str))| format!("{count} × {kind}: {example:.160}\n");
    kinds.into_iter().map(line).collect()
}

/// A verifier that does not look at something must not get past the test above.
#[test]
fn a_verifier_that_overlooks_a_field_is_noticed() {
    type Overlook = fn(&mut sealog_bundle::Bundle, &sealog_bundle::Bundle);
    let overlooked: [(&str, usize, Overlook); 8] = [
        ("verificationMaterial.tlogEntries[].logIndex", 0, |bundle, good| {
            if let Some(entry) = bundle.material.log_entries.first_mut() {
                entry.log_index = good.material.log_entries[0].log_index;
            }
        }),
        ("verificationMaterial.tlogEntries[].inclusionProof.treeSize", 1, |bundle, good| {
            if let Some(proof) =
                bundle.material.log_entries.first_mut().and_then(|e| e.inclusion_proof.as_mut())
            {
                let good = good.material.log_entries[0].inclusion_proof.as_ref().unwrap();
                proof.tree_size = good.tree_size;
            }
        }),
        ("verificationMaterial.tlogEntries[].inclusionProof.hashes[]", 0, |bundle, good| {
            if let Some(proof) =
                bundle.material.log_entries.first_mut().and_then(|e| e.inclusion_proof.as_mut())
            {
                proof.hashes = good.material.log_entries[0].inclusion_proof.as_ref().unwrap().hashes.clone();
            }
        }),
        ("verificationMaterial.tlogEntries[].canonicalizedBody", 2, |bundle, good| {
            if let Some(entry) = bundle.material.log_entries.first_mut() {
                entry.canonicalized_body = good.material.log_entries[0].canonicalized_body.clone();
            }
        }),
        ("verificationMaterial.tlogEntries[].inclusionPromise.signedEntryTimestamp", 3, |bundle, good| {
            if let Some(entry) = bundle.material.log_entries.first_mut() {
                entry.inclusion_promise = good.material.log_entries[0].inclusion_promise.clone();
            }
        }),
        (
            "verificationMaterial.timestampVerificationData.rfc3161Timestamps[].signedTimestamp",
            0,
            |bundle, good| {
                bundle.material.timestamps = good.material.timestamps.clone();
            },
        ),
        ("verificationMaterial.certificate.rawBytes", 0, |bundle, good| {
            bundle.material.key = good.material.key.clone();
        }),
        ("dsseEnvelope.payloadType", 1, |bundle, good| bundle.content = good.content.clone()),
    ];
    let subjects = subjects();
    for (place, which, overlook) in overlooked {
        let subject = &subjects[which];
        let text = subject.document.to_compact();
        let good = sealog_bundle::Bundle::parse(text.as_bytes()).unwrap();
        let careless = |bundle: &sealog_bundle::Bundle| {
            let mut bundle = bundle.clone();
            overlook(&mut bundle, &good);
            subject.judge(&bundle)
        };
        let (wrong, _) = every_change(subject, &careless, 16, &mut Used::new());
        let noticed = wrong.iter().any(|complaint| complaint.contains(place));
        assert!(noticed, "{place} of {}:\n{}", subject.name, shown(&wrong));
    }
    // Who accepts what should be refused with a verdict of its own is noticed as well.
    let subject = &subjects[0];
    let other = subjects[1].says.clone();
    let forger = |bundle: &sealog_bundle::Bundle| subject.judge(bundle).map(|_| other.clone());
    let (wrong, _) = every_change(subject, &forger, 64, &mut Used::new());
    assert!(wrong.iter().any(|complaint| complaint.contains("another verdict")), "{}", shown(&wrong));
}

/// Nor one that looks at every piece, and not at whether they belong together: whoever takes a genuine piece of
/// either bundle for the one that belongs there.
#[test]
fn a_verifier_that_does_not_put_the_pieces_together_is_noticed() {
    type Overlook = fn(&mut sealog_bundle::Bundle, &sealog_bundle::Bundle);
    let overlooked: [(&str, &str, &str, Overlook); 6] = [
        ("entry", "rekor v2, file", "canonicalizedBody", |bundle, good| {
            bundle.material.log_entries = good.material.log_entries.clone();
        }),
        ("entry", "dsse v1, promise and timestamp, chain", "canonicalizedBody", |bundle, good| {
            bundle.material.log_entries = good.material.log_entries.clone();
        }),
        ("time", "rekor v2, file", "signedTimestamp", |bundle, good| {
            bundle.material.timestamps = good.material.timestamps.clone();
        }),
        ("time", "hashedrekord v1, promise", "signedEntryTimestamp", |bundle, good| {
            for (entry, good) in bundle.material.log_entries.iter_mut().zip(&good.material.log_entries) {
                entry.inclusion_promise = good.inclusion_promise.clone();
                entry.integrated_time = good.integrated_time;
            }
        }),
        ("chain", "rekor v2, file", "certificate.rawBytes", |bundle, good| {
            bundle.material.key = good.material.key.clone();
        }),
        ("payload", "rekor v2, statement, chain", "dsseEnvelope.payload", |bundle, good| {
            bundle.content = good.content.clone();
        }),
    ];
    let pairs = pairs();
    for (piece, kind, place, overlook) in overlooked {
        let pair = pairs.iter().find(|pair| pair.name == format!("{kind}, other tree")).unwrap();
        let [a, b] = &pair.bundles;
        let careless = |subject: &'_ Subject, bundle: &sealog_bundle::Bundle| {
            let mut bundle = bundle.clone();
            overlook(&mut bundle, &subject.bundle());
            subject.judge(&bundle)
        };
        let judges: [&Judge<'_>; 2] = [&|bundle| careless(a, bundle), &|bundle| careless(b, bundle)];
        let pair = Pair { depth: Depth::One, bundles: pair.bundles.clone(), name: pair.name.clone() };
        let (wrong, _) = mixtures(&pair, &judges, &mut Used::new());
        let noticed = wrong.iter().any(|complaint| complaint.contains(place));
        assert!(noticed, "{piece} of {kind}:\n{}", shown(&wrong));
        // And the verifier itself takes none of them.
        let judges: [&Judge<'_>; 2] = [&|bundle| a.judge(bundle), &|bundle| b.judge(bundle)];
        assert_eq!(mixtures(&pair, &judges, &mut Used::new()).0, Vec::<String>::new());
    }
}
