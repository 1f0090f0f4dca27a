//! Fills a log with entries, as fast as the engine takes them: for measurements of large logs (`cargo xtask bench log`).
//!
//! `fill DIR KEY SEEN ORIGIN ENTRIES BODIES`: the log's directory, its key (PKCS #8, DER), what is remembered beside the
//! key, the origin, how many entries it is to have, and a file of bodies, one a line. The bodies are spread evenly over the
//! log, each once; every other entry is the first of them with a digest of its own (the value of `"digest"`, base64).
//! Prints how many entries there were before, there are now, and the seconds between.
#![allow(clippy::print_stdout, reason = "what it prints is what it is run for")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sealog_crypto::{PrivateKey, sha256};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::note::KeySigner;
use sealog_tlog::{EntryBytes, EntryLeaf};

type Failed = Box<dyn Error + Send + Sync>;

const CALLERS: usize = 2048;
/// 2026-01-01.
const START_MS: u64 = 1_767_225_600_000;
/// Base64 of 32 bytes, without its one `=`.
const DIGEST: usize = 43;

struct Bodies {
    given: Vec<Vec<u8>>,
    /// Where the digest stands in the first.
    digest: usize,
    /// Every how manieth entry is one of those given.
    step: u64,
}

impl Bodies {
    fn read(path: &str, entries: u64) -> Result<Self, Failed> {
        let given: Vec<Vec<u8>> =
            std::fs::read(path)?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let first = given.first().ok_or("no bodies")?;
        let name = b"\"digest\":\"";
        let digest = first.windows(name.len()).position(|window| window == name).ok_or("no digest")?;
        let step = (entries / given.len() as u64).max(1);
        Ok(Self { digest: digest + name.len(), given, step })
    }

    fn number(&self, number: u64) -> Option<Vec<u8>> {
        let place = usize::try_from(number / self.step).ok()?;
        if number.is_multiple_of(self.step)
            && let Some(given) = self.given.get(place)
        {
            return Some(given.clone());
        }
        let mut body = self.given.first()?.clone();
        let digits: String = sha256(&number.to_be_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        // Hexadecimal digits are digits of base64; the last one stands for four bits and two that are zero.
        let digest = body.get_mut(self.digest..self.digest + DIGEST)?;
        digest.copy_from_slice(digits.as_bytes().get(..DIGEST)?);
        *digest.last_mut()? = b'0';
        Some(body)
    }
}

/// Appends the next entry until there are so many.
async fn append_all(
    log: Log<EntryLeaf>,
    bodies: Arc<Bodies>,
    next: Arc<AtomicU64>,
    entries: u64,
) -> Result<(), Failed> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= entries {
            return Ok(());
        }
        log.append(EntryBytes(bodies.number(number).ok_or("no such body")?)).await?;
    }
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, key, seen, origin, entries, bodies] = arguments.as_slice() else {
        return Err("fill DIR KEY SEEN ORIGIN ENTRIES BODIES".into());
    };
    let entries: u64 = entries.parse()?;
    let key = Arc::new(PrivateKey::from_pkcs8_der(&std::fs::read(key)?)?);
    let signer = Arc::new(KeySigner::for_log(origin, key)?);
    // Nothing in these entries tells the time; it only must not go back.
    let ticks = AtomicU64::new(START_MS);
    let clock = move || ticks.fetch_add(1, Ordering::Relaxed);
    let settings = Settings::new(origin, vec![signer], Arc::new(clock), seen.into());
    let log = Log::<EntryLeaf>::open(Path::new(dir), settings)?;
    let bodies = Arc::new(Bodies::read(bodies, entries)?);
    let before = log.view().size();
    let entries = entries.max(before);
    let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    runtime.block_on(async {
        let caller = |_| {
            tokio::spawn(append_all(log.clone(), Arc::clone(&bodies), Arc::clone(&next), entries - before))
        };
        let callers: Vec<_> = (0..CALLERS).map(caller).collect();
        for caller in callers {
            caller.await??;
        }
        Ok::<(), Failed>(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let size = log.view().size();
    log.close()?;
    println!("{before} {size} {seconds}");
    Ok(())
}
