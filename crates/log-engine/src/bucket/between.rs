//! A bucket with something in between, for tests: what is asked of it is told first, and may fail there.

use super::*;
use crate::sim::bucket::SimBucket;

/// What is asked, before it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked<'a> {
    /// An object is read, be it one of many.
    Get(&'a str),
    /// Objects are written whatever is there.
    PutMany,
}

/// A way to a bucket on which somebody looks.
pub(crate) struct Between<F> {
    pub(crate) bucket: SimBucket,
    pub(crate) look: F,
}

impl<F: Fn(Asked<'_>) -> io::Result<()> + Send + Sync> Bucket for Between<F> {
    fn get(&self, key: &str) -> io::Result<Option<Object>> {
        (self.look)(Asked::Get(key))?;
        self.bucket.get(key)
    }

    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| Ok(self.get(key)?.map(|object| object.bytes))).collect()
    }

    fn is_there(&self, key: &str) -> io::Result<bool> {
        self.bucket.is_there(key)
    }

    fn put_many(&self, objects: &[(String, Bytes)]) -> io::Result<()> {
        (self.look)(Asked::PutMany)?;
        self.bucket.put_many(objects)
    }

    fn put_if(&self, key: &str, bytes: &Bytes, state: Option<&Version>) -> Result<Version, PutError> {
        self.bucket.put_if(key, bytes, state)
    }

    fn delete_many(&self, keys: &[String]) -> io::Result<()> {
        self.bucket.delete_many(keys)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.bucket.list(prefix)
    }

    fn name(&self) -> String {
        self.bucket.name()
    }

    fn wait(&self, _: Duration) {}
}
