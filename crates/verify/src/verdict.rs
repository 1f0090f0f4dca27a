//! The words of a verdict: the same for the command line, the demonstration and the browser.
//!
//! Three outcomes that never look alike: verified by someone you named; signed, but not by someone you
//! named; not verified. Facts are in the errors, advice is here.
//!
//! Must always hold: what comes out of certificates and bundles is shown without control characters,
//! so that no name can rewrite the screen it is shown on.

use crate::{
    chain::ChainStepError,
    content::ContentError,
    error::{ErrorClass, VerifyError},
    policy::PolicyError,
    statement::StatementError,
    structure::{KeyPolicyError, StructureError},
    verified::{SignedBy, Verified},
};
use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::fmt;
use sealog_bundle::json::{Value, object};

/// The three outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Verified, by someone the policy names.
    Verified,
    /// Everything holds, but the signer is not someone the policy names.
    WrongSigner,
    /// Not verified.
    NotVerified,
}

/// What a program prints as its verdict when it could not even begin.
pub const NOT_CHECKED: &str = "not-checked";

/// A verdict in words, ready to print or to lay out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which of the three.
    pub verdict: Verdict,
    /// One sentence, lower case, without full stop.
    pub headline: String,
    /// Facts below it.
    pub rows: Vec<Row>,
    /// What to do next, if there is advice.
    pub hint: Option<&'static str>,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub label: &'static str,
    /// Its value.
    pub value: String,
    /// Where it is from; empty when that needs no saying.
    pub note: String,
}

/// What a verifier said of one artifact: of one bundle, or of several.
pub trait Outcome {
    /// The signatures that count, or why none or too few do.
    fn signatures(&self) -> Result<&[Verified], &VerifyError>;
}

impl Outcome for Result<Verified, VerifyError> {
    fn signatures(&self) -> Result<&[Verified], &VerifyError> {
        self.as_ref().map(core::slice::from_ref)
    }
}

impl Outcome for Result<Vec<Verified>, VerifyError> {
    fn signatures(&self) -> Result<&[Verified], &VerifyError> {
        self.as_ref().map(Vec::as_slice)
    }
}

impl Verdict {
    /// The verdict on an outcome.
    #[must_use]
    pub fn of(outcome: &impl Outcome) -> Self {
        match outcome.signatures() {
            Ok([]) => Self::NotVerified,
            Ok(_) => Self::Verified,
            Err(VerifyError::Policy { .. }) => Self::WrongSigner,
            Err(_) => Self::NotVerified,
        }
    }

    /// As programs read it: `wrong-signer`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::WrongSigner => "wrong-signer",
            Self::NotVerified => "not-verified",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Report {
    /// The words for an outcome about `file`.
    #[must_use]
    pub fn of(file: &str, outcome: &impl Outcome) -> Self {
        let file = name_shown(file);
        let verdict = Verdict::of(outcome);
        match outcome.signatures() {
            Ok(verified) => {
                let rows = verified.iter().flat_map(facts).collect();
                Self { verdict, headline: format!("`{file}` is verified"), rows, hint: None }
            }
            Err(error) => {
                Self { verdict, headline: headline(&file, error), rows: compared(error), hint: hint(error) }
            }
        }
    }
}

impl fmt::Display for Report {
    /// Plain lines, the last one ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::Verified => writeln!(f, "{}", self.headline)?,
            Verdict::WrongSigner | Verdict::NotVerified => writeln!(f, "error: {}", self.headline)?,
        }
        let width = self.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
        for Row { label, value, note } in &self.rows {
            write!(f, "  {label:width$}  {value}")?;
            match note.as_str() {
                "" => writeln!(f)?,
                note => writeln!(f, "  ({note})")?,
            }
        }
        match self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The line of JSON for an outcome about `file`.
#[must_use]
pub fn json_line(file: &str, outcome: &impl Outcome) -> String {
    let (verified, error): (&[Verified], _) = match outcome.signatures() {
        Ok(verified) => (verified, None),
        Err(error @ VerifyError::Policy { signed: Some(signed), .. }) => {
            (core::slice::from_ref(&**signed), Some(error))
        }
        Err(error) => (&[], Some(error)),
    };
    let error = error.map(|error| {
        let compared = error.compared();
        error_value(error.class().name(), error.to_string(), Some(compared.expected), Some(compared.found))
    });
    line(file, Verdict::of(outcome).name(), verified, error)
}

/// The line of JSON for a file that could not be checked at all; classes are the caller's.
#[must_use]
pub fn not_checked_json_line(
    file: &str,
    class: &'static str,
    message: &str,
    expected: Option<&str>,
    found: Option<&str>,
) -> String {
    let owned = |text: Option<&str>| text.map(str::to_string);
    let error = error_value(class, message.to_string(), owned(expected), owned(found));
    line(file, NOT_CHECKED, &[], Some(error))
}

fn error_value(
    class: &'static str,
    message: String,
    expected: Option<String>,
    found: Option<String>,
) -> Value<'static> {
    let or_null = |text: Option<String>| Some(text.map_or(Value::Null, Value::text));
    object([
        ("class", Some(Value::text(class))),
        ("message", Some(Value::text(message))),
        ("expected", or_null(expected)),
        ("found", or_null(found)),
    ])
}

fn line(file: &str, verdict: &'static str, verified: &[Verified], error: Option<Value<'static>>) -> String {
    let first = verified.first().map_or_else(no_signature, signature_fields);
    let mut fields: Vec<(&str, Option<Value<'static>>)> =
        alloc::vec![("file", Some(Value::text(file.to_string()))), ("verdict", Some(Value::text(verdict)))];
    fields.extend(first.into_iter().map(|(name, value)| (name, Some(value))));
    fields.push(("error", Some(error.unwrap_or(Value::Null))));
    // The first has its place above; where several count, all are told.
    if verified.len() > 1 {
        let one = |verified| {
            object(signature_fields(verified).into_iter().map(|(name, value)| (name, Some(value))))
        };
        fields.push(("signatures", Some(Value::Array(verified.iter().map(one).collect()))));
    }
    let line = object(fields).to_compact();
    // Such characters are only inside strings; JSON has its own way to spell them.
    line.chars().fold(String::with_capacity(line.len()), |mut safe, c| {
        match hides(c) {
            true => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")))
            }
            false => safe.push(c),
        }
        safe
    })
}

/// What the line says of a signature.
fn signature_fields(verified: &Verified) -> [(&'static str, Value<'static>); 6] {
    let or_null = |text: Option<String>| text.map_or(Value::Null, Value::text);
    let index = verified.log_index().map_or(Value::Null, |index| Value::Integer(index.into()));
    [
        ("identity", or_null(verified.identity().map(String::from))),
        ("issuer", or_null(verified.oidc_issuer().map(String::from))),
        ("signed_at", or_null(verified.signed_at().map(|time| time.to_string()))),
        ("time_source", or_null(verified.time_source().map(|source| source.authority.clone()))),
        ("log", or_null(verified.log().map(String::from))),
        ("log_index", index),
    ]
}

fn no_signature() -> [(&'static str, Value<'static>); 6] {
    ["identity", "issuer", "signed_at", "time_source", "log", "log_index"].map(|name| (name, Value::Null))
}

/// Who signed, when and by whose clock, which log and where.
fn facts(verified: &Verified) -> Vec<Row> {
    let row = |label, value: &str, note: &str| Row { label, value: shown(value), note: shown(note) };
    let mut rows = Vec::new();
    match verified.signed_by() {
        SignedBy::Identity { identity, oidc_issuer, .. } => {
            rows.push(row("signed by", identity, ""));
            rows.push(row("issuer", oidc_issuer, ""));
        }
        SignedBy::Key { fingerprint } => {
            rows.push(row("signed by", &format!("sha256:{fingerprint}"), "the key given"));
        }
    }
    match (verified.signed_at(), verified.time_source()) {
        (Some(time), Some(source)) => {
            let clock = format!("clock of {}", source.authority);
            rows.push(row("signed at", &time.to_string(), &clock));
        }
        _ => rows.push(row("signed at", "unknown", "the bundle has no signed timestamp")),
    }
    for log in verified.logs() {
        let promised = if log.proven { "" } else { ", promised but not proven" };
        rows.push(row("log", &format!("{}, index {}{promised}", log.origin, log.index), &log.url));
        if !log.witnesses.is_empty() {
            rows.push(row("witnessed", &log.witnesses.join(", "), ""));
        }
    }
    if verified.logs().is_empty() {
        rows.push(row("log", "none", "the policy wants none: nobody can find out about this signature"));
    }
    if let Some(statement) = verified.statement() {
        rows.push(row("statement", &statement.predicate_type, ""));
    }
    rows
}

fn headline(file: &str, error: &VerifyError) -> String {
    match error {
        VerifyError::Policy {
            error: PolicyError::Identity { .. } | PolicyError::Issuer { .. } | PolicyError::NoneOf { .. },
            ..
        } => {
            format!("`{file}` is signed, but not by who you named")
        }
        VerifyError::Policy { error: PolicyError::TooFewSigners { needed, found, .. }, .. } => {
            format!(
                "`{file}` is signed, but only by {found} of the {needed} different signers that must have signed"
            )
        }
        VerifyError::Policy { error, .. } => {
            format!("`{file}` is signed, but not by who you named: {}", shown(&error.to_string()))
        }
        VerifyError::Content(ContentError::OtherArtifact { .. }) => {
            format!("`{file}` is not the file this bundle was made for")
        }
        VerifyError::Statement(StatementError::OtherArtifact { .. }) => {
            format!("`{file}` is not what this bundle's statement is about")
        }
        other => format!("`{file}` is not verified: {}", shown(&other.to_string())),
    }
}

fn compared(error: &VerifyError) -> Vec<Row> {
    // For another signer, name and issuer are shown together: half of them would mislead.
    // (Not so where several are wanted: who is known so far is in the words.)
    if let VerifyError::Policy { error, signed: Some(signed) } = error
        && !matches!(error, PolicyError::TooFewSigners { .. })
    {
        let (expected, note) = match error {
            PolicyError::Identity { expected, .. } => (expected, "the identity asked for"),
            PolicyError::Issuer { expected, .. } => (expected, "the OIDC issuer asked for"),
            PolicyError::Extension { expected, name, .. } => (expected, *name),
            PolicyError::NoneOf { expected, .. } => (expected, "the signers asked for"),
            _ => return facts(signed),
        };
        let mut rows = alloc::vec![Row { label: "expected", value: shown(expected), note: note.into() }];
        // The facts have no row for it.
        if let PolicyError::Extension { found, name, .. } = error {
            let value = if found.is_empty() { "none".into() } else { shown(found) };
            rows.push(Row { label: "found", value, note: (*name).into() });
        }
        rows.extend(facts(signed));
        return rows;
    }
    let compared = error.compared();
    let row = |label, value: &str, note: &str| Row { label, value: shown(value), note: note.into() };
    alloc::vec![
        row("expected", &compared.expected, compared.expected_from),
        row("found", &compared.found, compared.found_from),
    ]
}

fn hint(error: &VerifyError) -> Option<&'static str> {
    Some(match error {
        VerifyError::Content(ContentError::OtherArtifact { .. }) => {
            "the file changed after signing, or this bundle belongs to another file"
        }
        VerifyError::Content(ContentError::DigestNotKnown { .. }) => {
            "give the file itself, or its digest by that algorithm"
        }
        VerifyError::Statement(StatementError::OtherArtifact { .. }) => {
            "the file changed after the statement was made, or the bundle is about another file"
        }
        VerifyError::Structure(StructureError::NoLogEntry) => {
            "the signer must sign again with a transparency log; an instance that has none needs a policy that says so"
        }
        VerifyError::Structure(StructureError::NoInclusionProof { promised: true, .. }) => {
            "an early bundle, with a promise in place of a proof: `--accept-promises`, or a policy, takes it"
        }
        VerifyError::Content(ContentError::BytesNotKnown) => "give the file itself",
        VerifyError::Statement(_) => "get an attestation about this file, or a signature over it",
        VerifyError::BundleCount { .. } => "give the bundles of the signers that must have signed",
        VerifyError::Key(KeyPolicyError::OtherKey { .. }) => {
            "get the signer's current key from where you trust it to be, or a bundle by the key you have"
        }
        VerifyError::Key(KeyPolicyError::NoAlgorithm(_)) => {
            "the signer must sign again with a key of a usual kind and size"
        }
        VerifyError::Key(KeyPolicyError::NoKeyGiven) => "give the signer's public key with --key",
        VerifyError::Key(KeyPolicyError::KeyForCertificate) => {
            "name the signer with --identity and --issuer instead of --key"
        }
        VerifyError::Policy { error: PolicyError::TooFewSigners { .. }, .. } => {
            "two signatures by one person or key count once; get the other signers' bundles"
        }
        VerifyError::Policy { .. } => {
            "the signature itself is good; if this is who you expected, name them exactly as found"
        }
        VerifyError::Chain(ChainStepError::OutsideCertificate { .. }) => {
            "the signature was made with a certificate that had expired or was not yet valid; the signer must sign again"
        }
        other => match other.class() {
            ErrorClass::Parse | ErrorClass::InvalidBundle => {
                "the bundle is damaged or was made by another tool; get it again from where it was published"
            }
            ErrorClass::TrustRoot | ErrorClass::Chain | ErrorClass::Sct | ErrorClass::Timestamp => {
                "the bundle may come from another Sigstore instance, or the trusted root is out of date"
            }
            ErrorClass::Checkpoint | ErrorClass::Promise => {
                "the bundle may come from another log, or the trusted root is out of date"
            }
            ErrorClass::Evidence => {
                "the policy asks for more than this bundle proves; the signer must sign again with more services"
            }
            ErrorClass::NoVerifiedTime => "the signer must sign again with a timestamp authority",
            ErrorClass::UnsupportedEntry => {
                "this version does not know such entries; the signer must sign again with a Rekor v2 log"
            }
            ErrorClass::EntryMismatch | ErrorClass::InclusionProof | ErrorClass::Signature => {
                "the bundle was altered, or put together from parts of others; do not use the file"
            }
            ErrorClass::Digest
            | ErrorClass::Subject
            | ErrorClass::Key
            | ErrorClass::Policy
            | ErrorClass::TimeOutsideCertificate => "do not use the file",
        },
    })
}

/// An error and its causes, each said once.
#[must_use]
pub fn causes(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

/// Bytes of a text from outside that are shown at most, or a little more: a longer one could fill the
/// screen with a verdict of its own.
const MAX_SHOWN: usize = 1024;

/// Text from outside, made safe to show: characters that control the terminal, turn the direction of
/// writing or cannot be seen are spelled out, as are rows of spaces; what is too long is cut.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_SHOWN));
    let mut after_space = false;
    for (at, c) in text.char_indices() {
        if safe.len() >= MAX_SHOWN {
            let more = text.get(at..).unwrap_or_default().chars().count();
            return format!("{safe}… ({more} characters more)");
        }
        match c {
            ' ' if after_space => safe.extend(c.escape_unicode()),
            c if hides(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
        after_space = c == ' ';
    }
    safe
}

/// The name of a file, made safe to stand between backticks: one of its own would end them, and what follows in the
/// name would read like our words.
#[must_use]
pub fn name_shown(name: &str) -> String {
    shown(name).replace('`', "\\u{60}")
}

/// Whether a character has an effect other than to be seen: control and format characters (Unicode's Cc
/// and Cf), separators other than the plain space, fillers and variation selectors.
fn hides(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use sealog_crypto::HashAlgorithm;

    fn other_file() -> Result<Verified, VerifyError> {
        Err(ContentError::OtherArtifact {
            expected: Box::new(HashAlgorithm::Sha256.digest(b"a")),
            found: Box::new(HashAlgorithm::Sha256.digest(b"b")),
        }
        .into())
    }

    #[test]
    fn what_failed_expected_found_and_what_to_do() {
        let report = Report::of("app.tar.gz", &other_file()).to_string();
        let expected = "\
error: `app.tar.gz` is not the file this bundle was made for
  expected  sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  (message digest in the bundle)
  found     sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  (computed from the file)
hint: the file changed after signing, or this bundle belongs to another file
";
        assert_eq!(report, expected);
    }

    #[test]
    fn json_has_every_key_always() {
        let line = json_line("a\n", &other_file());
        assert!(line.starts_with(r#"{"file":"a\n","verdict":"not-verified","identity":null,"issuer":null,"signed_at":null,"time_source":null,"log":null,"log_index":null,"error":{"class":"digest","message":"the artifact is not the one this bundle was made for","expected":"sha256:ca97"#), "{line}");
        let line = not_checked_json_line("f", "network", "no route", None, Some("nothing"));
        assert!(line.ends_with(
            r#""error":{"class":"network","message":"no route","expected":null,"found":"nothing"}}"#
        ));
    }

    #[test]
    fn names_cannot_rewrite_the_screen() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c — é"), "a\\u{1b}[2Jb\\u{202e}c — é");
        for hidden in
            ["\u{61c}", "\u{200b}", "\u{2028}", "\u{a0}", "\u{9b}", "\u{feff}", "\u{3164}", "\u{e0061}"]
        {
            assert!(shown(&format!("alice{hidden}@example.com")).is_ascii(), "{hidden:?}");
        }
    }

    #[test]
    fn a_name_does_not_end_its_quotation() {
        let report = Report::of("evil` is verified, `x", &other_file());
        assert!(
            report.headline.starts_with("`evil\\u{60} is verified, \\u{60}x` is not"),
            "{}",
            report.headline
        );
    }

    #[test]
    fn no_text_fills_the_screen_with_a_verdict_of_its_own() {
        assert_eq!(shown("a b  c   d"), "a b \\u{20}c \\u{20}\\u{20}d");
        let long = shown(&format!("{}`app.tar.gz` is verified", "x".repeat(4000)));
        assert!(long.ends_with("xxx… (3000 characters more)"), "{long}");
    }

    #[test]
    fn the_line_of_json_has_no_hidden_characters() {
        let line = not_checked_json_line("a\u{9b}\u{202e}\u{e0061}\u{1b}b", "network", "m", None, None);
        assert!(line.starts_with(r#"{"file":"a\u009b\u202e\udb40\udc61\u001bb","verdict""#), "{line}");
        let read = sealog_bundle::json::Value::parse(line.as_bytes(), line.len()).unwrap();
        let file = read.get("file").and_then(|file| file.as_str());
        assert_eq!(file, Some("a\u{9b}\u{202e}\u{e0061}\u{1b}b"));
    }
}
