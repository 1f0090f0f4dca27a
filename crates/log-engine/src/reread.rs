//! Finished files that were read lately, in memory: they never change, so nothing here can be out of date.
//!
//! A bounded number of bytes, given away in the order they came; a file that was asked for meanwhile gets another
//! round (CLOCK), so that who reads a whole log once does not push out what everyone reads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of all files held for one log: a hundred entry bundles of usual entries, or two thousand tiles.
const MAX_HELD: usize = 16 * 1024 * 1024;
/// One file must not push out all others.
const MAX_FILE: usize = MAX_HELD / 8;

/// The files, by the path readers ask for.
#[derive(Default)]
pub(crate) struct Reread(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    files: HashMap<Arc<str>, File>,
    /// Who is asked first to make room.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

struct File {
    bytes: Bytes,
    /// Since it was last asked to make room.
    asked_for: bool,
}

impl Reread {
    pub(crate) fn get(&self, path: &str) -> Option<Bytes> {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = ring.files.get_mut(path)?;
        file.asked_for = true;
        Some(file.bytes.clone())
    }

    pub(crate) fn put(&self, path: &str, bytes: Bytes) {
        if bytes.len() <= MAX_FILE {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).put(path, bytes);
        }
    }
}

impl Ring {
    fn put(&mut self, path: &str, bytes: Bytes) {
        if self.files.contains_key(path) {
            return;
        }
        self.bytes += bytes.len();
        let path: Arc<str> = path.into();
        self.order.push_back(Arc::clone(&path));
        self.files.insert(path, File { bytes, asked_for: false });
        while self.bytes > MAX_HELD
            && let Some(oldest) = self.order.pop_front()
        {
            match self.files.get_mut(&oldest) {
                Some(file) if file.asked_for => {
                    file.asked_for = false;
                    self.order.push_back(oldest);
                }
                _ => {
                    let gone = self.files.remove(&oldest).map_or(0, |file| file.bytes.len());
                    self.bytes -= gone;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_bytes_are_bounded() {
        let reread = Reread::default();
        let file = Bytes::from(vec![7; MAX_FILE / 2]);
        reread.put("hot", Bytes::from_static(b"hot"));
        for n in 0..100 {
            reread.put(&n.to_string(), file.clone());
            assert_eq!(reread.get("hot").as_deref(), Some(b"hot".as_slice()), "{n}");
            let ring = reread.0.lock().unwrap();
            assert!(ring.bytes <= MAX_HELD);
            assert_eq!(ring.bytes, ring.files.values().map(|file| file.bytes.len()).sum::<usize>());
            assert_eq!(ring.files.len(), ring.order.len());
        }
        assert!(reread.get("84").is_none() && reread.get("85").is_some() && reread.get("99").is_some());
        reread.put("large", Bytes::from(vec![0; MAX_FILE + 1]));
        assert!(reread.get("large").is_none());
    }
}
