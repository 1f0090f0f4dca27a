//! Every algorithm of the registry: what a key of it signed is accepted, and what it did not sign is not, wherever
//! such a signature can stand.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use sealog_bundle::{Content, HashedRekord, KeyDetails, KindVersion, Verifier as EntryVerifier, dsse::pae};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Scheme, Signer as _};
use sealog_testkit::{
    EntryForm, KEY_KINDS, KeyForm, NOW, Person, Shape, Signed, Sigstore, Thing, key, set_signature,
};
use sealog_verify::{
    Artifact, ErrorClass, Evidence, Verified, VerifyError, digests_needed, needs_bytes, verify,
};

const FILE: &[u8] = b"the file";
/// The numbers of the registry.
const REGISTRY: std::ops::RangeInclusive<i128> = 1..=23;
/// Those that nobody signs with any more, or nobody here verifies: names, so that documents with them can be read.
const NAMES_ONLY: [KeyDetails; 7] = [
    KeyDetails::Pkcs1RsaPkcs1v5,
    KeyDetails::Pkcs1RsaPss,
    KeyDetails::PkixRsaPkcs1v5,
    KeyDetails::PkixRsaPss,
    KeyDetails::EcdsaP256HmacSha256,
    KeyDetails::LmsSha256,
    KeyDetails::LmotsSha256,
];

/// The algorithms that are verified, each with its kind of key.
fn algorithms() -> Vec<(KeyDetails, Scheme, KeyKind)> {
    let mut algorithms = Vec::new();
    for details in REGISTRY.filter_map(KeyDetails::from_number) {
        let Some(scheme) = details.scheme() else {
            assert!(NAMES_ONLY.contains(&details), "{details}");
            continue;
        };
        let fits = |kind: &KeyKind| details.fits(key("any", *kind).public_key());
        algorithms.push((details, scheme, KEY_KINDS.into_iter().find(fits).unwrap()));
    }
    assert_eq!(algorithms.len() + NAMES_ONLY.len(), REGISTRY.count());
    algorithms
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A file's, in an entry of Rekor v2.
    RekorV2,
    /// A file's, in an entry of Rekor v1.
    HashedRekordV1,
    /// A statement's, in these entries of Rekor v1.
    Envelope(EntryForm),
    /// A file's, in no log.
    Nowhere,
}

const PLACES: [Place; 5] = [
    Place::RekorV2,
    Place::HashedRekordV1,
    Place::Envelope(EntryForm::DsseV001),
    Place::Envelope(EntryForm::IntotoV002),
    Place::Nowhere,
];

impl Place {
    /// Entries of files hold digests, and what signs the file itself cannot be held against one. Envelopes are
    /// signed whole, by Ed25519 in its plain form.
    fn takes(self, details: KeyDetails) -> bool {
        match self {
            Self::RekorV2 | Self::HashedRekordV1 => details.prehash().is_some(),
            Self::Envelope(_) => details != KeyDetails::Ed25519Ph,
            Self::Nowhere => true,
        }
    }

    fn thing(self) -> Thing<'static> {
        match self {
            Self::Envelope(_) => Thing::StatementAbout(FILE),
            _ => Thing::File(FILE),
        }
    }
}

/// A bundle with a signature that is the same wherever it is named: in the content, the entry and the timestamp.
/// `says` is how the entry of Rekor v2 says it was made.
fn placed(
    world: &mut Sigstore,
    who: &Person,
    form: KeyForm,
    place: Place,
    says: KeyDetails,
    make: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Signed {
    let certificate = world.certificate(who, NOW - 60);
    let unlogged = Shape { entries: Vec::new(), key: form, ..Shape::default() };
    let mut signed = world.sign_all(who, &certificate, place.thing(), &unlogged);
    let signature = match &signed.bundle.content {
        Content::Message(_) => make(FILE),
        Content::Envelope(envelope) => make(&pae(&envelope.payload_type, &envelope.payload)),
    };
    set_signature(&mut signed.bundle.content, &signature);
    let entry = match place {
        Place::Nowhere => None,
        Place::HashedRekordV1 => Some(world.rekor_v1.take(&signed, EntryForm::HashedRekordV001)),
        Place::Envelope(form) => Some(world.rekor_v1.take(&signed, form)),
        Place::RekorV2 => {
            let digest = says.prehash().unwrap_or(HashAlgorithm::Sha256).digest(FILE);
            let verifier = match form {
                KeyForm::Managed => EntryVerifier::PublicKey(who.key.public_key().spki_der().to_vec()),
                _ => EntryVerifier::Certificate(certificate.der().to_vec()),
            };
            let signature = signature.clone();
            let body = HashedRekord { digest, signature, verifier, key_details: says }.canonical();
            let index = world.log.append(&body);
            Some(world.log.entry(KindVersion::hashedrekord_v002(), body, index))
        }
    };
    signed.bundle.material.log_entries = entry.into_iter().collect();
    signed.bundle.material.timestamps = vec![world.tsa.stamp(&signature, NOW)];
    if let Content::Message(message) = &mut signed.bundle.content {
        message.digest = Some(says.prehash().unwrap_or(HashAlgorithm::Sha256).digest(FILE));
    }
    signed
}

/// The verdict, where a log is asked for only of what is in one.
fn judged(
    world: &Sigstore,
    signed: &Signed,
    place: Place,
    artifact: &Artifact<'_>,
) -> Result<Verified, VerifyError> {
    let evidence = match place {
        Place::Nowhere => Evidence::default().without_log_unsafe(),
        _ => Evidence::default(),
    };
    verify(&signed.bundle, &world.root, &signed.policy().with_evidence(evidence), artifact)
}

fn class(world: &Sigstore, signed: &Signed, place: Place) -> Option<ErrorClass> {
    judged(world, signed, place, &Artifact::from_bytes(FILE)).err().map(|error| error.class())
}

#[test]
fn every_algorithm_of_the_registry_in_every_place_that_can_hold_it() {
    let mut world = Sigstore::new();
    for (details, scheme, kind) in algorithms() {
        let who = Person::new("ann@example.org", kind);
        let sign = |key: &PrivateKey, message: &[u8]| key.sign_with(scheme, message).unwrap();
        for (place, form) in PLACES
            .into_iter()
            .flat_map(|place| [KeyForm::Certificate, KeyForm::Managed].map(|form| (place, form)))
        {
            let what = format!("{details} {place:?} {form:?}");
            let mut made = |says, make: &dyn Fn(&[u8]) -> Vec<u8>| {
                let signed = placed(&mut world, &who, form, place, says, make);
                class(&world, &signed, place)
            };
            let good = made(details, &|message| sign(&who.key, message));
            if !place.takes(details) {
                assert!(matches!(good, Some(ErrorClass::Signature | ErrorClass::Key)), "{what}: {good:?}");
                continue;
            }
            assert_eq!(good, None, "{what}");
            let other = key("somebody else", kind);
            let damaged = |message: &[u8]| {
                let mut signature = sign(&who.key, message);
                let last = signature.len() - 1;
                signature[last] ^= 1;
                signature
            };
            for (fault, make) in [
                (
                    "over something else",
                    &(|_: &[u8]| sign(&who.key, b"something else")) as &dyn Fn(&[u8]) -> _,
                ),
                ("by another key", &|message: &[u8]| sign(&other, message)),
                ("damaged", &damaged),
                ("empty", &|_: &[u8]| vec![0; 64]),
            ] {
                assert_eq!(made(details, make), Some(ErrorClass::Signature), "{what} {fault}");
            }
            // The log says how; another way, with all else the same, is not what happened.
            let others = REGISTRY.filter_map(KeyDetails::from_number).filter(|other| *other != details);
            let named = (place, form) == (Place::RekorV2, KeyForm::Certificate);
            for other in others.filter(|other| named && other.prehash().is_some()) {
                let found = made(other, &|message| sign(&who.key, message));
                assert_eq!(found, Some(ErrorClass::EntryMismatch), "{what} as {other}");
            }
        }
    }
}

#[test]
fn what_an_algorithm_needs_of_a_file_is_said_beforehand() {
    let mut world = Sigstore::new();
    for (details, scheme, kind) in algorithms() {
        let who = Person::new("ann@example.org", kind);
        for place in PLACES.into_iter().filter(|place| place.takes(details)) {
            let make = |message: &[u8]| who.key.sign_with(scheme, message).unwrap();
            let signed = placed(&mut world, &who, KeyForm::Certificate, place, details, &make);
            let policy = signed.policy();
            let needed = digests_needed(&signed.bundle, &policy);
            let digests = Artifact::from_digests(needed.iter().map(|algorithm| algorithm.digest(FILE)));
            let by_digest = judged(&world, &signed, place, &digests).err().map(|error| error.class());
            // Who signs a file itself must be shown the file.
            let whole = place == Place::Nowhere && details.prehash().is_none();
            assert_eq!(by_digest, whole.then_some(ErrorClass::Digest), "{details} {place:?}");
            let may_be_whole = place == Place::Nowhere && Scheme::default_for(kind).prehash().is_none();
            assert_eq!(needs_bytes(&signed.bundle, &policy), may_be_whole, "{details} {place:?}");
        }
    }
}
