//! Sessions with a module that fails as it is told, and that counts what is asked of it.

use super::*;
use cryptoki::context::Function;
use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

const LIMIT: usize = 4;

/// What the module counted.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    open: u64,
    most_open: u64,
    logins: u64,
    /// Handles closed that nobody had.
    strange: u64,
}

struct Module {
    path: PathBuf,
    /// Holds it loaded, with its counts.
    library: Pkcs11,
    _dir: tempfile::TempDir,
}

impl Module {
    /// A module of its own, so that its counts are.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (source, path) = (dir.path().join("module.c"), dir.path().join("module.so"));
        fs::write(&source, include_str!("module.c")).unwrap();
        // A compiler is needed for some crates anyway.
        let built = Command::new("cc").args(["-w", "-shared", "-fPIC", "-o"]).args([&path, &source]).output();
        let built = built.expect("cc is needed");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let library = Pkcs11::new(&path).unwrap();
        Self { path, library, _dir: dir }
    }

    /// Sessions with it, whose logins are answered with this code.
    fn pool(&self, login: u32) -> Pool {
        Pool::new(self.path.clone(), "sealog".to_owned(), Zeroizing::new(login.to_string()), LIMIT)
    }

    fn counted(&self) -> Counted {
        let token = self.library.get_token_info(self.library.get_slots_with_token().unwrap()[0]).unwrap();
        let less_one = |limit| Option::<u64>::from(limit).unwrap() - 1;
        Counted {
            open: token.session_count().unwrap(),
            most_open: less_one(token.max_session_count()),
            logins: token.rw_session_count().unwrap(),
            strange: less_one(token.max_rw_session_count()),
        }
    }
}

fn failure(code: RvError) -> Failure {
    Failure::Module(Error::Pkcs11(code, Function::SignInit))
}

#[test]
fn sessions_do_not_pile_up_when_some_calls_fail() {
    for code in [RvError::GeneralError, RvError::FunctionFailed, RvError::UserNotLoggedIn] {
        let (module, calls) = (Module::new(), AtomicUsize::new(0));
        let pool = module.pool(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        // Once in a call: one that failed time and again would be given up, and rightly.
                        let mut fails = calls.fetch_add(1, Relaxed) % 20 == 0;
                        let done = pool.with_session(|_| {
                            thread::sleep(Duration::from_millis(1));
                            if std::mem::take(&mut fails) { Err(failure(code)) } else { Ok(()) }
                        });
                        done.unwrap();
                    }
                });
            }
        });
        let counted = module.counted();
        let limit = u64::try_from(LIMIT).unwrap();
        assert!(counted.open <= limit && counted.most_open <= limit, "{code}: {counted:?}");
        assert_eq!(counted.strange, 0, "{code}");
        drop(pool);
        assert_eq!(module.counted().open, 0, "{code}");
    }
}

#[test]
fn a_login_that_fails_is_tried_once_and_leaves_no_session() {
    // Modules say all of these for a wrong PIN, and some of them for much else.
    for (code, name) in
        [(5, "general"), (6, "failed"), (0x30, "device"), (0x90, "active"), (0x8000_0001, "its own")]
    {
        let module = Module::new();
        let pool = module.pool(code);
        for call in 1..=3 {
            let Err(error) = pool.with_session(|_| Ok(())) else { panic!("{name}: not refused") };
            assert!(matches!(error, TokenError::Failed { .. }), "{name}: {error:?}");
            let counted = module.counted();
            assert_eq!((counted.open, counted.logins, counted.strange), (0, call, 0), "{name}");
        }
    }
}

#[test]
fn a_login_is_tried_again_where_there_was_no_session_to_log_in() {
    let module = Module::new();
    let Err(_) = module.pool(0xB3).with_session(|_| Ok(())) else { panic!("not refused") };
    assert_eq!(module.counted().logins, 4);
}

#[test]
fn a_refused_pin_is_tried_once_by_all_who_come_together() {
    let module = Module::new();
    let pool = module.pool(0xA0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let error = pool.with_session(|_| Ok(())).err();
                assert!(matches!(error, Some(TokenError::Pin { .. })), "{error:?}");
            });
        }
    });
    assert_eq!((module.counted().logins, module.counted().open), (1, 0));
}

#[test]
fn a_handle_that_may_be_anothers_is_not_closed() {
    let module = Module::new();
    let pool = module.pool(0);
    for lost in [RvError::SessionHandleInvalid, RvError::CryptokiNotInitialized] {
        let mut tries = 0;
        pool.with_session(|outer| {
            tries += 1;
            if tries > 1 {
                return Ok(());
            }
            let was = outer.session.handle();
            let mut inner_tries = 0;
            pool.with_session(|inner| {
                inner_tries += 1;
                if inner_tries > 1 {
                    assert_eq!(inner.session.handle(), was);
                    return Ok(());
                }
                // The library begins anew: whoever opens a session now gets the handle that the outer one holds.
                let library = pool.lock().library.clone().unwrap();
                library.clone().finalize().unwrap();
                library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
                Err(failure(lost))
            })
            .unwrap();
            Err(failure(RvError::GeneralError))
        })
        .unwrap();
        let counted = module.counted();
        assert_eq!((tries, counted.open, counted.strange), (2, 1, 0), "{lost}: {counted:?}");
    }
}

#[test]
fn one_loss_is_told_by_many_and_costs_the_sessions_once() {
    let module = Module::new();
    let pool = module.pool(0);
    let mut tries = 0;
    pool.with_session(|_| {
        tries += 1;
        if tries > 1 {
            return Ok(());
        }
        let mut inner_tries = 0;
        pool.with_session(|_| {
            inner_tries += 1;
            if inner_tries == 1 { Err(failure(RvError::SessionClosed)) } else { Ok(()) }
        })
        .unwrap();
        Err(failure(RvError::SessionClosed))
    })
    .unwrap();
    // Two that were lost and stand in this module, which knows of no loss, and the one in their place.
    assert_eq!((module.counted().open, pool.lock().idle.len()), (3, 1));
}
