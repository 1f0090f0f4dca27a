//! Values and pairs of values of one good bundle in another's place.

use crate::{
    document::{Path, Step, at, put, values},
    subject::{Pair, Says, Subject, differences},
};
use sealog_bundle::{Bundle, json::Value};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A mixture that was accepted for one file: what was said, and how it differs from each bundle about that file.
pub(crate) struct Mixture<'p> {
    pub(crate) says: Says,
    pub(crate) passes_for: Vec<(&'p Subject, BTreeSet<String>)>,
}

/// Every value of one bundle at its place in the other, and every pair of them.
pub(crate) fn every(pair: &Pair) -> (Vec<Mixture<'_>>, usize) {
    let [a, b] = &pair.bundles;
    let paths = exchangeable(&a.document, &b.document);
    let mut choices: Vec<Vec<&Path>> = paths.iter().map(|path| vec![path]).collect();
    for (at, one) in paths.iter().enumerate() {
        let others = paths.iter().skip(at + 1).filter(|other| !other.starts_with(one));
        choices.extend(others.map(|other| vec![one, other]));
    }
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
                            found.lock().unwrap().extend(judged(&document, [to, from]));
                        }
                    }
                }
            });
        }
    });
    (found.into_inner().unwrap(), choices.len() * 2)
}

/// A mixture held against what each of the two bundles verifies with.
fn judged<'p>(document: &Value<'static>, bundles: [&'p Subject; 2]) -> Vec<Mixture<'p>> {
    let Ok(bundle) = Bundle::parse(document.to_compact().as_bytes()) else { return Vec::new() };
    let accepted = |judge: &Subject| -> Option<Mixture<'p>> {
        let says = judge.judge(&bundle)?;
        // What was said for one file says nothing about a bundle that is about another.
        let about_it = bundles.into_iter().filter(|other| other.file == judge.file);
        let passes_for: Vec<_> =
            about_it.map(|other| (other, differences(document, &other.document))).collect();
        // All of one bundle is no mixture.
        let is_one = passes_for.iter().any(|(other, places)| places.is_empty() && other.says == says);
        (!is_one).then_some(Mixture { says, passes_for })
    };
    bundles.into_iter().filter_map(accepted).collect()
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
