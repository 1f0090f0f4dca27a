//! Certificates that authorities could issue and should not: constraints, purposes, lengths, names.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_crypto::sha256;
use sealog_pki::{FulcioExtension, San};
use sealog_testkit::{
    Authority, KEY_KINDS, KeyForm, NOW, P256, Person, Shape, Sigstore, Template, Thing, Token, der, oids,
};
use sealog_tlog::ct::CtEntry;
use sealog_verify::ErrorClass::{self, Chain, Policy, Sct, Timestamp};

const FILE: &[u8] = b"the file";

/// What is done to a certificate before it is issued.
type Change = Box<dyn Fn(Template) -> Template>;

fn alice() -> Person {
    Person::new("alice@example.com", P256)
}

/// What is said of a file signed by somebody when the authorities are changed so.
fn signed_by(who: &Person, change: impl FnOnce(&mut Sigstore)) -> Option<ErrorClass> {
    let mut world = Sigstore::new();
    change(&mut world);
    world.relist();
    let signed = world.sign(who, Thing::File(FILE));
    world.class(&signed)
}

/// What is said of a file signed with a certificate changed so.
fn with_leaf(change: impl FnOnce(Template) -> Template) -> Option<ErrorClass> {
    let mut world = Sigstore::new();
    let mut draft = world.draft(&alice(), NOW - 60);
    draft.template = change(draft.template);
    let certificate = world.certify(&draft);
    let signed = world.sign_with(&alice(), &certificate, Thing::File(FILE));
    world.class(&signed)
}

#[test]
fn names_must_be_within_what_every_authority_above_may_certify() {
    let email = |base: &str| vec![San::Email(base.into())];
    let uri = |base: &str| vec![San::Uri(base.into())];
    let none = Vec::new;
    let bot = "https://ci.example.com/org/repo/.github/workflows/release.yml@refs/heads/main";
    let people = [Person::new("alice@example.com", P256), Person::new(bot, P256)];
    for (permitted, excluded, classes) in [
        (email("example.com"), none(), [None, None]),
        (email("alice@example.com"), none(), [None, None]),
        (email("bob@example.com"), none(), [Some(Chain), None]),
        (email("example.org"), none(), [Some(Chain), None]),
        (email(".example.com"), none(), [Some(Chain), None]),
        (none(), email("example.com"), [Some(Chain), None]),
        (none(), email("EXAMPLE.com"), [Some(Chain), None]),
        (none(), email("example.org"), [None, None]),
        (uri("ci.example.com"), none(), [None, None]),
        (uri(".example.com"), none(), [None, None]),
        (uri("example.com"), none(), [None, Some(Chain)]),
        (none(), uri(".example.com"), [None, Some(Chain)]),
        (none(), uri("example.com"), [None, None]),
        ([email("example.com"), uri("ci.example.com")].concat(), none(), [None, None]),
        (email("example.com"), email("alice@example.com"), [Some(Chain), None]),
        ([email("example.org"), email("example.com")].concat(), none(), [None, None]),
    ] {
        for place in 0..2 {
            for (who, class) in people.iter().zip(classes) {
                let found = signed_by(who, |world| {
                    world.ca.change(place, |t| t.name_constraints(&permitted, &excluded));
                });
                assert_eq!(found, class, "{} {permitted:?} {excluded:?} at {place}", who.identity);
            }
        }
    }
    let malformed = |t: Template| t.with(oids::NAME_CONSTRAINTS, true, b"no DER");
    assert_eq!(signed_by(&alice(), |world| world.ca.change(0, malformed)), Some(Chain));
}

#[test]
fn a_path_is_as_long_as_its_authorities_allow() {
    let between = |n: usize| Template::ca(&format!("between {n}"));
    for (limit, class) in [(0, Some(Chain)), (1, None), (5, None)] {
        let found = signed_by(&alice(), |world| world.ca.insert_above(0, between(0).path_len(limit)));
        assert_eq!(found, class, "{limit}");
        let root = signed_by(&alice(), |world| world.ca.change(1, |t| t.path_len(limit)));
        assert_eq!(root, (limit == 0).then_some(Chain), "{limit}");
    }
    // Eight certificates at most.
    for (more, class) in [(5, None), (6, Some(Chain))] {
        let found = signed_by(&alice(), |world| {
            (0..more).for_each(|n| world.ca.insert_above(0, between(n)));
        });
        assert_eq!(found, class, "{more}");
    }
}

#[test]
fn a_signers_certificate_says_what_it_is_for() {
    let code_and = |other| move |t: Template| t.purposes(&[oids::CODE_SIGNING, other], false);
    let only = |purpose| move |t: Template| t.purposes(&[purpose], false);
    assert_eq!(with_leaf(|t| t), None);
    assert_eq!(with_leaf(|t| t.without(oids::KEY_USAGE)), Some(Chain));
    assert_eq!(with_leaf(Template::usage_of_a_ca), Some(Chain));
    assert_eq!(with_leaf(|t| t.without(oids::EXT_KEY_USAGE)), Some(Chain));
    assert_eq!(with_leaf(only(oids::SERVER_AUTH)), Some(Chain));
    assert_eq!(with_leaf(only(oids::TIME_STAMPING)), Some(Chain));
    assert_eq!(with_leaf(only(oids::ANY_PURPOSE)), Some(Chain));
    assert_eq!(with_leaf(code_and(oids::SERVER_AUTH)), None);
    assert_eq!(with_leaf(|t| t.purposes(&[oids::CODE_SIGNING], true)), None);
    let ca = der::sequence(&[&der::yes()]);
    assert_eq!(with_leaf(|t| t.with(oids::BASIC_CONSTRAINTS, true, &ca)), Some(Chain));
    assert_eq!(with_leaf(|t| t.with(oids::BASIC_CONSTRAINTS, true, &der::sequence(&[]))), None);
    let unknown = |critical| move |t: Template| t.with(oids::POLICY_CONSTRAINTS, critical, &[0x30, 0]);
    assert_eq!(with_leaf(unknown(true)), Some(Chain));
    assert_eq!(with_leaf(unknown(false)), None);
    assert_eq!(with_leaf(|t| t.with(oids::CT_POISON, true, &[5, 0])), Some(Chain));
    // Another issuer than the one that signed it, and the other way round: a name is not a key.
    assert_eq!(with_leaf(|t| t.issued_under("somebody else")), Some(Chain));
    assert_eq!(with_leaf(|t| t.issued_under("test root")), Some(Chain));
}

#[test]
fn authorities_say_what_they_are_for() {
    let purposes = |list: &'static [sealog_pki::ObjectIdentifier]| move |t: Template| t.purposes(list, false);
    for (change, class) in [
        (Box::new(|t: Template| t) as Change, None),
        (Box::new(|t| t.without(oids::EXT_KEY_USAGE)), None),
        (Box::new(purposes(&[oids::ANY_PURPOSE])), None),
        (Box::new(purposes(&[oids::SERVER_AUTH, oids::CODE_SIGNING])), None),
        (Box::new(purposes(&[oids::TIME_STAMPING])), Some(Chain)),
        (Box::new(purposes(&[oids::CT_PRECERT_SIGNING])), Some(Chain)),
        (Box::new(|t| t.without(oids::KEY_USAGE)), None),
        (Box::new(Template::usage_of_a_signer), Some(Chain)),
        (Box::new(|t| t.without(oids::BASIC_CONSTRAINTS)), Some(Chain)),
        (Box::new(|t| t.with(oids::BASIC_CONSTRAINTS, true, &[0x30, 0])), Some(Chain)),
        (Box::new(|t| t.with(oids::POLICY_CONSTRAINTS, true, &[0x30, 0])), Some(Chain)),
        (Box::new(|t| t.with(oids::POLICY_CONSTRAINTS, false, &[0x30, 0])), None),
        (Box::new(|t| t.with(oids::CT_POISON, true, &[5, 0])), Some(Chain)),
    ] {
        for place in 0..2 {
            let found = signed_by(&alice(), |world| world.ca.change(place, &change));
            assert_eq!(found, class, "at {place}");
        }
    }
}

#[test]
fn a_timestamp_authority_is_for_timestamps_alone_and_says_so() {
    let purposes = |list: &'static [sealog_pki::ObjectIdentifier], critical| {
        move |t: Template| t.purposes(list, critical)
    };
    for (place, change, class) in [
        (0, Box::new(|t: Template| t) as Change, None),
        (0, Box::new(purposes(&[oids::TIME_STAMPING], false)), Some(Timestamp)),
        (0, Box::new(purposes(&[oids::TIME_STAMPING, oids::CODE_SIGNING], true)), Some(Timestamp)),
        (0, Box::new(purposes(&[oids::CODE_SIGNING], true)), Some(Timestamp)),
        (0, Box::new(purposes(&[oids::ANY_PURPOSE], true)), Some(Timestamp)),
        (0, Box::new(|t| t.without(oids::EXT_KEY_USAGE)), Some(Timestamp)),
        (0, Box::new(|t| t.without(oids::KEY_USAGE)), None),
        (0, Box::new(Template::usage_of_a_ca), Some(Timestamp)),
        (0, Box::new(|t| t.path_len(0)), Some(Timestamp)),
        (0, Box::new(|t| t.with(oids::POLICY_CONSTRAINTS, true, &[0x30, 0])), Some(Timestamp)),
        (0, Box::new(|t| t.issued_under("somebody else")), Some(Timestamp)),
        (1, Box::new(purposes(&[oids::CODE_SIGNING], false)), Some(Timestamp)),
        (1, Box::new(purposes(&[oids::ANY_PURPOSE], false)), None),
        (1, Box::new(|t| t.without(oids::EXT_KEY_USAGE)), None),
        (1, Box::new(Template::usage_of_a_signer), Some(Timestamp)),
        (1, Box::new(|t| t.without(oids::BASIC_CONSTRAINTS)), Some(Timestamp)),
        (1, Box::new(|t| t.with(oids::POLICY_CONSTRAINTS, true, &[0x30, 0])), Some(Timestamp)),
        (2, Box::new(|t| t.path_len(0)), Some(Timestamp)),
        (2, Box::new(|t| t.path_len(1)), None),
        (2, Box::new(purposes(&[oids::CODE_SIGNING], false)), Some(Timestamp)),
    ] {
        let found = signed_by(&alice(), |world| world.tsa.change(place, &change));
        assert_eq!(found, class, "at {place}");
    }
}

#[test]
fn authorities_may_have_every_kind_of_key_of_the_registry() {
    for kind in KEY_KINDS {
        for place in 0..2 {
            let found = signed_by(&alice(), |world| world.ca.change_key(place, "another", kind));
            assert_eq!(found, None, "{kind} at {place}");
        }
        for place in 0..3 {
            let found = signed_by(&alice(), |world| world.tsa.change_key(place, "another", kind));
            assert_eq!(found, None, "{kind} at {place}");
        }
    }
}

#[test]
fn an_authority_of_the_same_name_is_another() {
    let mut world = Sigstore::new();
    let mut below_ours = world.ca.clone();
    below_ours.change_key(0, "another twin", P256);
    for (twin, same_root) in [(Authority::ca("twin"), false), (below_ours, true)] {
        let ours = std::mem::replace(&mut world.ca, twin.clone());
        let signed = world.sign(&alice(), Thing::File(FILE));
        assert_eq!(world.class(&signed), Some(Chain));
        // Nor does it help to bring the twin along, unless our own root issued it.
        let shape = Shape::chain();
        let signed_as = world.sign_as(&alice(), Thing::File(FILE), &shape);
        assert_eq!(world.class(&signed_as), (!same_root).then_some(Chain));
        // With both listed, both count.
        world.root.certificate_authorities.push(twin.listed());
        assert_eq!(world.class(&signed), None);
        world.ca = ours;
        let signed = world.sign(&alice(), Thing::File(FILE));
        assert_eq!(world.class(&signed), None);
        world.relist();
    }
}

#[test]
fn the_trust_anchor_may_be_an_intermediate_and_what_is_above_it_does_not_count() {
    let mut world = Sigstore::new();
    world.ca.change(1, |root| root.until(NOW - 1));
    world.relist();
    let signed = world.sign(&alice(), Thing::File(FILE));
    assert_eq!(world.class(&signed), Some(Chain));
    world.root.certificate_authorities[0].cert_chain.truncate(1);
    assert_eq!(world.class(&signed), None);
    // A chain in the bundle closes the gap to an anchor that was listed alone, and only that.
    let mut world = Sigstore::new();
    world.root.certificate_authorities = vec![world.ca.listed_from(1)];
    let alone = world.sign(&alice(), Thing::File(FILE));
    assert_eq!(world.class(&alone), Some(Chain));
    let with_chain = world.sign_as(&alice(), Thing::File(FILE), &Shape::chain());
    assert_eq!(world.class(&with_chain), None);
    // A timestamp authority that lists no certificate of its own needs it in the token.
    world.relist();
    world.root.timestamp_authorities = vec![world.tsa.listed_from(1)];
    let mut signed = world.sign(&alice(), Thing::File(FILE));
    assert_eq!(world.class(&signed), None);
    let bare = Token::new(NOW).bare().over(signed.signature(), world.tsa.signer());
    signed.bundle.material.timestamps = vec![bare];
    assert_eq!(world.class(&signed), Some(Timestamp));
}

#[test]
fn who_may_sign_precertificates_for_an_authority_issues_nothing_itself() {
    let mut world = Sigstore::new();
    world.ca.change(0, |t| t.path_len(1));
    world.relist();
    let direct = world.sign(&alice(), Thing::File(FILE));
    assert_eq!(world.class(&direct), None);
    // The certificate is the authority's own whoever signed what the log was asked about.
    let delegate = Template::intermediate("delegate", oids::CT_PRECERT_SIGNING);
    let mut delegated = world.clone();
    delegated.ca.insert_below(delegate.clone());
    let draft = world.draft(&alice(), NOW - 60);
    let by_delegate = delegated.sct(&draft, NOW - 60);
    let certificate = world.finish(&draft, vec![by_delegate]);
    let signed = world.sign_with(&alice(), &certificate, Thing::File(FILE));
    assert_eq!(world.class(&signed), Some(Sct));
    // By the delegate itself, whatever comes along.
    let chain = Shape::chain();
    let signed = delegated.sign_as(&alice(), Thing::File(FILE), &chain);
    assert_eq!(world.class(&signed), Some(Chain));
    // A delegate that may sign code as well is an authority, and the promise names the one above it.
    let both = delegate.purposes(&[oids::CODE_SIGNING, oids::CT_PRECERT_SIGNING], false);
    let mut delegated = world.clone();
    delegated.ca.insert_below(both);
    let signed = delegated.sign_as(&alice(), Thing::File(FILE), &chain);
    assert_eq!(world.class(&signed), Some(Sct));
    let CtEntry::Precert { tbs, precert, .. } = draft.ct_entry(delegated.ca.signer()) else { unreachable!() };
    let issuer_key_hash = sha256(world.ca.signer().certificate.spki_der());
    let sct = world.ct.sct_of(&CtEntry::Precert { issuer_key_hash, tbs, precert }, NOW * 1000);
    let certificate = delegated.finish(&draft, vec![sct]);
    let signed = delegated.sign_all(&alice(), &certificate, Thing::File(FILE), &chain);
    assert_eq!(world.class(&signed), None);
}

#[test]
fn a_certificate_names_one_person_and_one_issuer() {
    let names = |names: &'static [&str]| {
        let names: Vec<San> = names.iter().map(|name| San::Email((*name).into())).collect();
        move |t: Template| t.names(&names)
    };
    let older = FulcioExtension::by_name("issuer").unwrap();
    let newer = FulcioExtension::by_name("issuer-v2").unwrap();
    let oid = |row: &FulcioExtension| sealog_pki::ObjectIdentifier::new_unwrap(&row.dotted());
    assert_eq!(with_leaf(names(&["alice@example.com"])), None);
    assert_eq!(with_leaf(names(&["alice@example.com", "alice@example.com"])), Some(Policy));
    assert_eq!(with_leaf(names(&["mallory@example.com", "alice@example.com"])), Some(Policy));
    assert_eq!(with_leaf(names(&["mallory@example.com"])), Some(Policy));
    assert_eq!(with_leaf(|t| t.without(oids::SUBJECT_ALT_NAME)), Some(Policy));
    assert_eq!(with_leaf(|t| t.names(&[San::Dns("alice@example.com".into())])), Some(Policy));
    assert_eq!(with_leaf(|t| t.names(&[San::OtherName("alice@example.com".into())])), None);
    assert_eq!(with_leaf(|t| t.without(oid(older))), None);
    assert_eq!(with_leaf(|t| t.without(oid(newer))), None);
    assert_eq!(with_leaf(|t| t.without(oid(newer)).without(oid(older))), Some(Policy));
    assert_eq!(with_leaf(|t| t.fulcio(newer, "https://issuer.example.org")), Some(Policy));
    assert_eq!(with_leaf(|t| t.fulcio(older, "https://issuer.example.org")), Some(Policy));
    let elsewhere = alice().known_to("https://issuer.example.org");
    let mut world = Sigstore::new();
    let signed = world.sign(&elsewhere, Thing::File(FILE));
    assert_eq!(world.class(&signed), None);
    let as_ours = world.sign(&alice(), Thing::File(FILE)).with(signed.bundle);
    assert_eq!(world.class(&as_ours), Some(Policy));
}

#[test]
fn a_key_in_a_certificate_is_no_key_that_was_agreed_on() {
    let mut world = Sigstore::new();
    let by_key = world.sign_as(&alice(), Thing::File(FILE), &Shape::managed_key());
    let by_name =
        world.sign_as(&alice(), Thing::File(FILE), &Shape { key: KeyForm::Certificate, ..Shape::default() });
    assert_eq!(world.class(&by_key), None);
    assert_eq!(world.class(&by_key.with(by_name.bundle.clone())), Some(ErrorClass::Key));
    assert_eq!(world.class(&by_name.with(by_key.bundle.clone())), Some(ErrorClass::Key));
    // The same signature, with the entry of the one and the key of the other.
    let mixed = by_key.changed(|bundle| bundle.material.key = by_name.bundle.material.key.clone());
    assert_eq!(world.class(&mixed), Some(ErrorClass::Key));
}
