//! The bounded queue between the callers and the sequencer: where a batch gathers while the last one is made durable.
//!
//! A caller pays one short lock and, only when the sequencer sleeps and waits for that many, one wake-up.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why an item was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    ready: Condvar,
    capacity: usize,
}

struct Inner<T> {
    items: Vec<T>,
    closed: bool,
    /// The sequencer sleeps until this many items wait; `usize::MAX` while it works.
    wake_at: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { items: Vec::new(), closed: false, wake_at: usize::MAX };
        Self { inner: Mutex::new(inner), ready: Condvar::new(), capacity }
    }

    pub(crate) fn push(&self, item: T) -> Result<(), Refused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        if inner.items.len() >= self.capacity {
            return Err(Refused::Full);
        }
        inner.items.push(item);
        let wake = inner.items.len() >= inner.wake_at;
        if wake {
            inner.wake_at = usize::MAX;
        }
        drop(inner);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// From here on nothing is taken in; what is inside still comes out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Waits for something to do, up to `idle`, and moves it into `room` (empty on entry). False: closed and drained.
    ///
    /// Once the first item is there, waits up to `linger` for `enough` of them.
    pub(crate) fn take(
        &self,
        room: &mut Vec<T>,
        idle: Option<Duration>,
        linger: Duration,
        enough: usize,
    ) -> bool {
        let mut inner = self.lock();
        let end = idle.map(|idle| Instant::now() + idle);
        while inner.items.is_empty() && !inner.closed {
            inner.wake_at = 1;
            inner = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return true,
                Some(left) => self.ready.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        if !linger.is_zero() {
            let enough = enough.min(self.capacity);
            let deadline = Instant::now() + linger;
            while inner.items.len() < enough && !inner.closed {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                inner.wake_at = enough;
                inner = self.ready.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        inner.wake_at = usize::MAX;
        mem::swap(&mut inner.items, room);
        !(room.is_empty() && inner.closed)
    }

    /// Moves whatever waits to the end of `room`, without waiting.
    pub(crate) fn take_more(&self, room: &mut Vec<T>) {
        room.append(&mut self.lock().items);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // No code panics while holding the lock; a poisoned one still holds a whole queue.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn refuses_beyond_its_bound_and_after_closing() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1), Ok(()));
        assert_eq!(queue.push(2), Ok(()));
        assert_eq!(queue.push(3), Err(Refused::Full));
        queue.close();
        assert_eq!(queue.push(4), Err(Refused::Closed));
        let mut room = Vec::new();
        assert!(queue.take(&mut room, None, Duration::ZERO, 1));
        assert_eq!(room, [1, 2]);
        room.clear();
        assert!(!queue.take(&mut room, None, Duration::from_secs(5), 1));
    }

    #[test]
    fn nothing_is_lost_or_reordered_between_many_callers_and_one_taker() {
        let queue = Arc::new(Queue::new(1 << 20));
        let callers: Vec<_> = (0..4u64)
            .map(|caller| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    for n in 0..5000u64 {
                        queue.push((caller, n)).unwrap();
                    }
                })
            })
            .collect();
        let closer = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                for caller in callers {
                    caller.join().unwrap();
                }
                queue.close();
            })
        };
        let (mut next, mut room) = ([0u64; 4], Vec::new());
        while queue.take(&mut room, None, Duration::from_millis(1), 64) {
            for (caller, n) in room.drain(..) {
                let expected = &mut next[usize::try_from(caller).unwrap()];
                assert_eq!(n, *expected);
                *expected += 1;
            }
        }
        assert_eq!(next, [5000; 4]);
        closer.join().unwrap();
    }
}
