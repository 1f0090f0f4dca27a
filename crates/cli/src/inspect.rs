//! `sealog inspect`: what a bundle says, in words. Nothing here is checked, and it says so.

use crate::{
    args::InspectArgs,
    artifact,
    failure::{Failure, Status},
    output,
};
use sealog_bundle::{
    Bundle, BundleError, Content, KeyMaterial, Statement, TransparencyLogEntry, UnixTime, Version,
    bundle::MAX_BUNDLE_BYTES, dsse::IN_TOTO_PAYLOAD_TYPE,
};
use sealog_pki::{Certificate, timestamp::TimeStampResp};
use sealog_tlog::{checkpoint::SignedCheckpoint, ct::Sct};
use sealog_verify::verdict::shown;
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn inspect(args: &InspectArgs) -> Result<(), Failure> {
    let bundle = read_bundle(&args.bundle)?;
    if args.json {
        return output::data(&format!("{}\n", as_json(&bundle)));
    }
    let mut lines = Lines::default();
    describe(&bundle, &mut lines);
    output::data(&format!("{}\nNothing of this was checked: `sealog verify` does that.\n", lines.0))
}

/// Reads a bundle from a file.
pub(crate) fn read_bundle(path: &Path) -> Result<Bundle, Failure> {
    Bundle::parse(&read(path)?).map_err(|error| not_a_bundle(path, &error))
}

/// The bytes of a bundle's file; of one that is too long enough for the parser to see that it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    artifact::read_up_to(path, MAX_BUNDLE_BYTES.saturating_add(1))
}

/// Why a file is not a bundle.
pub(crate) fn not_a_bundle(path: &Path, error: &BundleError) -> Failure {
    let failure = |message: String| Failure::new(Status::Refused, "invalid-bundle", message);
    let name = path.display();
    match error {
        _ if path.metadata().is_ok_and(|file| file.is_file() && file.len() == 0) => {
            failure(format!("`{name}` is empty, so not a bundle"))
        }
        BundleError::UnknownVersion { found } => {
            failure(format!("`{name}` is a bundle of a version this program does not know"))
                .expected(Version::V03.media_type())
                .found(found.as_str())
                .hint("a newer sealog may know it")
        }
        _ => failure(format!("`{name}` is not a Sigstore bundle: {error}"))
            .hint("bundles are JSON documents, usually named FILE.sigstore.json"),
    }
}

/// Lines of a name and what it is.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.push_str(&format!("{name:<12}{}\n", shown(value.as_ref())));
    }
}

fn describe(bundle: &Bundle, lines: &mut Lines) {
    lines.add("bundle", bundle.version.media_type());
    match &bundle.content {
        Content::Message(message) => {
            lines.add("signs", "a file");
            if let Some(digest) = &message.digest {
                lines.add("digest", digest.to_string());
            }
        }
        Content::Envelope(envelope) => {
            lines.add("signs", format!("an envelope of {}", envelope.payload_type));
            if let Some(statement) = statement_of(bundle) {
                lines.add("states", &statement.predicate_type);
                for subject in &statement.subjects {
                    let digests: Vec<_> = subject.digests.iter().map(ToString::to_string).collect();
                    lines.add("about", format!("{} {}", subject.name, digests.join(" ")));
                }
            }
        }
    }
    match &bundle.material.key {
        KeyMaterial::PublicKey { hint } => lines.add("key", format!("not in the bundle; hint `{hint}`")),
        KeyMaterial::Certificate(_) | KeyMaterial::Chain(_) => match leaf_of(bundle) {
            Some(leaf) => describe_certificate(&leaf, lines),
            None => lines.add("certificate", "cannot be read"),
        },
    }
    for der in &bundle.material.timestamps {
        lines.add(
            "timestamp",
            match TimeStampResp::parse(der) {
                Ok(stamp) => UnixTime::from_millis(stamp.gen_time_unix_ms()).to_string(),
                Err(error) => format!("cannot be read: {error}"),
            },
        );
    }
    for entry in &bundle.material.log_entries {
        describe_entry(entry, lines);
    }
}

fn describe_certificate(leaf: &Certificate, lines: &mut Lines) {
    for name in leaf.san() {
        lines.add("name", name.as_text().unwrap_or("of a form that is not read"));
    }
    let fulcio = leaf.fulcio();
    if let Some(issuer) = fulcio.oidc_issuer() {
        lines.add("issuer", issuer);
    }
    let (from, until) = leaf.validity();
    lines.add("valid", format!("{} to {}", UnixTime::from_seconds(from), UnixTime::from_seconds(until)));
    for (row, value) in fulcio.iter().filter(|(row, _)| !matches!(row.number, 1 | 8)) {
        lines.add("", format!("{}: {value}", row.name));
    }
    for sct in scts_of(leaf) {
        lines.add("sct", format!("{}, log {}", sct_time(&sct), hex(&sct.log_id)));
    }
}

fn describe_entry(entry: &TransparencyLogEntry, lines: &mut Lines) {
    let kind = &entry.kind_version;
    lines.add("logged", format!("{} {}, index {}", kind.kind, kind.version, entry.log_index));
    if entry.integrated_time != 0 {
        lines.add("", format!("taken in at {}", UnixTime::from_seconds(entry.integrated_time)));
    }
    match checkpoint_of(entry) {
        Some(signed) => {
            let checkpoint = &signed.checkpoint;
            lines.add("checkpoint", format!("log `{}`, {} entries", checkpoint.origin, checkpoint.size));
            for signature in &signed.note.signatures {
                lines.add("", format!("signature by `{}`", signature.name));
            }
        }
        None => lines.add("checkpoint", "none that can be read"),
    }
}

fn as_json(bundle: &Bundle) -> Value {
    let content = match &bundle.content {
        Content::Message(message) => json!({
            "kind": "message-signature", "digest": message.digest.map(|d| d.to_string()),
        }),
        Content::Envelope(envelope) => json!({
            "kind": "dsse-envelope",
            "payload_type": envelope.payload_type,
            "predicate_type": statement_of(bundle).map(|s| s.predicate_type),
            "subjects": statement_of(bundle).map(|s| s.subjects.iter().map(|subject| json!({
                "name": subject.name,
                "digests": subject.digests.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })).collect::<Vec<_>>()),
        }),
    };
    let certificate = leaf_of(bundle).map(|leaf| {
        let (from, until) = leaf.validity();
        let extensions: serde_json::Map<String, Value> =
            leaf.fulcio().iter().map(|(row, value)| (row.name.to_owned(), Value::from(value))).collect();
        json!({
            "names": leaf.san().iter().filter_map(|n| n.as_text()).collect::<Vec<_>>(),
            "issuer": leaf.fulcio().oidc_issuer(),
            "not_before": UnixTime::from_seconds(from).to_string(),
            "not_after": UnixTime::from_seconds(until).to_string(),
            "extensions": extensions,
            "scts": scts_of(&leaf).iter().map(|sct| json!({
                "log_id": hex(&sct.log_id), "time": sct_time(sct),
            })).collect::<Vec<_>>(),
        })
    });
    let key_hint = match &bundle.material.key {
        KeyMaterial::PublicKey { hint } => Some(hint),
        _ => None,
    };
    let entries: Vec<Value> = bundle.material.log_entries.iter().map(|entry| {
        let checkpoint = checkpoint_of(entry).map(|c| c.checkpoint);
        json!({
            "kind": entry.kind_version.kind,
            "version": entry.kind_version.version,
            "log_index": entry.log_index,
            "log_id": hex(&entry.log_id),
            "integrated_time":
                (entry.integrated_time != 0).then(|| UnixTime::from_seconds(entry.integrated_time).to_string()),
            "origin": checkpoint.as_ref().map(|c| c.origin.clone()),
            "tree_size": checkpoint.map(|c| c.size),
        })
    }).collect();
    let timestamps: Vec<Value> = bundle
        .material
        .timestamps
        .iter()
        .map(|der| {
            json!({
                "time": TimeStampResp::parse(der).ok()
                    .map(|stamp| UnixTime::from_millis(stamp.gen_time_unix_ms()).to_string()),
            })
        })
        .collect();
    json!({
        "media_type": bundle.version.media_type(),
        "content": content,
        "certificate": certificate,
        "key_hint": key_hint,
        "log_entries": entries,
        "timestamps": timestamps,
        "checked": false,
    })
}

fn leaf_of(bundle: &Bundle) -> Option<Certificate> {
    Certificate::from_der(bundle.material.key.leaf()?).ok()
}

fn scts_of(leaf: &Certificate) -> Vec<Sct> {
    sealog_pki::sct::embedded_scts(leaf).unwrap_or_default()
}

fn sct_time(sct: &Sct) -> String {
    i64::try_from(sct.timestamp_ms)
        .map_or_else(|_| "at no time".to_owned(), |millis| UnixTime::from_millis(millis).to_string())
}

fn checkpoint_of(entry: &TransparencyLogEntry) -> Option<SignedCheckpoint> {
    SignedCheckpoint::parse(&entry.inclusion_proof.as_ref()?.checkpoint).ok()
}

fn statement_of(bundle: &Bundle) -> Option<Statement> {
    match &bundle.content {
        Content::Envelope(envelope) if envelope.payload_type == IN_TOTO_PAYLOAD_TYPE => {
            Statement::parse(&envelope.payload).ok()
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
