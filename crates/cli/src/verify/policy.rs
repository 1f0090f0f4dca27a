//! The policy that was typed, or that a file holds. None accepts anyone who was not meant.

use crate::{
    args::{EvidenceArgs, SignerArgs},
    artifact,
    failure::{Failure, Status, quoted},
};
use sealog_pki::FulcioExtension;
use sealog_verify::{Evidence, Match, Policy, PolicyFileError, RuleError, SignerRule};
use std::path::Path;

/// Longer policy files are not read.
const MAX_POLICY_BYTES: usize = 256 << 10;

/// Who must have signed, and what must prove it.
pub(super) fn wanted(signer: &SignerArgs, evidence: &EvidenceArgs) -> Result<Policy, Failure> {
    match &signer.policy {
        Some(file) => read(file),
        None => Ok(typed(signer)?.with_evidence(proof(evidence))),
    }
}

fn read(path: &Path) -> Result<Policy, Failure> {
    let bytes = artifact::read_bounded(path, MAX_POLICY_BYTES)?;
    let name = quoted(path);
    let failure = |message: String| Failure::new(Status::Usage, "policy", message);
    let text = String::from_utf8(bytes).map_err(|_| failure(format!("{name} is not UTF-8, so no policy")))?;
    Policy::from_toml(&text).map_err(|error| {
        let said = failure(format!("{name} is no policy that can be used: {error}"));
        match error {
            PolicyFileError::Rule(rule) => meant(said, &rule),
            PolicyFileError::UnknownExtension(_) => said.hint(extension_names()),
            PolicyFileError::Version(_) => said.hint("a newer sealog may know it"),
            _ => said.hint("docs/reference/policy.md says what a policy can hold"),
        }
    })
}

/// What a rule that was refused should have been.
fn meant(said: Failure, error: &RuleError) -> Failure {
    match error {
        RuleError::AcceptsAnybody { taken, .. } => said
            .expected(
                "in every alternative a name written out: `@` and a domain, a host and `/`, or where everybody \
                 can be (github.com, gmail.com) the owner and `/`, or the whole address",
            )
            .found(taken)
            .hint(
                "name who may sign, or ask for an --extension (in a file: `extensions`) that says whose it is as \
                 well; `sealog inspect` shows what a bundle claims",
            ),
        RuleError::AcceptsAnyProvider { taken, .. } => said
            .expected("in every alternative a provider written out, with `https://`, the host and the tenant")
            .found(taken)
            .hint("give the provider with --issuer (in a file: `issuer`); `sealog inspect` shows what a bundle claims"),
        RuleError::TooLarge { .. } => {
            said.hint("write repetitions without a number (`+` for `{1,200}`), or exact names instead of patterns")
        }
        _ => said.hint("docs/reference/policy.md says what a policy can hold"),
    }
}

fn typed(args: &SignerArgs) -> Result<Policy, Failure> {
    // Usually a variable of a script that was never set; no certificate has an empty name.
    for (option, given) in [
        ("--identity", &args.identity),
        ("--identity-regexp", &args.identity_regexp),
        ("--issuer", &args.issuer),
        ("--issuer-regexp", &args.issuer_regexp),
    ] {
        if given.as_deref() == Some("") {
            return Err(Failure::usage(format!("{option} is empty")));
        }
    }
    if let Some(key) = &args.key {
        return Ok(Policy::key(super::read_key(key)?));
    }
    let identity = one(args.identity.as_ref(), args.identity_regexp.as_ref(), "--identity-regexp")?;
    let issuer = one(args.issuer.as_ref(), args.issuer_regexp.as_ref(), "--issuer-regexp")?;
    let rule = match (identity, issuer) {
        (Some(identity), Some(issuer)) => SignerRule::identity(identity, issuer),
        (Some(_), None) => {
            return Err(Failure::usage("an identity means nothing without who vouches for it")
                .hint("add --issuer URL, the OpenID provider the signer signed in at"));
        }
        (None, Some(_)) => {
            return Err(Failure::usage("nothing says who must have signed")
                .hint("add --identity ID, an email address or the URI of a workflow"));
        }
        (None, None) => {
            return Err(Failure::usage("nothing says who must have signed").hint(
                "give --identity ID and --issuer URL, --key PEM, or --policy FILE; `sealog inspect` shows what a \
                 bundle claims",
            ));
        }
    };
    let exact =
        args.extension.iter().map(|text| extension(text, "--extension", |value| Ok(Match::exact(value))));
    let patterns = args.extension_regexp.iter();
    let patterns = patterns
        .map(|text| extension(text, "--extension-regexp", |value| pattern(value, "--extension-regexp")));
    let rule = exact.chain(patterns).try_fold(rule, |rule, wanted| {
        let (row, value) = wanted?;
        Ok(rule.with_extension(row, value))
    })?;
    Policy::signer(rule).map_err(|error| meant(Failure::usage(error.to_string()), &error))
}

fn one(exact: Option<&String>, text: Option<&String>, option: &str) -> Result<Option<Match>, Failure> {
    match (exact, text) {
        (Some(exact), _) => Ok(Some(Match::exact(exact))),
        (None, text) => text.map(|text| pattern(text, option)).transpose(),
    }
}

fn pattern(text: &str, option: &str) -> Result<Match, Failure> {
    Match::pattern(text).map_err(|error| Failure::usage(format!("{option} `{text}` is {error}")))
}

/// `NAME=VALUE`.
fn extension(
    text: &str,
    option: &str,
    value: impl FnOnce(&str) -> Result<Match, Failure>,
) -> Result<(&'static FulcioExtension, Match), Failure> {
    let (name, wanted) = text.split_once('=').ok_or_else(|| {
        Failure::usage(format!("{option} `{text}` has no value")).hint(format!("write {option} NAME=VALUE"))
    })?;
    let row = FulcioExtension::by_name(name).ok_or_else(|| {
        Failure::usage(format!("`{name}` is not the name of a certificate extension")).hint(extension_names())
    })?;
    Ok((row, value(wanted)?))
}

/// The names that people use most, from the one table.
fn extension_names() -> String {
    let short = sealog_pki::fulcio_extensions::TABLE.iter().filter_map(|row| row.short);
    format!(
        "the most used are {}; `sealog inspect` shows all that a bundle's certificate has",
        short.collect::<Vec<_>>().join(", ")
    )
}

fn proof(args: &EvidenceArgs) -> Evidence {
    let mut evidence = Evidence::default().with_timestamps(args.min_timestamps.unwrap_or(0));
    if let Some(number) = args.min_logs {
        evidence = evidence.with_logs(number);
    }
    if let Some(number) = args.min_scts {
        evidence = evidence.with_scts(number);
    }
    if args.accept_promises {
        evidence = evidence.accepting_promises();
    }
    if args.insecure_ignore_tlog {
        evidence = evidence.without_log_unsafe();
    }
    if args.insecure_ignore_sct {
        evidence = evidence.without_sct_unsafe();
    }
    evidence
}
