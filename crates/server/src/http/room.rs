//! Memory for answers on their way: all together take no more than there is, however many ask and however slowly they read.
//!
//! An answer is held until its last byte is in the kernel's hands, and an entry bundle may have megabytes. Its bytes are
//! counted before they are read (in a bucket: as many as a bundle usually has), and for as long as anything refers to them. Small
//! answers are always given.

use super::{ApiError, Code};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Tiles, issuers and most partial bundles are smaller, and cost nothing of the shared room: every connection may have one.
const FREE: usize = 16 * 1024;
/// Bytes of all larger answers together, in this process: three hundred entry bundles of usual entries.
const SHARED: usize = 48 * 1024 * 1024;
/// Few bundles have more bytes.
const USUAL: u64 = 256 * 1024;
/// Who gets no room in this time is told to come back: those who have it are not reading.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);

static ROOM: Semaphore = Semaphore::const_new(SHARED);

/// Room for so many bytes, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<SemaphorePermit<'static>>);

impl Room {
    /// If there is room now.
    pub(crate) fn at_once(length: u64) -> Option<Self> {
        Self::at_once_in(&ROOM, length)
    }

    /// The same, for as many bytes as a bundle usually has if it is not known how many.
    pub(crate) fn at_once_or_usual(length: Option<u64>) -> Option<Self> {
        Self::at_once(length.unwrap_or(USUAL))
    }

    /// As soon as there is room; for as many bytes as a bundle usually has, if it is not known how many.
    ///
    /// # Errors
    /// 503 when there is none for long.
    pub(crate) async fn wait(length: Option<u64>) -> Result<Self, ApiError> {
        let wanted = counted(length.unwrap_or(USUAL));
        if wanted == 0 {
            return Ok(Self(None));
        }
        match tokio::time::timeout(PATIENCE, ROOM.acquire_many(wanted)).await {
            Ok(Ok(permit)) => Ok(Self(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// The same; what the bytes have more than was thought is waited for. What was had is given back meanwhile: nobody holds some
    /// of the room while waiting for more.
    ///
    /// # Errors
    /// 503 when there is none for long.
    pub(crate) async fn hold_all(self, bytes: Bytes) -> Result<Bytes, ApiError> {
        let length = bytes.len() as u64;
        let held = self.0.as_ref().map_or(0, SemaphorePermit::num_permits);
        if usize::try_from(counted(length)).is_ok_and(|wanted| wanted <= held) {
            return self.hold(bytes);
        }
        drop(self);
        Self::wait(Some(length)).await?.hold(bytes)
    }

    fn at_once_in(room: &'static Semaphore, length: u64) -> Option<Self> {
        match counted(length) {
            0 => Some(Self(None)),
            wanted => room.try_acquire_many(wanted).ok().map(|permit| Self(Some(permit))),
        }
    }

    /// Bytes that keep the room until the last reference to them is gone.
    ///
    /// # Errors
    /// 503 when they are more than the room is for, and there is no more.
    pub(crate) fn hold(self, bytes: Bytes) -> Result<Bytes, ApiError> {
        self.hold_in(&ROOM, bytes)
    }

    fn hold_in(mut self, room: &'static Semaphore, bytes: Bytes) -> Result<Bytes, ApiError> {
        let held = self.0.as_ref().map_or(0, SemaphorePermit::num_permits);
        let wanted = usize::try_from(counted(bytes.len() as u64)).unwrap_or(usize::MAX);
        if let Some(missing) = wanted.checked_sub(held).filter(|missing| *missing > 0) {
            let more = u32::try_from(missing).ok().and_then(|missing| room.try_acquire_many(missing).ok());
            let more = more.ok_or_else(busy)?;
            match &mut self.0 {
                Some(permit) => permit.merge(more),
                None => self.0 = Some(more),
            }
        }
        Ok(match self.0 {
            None => bytes,
            Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
        })
    }
}

/// What is counted of so many bytes; never more than there is at all.
fn counted(length: u64) -> u32 {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let counted = if length <= FREE { 0 } else { length.min(SHARED) };
    u32::try_from(counted).unwrap_or(u32::MAX)
}

pub(crate) fn busy() -> ApiError {
    ApiError::new(Code::Unavailable, "too many large answers at once; retry").retry_after(RETRY_AFTER)
}

struct Held {
    bytes: Bytes,
    _room: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SMALL: Semaphore = Semaphore::const_new(100_000);

    #[test]
    fn large_answers_share_what_there_is_until_the_last_reference_is_gone() {
        let bytes = |length: usize| Bytes::from(vec![7; length]);
        let first = Room::at_once_in(&SMALL, 60_000).unwrap().hold_in(&SMALL, bytes(60_000)).unwrap();
        assert_eq!((first.len(), SMALL.available_permits()), (60_000, 40_000));
        assert!(Room::at_once_in(&SMALL, 40_001).is_none());
        // Small ones always pass.
        let small = Room::at_once_in(&SMALL, FREE as u64).unwrap().hold_in(&SMALL, bytes(FREE)).unwrap();
        assert_eq!((small.len(), SMALL.available_permits()), (FREE, 40_000));
        // More than was thought.
        let more = Room::at_once_in(&SMALL, 20_000).unwrap().hold_in(&SMALL, bytes(30_000)).unwrap();
        assert_eq!(SMALL.available_permits(), 10_000);
        let refused = Room::default().hold_in(&SMALL, bytes(20_000)).unwrap_err();
        assert_eq!(refused.status(), http::StatusCode::SERVICE_UNAVAILABLE);
        // A piece of it is a reference.
        let piece = first.slice(..1);
        drop((first, more));
        assert_eq!(SMALL.available_permits(), 40_000);
        drop(piece);
        assert_eq!(SMALL.available_permits(), 100_000);
    }

    #[test]
    fn the_largest_can_be_given_at_all() {
        assert_eq!(counted(FREE as u64), 0);
        assert_eq!(counted(FREE as u64 + 1), FREE as u32 + 1);
        assert_eq!(counted(u64::MAX), SHARED as u32);
    }
}
