//! Trusted roots changed: services taken away, periods moved, keys and certificates that cannot be read beside good
//! ones, other spellings. The bundle stays as it is.

use serde_json::{Value, json};

use super::mutants::Mutant;
use super::tree::{Place, places};

/// The lists of a trusted root.
const LISTS: [&str; 4] = ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"];
/// Its media types, known and not.
const MEDIA_TYPES: [&str; 5] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
    "application/vnd.dev.sigstore.trustedroot.v0.9+json",
    "application/json",
];
/// Long before every signature, and long after.
const BEFORE: &str = "2001-01-01T00:00:00Z";
const AFTER: &str = "2100-01-01T00:00:00Z";

/// Every changed form of a trusted root.
pub(super) fn variants(root: &Value) -> Vec<Mutant> {
    let mut found = Vec::new();
    let mut add = |what: String, new: Option<Value>| {
        found.extend(new.filter(|new| new != root).map(|new| (format!("root, {what}"), new)));
    };
    let media_type = Place::of("mediaType");
    for known in MEDIA_TYPES {
        add(format!("media type `{known}`"), media_type.with(root, json!(known)));
    }
    add("without media type".to_owned(), media_type.without(root));
    add("unknown member".to_owned(), Place::of("unknown").with(root, json!(1)));
    for list in LISTS {
        let place = Place::of(list);
        let Some(elements) = place.get(root).and_then(Value::as_array) else { continue };
        add(format!("without {list}"), place.without(root));
        add(format!("with null for {list}"), place.with(root, Value::Null));
        let twice: Vec<Value> = elements.iter().chain(elements).cloned().collect();
        add(format!("{list} twice"), place.with(root, json!(twice)));
        add(
            format!("{list} the other way round"),
            place.with(root, elements.iter().rev().cloned().collect()),
        );
        periods(root, list, elements.len(), &mut add);
        if let Some(first) = elements.first() {
            for (what, broken) in unreadable(first) {
                let before = place.put_first(root, broken.clone());
                add(format!("{list} with {what} first"), before);
                add(format!("{list} with {what} alone"), place.with(root, json!([broken])));
            }
        }
    }
    found
}

/// The same period for all of a list.
fn periods(root: &Value, list: &str, count: usize, add: &mut impl FnMut(String, Option<Value>)) {
    let above = if list.ends_with("logs") { "publicKey.validFor" } else { "validFor" };
    let forms = [
        ("ended long ago", Some(json!({"start": "2000-01-01T00:00:00Z", "end": BEFORE}))),
        ("beginning in a far future", Some(json!({"start": AFTER}))),
        ("without a beginning", Some(json!({"end": AFTER}))),
        ("ending before they begin", Some(json!({"start": AFTER, "end": BEFORE}))),
        ("without end", Some(json!({"start": BEFORE}))),
        ("beginning with an offset", Some(json!({"start": "2001-01-01T02:00:00+02:00"}))),
        ("beginning on a day", Some(json!({"start": "2001-01-01"}))),
        ("missing", None),
    ];
    for (what, period) in forms {
        let mut changed = Some(root.clone());
        for index in 0..count {
            let place = Place::of(&format!("{list}[{index}].{above}"));
            changed = changed.and_then(|root| match &period {
                Some(period) => place.with(&root, period.clone()),
                None => place.without(&root),
            });
        }
        add(format!("periods of {list} {what}"), changed);
    }
}

/// The element with a key or certificates that are none, or that mean another thing.
fn unreadable(element: &Value) -> Vec<Mutant> {
    let mut found = Vec::new();
    let mut add = |what: &str, new: Option<Value>| found.extend(new.map(|new| (what.to_owned(), new)));
    let certificates = Place::of("certChain.certificates");
    if let Some(chain) = certificates.get(element).and_then(Value::as_array) {
        add("no certificates", certificates.with(element, json!([])));
        add("a certificate that is none", certificates.with(element, json!([{"rawBytes": "MAA="}])));
        add("a chain the wrong way round", certificates.with(element, chain.iter().rev().cloned().collect()));
        add("the anchor alone", certificates.with(element, chain.last().into_iter().cloned().collect()));
        return found;
    }
    let key = |name: &str, value: Value| Place::of(&format!("publicKey.{name}")).with(element, value);
    add("a key that is none", key("rawBytes", json!("MAA=")));
    add("a key of no algorithm", key("keyDetails", json!("PUBLIC_KEY_DETAILS_UNSPECIFIED")));
    add("a key of an unknown algorithm", key("keyDetails", json!("PKIX_TOMORROW")));
    add("a key of another algorithm", key("keyDetails", json!("PKIX_RSA_PSS_4096_SHA256")));
    add("another hash", Place::of("hashAlgorithm").with(element, json!("SHA2_512")));
    add("no hash", Place::of("hashAlgorithm").without(element));
    add("no address", Place::of("baseUrl").without(element));
    add("no id", Place::of("logId").without(element));
    add("a short id", Place::of("logId.keyId").with(element, json!("AAAA")));
    let deep = places(element).into_iter().find(|place| place.name() == "checkpointKeyId");
    add("no checkpoint id", deep.and_then(|place| place.without(element)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_differs_and_no_two_share_a_name() {
        let root = json!({
            "mediaType": MEDIA_TYPES[0],
            "tlogs": [{
                "baseUrl": "https://a.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": "AAEC", "keyDetails": "PKIX_ED25519", "validFor": {"start": BEFORE, "end": AFTER}},
                "logId": {"keyId": "AAECAw=="},
            }],
            "timestampAuthorities": [{
                "certChain": {"certificates": [{"rawBytes": "AAEC"}, {"rawBytes": "AAED"}]},
                "validFor": {"start": BEFORE, "end": AFTER},
            }],
        });
        let variants = variants(&root);
        assert!(variants.iter().all(|(_, variant)| *variant != root));
        let mut names: Vec<&str> = variants.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), variants.len());
        assert!(names.contains(&"root, periods of tlogs without a beginning"));
        assert!(names.contains(&"root, timestampAuthorities with the anchor alone first"));
    }
}
