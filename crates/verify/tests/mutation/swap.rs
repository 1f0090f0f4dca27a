//! Values and pairs of values of one good bundle in another's place.

use crate::{
    document::{Path, Step, at, is_scalar, put, values},
    subject::{Depth, Judge, Pair, Says, Subject, differences},
};
use sealog_bundle::{Bundle, json::Value};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A mixture that was accepted for one file: what was said, how it differs from each bundle about that file, and
/// what may be said of that bundle and its parts.
pub(crate) struct Mixture {
    pub(crate) says: Says,
    pub(crate) passes_for: Vec<(BTreeSet<String>, Vec<Says>)>,
}

/// What each judge says of each bundle and its parts, once somebody asks.
#[derive(Default)]
struct Known([[OnceLock<Vec<Says>>; 2]; 2]);

/// Every value of one bundle at its place in the other, and as many of two as the pair wants, before the judge of each.
pub(crate) fn every(pair: &Pair, judges: &[&Judge<'_>]) -> (Vec<Mixture>, usize) {
    let [a, b] = &pair.bundles;
    let paths = exchangeable(&a.document, &b.document);
    let mut choices: Vec<Vec<&Path>> = paths.iter().map(|path| vec![path]).collect();
    let holds_others =
        |path: &Path| [a, b].iter().any(|it| at(&it.document, path).is_some_and(|value| !is_scalar(value)));
    let wanted = |path: &&Path| match pair.depth {
        Depth::One => false,
        Depth::TwoParts => holds_others(path),
        Depth::EveryTwo => true,
    };
    let in_twos: Vec<&Path> = paths.iter().filter(wanted).collect();
    for (at, one) in in_twos.iter().enumerate() {
        let others = in_twos.iter().skip(at + 1).filter(|other| !other.starts_with(one));
        choices.extend(others.map(|other| vec![*one, *other]));
    }
    let known = Known::default();
    let (found, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(choice) = choices.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for (to, from) in [(a, b), (b, a)] {
                        let mut document = to.document.clone();
                        if choice
                            .iter()
                            .all(|path| put(&mut document, path, at(&from.document, path).cloned()))
                        {
                            found.lock().unwrap().extend(judged(&document, [a, b], judges, &known));
                        }
                    }
                }
            });
        }
    });
    (found.into_inner().unwrap(), choices.len() * 2)
}

/// A mixture held against what each of the two bundles verifies with.
fn judged(
    document: &Value<'static>,
    bundles: [&Subject; 2],
    judges: &[&Judge<'_>],
    known: &Known,
) -> Vec<Mixture> {
    let Ok(bundle) = Bundle::parse(document.to_compact().as_bytes()) else { return Vec::new() };
    let mut mixtures = Vec::new();
    for (judge, (subject, known)) in judges.iter().zip(bundles.iter().zip(&known.0)) {
        let Some(says) = judge(&bundle) else { continue };
        // What was said for one file says nothing about a bundle that is about another.
        let about_it = bundles.iter().zip(known).filter(|(other, _)| other.file == subject.file);
        let passes_for: Vec<_> = about_it
            .map(|(other, known)| {
                let says_of = known.get_or_init(|| subject.says_of(other));
                (differences(document, &other.document), says_of.clone())
            })
            .collect();
        // All of one bundle is no mixture.
        if !passes_for.iter().any(|(places, says_of)| places.is_empty() && says_of.first() == Some(&says)) {
            mixtures.push(Mixture { says, passes_for });
        }
    }
    mixtures
}

/// Paths at which the documents differ, and whose parents both have.
fn exchangeable(a: &Value<'static>, b: &Value<'static>) -> Vec<Path> {
    let mut paths: BTreeSet<Path> = BTreeSet::new();
    for document in [a, b] {
        paths.extend(values(document).into_iter().map(|(path, _)| path));
    }
    let parent_in_both = |path: &Path| {
        path.split_last().is_some_and(|(last, parent)| {
            let element = matches!(last, Step::Element(_));
            let both = at(a, parent).is_some() && at(b, parent).is_some();
            both && (!element || (at(a, path).is_some() && at(b, path).is_some()))
        })
    };
    paths.into_iter().filter(|path| parent_in_both(path) && at(a, path) != at(b, path)).collect()
}
