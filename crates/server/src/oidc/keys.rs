//! The keys that tokens are signed with: one for each stretch of days, published before its first token, as a rule for the
//! whole stretch before, and for the stretch after its last.
//!
//! A key's name says the day on which it begins to sign (`oidc-NUMBER`, counted from 1970), so that instances which share the
//! directory of keys agree on them without a word, also when stretches get another length. The first key, `oidc`, begins
//! before all: it serves until one of them does.

use super::{KEY, KEY_KIND};
use crate::keys::{KeyStore, KeyStoreError};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{PrivateKey, PublicKey, Signer as _, sha256};
use sealog_identity::{
    issue::{IssueError, algorithm_of},
    jwk,
};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

const DAY_SECONDS: i64 = 86_400;
/// The number of the key that begins before all.
const FIRST: u64 = 0;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningKeysError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    /// The directory cannot be read, or an old key not removed.
    #[error("cannot use the directory of keys")]
    Directory(#[from] io::Error),
    /// A key of a kind that signs no tokens.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// The key that signs now, and those published with it.
pub(super) struct Signing {
    pub(super) key: PrivateKey,
    pub(super) key_id: String,
    /// The key set, of RFC 7517.
    pub(super) set: Value,
}

impl Signing {
    fn new(key: PrivateKey, others: Vec<PublicKey>) -> Result<Self, SigningKeysError> {
        let algorithm = algorithm_of(&key)?;
        let mut published = Vec::new();
        for public in std::iter::once(key.public_key()).chain(&others) {
            let id = key_id(public);
            published.push(jwk::encode(public, &id, algorithm).ok_or(IssueError::Key(public.kind()))?);
        }
        Ok(Self { key_id: key_id(key.public_key()), set: json!({ "keys": published }), key })
    }
}

fn key_id(public: &PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(sha256(public.spki_der()))
}

/// All of them, in their directory.
pub(super) struct SigningKeys {
    store: KeyStore,
    days: u32,
    held: RwLock<Arc<Signing>>,
}

impl SigningKeys {
    /// Reads those that are there.
    pub(super) fn open(store: KeyStore, days: u32, now: i64) -> Result<Self, SigningKeysError> {
        let numbers = Calendar::at(days, now).published(&existing(&store)?);
        let held = RwLock::new(Arc::new(read(&store, &numbers)?));
        Ok(Self { store, days, held })
    }

    /// One key, of a test.
    #[cfg(test)]
    pub(super) fn of(pkcs8: &[u8]) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap().keep();
        let store = KeyStore::create(&dir.join("keys"), crate::keys::Protection::Plain).unwrap();
        store.import(KEY, &PrivateKey::from_pkcs8_der(pkcs8).unwrap()).unwrap();
        Arc::new(Self::open(store, 1, 0).unwrap())
    }

    /// The key that signs now.
    pub(super) fn now(&self) -> Arc<Signing> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the next stretch's key if there is none, removes those whose time is over, and takes up what follows.
    /// It makes RSA keys, which takes a while.
    pub(super) fn turn(&self, now: i64) -> Result<(), SigningKeysError> {
        let calendar = Calendar::at(self.days, now);
        let next = calendar.next;
        match existing(&self.store)?.contains(&next) {
            true => {}
            // Another instance may have been quicker.
            false => match self.store.generate(&name(next), KEY_KIND) {
                Ok(_) => tracing::info!(service = KEY, key = name(next), "made the next signing key"),
                Err(KeyStoreError::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            },
        }
        let existing = existing(&self.store)?;
        let numbers = calendar.published(&existing);
        // Each time: what another instance changed is taken up as well.
        let signing = Arc::new(read(&self.store, &numbers)?);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = signing;
        for over in existing.iter().filter(|number| **number != FIRST && !numbers.contains(number)) {
            for extension in ["key", "pub"] {
                match std::fs::remove_file(self.store.path(&name(*over), extension)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Days that matter for the keys, counted from 1970.
struct Calendar {
    today: u64,
    /// When this stretch began.
    begun: u64,
    /// When the next stretch begins.
    next: u64,
    /// When the one after that does.
    after_next: u64,
}

impl Calendar {
    fn at(days: u32, now: i64) -> Self {
        let days = u64::from(days.max(1));
        // Before 1970 no clock of ours stands.
        let today = u64::try_from(now.div_euclid(DAY_SECONDS)).unwrap_or(FIRST);
        let begun = today.checked_rem(days).map_or(today, |gone| today.saturating_sub(gone));
        let next = begun.saturating_add(days);
        Self { today, begun, next, after_next: next.saturating_add(days) }
    }

    /// Of the keys that are there, which are published: the one that signs, the one before it, those that follow. One that
    /// follows later than the clock of any other instance can have made it is none: some clock was wrong.
    fn published(&self, existing: &[u64]) -> Vec<u64> {
        let newest =
            |begun: &dyn Fn(u64) -> bool| existing.iter().copied().filter(|number| begun(*number)).max();
        let signs = newest(&|number| number <= self.today).unwrap_or(FIRST);
        // After a pause the one before has not signed for long.
        let before = newest(&|number| number < signs).filter(|_| signs >= self.begun);
        let following =
            existing.iter().copied().filter(|number| (self.today + 1..=self.after_next).contains(number));
        std::iter::once(signs).chain(before).chain(following).collect()
    }
}

fn name(number: u64) -> String {
    match number {
        FIRST => KEY.to_owned(),
        number => format!("{KEY}-{number}"),
    }
}

/// The numbers of those that are there, in order.
fn existing(store: &KeyStore) -> Result<Vec<u64>, SigningKeysError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(store.dir())? {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|file| file.strip_suffix(".key")).and_then(|stem| match stem {
            KEY => Some(FIRST),
            _ => stem.strip_prefix(KEY)?.strip_prefix('-')?.parse().ok(),
        });
        // Both halves: another instance may be writing them.
        numbers.extend(number.filter(|number| store.path(&name(*number), "pub").exists()));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

fn read(store: &KeyStore, numbers: &[u64]) -> Result<Signing, SigningKeysError> {
    let (signs, others) = numbers.split_first().map_or((FIRST, &[][..]), |(first, rest)| (*first, rest));
    let key = store.load(&name(signs))?;
    // Of the keys themselves: what is published is what will sign, whatever lies beside it.
    let public = |number: &u64| Ok(store.load(&name(*number))?.public_key().clone());
    let others = others.iter().map(public).collect::<Result<_, KeyStoreError>>()?;
    Signing::new(key, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Protection;

    fn store() -> (tempfile::TempDir, KeyStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::create(&dir.path().join("keys"), Protection::Plain).unwrap();
        store.generate(KEY, KEY_KIND).unwrap();
        (dir, store)
    }

    fn published(keys: &SigningKeys) -> Vec<String> {
        let ids = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys.now().set["keys"].as_array().unwrap().iter().map(ids).collect()
    }

    #[test]
    fn every_key_is_published_before_it_signs_and_after() {
        let (_dir, store) = store();
        let day = |days: i64| days * DAY_SECONDS * 30 + 7;
        let keys = SigningKeys::open(store.clone(), 30, day(500)).unwrap();
        let first = keys.now().key_id.clone();
        assert_eq!(published(&keys), [first.as_str()]);
        keys.turn(day(500)).unwrap();
        let [_, second] = published(&keys).try_into().unwrap();
        assert_eq!(keys.now().key_id, first);
        // Nothing happens twice within one stretch.
        keys.turn(day(500)).unwrap();
        assert_eq!(published(&keys), [first.as_str(), &second]);

        keys.turn(day(501)).unwrap();
        let [signs, before, third] = published(&keys).try_into().unwrap();
        assert_eq!((&signs, &before, &keys.now().key_id), (&second, &first, &second));

        keys.turn(day(502)).unwrap();
        let [signs, before, fourth] = published(&keys).try_into().unwrap();
        assert_eq!((&signs, &before), (&third, &second));

        // Who starts now, or shares the directory, sees the same.
        let other = SigningKeys::open(store.clone(), 30, day(502)).unwrap();
        assert_eq!(published(&other), published(&keys));
        keys.turn(day(503)).unwrap();
        assert_eq!(keys.now().key_id, fourth);
        assert!(!store.contains("oidc-15030"), "a key whose time is over stays");
        assert!(store.contains("oidc-15060") && store.contains(KEY));
    }

    #[test]
    fn what_is_published_is_what_will_sign() {
        let (_dir, store) = store();
        let keys = SigningKeys::open(store.clone(), 1, DAY_SECONDS * 100).unwrap();
        keys.turn(DAY_SECONDS * 100).unwrap();
        let ahead = store.path("oidc-101", "pub");
        std::fs::copy(store.path(KEY, "pub"), ahead).unwrap();
        let keys = SigningKeys::open(store.clone(), 1, DAY_SECONDS * 100).unwrap();
        let next = published(&keys)[1].clone();
        keys.turn(DAY_SECONDS * 101).unwrap();
        assert_eq!(keys.now().key_id, next);
    }

    #[test]
    fn stretches_of_another_length_leave_no_key_behind_and_hurry_none() {
        for (was, is) in [(1, 30), (30, 1), (1, 3650), (7, 2)] {
            let (_dir, store) = store();
            let (mut seen, mut signed) = (Vec::new(), Vec::new());
            let mut keys = SigningKeys::open(store.clone(), was, DAY_SECONDS * 20_780).unwrap();
            for day in 20_780..20_800 {
                if day == 20_786 {
                    keys = SigningKeys::open(store.clone(), is, DAY_SECONDS * day).unwrap();
                    assert!(seen.contains(&keys.now().key_id), "{was} to {is}: not published before");
                }
                keys.turn(DAY_SECONDS * day).unwrap();
                let signs = keys.now().key_id.clone();
                assert!(day == 20_780 || seen.contains(&signs), "{was} to {is}, {day}: not published before");
                // Whatever signed yesterday is there for who has to verify it.
                assert!(
                    signed.last().is_none_or(|last| published(&keys).contains(last)),
                    "{was} to {is}, {day}"
                );
                assert!(published(&keys).len() <= 4, "{was} to {is}, {day}: {}", published(&keys).len());
                seen = published(&keys);
                signed.push(signs);
            }
            // The one that signs, the one before, the next, and the first, which is kept.
            let files = std::fs::read_dir(store.dir()).unwrap();
            let files =
                files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|x| x == "key"));
            assert!(files.count() <= 4, "{was} to {is}");
        }
    }

    #[test]
    fn a_clock_that_was_far_ahead_leaves_no_key_behind() {
        let (_dir, store) = store();
        let day = |days: i64| days * DAY_SECONDS;
        let keys = SigningKeys::open(store.clone(), 1, day(100)).unwrap();
        keys.turn(day(100)).unwrap();
        // One day is nothing: another instance may be that much ahead, or a day may end just now.
        keys.turn(day(101)).unwrap();
        keys.turn(day(100)).unwrap();
        assert!(store.contains("oidc-102"));
        keys.turn(day(9000)).unwrap();
        assert!(store.contains("oidc-9001"));
        keys.turn(day(101)).unwrap();
        assert!(!store.contains("oidc-9001") && !store.contains("oidc-9000"));
        keys.turn(day(102)).unwrap();
        assert_eq!(published(&keys).len(), 3);
    }

    #[test]
    fn after_a_long_pause_the_old_key_signs_until_the_next_was_published() {
        let (_dir, store) = store();
        let day = |days: i64| days * DAY_SECONDS;
        let keys = SigningKeys::open(store.clone(), 1, day(100)).unwrap();
        keys.turn(day(100)).unwrap();
        let keys = SigningKeys::open(store.clone(), 1, day(150)).unwrap();
        let old = keys.now().key_id.clone();
        keys.turn(day(150)).unwrap();
        assert_eq!((keys.now().key_id.as_str(), published(&keys).len()), (old.as_str(), 2));
        keys.turn(day(151)).unwrap();
        assert_eq!(published(&keys)[1], old);
        assert_ne!(keys.now().key_id, old);
        // A clock that was set back finds the key it had.
        keys.turn(day(150)).unwrap();
        assert_eq!(keys.now().key_id, old);
    }
}
