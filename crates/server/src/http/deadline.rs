//! How long a request's head may take, for connections that carry thousands of requests.
//!
//! Hyper asks for a timer before every head and drops it when the head is there. To register one and to remove it takes locks
//! that all connections share; so one timer a connection stays where it is, and is moved only when it rings too early.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of one connection, of which it waits for one at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl hyper::rt::Timer for Deadlines {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Until { deadline: deadline.into(), timer: Arc::clone(&self.0) })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

/// One of them.
struct Until {
    deadline: Instant,
    timer: Arc<Mutex<Option<Pin<Box<Sleep>>>>>,
}

impl hyper::rt::Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        if timer.deadline() > self.deadline {
            timer.as_mut().reset(self.deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            // It was set for an earlier one.
            if timer.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Timer as _;

    #[tokio::test(start_paused = true)]
    async fn each_rings_in_its_time_and_not_before() {
        const STEP: Duration = Duration::from_millis(50);
        let deadlines = Deadlines::default();
        let begun = Instant::now();
        let mut first = deadlines.sleep(STEP);
        assert!(once(first.as_mut()).await.is_pending());
        drop(first);
        // Later than the one that was dropped, which the timer is still set for.
        deadlines.sleep(3 * STEP).await;
        assert_eq!(begun.elapsed(), 3 * STEP);
        let mut late = deadlines.sleep(1000 * STEP);
        assert!(once(late.as_mut()).await.is_pending());
        drop(late);
        // Sooner.
        tokio::time::timeout(100 * STEP, deadlines.sleep(STEP)).await.expect("the sooner one is kept");
        assert_eq!(begun.elapsed(), 4 * STEP);
    }

    async fn once(mut sleep: Pin<&mut dyn hyper::rt::Sleep>) -> Poll<()> {
        std::future::poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await
    }
}
