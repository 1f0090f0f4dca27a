//! Entries of Rekor v1: each thing that such an entry says is held against the bundle by itself, with all else right.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use sealog_bundle::{Content, KeyMaterial};
use sealog_testkit::{
    EntryForm, KeyForm, NOW, P256, Person, Shape, Signed, Signer, Sigstore, Thing, content, set_signature,
    signature_of,
};
use sealog_verify::ErrorClass;

const FILE: &[u8] = b"the file";

fn ann() -> Person {
    Person::new("ann@example.org", P256)
}

/// The verdict on a bundle whose entry in the log has this body.
fn with_body(world: &mut Sigstore, signed: &Signed, form: EntryForm, body: Vec<u8>) -> Option<ErrorClass> {
    let index = world.rekor_v1.append(&body);
    let entry = world.rekor_v1.entry(form.kind_version(), body, index);
    world.class(&signed.changed(|bundle| bundle.material.log_entries = vec![entry]))
}

/// Every entry of Rekor v1, by certificate and by key.
fn each(mut test: impl FnMut(&mut Sigstore, &Signed, EntryForm)) {
    for form in EntryForm::ALL.into_iter().filter(|form| form.is_v1()) {
        for key in [KeyForm::Certificate, KeyForm::Managed] {
            let mut world = Sigstore::new();
            let shape = Shape { entries: vec![form], key, ..Shape::default() };
            let thing = if form.goes_with(true) { Thing::StatementAbout(FILE) } else { Thing::File(FILE) };
            let signed = world.sign_as(&ann(), thing, &shape);
            assert_eq!(with_body(&mut world, &signed, form, form.body(&signed)), None, "{form:?} {key:?}");
            test(&mut world, &signed, form);
        }
    }
}

#[test]
fn the_entry_names_the_bundles_certificate_or_key() {
    each(|world, signed, form| {
        let other = match &signed.bundle.material.key {
            // Another certificate of the same person and key: the signature is good with it, too.
            KeyMaterial::Certificate(_) => signed.changed(|bundle| {
                let again = world.certificate(&ann(), NOW - 61);
                bundle.material.key = KeyMaterial::Certificate(again.der().to_vec());
            }),
            _ => {
                let bob = Person::new("bob@example.org", P256);
                let key = sealog_crypto::Signer::public_key(bob.key.as_ref()).clone();
                Signed { signer: Signer::Key(Box::new(key)), ..signed.clone() }
            }
        };
        let body = form.body(&other);
        assert_eq!(with_body(world, signed, form, body), Some(ErrorClass::EntryMismatch), "{form:?}");
    });
}

#[test]
fn the_entry_is_about_the_bundles_content() {
    each(|world, signed, form| {
        let other = Signed { file: b"another file".to_vec(), ..signed.clone() };
        let other = other.changed(|bundle| {
            if let Content::Envelope(envelope) = &mut bundle.content {
                envelope.payload.push(b' ');
            }
        });
        let body = form.body(&other);
        assert_eq!(with_body(world, signed, form, body), Some(ErrorClass::EntryMismatch), "{form:?}");
    });
}

#[test]
fn the_entry_holds_the_bundles_signature() {
    each(|world, signed, form| {
        // Another signature by the same key over the same.
        let thing = if form.goes_with(true) { Thing::StatementAbout(FILE) } else { Thing::File(FILE) };
        let again = content(&ann(), thing);
        assert_ne!(signature_of(&again), signed.signature());
        let other = signed.changed(|bundle| set_signature(&mut bundle.content, signature_of(&again)));
        let body = form.body(&other);
        assert_eq!(with_body(world, signed, form, body), Some(ErrorClass::EntryMismatch), "{form:?}");
    });
}

#[test]
fn the_entry_holds_one_signature() {
    each(|world, signed, form| {
        let body = String::from_utf8(form.body(signed)).unwrap();
        let Some((head, rest)) = body.split_once(r#""signatures":["#) else { return };
        let (one, tail) = rest.split_once(']').unwrap();
        for signatures in [String::new(), format!("{one},{one}"), format!("{one},{one},{one}")] {
            let body = format!(r#"{head}"signatures":[{signatures}]{tail}"#).into_bytes();
            assert_eq!(with_body(world, signed, form, body), Some(ErrorClass::EntryMismatch), "{form:?}");
        }
    });
}
