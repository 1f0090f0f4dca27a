//! Each rule of the path once kept and once broken.

use super::*;
use crate::{
    asn1,
    testing::{Forge, Holder, NOW},
};
use alloc::vec;

const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;

fn leaf() -> Forge {
    Forge::leaf(&oids::CODE_SIGNING)
}

fn find(leaf: &Holder, between: &[&Holder], anchor: &Holder) -> Result<Path, ChainError> {
    find_at(leaf, between, anchor, NOW)
}

fn find_at(leaf: &Holder, between: &[&Holder], anchor: &Holder, at: i64) -> Result<Path, ChainError> {
    let between: Vec<Certificate> = between.iter().map(|holder| holder.certificate.clone()).collect();
    verify_chain(
        &leaf.certificate,
        &between,
        core::slice::from_ref(&anchor.certificate),
        at,
        Purpose::CodeSigning,
    )
}

/// Root, intermediate and leaf, two of them changed.
fn with(intermediate: Forge, leaf: Forge) -> Result<Path, ChainError> {
    let root = Forge::ca("root").self_signed();
    let intermediate = intermediate.signed_by(&root);
    find(&leaf.signed_by(&intermediate), &[&intermediate], &root)
}

#[test]
fn a_path_runs_from_leaf_to_root_whatever_the_order_at_hand() {
    let root = Forge::ca("root").self_signed();
    let upper = Forge::ca("upper").signed_by(&root);
    let lower = Forge::ca("lower").path_len(0).signed_by(&upper);
    let leaf = leaf().signed_by(&lower);
    for between in [[&upper, &lower, &root], [&lower, &root, &upper]] {
        let path = find(&leaf, &between, &root).unwrap();
        let found: Vec<_> = path.certificates().cloned().collect();
        let expected = [&leaf, &lower, &upper, &root].map(|holder| holder.certificate.clone());
        assert_eq!(found, expected);
        assert_eq!(path.issuer(), Some(&lower.certificate));
        assert_eq!(path.anchor(), &root.certificate);
    }
}

#[test]
fn an_intermediate_can_be_the_anchor() {
    let root = Forge::ca("root").self_signed();
    let intermediate = Forge::ca("intermediate").signed_by(&root);
    let leaf = leaf().signed_by(&intermediate);
    assert_eq!(find(&leaf, &[], &intermediate).unwrap().anchor(), &intermediate.certificate);
}

#[test]
fn among_issuers_of_one_name_the_signature_decides() {
    let root = Forge::ca("root").self_signed();
    let [first, second, third] = [(); 3].map(|()| Forge::ca("region").signed_by(&root));
    let leaf = leaf().signed_by(&second);
    let path = find(&leaf, &[&first, &second, &third], &root).unwrap();
    assert_eq!(path.issuer(), Some(&second.certificate));
    let error = find(&leaf, &[&first, &third], &root).unwrap_err();
    assert!(matches!(error, ChainError::Signature { below: Place::Leaf, .. }), "{error}");
}

#[test]
fn an_issuer_must_be_at_hand_and_lead_to_the_anchor() {
    let root = Forge::ca("root").self_signed();
    let other = Forge::ca("other").self_signed();
    let intermediate = Forge::ca("intermediate").signed_by(&root);
    let leaf = leaf().signed_by(&intermediate);
    let missing = |height| Err(ChainError::UnknownIssuer { below: height });
    assert_eq!(find(&leaf, &[], &root), missing(Place::Leaf));
    assert_eq!(find(&leaf, &[&intermediate], &other), missing(Place::Ca(1)));
    // The true root at hand, but not trusted.
    assert!(find(&leaf, &[&intermediate, &root], &other).is_err());
}

#[test]
fn every_certificate_must_be_valid_at_the_time_both_ends_included() {
    let root = Forge::ca("root").valid(NOW - 50, NOW + 50).self_signed();
    let intermediate = Forge::ca("intermediate").valid(NOW - 40, NOW + 40).signed_by(&root);
    let leaf = leaf().valid(NOW - 30, NOW + 30).signed_by(&intermediate);
    let at = |at| find_at(&leaf, &[&intermediate], &root, at);
    assert!(at(NOW - 30).is_ok() && at(NOW + 30).is_ok());
    let early = ChainError::NotYetValid { place: Place::Leaf, not_before: NOW - 30, at: NOW - 31 };
    assert_eq!(at(NOW - 31), Err(early));
    let late = ChainError::Expired { place: Place::Leaf, not_after: NOW + 30, at: NOW + 31 };
    assert_eq!(at(NOW + 31), Err(late));

    let long = super::tests::leaf().valid(NOW - 300, NOW + 300).signed_by(&intermediate);
    let ca_expired = ChainError::Expired { place: Place::Ca(1), not_after: NOW + 40, at: NOW + 41 };
    assert_eq!(find_at(&long, &[&intermediate], &root, NOW + 41), Err(ca_expired));
    let longer = Forge::ca("longer").signed_by(&root);
    let long = super::tests::leaf().signed_by(&longer);
    let anchor_expired = ChainError::Expired { place: Place::Ca(2), not_after: NOW + 50, at: NOW + 51 };
    assert_eq!(find_at(&long, &[&longer], &root, NOW + 51), Err(anchor_expired));
}

#[test]
fn the_leaf_must_be_a_leaf_for_signing_code() {
    let ca = || Forge::ca("intermediate");
    let needed = oids::CODE_SIGNING;
    let place = Place::Leaf;
    let not_for = Err(ChainError::Purpose { place, needed });
    let no_signing = Err(ChainError::KeyUsage { place, needed: "digitalSignature" });
    assert!(with(ca(), leaf()).is_ok());
    assert_eq!(with(ca(), leaf().without(oids::EXT_KEY_USAGE)), not_for.clone());
    assert_eq!(with(ca(), leaf().purposes(&[oids::TIME_STAMPING], false)), not_for.clone());
    assert_eq!(with(ca(), leaf().purposes(&[oids::ANY_EXTENDED_KEY_USAGE], false)), not_for);
    assert_eq!(with(ca(), leaf().without(oids::KEY_USAGE)), no_signing.clone());
    assert_eq!(with(ca(), leaf().with(oids::KEY_USAGE, true, &[3, 2, 5, 0x20])), no_signing);
    let is_ca = asn1::sequence(&[&asn1::boolean_true()]);
    assert_eq!(with(ca(), leaf().with(oids::BASIC_CONSTRAINTS, true, &is_ca)), Err(ChainError::LeafIsCa));
    let is_none = asn1::sequence(&[]);
    assert!(with(ca(), leaf().with(oids::BASIC_CONSTRAINTS, true, &is_none)).is_ok());
}

#[test]
fn a_precertificate_is_taken_only_where_one_is_asked_for() {
    let root = Forge::ca("root").self_signed();
    let plain = leaf().signed_by(&root);
    let poisoned = leaf().with(oids::CT_PRECERT_POISON, true, &[5, 0]).signed_by(&root);
    let anchors = [root.certificate.clone()];
    let ask = |leaf: &Holder, purpose| verify_chain(&leaf.certificate, &[], &anchors, NOW, purpose);
    assert!(ask(&plain, Purpose::CodeSigning).is_ok());
    assert!(ask(&poisoned, Purpose::Precertificate).is_ok());
    let refused = |found| Err(ChainError::Precertificate { found });
    assert_eq!(ask(&poisoned, Purpose::CodeSigning), refused(true));
    assert_eq!(ask(&plain, Purpose::Precertificate), refused(false));
}

#[test]
fn a_timestamp_authority_has_one_critical_purpose() {
    let root = Forge::ca("root").self_signed();
    let ask = |leaf: Forge| {
        let leaf = leaf.signed_by(&root).certificate;
        verify_chain(&leaf, &[], core::slice::from_ref(&root.certificate), NOW, Purpose::TimeStamping)
    };
    let tsa = || Forge::leaf(&oids::TIME_STAMPING);
    let both = [oids::TIME_STAMPING, oids::CODE_SIGNING];
    assert!(ask(tsa()).is_ok());
    assert!(ask(tsa().without(oids::KEY_USAGE)).is_ok());
    let usage = |bits| ask(tsa().with(oids::KEY_USAGE, true, &[3, 2, 5, bits]));
    assert!(usage(0x40).is_ok());
    let no_signing = ChainError::KeyUsage { place: Place::Leaf, needed: "digitalSignature" };
    assert_eq!(usage(0x20), Err(no_signing));
    assert_eq!(ask(tsa().purposes(&both, true)), Err(ChainError::TimeStampingNotExclusive));
    let not_critical = tsa().purposes(&[oids::TIME_STAMPING], false);
    assert_eq!(ask(not_critical), Err(ChainError::TimeStampingNotExclusive));
    assert!(matches!(ask(leaf()), Err(ChainError::Purpose { place: Place::Leaf, .. })));
}

#[test]
fn a_ca_must_be_one_and_may_sign_certificates() {
    let place = Place::Ca(1);
    let ca = || Forge::ca("intermediate");
    assert_eq!(with(ca().without(oids::BASIC_CONSTRAINTS), leaf()), Err(ChainError::NotCa { place }));
    let not_ca = ca().with(oids::BASIC_CONSTRAINTS, true, &asn1::sequence(&[]));
    assert_eq!(with(not_ca, leaf()), Err(ChainError::NotCa { place }));
    let usage = ca().with(oids::KEY_USAGE, true, &[3, 2, 7, 0x80]);
    assert_eq!(with(usage, leaf()), Err(ChainError::KeyUsage { place, needed: "keyCertSign" }));
}

#[test]
fn a_leaf_cannot_issue() {
    let root = Forge::ca("root").self_signed();
    let mut forge = leaf();
    forge.subject = crate::name::encode("", "not a CA");
    let issuing = forge.signed_by(&root);
    let victim = leaf().signed_by(&issuing);
    let error = find(&victim, &[&issuing], &root).unwrap_err();
    assert_eq!(error, ChainError::NotCa { place: Place::Ca(1) });
}

#[test]
fn purposes_narrow_downwards() {
    let ca = || Forge::ca("intermediate");
    assert!(with(ca().purposes(&[oids::CODE_SIGNING], false), leaf()).is_ok());
    assert!(with(ca().purposes(&[oids::ANY_EXTENDED_KEY_USAGE], false), leaf()).is_ok());
    let other = with(ca().purposes(&[oids::TIME_STAMPING], false), leaf());
    assert_eq!(other, Err(ChainError::Purpose { place: Place::Ca(1), needed: oids::CODE_SIGNING }));
}

#[test]
fn path_length_counts_cas_below_but_not_self_issued_ones() {
    let root = Forge::ca("root").path_len(0).self_signed();
    let direct = leaf().signed_by(&root);
    assert!(find(&direct, &[], &root).is_ok());
    let intermediate = Forge::ca("intermediate").signed_by(&root);
    let below = leaf().signed_by(&intermediate);
    let refused = ChainError::PathLength { place: Place::Ca(2), allowed: 0, found: 1 };
    assert_eq!(find(&below, &[&intermediate], &root), Err(refused));
    // A new key of the same root, signed by the old one.
    let rolled = Forge::ca("root").signed_by(&root);
    let below = leaf().signed_by(&rolled);
    assert!(find(&below, &[&rolled], &root).is_ok());
}

#[test]
fn critical_extensions_nobody_knows_are_refused_anywhere() {
    let oid = ObjectIdentifier::new_unwrap("1.2.3.4");
    let refused = |place| Err(ChainError::UnknownCriticalExtension { place, oid });
    let ca = || Forge::ca("intermediate");
    assert_eq!(with(ca(), leaf().with(oid, true, &[5, 0])), refused(Place::Leaf));
    assert_eq!(with(ca().with(oid, true, &[5, 0]), leaf()), refused(Place::Ca(1)));
    assert!(with(ca().with(oid, false, &[5, 0]), leaf().with(oid, false, &[1, 2, 3])).is_ok());
}

#[test]
fn name_constraints_permit_and_exclude() {
    type Row = (u8, &'static str, u8, &'static str, bool);
    let rows: &[Row] = &[
        (EMAIL, "example.com", EMAIL, "a@example.com", true),
        (EMAIL, "example.com", EMAIL, "a@EXAMPLE.com", true),
        (EMAIL, "example.com", EMAIL, "a@sub.example.com", false),
        (EMAIL, ".example.com", EMAIL, "a@sub.example.com", true),
        (EMAIL, ".example.com", EMAIL, "a@example.com", false),
        (EMAIL, "a@example.com", EMAIL, "a@example.com", true),
        (EMAIL, "b@example.com", EMAIL, "a@example.com", false),
        (EMAIL, "example.com", EMAIL, "a@notexample.com", false),
        (EMAIL, "example.com", EMAIL, "no mailbox", false),
        (URI, "example.com", URI, "https://example.com/x", true),
        (URI, "example.com", URI, "https://user@example.com:8443/x", true),
        (URI, "example.com", URI, "https://www.example.com/x", false),
        (URI, ".example.com", URI, "https://www.example.com", true),
        (URI, "example.com", URI, "https://evil.com/https://example.com", false),
        (URI, "example.com", URI, "https://example.com.evil.com/", false),
        (URI, "example.com", URI, "urn:example.com", false),
        (URI, "example.com", URI, "https://10.0.0.1/", false),
        (DNS, "example.com", DNS, "www.example.com", true),
        (DNS, "example.com", DNS, "example.com", true),
        (DNS, "example.com", DNS, "badexample.com", false),
        // Another form of name is not touched.
        (DNS, "example.com", EMAIL, "a@elsewhere.org", true),
    ];
    for &(form, base, name_form, name, permitted) in rows {
        let ca = Forge::ca("intermediate").names(&[(form, base)], &[]);
        let outcome = with(ca, leaf().san(name_form, name));
        assert_eq!(outcome.is_ok(), permitted, "permitted {base}: {name}: {outcome:?}");
    }
    let excluded = |base, name| with(Forge::ca("i").names(&[], &[(EMAIL, base)]), leaf().san(EMAIL, name));
    assert!(excluded("example.com", "a@example.org").is_ok());
    let name = San::Email("a@example.com".into());
    let refused = ChainError::NameNotPermitted { place: Place::Ca(1), name };
    assert_eq!(excluded("example.com", "a@example.com"), Err(refused));
}

#[test]
fn no_spelling_of_a_host_slips_past_an_exclusion() {
    let rows: &[(u8, &str)] = &[
        (EMAIL, "a@example.com."),
        (EMAIL, "a@EXAMPLE.com"),
        (EMAIL, "a@example%2ecom"),
        (EMAIL, "a@"),
        (URI, "https://example.com./path"),
        (URI, "https://user@example.com:443/"),
        (URI, "https://%65xample.com/"),
        (URI, "https://example.com\\@elsewhere.org/"),
        (URI, "https:///example.com"),
        (DNS, "example.com."),
        (DNS, "*.com"),
        (DNS, "www.example.com"),
    ];
    for &(form, name) in rows {
        let ca = Forge::ca("i").names(&[], &[(form, "example.com")]);
        let outcome = with(ca, leaf().san(form, name));
        assert!(matches!(outcome, Err(ChainError::NameNotPermitted { .. })), "{name}: {outcome:?}");
        assert!(with(Forge::ca("i"), leaf().san(form, name)).is_ok(), "{name}");
    }
}

#[test]
fn constraints_that_are_not_read_refuse_the_names_they_are_about() {
    const ADDRESS: u8 = 0x87;
    let ca = || Forge::ca("intermediate").names(&[], &[(ADDRESS, "\0\0\0\0\0\0\0\0")]);
    assert!(with(ca(), leaf()).is_ok());
    let refused = ChainError::UnreadNameConstraint { place: Place::Ca(1) };
    assert_eq!(with(ca(), leaf().san(ADDRESS, "\x0a\0\0\x01")), Err(refused));
    let malformed = Forge::ca("intermediate").with(oids::NAME_CONSTRAINTS, true, &[0x30, 0x05]);
    let refused = ChainError::MalformedNameConstraints { place: Place::Ca(1) };
    assert_eq!(with(malformed, leaf()), Err(refused));
}

#[test]
fn a_long_chain_and_a_crowd_of_lookalikes_end_the_search() {
    let root = Forge::ca("root").self_signed();
    let mut chain = vec![Forge::ca("0").signed_by(&root)];
    for height in 1..MAX_PATH {
        let next = Forge::ca(&alloc::format!("{height}")).signed_by(chain.last().unwrap());
        chain.push(next);
    }
    let leaf_below = leaf().signed_by(chain.last().unwrap());
    let between: Vec<&Holder> = chain.iter().collect();
    let too_long = ChainError::TooLong { limit: MAX_PATH };
    assert_eq!(find(&leaf_below, &between, &root).unwrap_err(), too_long);

    // Every pair signs each other: exponentially many paths, none to an anchor.
    let shared = crate::testing::key();
    let crowd: Vec<Holder> = (0..24)
        .map(|serial| {
            let mut forge = Forge::ca("crowd");
            forge.serial = serial;
            let der = forge.der(&shared, &forge.subject, &shared);
            Holder { key: crate::testing::key(), certificate: Certificate::from_der(&der).unwrap() }
        })
        .collect();
    let signer = Holder { key: shared, certificate: crowd[0].certificate.clone() };
    let lost = leaf().signed_by(&signer);
    let crowd: Vec<&Holder> = crowd.iter().collect();
    let too_many = ChainError::TooManyCandidates { limit: MAX_SIGNATURE_CHECKS };
    assert_eq!(find(&lost, &crowd, &root).unwrap_err(), too_many);
}

#[test]
fn many_names_under_many_constraints_end_the_search() {
    let names = |count: usize| -> Vec<u8> {
        let names = (0..count).flat_map(|at| asn1::wrap(EMAIL, &[alloc::format!("{at}@a.com").as_bytes()]));
        asn1::sequence(&[&names.collect::<Vec<u8>>()])
    };
    let excluded: Vec<(u8, alloc::string::String)> =
        (0..200).map(|at| (EMAIL, alloc::format!(".{at}.org"))).collect();
    let excluded: Vec<(u8, &str)> = excluded.iter().map(|(form, base)| (*form, base.as_str())).collect();
    let ca = || Forge::ca("intermediate").names(&[], &excluded);
    let leaf_of = |count| leaf().with(oids::SUBJECT_ALT_NAME, true, &names(count));
    // The subject counts as a name: 81 x 200 comparisons are within the bound, 82 x 200 are not.
    assert!(with(ca(), leaf_of(80)).is_ok());
    let too_many = ChainError::TooManyNames { place: Place::Ca(1), limit: MAX_NAME_COMPARISONS };
    assert_eq!(with(ca(), leaf_of(81)), Err(too_many.clone()));
    // What the first candidates used up is gone for those that follow.
    let root = Forge::ca("root").self_signed();
    let shared = crate::testing::key();
    let stranger = Forge::ca("stranger").self_signed();
    let crowd: Vec<Holder> = (0..3)
        .map(|serial| {
            let mut forge = ca();
            forge.serial = serial;
            let above = if serial == 2 { &root } else { &stranger };
            Holder { key: crate::testing::key(), certificate: forge.for_key(&shared, above) }
        })
        .collect();
    let signer = Holder { key: shared, certificate: crowd[0].certificate.clone() };
    let crowd: Vec<&Holder> = crowd.iter().collect();
    assert!(find(&leaf_of(20).signed_by(&signer), &crowd, &root).is_ok());
    assert_eq!(find(&leaf_of(40).signed_by(&signer), &crowd, &root), Err(too_many));
}

#[test]
fn a_listed_leaf_is_its_own_path() {
    let root = Forge::ca("root").self_signed();
    let leaf = leaf().signed_by(&root);
    let path = find(&leaf, &[], &leaf).unwrap();
    assert_eq!((path.issuer(), path.anchor()), (None, &leaf.certificate));
}

#[test]
fn the_most_telling_failure_is_reported() {
    // One lookalike fails by signature, the true issuer by its validity: people should hear the latter.
    let root = Forge::ca("root").self_signed();
    let expired = Forge::ca("region").valid(NOW - 500, NOW - 400).signed_by(&root);
    let lookalike = Forge::ca("region").signed_by(&root);
    let leaf = leaf().signed_by(&expired);
    for between in [[&expired, &lookalike], [&lookalike, &expired]] {
        let error = find(&leaf, &between, &root).unwrap_err();
        assert_eq!(error, ChainError::Expired { place: Place::Ca(1), not_after: NOW - 400, at: NOW });
    }
}

#[test]
fn what_is_listed_together_is_not_therefore_signed() {
    let root = Forge::ca("root").self_signed();
    let impostor = Forge::ca("root").self_signed();
    let own = Forge::ca("intermediate").signed_by(&root);
    let other = Forge::ca("intermediate").signed_by(&impostor);
    let ask = |leaf: &Holder, listed: &[&Holder], extra: &[&Holder], at_ms: i64| {
        let certificates = |list: &[&Holder]| list.iter().map(|holder| holder.certificate.clone()).collect();
        let chain = TrustedChain::new(certificates(listed)).unwrap();
        let extra: Vec<Certificate> = certificates(extra);
        // Asked twice: what is remembered is asked the second time.
        let outcomes = [0, 1].map(|_| chain.verify(&leaf.certificate, &extra, at_ms, Purpose::CodeSigning));
        assert_eq!(outcomes[0], outcomes[1]);
        outcomes[0].clone().map(|_| ())
    };
    let (by_own, by_other) = (leaf().signed_by(&own), leaf().signed_by(&other));
    let at = NOW * 1000;
    assert_eq!(ask(&by_own, &[&own, &root], &[], at), Ok(()));
    let signature = |outcome| matches!(outcome, Err(ChainError::Signature { .. }));
    assert!(signature(ask(&by_other, &[&other, &root], &[], at)));
    assert!(signature(ask(&by_other, &[&own, &root], &[&other], at)));
    // What the bundle brings is never taken for what is listed, though it may be the same certificate.
    assert_eq!(ask(&by_own, &[&root], &[&own], at), Ok(()));
    assert!(signature(ask(&by_other, &[&impostor, &own, &root], &[&other], at)));
    // Nor does it matter in which order they are listed.
    let lower = Forge::ca("lower").signed_by(&own);
    let leaf = leaf().valid(NOW - 1, NOW).signed_by(&lower);
    assert_eq!(ask(&leaf, &[&own, &lower, &root], &[], at), Ok(()));
    let expired = |outcome| matches!(outcome, Err(ChainError::Expired { place: Place::Leaf, .. }));
    assert!(expired(ask(&leaf, &[&lower, &own, &root], &[], at + 1)));
    assert!(TrustedChain::new(Vec::new()).is_none());
}
