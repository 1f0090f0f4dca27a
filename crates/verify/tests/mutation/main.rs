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
use subject::{Judge, Subject, pairs, subjects};

/// Which rows of the list were needed, and for which change.
type Used = BTreeSet<(usize, Change)>;

/// What was accepted and should not have been, for people.
fn unexcused(subject: &Subject, accepted: &[Accepted], used: &mut Used) -> Vec<String> {
    let mut wrong = Vec::new();
    for one in accepted {
        let complaint = match excuse_of(&one.place, one.change, subject.is_ours.then_some(&subject.name)) {
            None => Some("accepted"),
            Some((row, excuse)) => {
                used.insert((row, one.change));
                match excuse {
                    Excuse::Same if one.says != subject.says => Some("accepted with another verdict"),
                    Excuse::Less if one.says != subject.says && !subject.less.contains(&one.says) => {
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
    assert!(tried > 60_000 && count > 10_000, "{tried} {count}");
    // A row that nothing needs any more says something that is not true.
    assert_eq!(excused::unused(&used), Vec::<String>::new());
}

/// Values of one bundle in another.
fn every_mixture(used: &mut Used) -> (Vec<String>, usize) {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for pair in pairs() {
        let (mixtures, count) = swap::every(&pair);
        tried += count;
        for mixture in mixtures {
            let excuses = |(subject, places): &(&Subject, BTreeSet<String>)| -> Option<Vec<usize>> {
                let rows = places.iter().map(|place| excuse_of(place, Change::Swap, Some(&pair.name)));
                let rows = rows.collect::<Option<Vec<_>>>()?;
                let less = rows.iter().any(|(_, excuse)| *excuse == Excuse::Less);
                let same = mixture.says == subject.says;
                (same || less && subject.less.contains(&mixture.says))
                    .then(|| rows.into_iter().map(|(row, _)| row).collect())
            };
            match mixture.passes_for.iter().find_map(excuses) {
                Some(rows) => used.extend(rows.into_iter().map(|row| (row, Change::Swap))),
                None => {
                    let places: Vec<_> = mixture.passes_for.iter().map(|(_, places)| places).collect();
                    wrong.push(format!("{}: {places:?} accepted", pair.name));
                }
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
