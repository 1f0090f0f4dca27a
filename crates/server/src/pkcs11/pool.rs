//! Sessions with one token: opened when needed, logged in, used by one caller at a time, replaced when lost.
//!
//! PKCS#11 v3.0 §5.6. A session serves one operation at a time, a login all sessions of a process, and both
//! end when the token is removed, the library re-initialised, or somebody else closes them. Then the next
//! call opens and logs in again, a bounded number of times. A PIN that was refused is never tried again, and a
//! login that failed in a way that may mean the PIN not within the same call: tokens lock themselves after a few
//! tries. Logins are made one after the other, so that of many callers one hears the refusal.
//!
//! Must always hold: a handle that was lost is never closed nor used again, since the library gives handles
//! out anew; one that stands is closed before another is opened in its place, since a token has room for few;
//! nothing waits without end but for a call within the module itself.

use super::error::{Loss, TokenError, loss, refuses_pin};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    object::ObjectHandle,
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use sealog_crypto::Zeroizing;
use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Pauses before another try with a new session, once the last one was lost.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(0), Duration::from_millis(100), Duration::from_millis(500)];
/// A caller that has no session by then is told so.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Callers that wait at most: each holds a thread, and the process has 512 for all that may block.
const MOST_WAITING: usize = 256;

/// The sessions with one token.
pub(super) struct Pool {
    pub(super) token: String,
    module: PathBuf,
    /// Locked by whoever logs in.
    pin: Mutex<Zeroizing<String>>,
    limit: usize,
    /// Never locked during a call into the module but for its initialisation.
    state: Mutex<State>,
    /// A session came free, or room for another.
    freed: Condvar,
}

struct State {
    /// None before the first call. Kept for good: unloading a module that has threads of its own is unsafe.
    library: Option<Pkcs11>,
    idle: Vec<Opened>,
    /// Sessions in callers' hands, or about to be closed.
    out: usize,
    waiting: usize,
    /// Counts losses: what was opened before the last one is not used again.
    epoch: u64,
    /// The epoch that began with the last loss of sessions: the handles of those opened before may be others' now.
    gone: u64,
    /// The code with which the PIN was refused.
    refused: Option<RvError>,
}

/// A session, and the private keys found through it.
pub(super) struct Opened {
    pub(super) session: Session,
    /// By label.
    pub(super) keys: BTreeMap<String, ObjectHandle>,
    epoch: u64,
}

/// What a piece of work ends with.
pub(super) enum Failure {
    /// The module's complaint, which may mean that the session is lost.
    Module(Error),
    /// Ours.
    Other(TokenError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Other(error)
    }
}

impl Pool {
    pub(super) fn new(module: PathBuf, token: String, pin: Zeroizing<String>, limit: usize) -> Self {
        let state =
            State { library: None, idle: Vec::new(), out: 0, waiting: 0, epoch: 0, gone: 0, refused: None };
        Self { token, module, pin: Mutex::new(pin), limit, state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Does a piece of work with a session of its own, again with another one where the first is lost.
    pub(super) fn with_session<T>(
        &self,
        mut work: impl FnMut(&mut Opened) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        let mut pauses = PAUSES.iter();
        loop {
            let failed = match self.take() {
                Ok(mut opened) => match work(&mut opened) {
                    Ok(done) => {
                        self.give_back(opened);
                        return Ok(done);
                    }
                    Err(Failure::Module(error)) => {
                        match loss(&error) {
                            Loss::None => self.give_back(opened),
                            lost => self.lose(opened.epoch, Some(opened), lost),
                        }
                        error
                    }
                    Err(Failure::Other(error)) => {
                        self.give_back(opened);
                        return Err(error);
                    }
                },
                Err((Failure::Module(error), epoch)) => {
                    self.lose(epoch, None, loss(&error));
                    error
                }
                Err((Failure::Other(error @ TokenError::NoToken { .. }), _)) => match pauses.next() {
                    // Removed a moment ago: it may be back in another.
                    Some(pause) => {
                        thread::sleep(*pause);
                        continue;
                    }
                    None => return Err(error),
                },
                Err((Failure::Other(error), _)) => return Err(error),
            };
            match pauses.next() {
                Some(pause) if loss(&failed) != Loss::None => {
                    tracing::warn!(token = self.token, error = %failed, "a session is lost, opening another");
                    thread::sleep(*pause);
                }
                _ => return Err(TokenError::Failed { token: self.token.clone(), source: failed }),
            }
        }
    }

    /// An idle session, or a new one where there is room; or why there is none, and the epoch in which it was wanted.
    fn take(&self) -> Result<Opened, (Failure, u64)> {
        let mut state = self.lock();
        if let Some(refusal) = state.refused {
            return Err((TokenError::Pin { token: self.token.clone(), refusal }.into(), state.epoch));
        }
        if state.idle.is_empty() && state.out >= self.limit {
            let busy = || Failure::Other(TokenError::Busy { token: self.token.clone() });
            if state.waiting >= MOST_WAITING {
                return Err((busy(), state.epoch));
            }
            state.waiting = state.waiting.saturating_add(1);
            let full = |state: &mut State| state.idle.is_empty() && state.out >= self.limit;
            let (woken, outcome) = self
                .freed
                .wait_timeout_while(state, LONGEST_WAIT, full)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.waiting = state.waiting.saturating_sub(1);
            if outcome.timed_out() {
                return Err((busy(), state.epoch));
            }
        }
        state.out = state.out.saturating_add(1);
        if let Some(opened) = state.idle.pop() {
            return Ok(opened);
        }
        let epoch = state.epoch;
        let library = self.library(&mut state);
        drop(state);
        let opened = library.and_then(|library| self.open(&library, epoch));
        opened.map_err(|failure| {
            self.release();
            (failure, epoch)
        })
    }

    fn give_back(&self, opened: Opened) {
        let mut state = self.lock();
        if opened.epoch == state.epoch {
            state.idle.push(opened);
            drop(state);
        } else {
            let stands = opened.epoch >= state.gone;
            drop(state);
            if stands {
                let _ = opened.session.close();
            }
        }
        self.release();
    }

    fn release(&self) {
        let mut state = self.lock();
        state.out = state.out.saturating_sub(1);
        drop(state);
        self.freed.notify_one();
    }

    /// Forgets a session of this epoch, and all that share its loss: closed if only the login is lost.
    fn lose(&self, epoch: u64, opened: Option<Opened>, lost: Loss) {
        let mut state = self.lock();
        let held = opened.is_some();
        let mut stands: Vec<Opened> =
            opened.into_iter().filter(|_| lost == Loss::Login && epoch >= state.gone).collect();
        // Many see the same loss.
        let news = match lost {
            Loss::None => false,
            Loss::Login => epoch == state.epoch,
            Loss::Session | Loss::Library => epoch >= state.gone,
        };
        if news {
            state.epoch = state.epoch.saturating_add(1);
            let idle = std::mem::take(&mut state.idle);
            if lost == Loss::Login {
                state.out = state.out.saturating_add(idle.len());
                stands.extend(idle);
            } else {
                state.gone = state.epoch;
            }
            if lost == Loss::Library {
                state.library = None;
            }
        }
        drop(state);
        let released = stands.len().max(usize::from(held));
        for opened in stands {
            let _ = opened.session.close();
        }
        (0..released).for_each(|_| self.release());
    }

    fn library(&self, state: &mut State) -> Result<Pkcs11, Failure> {
        if let Some(library) = &state.library {
            return Ok(library.clone());
        }
        let failed = |source| TokenError::Module { module: self.module.clone(), source };
        let library = Pkcs11::new(&self.module).map_err(failed)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Somebody else in this process uses it as well.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error).into()),
        }
        state.library = Some(library.clone());
        Ok(library)
    }

    fn open(&self, library: &Pkcs11, epoch: u64) -> Result<Opened, Failure> {
        // Read and write, also to sign: one kind for all uses.
        let session = library.open_rw_session_no_drop(self.slot(library)?)?;
        let one_at_a_time = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = self.lock().refused {
            let _ = session.close();
            return Err(TokenError::Pin { token: self.token.clone(), refusal }.into());
        }
        let pin = AuthPin::new(one_at_a_time.as_str().into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                Ok(Opened { session, keys: BTreeMap::new(), epoch })
            }
            Err(Error::Pkcs11(refusal, _)) if refuses_pin(refusal) => {
                self.lock().refused = Some(refusal);
                let _ = session.close();
                Err(TokenError::Pin { token: self.token.clone(), refusal }.into())
            }
            Err(error) => {
                if loss(&error) == Loss::None {
                    let _ = session.close();
                }
                Err(error.into())
            }
        }
    }

    fn slot(&self, library: &Pkcs11) -> Result<Slot, Failure> {
        let mut labels = Vec::new();
        let mut found = Vec::new();
        for slot in library.get_slots_with_token()? {
            // A token that cannot say its name is not the one.
            let Ok(info) = library.get_token_info(slot) else { continue };
            if !info.token_initialized() {
                continue;
            }
            if info.label() == self.token {
                found.push(slot);
            }
            labels.push(format!("\"{}\"", info.label()));
        }
        let (module, token) = (self.module.clone(), self.token.clone());
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] => {
                let found = match labels.is_empty() {
                    true => "none".to_owned(),
                    false => labels.join(", "),
                };
                Err(TokenError::NoToken { module, token, found }.into())
            }
            several => Err(TokenError::ManyTokens { module, token, found: several.len() }.into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for opened in state.idle.drain(..) {
            let _ = opened.session.close();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.token)
    }
}

#[cfg(test)]
mod tests;
