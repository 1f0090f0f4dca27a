//! Programs we did not write, against ours: each must accept what is right and refuse what is not.
//!
//! One `sealogd dev` in a temporary directory serves them all. Every client signs there and `sealog`
//! verifies; `sealog` signs and every client verifies; each time the file is also changed by one byte and
//! another identity and another issuer are asked for, and the refusal must name that reason as far as the
//! program's output tells.

pub(crate) mod browser;
pub(crate) mod clients;
mod grpc;
mod nginx;
mod openssl;
mod report;
mod spiffe;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::House;
use crate::dev::{Dev, EMAIL, write_secret};
use crate::encoding;
use crate::peers::{self, Peers};
use crate::process::{Finished, Scratch};
use crate::tally::Tally;

pub(crate) use clients::{Client, Cosign, Sealog};
use report::{Check, Report};

/// Somebody who did not sign.
const SOMEBODY_ELSE: &str = "mallory@example.com";
/// An issuer who was not asked.
const ANOTHER_ISSUER: &str = "https://accounts.example.com";
/// The predicate of every attestation.
pub(crate) const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What can be asked for by name.
const PARTS: [&str; 9] = ["cosign", "python", "js", "go", "grpc", "nginx", "spiffe", "openssl", "browser"];

/// Installs the peers and runs the parts asked for (none: all).
pub(crate) fn command(house: &House, only: &[&str]) -> Result<bool> {
    let peers = peers::install(house)?;
    let tally = run(house, &peers, only)?;
    tally.print();
    Ok(tally.clean())
}

/// Runs the table and leaves it in `target/strangers.json`.
pub(crate) fn run(house: &House, peers: &Peers, only: &[&str]) -> Result<Tally> {
    if let Some(unknown) = only.iter().find(|name| !PARTS.contains(name)) {
        bail!("there is no stranger `{unknown}`; there are: {}", PARTS.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.contains(&name);
    let stage = Stage::new(house, peers)?;
    let mut report = Report::default();
    let ours = Sealog::new(house);
    let signed = sign_ours(&stage, &ours, &mut report);
    for client in clients::all(peers) {
        if wanted(client.name()) {
            against(&stage, &ours, client.as_ref(), &signed, &mut report);
        }
    }
    if wanted("grpc") {
        grpc::run(&stage, &mut report);
    }
    if wanted("nginx") {
        nginx::run(house, &stage, &mut report);
    }
    if wanted("spiffe") {
        spiffe::run(&stage, &ours, &mut report);
    }
    if wanted("openssl") {
        openssl::run(&stage, &signed, &mut report);
    }
    if wanted("browser") {
        browser::run(&stage, &ours, &mut report);
    }
    stage.dev.stop()?;
    report.print();
    report.write(&house.path("target/strangers.json"))?;
    Ok(report.tally())
}

/// What is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A file's own bytes.
    Blob,
    /// An in-toto statement about a file, in a DSSE envelope.
    Attestation,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Attestation => "attestation",
        }
    }
}

/// One who signs: the token, and how certificates name them.
pub(crate) struct Signer {
    /// The certificate's subject alternative name.
    pub(crate) identity: String,
    /// The certificate's OIDC issuer.
    pub(crate) issuer: String,
    /// A file with a token for them.
    pub(crate) token_file: PathBuf,
}

/// The stage on which all strangers meet: the services, the files, the signers.
pub(crate) struct Stage<'a> {
    pub(crate) peers: &'a Peers,
    pub(crate) dev: Dev,
    pub(crate) scratch: Scratch,
    /// The file that is signed.
    pub(crate) file: PathBuf,
    /// The same with one byte changed.
    pub(crate) changed: PathBuf,
    /// A predicate and a whole statement about the file.
    pub(crate) predicate: PathBuf,
    pub(crate) statement: PathBuf,
    /// A person with an address.
    pub(crate) person: Signer,
    /// A CI job.
    pub(crate) job: Signer,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(house: &House, peers: &'a Peers) -> Result<Self> {
        let scratch = Scratch::new("strangers")?;
        std::fs::create_dir(scratch.file("home"))?;
        let file = scratch.file("release.tar");
        let changed = scratch.file("changed.tar");
        let mut bytes: Vec<u8> = (0..40_000_u32).flat_map(u32::to_be_bytes).collect();
        std::fs::write(&file, &bytes)?;
        if let Some(byte) = bytes.get_mut(20_000) {
            *byte ^= 1;
        }
        std::fs::write(&changed, &bytes)?;
        let predicate = scratch.file("predicate.json");
        let statement = scratch.file("statement.json");
        std::fs::write(&predicate, slsa_predicate().to_string())?;
        std::fs::write(&statement, statement_about(&file)?.to_string())?;
        let dev = Dev::start(house, &scratch.file("dev"))?;
        let person = signer(&scratch, "person", &dev.email_token(EMAIL)?)?;
        let claims = scratch.file("claims.json");
        std::fs::write(&claims, ci_claims().to_string())?;
        let job = signer(&scratch, "job", &dev.claims_token(&claims)?)?;
        Ok(Self { peers, dev, scratch, file, changed, predicate, statement, person, job })
    }

    /// Where this bundle goes.
    fn bundle(&self, who: &str, kind: Kind) -> PathBuf {
        self.scratch.file(&format!("{who}-{}.sigstore.json", kind.word()))
    }

    /// Tokens are short-lived: a fresh one for the person.
    pub(crate) fn renew_person(&self) -> Result<()> {
        write_secret(&self.person.token_file, &self.dev.email_token(EMAIL)?)
    }

    /// A directory for programs that insist on a home.
    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.file("home")
    }
}

/// Reads from a token how a certificate will name its bearer.
fn signer(scratch: &Scratch, name: &str, token: &str) -> Result<Signer> {
    let token_file = scratch.file(&format!("{name}.token"));
    write_secret(&token_file, token)?;
    let claims = encoding::jwt_claims(token).context("sealogd token did not print a JWT")?;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str).map(str::to_owned);
    let issuer = text("iss").context("the token names no issuer")?;
    let workflow = text("job_workflow_ref").map(|workflow| format!("https://github.com/{workflow}"));
    let identity = text("email").or(workflow).context("the token names nobody")?;
    Ok(Signer { identity, issuer, token_file })
}

fn slsa_predicate() -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://example.com/build/v1",
            "externalParameters": {"source": "release.tar"},
            "internalParameters": {},
            "resolvedDependencies": [],
        },
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    })
}

fn statement_about(file: &Path) -> Result<Value> {
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "release.tar", "digest": {"sha256": encoding::sha256_hex(file)?}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": slsa_predicate(),
    }))
}

/// The claims a GitHub job's token carries.
pub(crate) fn ci_claims() -> Value {
    json!({
        "sub": "repo:octo/tool:ref:refs/heads/main",
        "event_name": "push",
        "sha": "1f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
        "workflow": "release",
        "repository": "octo/tool",
        "ref": "refs/heads/main",
        "job_workflow_ref": "octo/tool/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_sha": "1f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
        "runner_environment": "github-hosted",
        "repository_id": "4711",
        "repository_owner": "octo",
        "repository_owner_id": "12",
        "workflow_ref": "octo/tool/.github/workflows/release.yml@refs/heads/main",
        "workflow_sha": "1f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
        "run_id": "99",
        "run_attempt": "1",
        "repository_visibility": "public",
    })
}

/// A bundle and who made it.
pub(crate) struct Signed<'a> {
    pub(crate) kind: Kind,
    pub(crate) bundle: PathBuf,
    pub(crate) signer: &'a Signer,
    /// How the report calls it.
    pub(crate) label: &'static str,
}

/// `sealog` signs as a person and as a job, a blob and an attestation each.
fn sign_ours<'a>(stage: &'a Stage<'_>, ours: &Sealog, report: &mut Report) -> Vec<Signed<'a>> {
    let mut signed = Vec::new();
    for (label, signer) in [("person", &stage.person), ("CI job", &stage.job)] {
        for kind in [Kind::Blob, Kind::Attestation] {
            let bundle = stage.bundle(&format!("sealog-{}", label.replace(' ', "-")), kind);
            let outcome = ours.sign(stage, kind, signer, &bundle);
            let check = Check::new("sealog", "signs", format!("{} as {label}", kind.word()));
            if report.accepts(check, outcome) {
                signed.push(Signed { kind, bundle, signer, label });
            }
        }
    }
    signed
}

/// One client's row: it signs and we verify; we sign and it verifies.
fn against(
    stage: &Stage<'_>,
    ours: &Sealog,
    client: &dyn Client,
    signed: &[Signed<'_>],
    report: &mut Report,
) {
    for kind in [Kind::Blob, Kind::Attestation] {
        if !client.signs(kind) {
            continue;
        }
        let bundle = stage.bundle(client.name(), kind);
        let outcome = stage.renew_person().and_then(|()| client.sign(stage, kind, &stage.person, &bundle));
        let check = Check::new(client.name(), "signs", kind.word().to_owned());
        if report.accepts(check, outcome) {
            let theirs = Signed { kind, bundle, signer: &stage.person, label: "person" };
            cases(stage, ours, client.name(), "sealog verifies its", &theirs, report);
        }
    }
    for ours_signed in signed {
        cases(stage, client, client.name(), "verifies sealog's", ours_signed, report);
    }
}

/// The right case and the three wrong ones.
fn cases(
    stage: &Stage<'_>,
    verifier: &dyn Client,
    row: &'static str,
    column: &'static str,
    signed: &Signed<'_>,
    report: &mut Report,
) {
    let Signer { identity, issuer, .. } = signed.signer;
    let words = verifier.reasons(signed.kind);
    let check =
        |case: &str| Check::new(row, column, format!("{} by {}{case}", signed.kind.word(), signed.label));
    let verify = |file: &Path, identity: &str, issuer: &str| {
        verifier.verify(stage, signed.kind, file, &signed.bundle, identity, issuer)
    };
    report.accepts(check(""), verify(&stage.file, identity, issuer));
    report.refuses(check(", one byte changed"), verify(&stage.changed, identity, issuer), words.changed);
    report.refuses(check(", other identity"), verify(&stage.file, SOMEBODY_ELSE, issuer), words.identity);
    report.refuses(check(", other issuer"), verify(&stage.file, identity, ANOTHER_ISSUER), words.issuer);
}

/// Words of which one must stand in a refusal.
pub(crate) struct Reasons {
    pub(crate) changed: &'static [&'static str],
    pub(crate) identity: &'static [&'static str],
    pub(crate) issuer: &'static [&'static str],
}

/// What a client said, or why it could not be run.
pub(crate) type Outcome = Result<Finished>;
