//! What a log of this process has under a path: at once if nothing has to be waited for, else by a thread that may wait.
//!
//! A cold disk must hold up nobody else, nor a store that is slow those whose log is on a disk; and nobody gets more
//! memory than there is ([`Room`]), nor has it while it is only waited for a thread.

use super::STORAGE_FAILED;
use crate::http::{ApiError, Room, busy, chain};
use bytes::Bytes;
use sealog_log_engine::{ReadError, View};
use std::{sync::Arc, sync::LazyLock, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, SemaphorePermit},
};

/// How long a turn is waited for: whoever gets none is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Threads of their own: others' would become ever more, since each is idle only a moment after its turn is over, and each
/// keeps megabytes for the next bundle (the allocator gives every thread its own).
struct Readers {
    turns: Semaphore,
    threads: LazyLock<std::io::Result<Runtime>>,
}

/// Reads from disks at one time, in this process.
static NEAR: Readers = Readers { turns: Semaphore::const_new(8), threads: LazyLock::new(|| threads(8)) };
/// And from buckets.
static FAR: Readers = Readers { turns: Semaphore::const_new(32), threads: LazyLock::new(|| threads(32)) };

fn threads(most: usize) -> std::io::Result<Runtime> {
    Builder::new_current_thread().max_blocking_threads(most).thread_name("sealog-reader").build()
}

/// Without waiting. `None`: it has to be waited for.
pub(super) fn at_once(view: &View, path: &str) -> Option<Result<Bytes, ApiError>> {
    let mut room = None;
    let found = view.read_at_once(path, |length| {
        room = Room::at_once(length);
        room.is_some()
    });
    let bytes = found?.ok_or_else(ApiError::not_found);
    Some(bytes.and_then(|bytes| room.unwrap_or_default().hold(bytes)))
}

/// Waits.
pub(super) async fn read(view: Arc<View>, path: String) -> Result<Bytes, ApiError> {
    let readers = if view.is_far() { &FAR } else { &NEAR };
    let mut turn = readers.turn().await?;
    let mut length = None;
    if !view.is_far() {
        let (looked, looked_at) = (Arc::clone(&view), path.clone());
        (length, turn) = readers.look(turn, move || looked.length(&looked_at)).await?;
    }
    let room = match Room::at_once_or_usual(length) {
        Some(room) => room,
        None => {
            drop(turn);
            let room = Room::wait(length).await?;
            turn = readers.turn().await?;
            room
        }
    };
    // Somebody else may have asked for it as well.
    let found = match view.read_at_once(&path, |now| length.is_some_and(|length| now <= length)) {
        Some(found) => found,
        None => readers.look(turn, move || view.read(&path)).await?.0,
    };
    room.hold_all(found.ok_or_else(ApiError::not_found)?).await
}

impl Readers {
    async fn turn(&'static self) -> Result<SemaphorePermit<'static>, ApiError> {
        match tokio::time::timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    async fn look<T: Send + 'static>(
        &'static self,
        turn: SemaphorePermit<'static>,
        look: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
    ) -> Result<(T, SemaphorePermit<'static>), ApiError> {
        let failed = |reason: String| ApiError::internal(STORAGE_FAILED).because(reason);
        let readers = self.threads.as_ref().map_err(|error| failed(error.to_string()))?;
        // Not given up when the client is: the thread is busy until the end, and so the turn goes with it.
        let looking = readers.handle().spawn_blocking(move || (look(), turn));
        let (found, turn) = looking.await.map_err(|error| failed(error.to_string()))?;
        Ok((found.map_err(|error| failed(chain(&error)))?, turn))
    }
}
