//! The documents in JSON: read, written, read again, and the same.

use sealog_bundle::{
    Bundle, EntryBody, HashedRekord, Statement, TransparencyLogEntry, TrustedRoot,
    json::{JsonError, Value},
};
use sealog_crypto::HashAlgorithm;

/// The longest document that is read here; the documents' own limits are lower.
const LIMIT: usize = 64 << 20;
/// Documents up to this length are written indented, too.
const INDENTED: usize = 4096;
/// Digests of a statement that are looked up in it; looking each up among all would be slow on our side.
const LOOKED_UP: usize = 64;

/// [`Bundle::parse`], and a log's answer on the way.
pub fn bundle(input: &[u8]) {
    match Bundle::parse(input) {
        Ok(bundle) => {
            let written = bundle.to_json();
            assert_eq!(Bundle::parse(written.as_bytes()).as_ref(), Ok(&bundle), "written as {written}");
            let _ = bundle.signature();
        }
        Err(error) => drop(error.to_string()),
    }
    if let Ok(entry) = TransparencyLogEntry::parse(input) {
        let written = entry.to_json();
        assert_eq!(TransparencyLogEntry::parse(written.as_bytes()), Ok(entry), "written as {written}");
    }
}

/// [`TrustedRoot::parse`].
pub fn trusted_root(input: &[u8]) {
    match TrustedRoot::parse(input) {
        Ok(root) => {
            let written = root.to_json();
            assert_eq!(TrustedRoot::parse(written.as_bytes()).as_ref(), Ok(&root), "written as {written}");
            root.tlogs.iter().chain(&root.ctlogs).for_each(|log| {
                let _ = (log.authority(), log.host());
            });
        }
        Err(error) => drop(error.to_string()),
    }
}

/// [`EntryBody::parse`]: what has a canonical form is the same in it.
pub fn entry_body(input: &[u8]) {
    match EntryBody::parse(input) {
        Ok(EntryBody::HashedRekord(entry)) => {
            let canonical = entry.canonical();
            assert_eq!(HashedRekord::parse(&canonical), Ok(entry));
        }
        Ok(other) => drop(other.kind_version().to_string()),
        Err(error) => drop(error.to_string()),
    }
}

/// [`Statement::parse`]: a statement is about its digests and nothing else.
pub fn statement(input: &[u8]) {
    let statement = match Statement::parse(input) {
        Ok(statement) => statement,
        Err(error) => return drop(error.to_string()),
    };
    // What it does not keep it has read all the same.
    assert!(Value::parse(input, LIMIT).is_ok());
    let named = statement.algorithms();
    let all = |of: &Statement| of.subjects.iter().flat_map(|s| s.digests.clone()).collect::<Vec<_>>();
    for digest in all(&statement).iter().take(LOOKED_UP) {
        assert!(named.contains(&digest.algorithm()) && statement.is_about(digest));
    }
    let other = HashAlgorithm::Sha256.digest(b"what no statement here is about");
    assert!(!statement.is_about(&other));
    let written = sealog_bundle::statement::encode(&statement.subjects, &statement.predicate_type, b"{}");
    if let Ok(again) = written.and_then(|bytes| Statement::parse(&bytes)) {
        assert_eq!(again.predicate_type, statement.predicate_type);
        // One algorithm may be named twice in two spellings; what is written names it once.
        assert!(all(&again).iter().take(LOOKED_UP).all(|digest| statement.is_about(digest)));
    }
}

/// [`Value::parse`] and both ways of writing.
pub fn json(input: &[u8]) {
    let value = match Value::parse(input, LIMIT) {
        Ok(value) => value,
        Err(error) => return drop(error.to_string()),
    };
    let again = |written: &str| -> Result<(), JsonError> {
        let read = Value::parse(written.as_bytes(), LIMIT)?;
        assert!(same(&read, &value), "{written} is not what was read");
        Ok(())
    };
    let compact = value.to_compact();
    let read = again(&compact);
    assert_eq!(read, Ok(()), "{compact}");
    // Indentation makes the square of the depth of it.
    if compact.len() <= INDENTED {
        let pretty = value.to_pretty();
        let read = again(&pretty);
        assert_eq!(read, Ok(()), "{pretty}");
    }
}

/// The same but for the last digits of numbers with fractions: those are nobody's business here, and the
/// reader rounds them.
fn same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => {
            one == other || ((one - other) / one).abs() < 1e-12 || (one - other).abs() < f64::MIN_POSITIVE
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((name, one), (other_name, other))| name == other_name && same(one, other))
        }
        (one, other) => one == other,
    }
}
