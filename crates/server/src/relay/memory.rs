//! A bucket in memory, for tests: it keeps its word, and lets reads of one object wait.

use bytes::Bytes;
use sealog_log_engine::{Bucket, Object, PutError, Version};
use std::{
    collections::BTreeMap,
    io,
    sync::{Condvar, Mutex, MutexGuard},
};

#[derive(Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, (Bytes, u64)>,
    writes: u64,
    held_up: Option<String>,
    /// How often that one was asked for.
    asked: usize,
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Whoever asks for this object waits from here on; with none, nobody.
    pub(crate) fn hold_up(&self, key: Option<&str>) {
        self.inner().held_up = key.map(str::to_owned);
        self.changed.notify_all();
    }

    /// How many asked for an object that was held up.
    pub(crate) fn asked(&self) -> usize {
        self.inner().asked
    }

    fn put(&self, key: &str, bytes: &Bytes) -> Version {
        let mut inner = self.inner();
        inner.writes += 1;
        let version = inner.writes;
        inner.objects.insert(key.to_owned(), (bytes.clone(), version));
        Version(version.to_string())
    }
}

impl Bucket for Memory {
    fn get(&self, key: &str) -> io::Result<Option<Object>> {
        let mut inner = self.inner();
        if inner.held_up.as_deref() == Some(key) {
            inner.asked += 1;
        }
        while inner.held_up.as_deref() == Some(key) {
            inner = self.changed.wait(inner).unwrap();
        }
        let found = inner.objects.get(key);
        Ok(found
            .map(|(bytes, version)| Object { bytes: bytes.clone(), version: Version(version.to_string()) }))
    }

    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| Ok(self.get(key)?.map(|object| object.bytes))).collect()
    }

    fn is_there(&self, key: &str) -> io::Result<bool> {
        Ok(self.inner().objects.contains_key(key))
    }

    fn put_many(&self, objects: &[(String, Bytes)]) -> io::Result<()> {
        objects.iter().for_each(|(key, bytes)| drop(self.put(key, bytes)));
        Ok(())
    }

    fn put_if(&self, key: &str, bytes: &Bytes, state: Option<&Version>) -> Result<Version, PutError> {
        let now = self.inner().objects.get(key).map(|(_, version)| Version(version.to_string()));
        match now.as_ref() == state {
            true => Ok(self.put(key, bytes)),
            false => Err(PutError::Changed),
        }
    }

    fn delete_many(&self, keys: &[String]) -> io::Result<()> {
        keys.iter().for_each(|key| drop(self.inner().objects.remove(key)));
        Ok(())
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.inner().objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}
