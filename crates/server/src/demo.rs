//! `sealogd demo`: the whole journey in a temporary directory, told in a line or two a step.
//!
//! Nothing here is staged: the services are those of `dev`, the signature is made and checked by the code
//! of `sealog`, and the bundle that is verified is the one read back from the disk. The first step that
//! goes otherwise than it must ends the demonstration with [`NotAsItMustBe`].

use crate::{
    clock::Clock,
    dev, files,
    oidc::{self, DevToken},
    run::Running,
};
use anyhow::Context as _;
use sealog_bundle::{Bundle, TrustedRoot, UnixTime};
use sealog_client::{
    ca,
    http::Client,
    oidc::IdentityToken,
    sign::{HopTimes, Payload, Signer, SigningKey},
    trust::{Services, TrustConfig},
    watch::{
        Event, EventKind, HttpSource, Interest, LogDescription, LogKind, LogState, follow_once,
        start_from_now,
    },
};
use sealog_crypto::{HashAlgorithm, Hasher, KeyKind, PrivateKey};
use sealog_verify::{
    Artifact, Policy, Verified, VerifyError,
    verdict::{Report, Verdict},
    verify,
};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// In whose name the file is signed, and whose name is misused.
const SIGNER: &str = "maintainer@example.org";
/// Who did not sign.
const STRANGER: &str = "stranger@example.com";
/// Signed when no file is given and there is no `README.md` here.
const README: &[u8] = include_bytes!("../../../README.md");
/// How often the watcher looks, and how long it may take to notice.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const NOTICE_WITHIN: Duration = Duration::from_secs(5);

/// Some step of the demonstration went otherwise than it must.
#[derive(Debug, thiserror::Error)]
#[error("the demonstration did not go as it must: {0}")]
pub struct NotAsItMustBe(pub String);

/// Runs the demonstration on `file`, or on the README.
///
/// # Errors
/// When anything is not as it must be.
pub async fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let started = Instant::now();
    say("Sealog signs a file without a key to keep, and shows what a verifier accepts and refuses.")?;
    say("Everything runs on this machine, in a temporary directory that is removed at the end.\n")?;
    let room = tempfile::tempdir().context("making a temporary directory")?;
    let (config, sockets) = dev::prepare(&room.path().join("dev"), 0, Clock::system())?;
    let running = Running::start(&config, Clock::system(), sockets).await?;
    let names: Vec<_> = running.ready().services.keys().copied().collect();
    step("start", &format!("{} answer on localhost", names.join(", ")), started.elapsed())?;

    let journey = async {
        let asked = DevToken::Email(SIGNER.to_owned());
        let token = oidc::dev_token(&config, &Clock::system(), &asked, "sigstore")?;
        let trust = TrustConfig::from_directory(&config.client_dir())?;
        let now = UnixTime::from_seconds(Clock::system().unix_seconds());
        let journey = Journey {
            services: trust.services(now.millis())?,
            root: trust.trusted_root,
            client: Arc::new(Client::new()),
            token: IdentityToken::parse(&token)?,
        };
        let artifact = artifact(file, room.path())?;
        let bundle_path = journey.sign(&artifact, room.path()).await?;
        let bundle = fs::read(&bundle_path).with_context(|| format!("reading {}", bundle_path.display()))?;
        journey.accept(&artifact, &bundle)?;
        journey.refuse(&artifact, &bundle)?;
        journey.watch(now).await
    }
    .await;
    running.stop().await;
    journey?;
    say(&format!("\nEverything went as it must, in {}.", shown(started.elapsed())))?;
    say("Next: `sealogd dev --dir DIR` keeps such an instance running; the README shows how to sign with it.")
}

/// A file, and what verification needs of it.
struct Signable {
    path: PathBuf,
    name: String,
    size: u64,
    digest: sealog_crypto::Digest,
}

/// What each step needs.
struct Journey {
    services: Services,
    root: TrustedRoot,
    client: Arc<Client>,
    token: IdentityToken,
}

impl Journey {
    /// A token goes in, a bundle comes out and is written down.
    async fn sign(&self, artifact: &Signable, room: &Path) -> anyhow::Result<PathBuf> {
        let started = Instant::now();
        let payload = Payload::File(artifact.digest);
        let signer = Signer::new(&self.client, &self.services, &self.root);
        let batch =
            signer.begin(SigningKey::generate()?, &self.token, std::slice::from_ref(&payload)).await?;
        let signed = batch.finish(0, &payload).await?;
        let path = room.join(format!("{}.sigstore.json", artifact.name));
        let json = signed.bundle.to_json();
        files::write_new(&path, json.as_bytes(), files::MODE_PUBLIC)
            .with_context(|| format!("writing {}", path.display()))?;
        step("sign", &format!("{}, {} bytes, as {SIGNER}", artifact.name, artifact.size), started.elapsed())?;
        detail("the key was made in memory for this one signature, certified for ten minutes, and is gone")?;
        let HopTimes { certificate, timestamp, log, verify, .. } = signed.times;
        detail(&format!(
            "certificate {} · timestamp {} · log entry {} · checked before writing {}",
            shown(certificate),
            shown(timestamp),
            shown(log),
            shown(verify)
        ))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        detail(&format!("{name} ({} bytes) holds all that is needed to verify it, for ever", json.len()))?;
        Ok(path)
    }

    /// The file, its bundle and the trusted root; nothing is asked of anyone.
    fn accept(&self, artifact: &Signable, bundle: &[u8]) -> anyhow::Result<()> {
        let started = Instant::now();
        let again = digest_of(&artifact.path)?;
        let outcome = self.check(bundle, &self.signer(), again);
        step("verify", "offline: the file, the bundle, the trusted root", started.elapsed())?;
        report(&artifact.name, &outcome, Verdict::Verified)
    }

    fn refuse(&self, artifact: &Signable, bundle: &[u8]) -> anyhow::Result<()> {
        let mut changed = fs::read(&artifact.path)?;
        match changed.last_mut() {
            Some(byte) => *byte ^= 1,
            None => changed.push(b'!'),
        }
        let outcome = self.check(bundle, &self.signer(), HashAlgorithm::Sha256.digest(&changed));
        step("refuse", "one byte of the file was changed", Duration::ZERO)?;
        report(&artifact.name, &outcome, Verdict::NotVerified)?;

        let stranger = Policy::identity(STRANGER, self.token.claims().issuer.as_str());
        let outcome = self.check(bundle, &stranger, artifact.digest);
        step("refuse", "someone else was expected", Duration::ZERO)?;
        report(&artifact.name, &outcome, Verdict::WrongSigner)?;

        let mut damaged = Bundle::parse(bundle)?;
        let entry = damaged.material.log_entries.first_mut().context("a bundle without a log entry")?;
        let proof = entry.inclusion_proof.as_mut().context("a log entry without a proof")?;
        let byte = proof.hashes.first_mut().and_then(|hash| hash.first_mut());
        *byte.context("an empty proof")? ^= 1;
        let outcome = self.check(damaged.to_json().as_bytes(), &self.signer(), artifact.digest);
        step("refuse", "one byte of the proof that it is in the log was damaged", Duration::ZERO)?;
        report(&artifact.name, &outcome, Verdict::NotVerified)
    }

    /// Someone else obtains a certificate in the signer's name; the watcher must hear of it.
    async fn watch(&self, now: UnixTime) -> anyhow::Result<()> {
        let interest = Interest::new(SIGNER, None, &self.root)?;
        let mut logs = Vec::new();
        for log in LogDescription::all(&self.root, now)? {
            let source = HttpSource::new(Arc::clone(&self.client), log.url.clone());
            let state = start_from_now(&log, &source).await?;
            logs.push((log, source, state));
        }
        let thief = PrivateKey::generate(KeyKind::EcdsaP256)?;
        ca::request_certificate(&self.client, &self.services.ca, &self.token, &thief).await?;
        let started = Instant::now();
        step("watch", &format!("someone else obtained a certificate as {SIGNER}"), Duration::ZERO)?;
        let event = tokio::time::timeout(NOTICE_WITHIN, first_certificate(&mut logs, &interest))
            .await
            .map_err(|_| NotAsItMustBe("the watcher did not notice the certificate".into()))??;
        detail(&format!(
            "the watcher told the real {SIGNER} after {}: certificate at index {} of {}",
            shown(started.elapsed()),
            event.log_index,
            event.log
        ))
    }

    fn check(
        &self,
        bundle: &[u8],
        policy: &Policy,
        digest: sealog_crypto::Digest,
    ) -> Result<Verified, VerifyError> {
        let bundle = Bundle::parse(bundle)?;
        verify(&bundle, &self.root, policy, &Artifact::from_digests([digest]))
    }

    fn signer(&self) -> Policy {
        Policy::identity(SIGNER, self.token.claims().issuer.as_str())
    }
}

/// Looks at every log in turn until a certificate turns up.
async fn first_certificate(
    logs: &mut [(LogDescription, HttpSource, LogState)],
    interest: &Interest,
) -> anyhow::Result<Event> {
    loop {
        for (log, source, state) in logs.iter_mut() {
            let looked = follow_once(state, log, interest, source).await?;
            *state = looked.state;
            let found = looked.events.into_iter().find(|event| event.kind == EventKind::Certificate);
            if let Some(event) = found.filter(|_| log.kind == LogKind::Certificates) {
                return Ok(event);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn artifact(file: Option<&Path>, room: &Path) -> anyhow::Result<Signable> {
    let path = match file {
        Some(file) => file.to_owned(),
        None if Path::new("README.md").is_file() => PathBuf::from("README.md"),
        None => {
            let path = room.join("README.md");
            fs::write(&path, README).with_context(|| format!("writing {}", path.display()))?;
            path
        }
    };
    let size = fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
    let name = path.file_name().context("a file without a name")?.to_string_lossy().into_owned();
    let digest = digest_of(&path)?;
    Ok(Signable { path, name, size, digest })
}

fn digest_of(path: &Path) -> anyhow::Result<sealog_crypto::Digest> {
    let reading = || format!("reading {}", path.display());
    let mut file = fs::File::open(path).with_context(reading)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut piece).with_context(reading)?;
        match piece.get(..read) {
            Some([]) | None => return Ok(hasher.finish()),
            Some(piece) => hasher.update(piece),
        }
    }
}

/// The verdict as `sealog verify` words it, and an end if it is another than it must be.
fn report(file: &str, outcome: &Result<Verified, VerifyError>, must_be: Verdict) -> anyhow::Result<()> {
    let report = Report::of(file, outcome);
    report.to_string().lines().try_for_each(detail)?;
    match report.verdict == must_be {
        true => Ok(()),
        false => Err(NotAsItMustBe(format!("`{file}` is {}, not {must_be}", report.verdict)).into()),
    }
}

/// A step's line, with the time it took where that is worth telling.
fn step(name: &str, what: &str, took: Duration) -> anyhow::Result<()> {
    match took.is_zero() {
        true => say(&format!("{name:<8}{what}")),
        false => say(&format!("{name:<8}{what}  [{}]", shown(took))),
    }
}

fn detail(line: &str) -> anyhow::Result<()> {
    say(&format!("        {line}"))
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A duration as people say it.
fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}
