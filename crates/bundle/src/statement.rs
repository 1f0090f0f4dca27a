//! in-toto statements (in-toto/attestation, spec v1): which files a claim is about.
//!
//! Only the subjects are understood here; what the predicate claims is for its reader. Its bytes are
//! kept as signed.

use crate::json::{Fields, JsonError, JsonFault, Unknown, Value, object};
use alloc::{string::String, vec::Vec};
use sealog_crypto::{Digest, HashAlgorithm};

/// The type of a statement as written today.
pub const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// The type before that, found in older attestations.
pub const STATEMENT_V01: &str = "https://in-toto.io/Statement/v0.1";

/// Bytes in a statement.
pub const MAX_STATEMENT_BYTES: usize = 16 << 20;
/// Subjects of a statement.
pub const MAX_SUBJECTS: usize = 1024;
/// Digests of one subject.
pub const MAX_DIGESTS: usize = 32;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The statement's own type, [`STATEMENT_V1`] or older.
    pub statement_type: String,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// What sort of claim it is.
    pub predicate_type: String,
}

/// A thing a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name; a label, not checked by anybody.
    pub name: String,
    /// Its digests by algorithms we know; others are skipped.
    pub digests: Vec<Digest>,
}

impl Statement {
    /// Reads a statement. Unknown fields are allowed, as its specification asks; repeated ones are not.
    ///
    /// # Errors
    /// When it is not JSON or its fields have other types.
    pub fn parse(payload: &[u8]) -> Result<Self, JsonError> {
        // The predicate, often nearly all of it, is not kept.
        const KEPT: [&str; 4] = ["_type", "subject", "predicateType", "predicate_type"];
        let value = Value::parse_only(payload, MAX_STATEMENT_BYTES, &KEPT)?;
        Fields::read(value, Unknown::Ignore, |fields| {
            Ok(Self {
                statement_type: fields.required_text("_type")?,
                subjects: fields.messages("subject", MAX_SUBJECTS, Subject::read)?,
                predicate_type: fields.text("predicateType")?,
            })
        })
    }

    /// Whether some subject has this digest. Digests by different algorithms never match.
    #[must_use]
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subjects.iter().any(|s| s.digests.contains(digest))
    }

    /// The algorithms by which subjects are named, each once.
    #[must_use]
    pub fn algorithms(&self) -> Vec<HashAlgorithm> {
        let named =
            |a: &HashAlgorithm| self.subjects.iter().any(|s| s.digests.iter().any(|d| d.algorithm() == *a));
        HashAlgorithm::ALL.into_iter().filter(named).collect()
    }
}

impl Subject {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let name = fields.text("name")?;
        let Some(Value::Object(digests)) = fields.take("digest")? else {
            return Err(JsonError::here(JsonFault::WrongType { expected: "an object" }).at("digest"));
        };
        if digests.len() > MAX_DIGESTS {
            let found = digests.len();
            return Err(JsonError::here(JsonFault::TooMany { limit: MAX_DIGESTS, found }).at("digest"));
        }
        let known = |(name, value): (_, Value<'_>)| {
            let algorithm = HashAlgorithm::from_name(core::convert::AsRef::<str>::as_ref(&name))?;
            Digest::new(algorithm, &hex::decode(value.as_str()?).ok()?).ok()
        };
        Ok(Self { name, digests: digests.into_iter().filter_map(known).collect() })
    }
}

/// Writes a statement about files; `predicate` is JSON and goes in as it is.
///
/// # Errors
/// When the predicate is not a JSON object we could read again.
pub fn encode(subjects: &[Subject], predicate_type: &str, predicate: &[u8]) -> Result<Vec<u8>, JsonError> {
    let value = Value::parse(predicate, MAX_STATEMENT_BYTES)?;
    let Value::Object(_) = value else {
        return Err(JsonError::here(JsonFault::WrongType { expected: "an object" }));
    };
    let subject = |s: &Subject| -> Value<'static> {
        let digests = s.digests.iter().map(|d| {
            let hex = Value::text(hex::encode(d.as_bytes()));
            (d.algorithm().name().into(), hex)
        });
        object([
            ("name", (!s.name.is_empty()).then(|| Value::text(s.name.clone()))),
            ("digest", Some(Value::Object(digests.collect()))),
        ])
    };
    let head = object([
        ("_type", Some(Value::text(STATEMENT_V1))),
        ("subject", Some(Value::Array(subjects.iter().map(subject).collect()))),
        ("predicateType", Some(Value::text(predicate_type))),
    ])
    .to_compact();
    // The predicate is spliced in as text: numbers would lose digits on the way through a tree.
    let mut statement = head.into_bytes();
    statement.pop();
    statement.extend_from_slice(b",\"predicate\":");
    statement.extend_from_slice(predicate.trim_ascii());
    statement.push(b'}');
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString as _, vec};

    #[test]
    fn what_is_written_can_be_read() {
        let digest = HashAlgorithm::Sha256.digest(b"artifact");
        let subject = Subject { name: "a.txt".to_string(), digests: vec![digest] };
        let bytes =
            encode(core::slice::from_ref(&subject), "https://example.com/p", b" {\"n\":1.10} ").unwrap();
        assert!(bytes.ends_with(b",\"predicate\":{\"n\":1.10}}"));
        let statement = Statement::parse(&bytes).unwrap();
        assert_eq!(statement.subjects, [subject]);
        assert!(statement.is_about(&digest));
        assert!(!statement.is_about(&HashAlgorithm::Sha256.digest(b"other")));
        assert_eq!(statement.algorithms(), [HashAlgorithm::Sha256]);
        assert!(encode(&[], "p", b"[]").is_err());
        assert!(encode(&[], "p", b"{\"a\":1,\"a\":2}").is_err());
    }

    #[test]
    fn a_predicate_is_held_to_the_rules_though_it_is_not_kept() {
        let about = |predicate: &str| {
            let text = alloc::format!(
                r#"{{"predicate":{predicate},"_type":"t","subject":[],"predicate_type":"p"}}"#
            );
            let read = Statement::parse(text.as_bytes());
            // What is passed over and what is kept are refused alike, in the same words.
            assert_eq!(read.clone().map(drop), Value::parse(text.as_bytes(), text.len()).map(drop), "{text}");
            read.map(|statement| statement.predicate_type)
        };
        let deep = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
        let many = |values: usize| ["[", &"0,".repeat(values), "0]"].concat();
        for good in ["null", "{\"a\":[1,-1,1.5,true,\"x\\n\",{}],\"b\":{\"a\":1}}", &deep(63), &many(1000)] {
            assert_eq!(about(good).as_deref(), Ok("p"), "{good}");
        }
        for bad in [
            "{\"a\":1,\"b\":{\"c\":1,\"c\":2}}",
            "[{\"a\":1,\"\\u0061\":2}]",
            &deep(64),
            &many(1 << 19),
            "[1 2]",
            "",
        ] {
            assert!(about(bad).is_err(), "{bad:.50}");
        }
    }

    #[test]
    fn digests_compare_without_case_and_never_across_algorithms() {
        let hex = hex::encode_upper(HashAlgorithm::Sha256.digest(b"x").as_bytes());
        let text = alloc::format!(
            r#"{{"_type":"t","subject":[{{"digest":{{"sha256":"{hex}","gitCommit":"00","sha512":"{hex}"}}}}]}}"#
        );
        let statement = Statement::parse(text.as_bytes()).unwrap();
        assert_eq!(statement.subjects[0].digests, [HashAlgorithm::Sha256.digest(b"x")]);
    }
}
