//! The protocol of the sigstore-conformance suite: two commands with fixed options, success or not.
//!
//! docs/cli_protocol.md of that suite. The words of failures are those of `sealog`.

use crate::{
    artifact,
    failure::{Failure, Status},
    inspect, output,
    progress::Show,
    trust, verify,
};
use clap::{Args, Parser, Subcommand};
use sealog_bundle::Statement;
use sealog_client::{
    http::Client,
    oidc::IdentityToken,
    sign::{Payload, Signer, SigningKey},
    trust::{TrustConfig, read_trusted_root},
};
use sealog_crypto::HashAlgorithm;
use sealog_verify::{Policy, verdict::Report};
use std::{path::PathBuf, process::ExitCode};

const MAX_STATEMENT_BYTES: usize = sealog_bundle::statement::MAX_STATEMENT_BYTES;

/// The sigstore-conformance protocol.
#[derive(Debug, Parser)]
#[command(name = "sealog-conformance", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign a file
    SignBundle(SignBundle),
    /// Verify a bundle
    VerifyBundle(VerifyBundle),
}

#[derive(Debug, Args)]
struct SignBundle {
    /// Against Sigstore's staging instance
    #[arg(long)]
    staging: bool,
    /// The file is an in-toto statement
    #[arg(long)]
    in_toto: bool,
    /// The identity token
    #[arg(long)]
    identity_token: String,
    /// Where the bundle goes
    #[arg(long)]
    bundle: PathBuf,
    /// The trusted root
    #[arg(long)]
    trusted_root: Option<PathBuf>,
    /// The signing config
    #[arg(long)]
    signing_config: Option<PathBuf>,
    /// The file
    file: PathBuf,
}

#[derive(Debug, Args)]
struct VerifyBundle {
    /// Against Sigstore's staging instance
    #[arg(long)]
    staging: bool,
    /// The bundle
    #[arg(long)]
    bundle: PathBuf,
    /// Who must have signed
    #[arg(long, requires = "certificate_oidc_issuer", required_unless_present = "key")]
    certificate_identity: Option<String>,
    /// Which OpenID provider must vouch
    #[arg(long, requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// The key that must have signed
    #[arg(long, conflicts_with = "certificate_identity")]
    key: Option<PathBuf>,
    /// The trusted root
    #[arg(long)]
    trusted_root: Option<PathBuf>,
    /// The file, or its digest
    artifact: PathBuf,
}

/// Runs the conformance client with the arguments of this process.
#[must_use]
pub fn run_conformance() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::SignBundle(args) => sign(&args).map(|()| Status::Done),
        Command::VerifyBundle(args) => verify(&args),
    };
    match ended {
        Ok(status) => status.into(),
        Err(failure) => {
            failure.tell();
            failure.status.into()
        }
    }
}

fn verify(args: &VerifyBundle) -> Result<Status, Failure> {
    let root = match &args.trusted_root {
        Some(file) => read_trusted_root(file).map_err(|error| trust::unusable(&error))?,
        None => trust::built_in(if args.staging { "staging" } else { "public-good" })?,
    };
    let policy = match (&args.certificate_identity, &args.certificate_oidc_issuer, &args.key) {
        (Some(identity), Some(issuer), _) => Policy::identity(identity, issuer),
        (_, _, Some(key)) => Policy::key(verify::read_key(key)?),
        _ => return Err(Failure::usage("neither an identity with its issuer nor a key is given")),
    };
    let bundle = inspect::read_bundle(&args.bundle)?;
    let outcome = verify::check(&args.artifact, &bundle, &root, &policy)?;
    let report = Report::of(&args.artifact.display().to_string(), &outcome);
    output::tell(&verify::rendered(&report));
    Ok(if outcome.is_ok() { Status::Done } else { Status::Refused })
}

fn sign(args: &SignBundle) -> Result<(), Failure> {
    let root = args.trusted_root.as_ref().ok_or_else(|| nothing_embedded("--trusted-root", args.staging))?;
    let services =
        args.signing_config.as_ref().ok_or_else(|| nothing_embedded("--signing-config", args.staging))?;
    let config = TrustConfig::from_files(root, services).map_err(|error| trust::unusable(&error))?;
    let services =
        config.services(sealog_client::clock::unix_millis()).map_err(|error| trust::unusable(&error))?;
    let payload = if args.in_toto {
        let statement = artifact::read_bounded(&args.file, MAX_STATEMENT_BYTES)?;
        let subject = Statement::parse(&statement)
            .ok()
            .and_then(|read| read.subjects.first().and_then(|s| s.digests.first().copied()))
            .ok_or_else(|| {
                Failure::usage(format!("`{}` is not an in-toto statement", args.file.display()))
            })?;
        Payload::Statement { statement, subject }
    } else {
        let [digest] = artifact::digests(&args.file, &[HashAlgorithm::Sha256], Show::Nothing)?[..] else {
            return Err(Failure::unable("input", "the file cannot be hashed"));
        };
        Payload::File(digest)
    };
    let token = IdentityToken::parse(&args.identity_token)
        .map_err(|error| Failure::of(Status::Usage, "token", &error))?;
    let place = output::reserve(&args.bundle, true)?;
    let client = Client::new();
    let signer = Signer::new(&client, &services, &config.trusted_root);
    let payloads = [payload];
    let signed = crate::sign::event_loop()?.block_on(async {
        let batch = signer.begin(SigningKey::generate()?, &token, &payloads).await?;
        let [payload] = &payloads;
        batch.finish(0, payload).await
    });
    place.write(signed.map_err(|error| crate::sign::failure_of(&error))?.bundle.to_json().as_bytes())
}

fn nothing_embedded(option: &str, staging: bool) -> Failure {
    let instance = if staging { "staging" } else { "public" };
    Failure::usage(format!("no services of Sigstore's {instance} instance are built into this program"))
        .hint(format!("give {option} FILE"))
}
