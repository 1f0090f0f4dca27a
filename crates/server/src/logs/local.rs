//! What a log of this machine has under a path: at once if nothing has to be waited for, else by a thread that may wait.
//!
//! A cold disk must hold up nobody else, and nobody gets more memory than there is ([`Room`]).

use super::STORAGE_FAILED;
use crate::http::{ApiError, Room, chain};
use bytes::Bytes;
use sealog_log_engine::{ReadError, View};
use std::sync::{Arc, LazyLock};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};

/// Reads from disk at one time, in this process.
const THREADS: usize = 8;
static TURNS: Semaphore = Semaphore::const_new(THREADS);
/// Threads of their own: others' would become ever more, since each is idle only a moment after its turn is over, and each
/// keeps megabytes for the next bundle (the allocator gives every thread its own).
static READERS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_current_thread().max_blocking_threads(THREADS).thread_name("sealog-reader").build()
});

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
    let (looked, looked_at) = (Arc::clone(&view), path.clone());
    let length = on_a_thread(move || looked.length(&looked_at)).await?;
    let room = Room::wait(length).await?;
    // Somebody else may have asked for it as well.
    let found = match view.read_at_once(&path, |now| length.is_some_and(|length| now <= length)) {
        Some(found) => found,
        None => on_a_thread(move || view.read(&path)).await?,
    };
    room.hold(found.ok_or_else(ApiError::not_found)?)
}

async fn on_a_thread<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ApiError> {
    let failed = |reason: String| ApiError::internal(STORAGE_FAILED).because(reason);
    let turn = TURNS.acquire().await.map_err(|error| failed(error.to_string()))?;
    let readers = READERS.as_ref().map_err(|error| failed(error.to_string()))?;
    let looking = readers.handle().spawn_blocking(move || {
        // Not given up when the client is: the thread is busy until the end.
        let _turn = turn;
        look()
    });
    looking.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(chain(&error)))
}
