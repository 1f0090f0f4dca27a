//! `sealog sign` and `sealog attest`: from files to bundles beside them.
//!
//! Everything that can fail without a name becoming public is done first: options, trust files, the places
//! for the bundles, the files themselves. Then the token, the notice, and the services.

use crate::{
    args::{AttestArgs, IdentityArgs, OutputArgs, SignArgs, SigningTrustArgs},
    artifact::{self, Contents},
    failure::{Failure, Status},
    identity::{self, Signatory},
    output::{self, Reserved},
    progress::Show,
    trust,
};
use sealog_bundle::dsse::PAE_START;
use sealog_client::{
    attest,
    http::{Client, HttpError},
    oidc::TokenError,
    sign::{Batch, Payload, Signed, Signer, SigningError, SigningKey},
    tsa::TsaError,
};
use sealog_crypto::{Digest, HashAlgorithm};
use sealog_verify::verdict::shown;
use std::path::{Path, PathBuf};

/// Longer predicates are not read.
const MAX_PREDICATE_BYTES: usize = sealog_bundle::statement::MAX_STATEMENT_BYTES;

/// One file on its way to a bundle.
struct Job {
    file: PathBuf,
    payload: Payload,
    place: Reserved,
}

pub(crate) fn sign(args: &SignArgs) -> Result<(), Failure> {
    run(&args.files, &args.identity, &args.trust, &args.output, |file, digest, contents| {
        // Whoever can hand files to a signer could otherwise have statements of their own making attested.
        if contents.is_envelope_encoding {
            let message =
                format!("`{}` reads as a DSSE envelope, so its signature would be one too", file.display());
            return Err(Failure::new(Status::Refused, "input", message)
                .expected(format!("a file that does not begin with `{PAE_START}`"))
                .hint("state something about a file with `sealog attest`, or sign an archive that holds this one"));
        }
        Ok(Payload::File(digest))
    })
}

pub(crate) fn attest(args: &AttestArgs) -> Result<(), Failure> {
    let kind = attest::predicate_type(&args.predicate_type).ok_or_else(|| {
        let names: Vec<_> = attest::short_names().collect();
        Failure::usage(format!("`{}` is not a predicate type", args.predicate_type))
            .expected(format!("a URI, or one of {}", names.join(", ")))
    })?;
    if args.files.iter().any(|file| artifact::is_standard_input(file)) {
        return Err(Failure::usage("a statement names what it is about, and standard input has no name"));
    }
    let predicate = artifact::read_bounded(&args.predicate, MAX_PREDICATE_BYTES)?;
    run(&args.files, &args.identity, &args.trust, &args.output, |file, digest, _| {
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        attest::payload(&name, digest, kind, &predicate).map_err(|error| {
            let message =
                format!("the predicate `{}` is not a JSON object: {error}", args.predicate.display());
            Failure::new(Status::Usage, "predicate", message)
        })
    })
}

fn run(
    files: &[PathBuf],
    identity: &IdentityArgs,
    trust: &SigningTrustArgs,
    output: &OutputArgs,
    payload: impl Fn(&Path, Digest, &Contents) -> Result<Payload, Failure>,
) -> Result<(), Failure> {
    if output.bundle.is_some() && files.len() > 1 {
        return Err(Failure::usage("--bundle names one bundle, and there are several files")
            .hint("without --bundle each bundle is written beside its file"));
    }
    if files.iter().any(|file| artifact::is_standard_input(file)) {
        if output.bundle.is_none() {
            return Err(Failure::usage("standard input has no name to write a bundle beside")
                .hint("give the bundle's place with --bundle OUT"));
        }
        if identity.identity_token.as_deref() == Some("-") {
            return Err(Failure::usage("standard input is named twice, and can be read once"));
        }
        if identity.email.is_some() || identity.paste {
            return Err(Failure::usage("a code cannot be typed where standard input is what is signed")
                .hint("sign a file, or sign in with --device"));
        }
    }
    let config = trust::for_signing(trust)?;
    let now = sealog_client::clock::unix_millis();
    let services = config.services(now).map_err(|error| trust::unusable(&error))?;
    let mut jobs: Vec<Job> = Vec::with_capacity(files.len());
    for file in files {
        let place = output.bundle.clone().unwrap_or_else(|| output::beside(file, ".sigstore.json"));
        artifact::check_readable(file)?;
        let place = output::reserve(&place, output.force)?;
        if jobs.iter().any(|job| job.place.is_place_of(&place)) {
            return Err(Failure::usage(format!("`{}` is named twice", file.display())));
        }
        let contents = artifact::read(file, &[HashAlgorithm::Sha256], Show::unless(output.json))?;
        let [digest] = contents.digests[..] else {
            return Err(Failure::unable("input", format!("`{}` cannot be hashed", file.display())));
        };
        jobs.push(Job { file: file.clone(), payload: payload(file, digest, &contents)?, place });
    }
    let given = identity::given(identity)?;
    keep_memory_private();
    event_loop()?.block_on(async {
        let _full = outlive_file_limits();
        let client = Client::new();
        let signatory = Signatory::find(given, &client, &services, identity, jobs.len());
        sign_all(&Signer::new(&client, &services, &config.trusted_root), &signatory, jobs, output.json).await
    })
}

/// The key lives in this process's memory for a moment; a crash must not write that memory to a file.
fn keep_memory_private() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

/// A file size limit is told by a signal that ends the process; with somebody listening, the write fails
/// instead, and its failure can be explained and cleaned up after.
fn outlive_file_limits() -> impl Sized {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).ok()
    }
}

/// What waits for services. One thread is enough for three of them.
pub(crate) fn event_loop() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::unable("system", format!("no event loop could be made: {cause}")))
}

async fn sign_all(
    signer: &Signer<'_>,
    signatory: &Signatory<'_>,
    jobs: Vec<Job>,
    json: bool,
) -> Result<(), Failure> {
    let payloads: Vec<Payload> = jobs.iter().map(|job| job.payload.clone()).collect();
    let mut batch = begin(signer, signatory, &payloads).await?;
    let mut first = 0;
    for (index, job) in jobs.into_iter().enumerate() {
        if batch.expires_soon() {
            let rest = payloads.get(index..).unwrap_or_default();
            output::talk(&format!("the certificate is about to expire; files left: {}", rest.len()));
            let renewed = begin(signer, signatory, rest).await.and_then(|next| same_signer(&batch, next));
            batch = renewed.map_err(|failure| which(&job.file, index, payloads.len(), failure))?;
            first = index;
        }
        let signed = batch.finish(index.saturating_sub(first), &job.payload).await;
        let signed = signed.map_err(|error| which(&job.file, index, payloads.len(), failure_of(&error)))?;
        let bundle = job.place.path().to_owned();
        job.place.write(signed.bundle.to_json().as_bytes())?;
        output::data(&report(&job.file, &bundle, &signed, json))?;
    }
    Ok(())
}

/// A new key, a token for it, a certificate, and signatures.
async fn begin<'a>(
    signer: &Signer<'a>,
    signatory: &Signatory<'_>,
    payloads: &[Payload],
) -> Result<Batch<'a>, Failure> {
    let key = SigningKey::generate().map_err(|error| failure_of(&error))?;
    let token = signatory.token(&key).await?;
    signer.begin(key, &token, payloads).await.map_err(|error| failure_of(&error))
}

/// The next certificate of a run must be in the same name as the last one.
fn same_signer<'a>(last: &Batch<'_>, next: Batch<'a>) -> Result<Batch<'a>, Failure> {
    let named = |batch: &Batch<'_>| format!("{} ({})", batch.identity(), batch.oidc_issuer());
    match named(last) == named(&next) {
        true => Ok(next),
        false => Err(Failure::new(Status::Refused, "sign-in", "somebody else signed in than before")
            .expected(shown(&named(last)).to_string())
            .found(shown(&named(&next)).to_string())),
    }
}

/// A failure on one of several files says which, and what became of the others.
fn which(file: &Path, index: usize, files: usize, mut failure: Failure) -> Failure {
    if files > 1 {
        let after = match files.saturating_sub(index) {
            0 | 1 => "",
            _ => " and what comes after it",
        };
        failure.message = format!("`{}`{after} was not signed: {}", file.display(), failure.message);
    }
    failure
}

fn report(file: &Path, bundle: &Path, signed: &Signed, json: bool) -> String {
    let verified = &signed.verified;
    if json {
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        let times = &signed.times;
        let line = serde_json::json!({
            "file": file.display().to_string(),
            "bundle": bundle.display().to_string(),
            "identity": verified.identity(),
            "issuer": verified.oidc_issuer(),
            "signed_at": verified.signed_at().map(|time| time.to_string()),
            "log": verified.log(),
            "log_index": verified.log_index(),
            "ms": {
                "certificate": millis(times.certificate),
                "sign": millis(times.sign),
                "timestamp": millis(times.timestamp),
                "log": millis(times.log),
                "verify": millis(times.verify),
                "total": millis(times.total),
            },
        });
        return format!("{line}\n");
    }
    let logged =
        |log: &sealog_verify::Logged| format!("  log     {}, index {}\n", shown(&log.origin), log.index);
    let logs: String = verified.logs().iter().map(logged).collect();
    format!(
        "signed `{}`\n  as      {} ({})\n  bundle  {}\n{}",
        shown(&file.display().to_string()),
        shown(verified.identity().unwrap_or_default()),
        shown(verified.oidc_issuer().unwrap_or_default()),
        shown(&bundle.display().to_string()),
        logs,
    )
}

pub(crate) fn failure_of(error: &SigningError) -> Failure {
    if let Some(http) = error.http() {
        return of_http(http, Failure::of(Status::Unable, "service", error));
    }
    match error {
        SigningError::Token(cause) => Failure::of(Status::Refused, "token", error).hint(match cause {
            TokenError::WrongAudience { .. } => {
                "ask the provider for a token with that audience, or name the one the authority wants by --audience"
            }
            TokenError::UnverifiedEmail(_) => "confirm the address at the provider, then get a new token",
            TokenError::NotYetValid(_) => "is this machine's clock right?",
            TokenError::Expired(_) | TokenError::Malformed(_) => "get a new token; they live for minutes",
        }),
        SigningError::Tsa(TsaError::OtherNonce { .. }) => {
            Failure::of(Status::Refused, "services-not-trusted", error)
                .hint("no bundle was written of it; something between here and there answers in its place")
        }
        SigningError::Certificate(_) | SigningError::Verify(_) => {
            Failure::of(Status::Refused, "services-not-trusted", error).hint(
                "no bundle was written of it; the trusted root and the services may belong to different instances",
            )
        }
        SigningError::NoTimestampAuthority => Failure::of(Status::Usage, "no-timestamp-authority", error),
        SigningError::Key(_) | SigningError::WrongDigest(_) => Failure::of(Status::Unable, "key", error),
        SigningError::Ca(_) | SigningError::Tsa(_) | SigningError::Rekor(_) => {
            Failure::of(Status::Unable, "service", error)
        }
    }
}

/// Advice on an exchange that failed. A service that understood and said no has refused.
pub(crate) fn of_http(http: &HttpError, mut failure: Failure) -> Failure {
    match http {
        HttpError::Status { status: 404 | 405, .. } | HttpError::Redirected { .. } => {
            failure.hint("is that the service's address? it comes from the signing config or --issuer-url")
        }
        HttpError::Status { .. } if http.is_unreachable() => {
            failure.hint("the service is in trouble: try again later, or ask whoever runs it")
        }
        HttpError::Status { .. } => {
            failure.status = Status::Refused;
            failure
        }
        HttpError::Cleartext(_) => failure.hint("use https, or a service on this machine"),
        HttpError::Unreachable { .. } if http.is_untrusted_tls() => {
            failure.hint("SSL_CERT_FILE names a file with the certificates of a private authority")
        }
        HttpError::Unreachable { .. } | HttpError::TimedOut { .. } => {
            failure.hint("is the service running? proxies are taken from HTTPS_PROXY and NO_PROXY")
        }
        _ => failure,
    }
}
