//! Clocks just before, at and after each end of each period that counts: of every certificate, of every
//! service's window in the trusted root, and of services that come and go.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::{TrustedRoot, UnixTime, ValidFor};
use sealog_testkit::{
    DAY, EntryForm, NOW, P256, Person, Shape, Signed, Sigstore, Template, Thing, Token, window,
};
use sealog_verify::{
    ErrorClass::{self, Chain, Checkpoint, Promise, Sct, TimeOutsideCertificate, Timestamp},
    TimeSource,
};

const FILE: &[u8] = b"the file";

fn alice() -> Person {
    Person::new("alice@example.com", P256)
}

/// A file signed at [`NOW`] by a timestamp authority's clock, in a world that was changed.
fn signed_after(change: impl FnOnce(&mut Sigstore)) -> Option<ErrorClass> {
    let mut world = Sigstore::new();
    change(&mut world);
    world.relist();
    let signed = world.sign(&alice(), Thing::File(FILE));
    world.class(&signed)
}

type ChangeOfTemplate = fn(Template) -> Template;

/// Both ends of a certificate's validity around [`NOW`], and whether they let it in.
const ENDS: [(ChangeOfTemplate, bool); 4] = [
    (|t| t.from(NOW), true),
    (|t| t.from(NOW + 1), false),
    (|t| t.until(NOW), true),
    (|t| t.until(NOW - 1), false),
];

#[test]
fn every_certificate_above_the_signer_must_be_valid() {
    for place in 0..2 {
        for (change, good) in ENDS {
            let class = signed_after(|world| world.ca.change(place, change));
            assert_eq!(class, (!good).then_some(Chain), "place {place}");
        }
    }
}

#[test]
fn every_certificate_of_the_timestamp_authority_must_be_valid() {
    for place in 0..3 {
        for (change, good) in ENDS {
            let class = signed_after(|world| world.tsa.change(place, change));
            assert_eq!(class, (!good).then_some(Timestamp), "place {place}");
        }
    }
}

#[test]
fn the_signers_certificate_must_be_valid_by_every_clock() {
    let mut world = Sigstore::new();
    let who = alice();
    for (offset, good) in [(-60, true), (-61, false), (540, true), (541, false), (0, true)] {
        let clocks = [
            Shape { at: NOW + offset, ..Shape::default() },
            Shape { at: NOW + offset, ..Shape::rekor_v1(EntryForm::HashedRekordV001) },
            Shape { at: NOW + offset, timestamp: true, ..Shape::rekor_v1(EntryForm::HashedRekordV001) },
        ];
        let certificate = world.certificate(&who, NOW - 60);
        for shape in clocks {
            let signed = world.sign_all(&who, &certificate, Thing::File(FILE), &shape);
            assert_eq!(world.class(&signed), (!good).then_some(TimeOutsideCertificate), "{shape:?}");
        }
    }
    // One clock does not excuse the other.
    let shape = Shape { timestamp: true, ..Shape::rekor_v1(EntryForm::HashedRekordV001) };
    for (by_tsa, by_log, good) in
        [(0, 0, true), (540, 0, true), (541, 0, false), (0, 541, false), (-61, 0, false), (0, -61, false)]
    {
        let mut signed = world.sign_as(&who, Thing::File(FILE), &shape);
        signed.bundle.material.timestamps = vec![world.tsa.stamp(signed.signature(), NOW + by_tsa)];
        world.rekor_v1.promise(&mut signed.bundle.material.log_entries[0], NOW + by_log);
        assert_eq!(world.class(&signed), (!good).then_some(TimeOutsideCertificate), "{by_tsa} {by_log}");
    }
}

#[test]
fn of_two_clocks_the_earliest_is_told() {
    let mut world = Sigstore::new();
    let shape = Shape { timestamp: true, ..Shape::rekor_v1(EntryForm::HashedRekordV001) };
    for (by_tsa, by_log, earliest, clock) in
        [(1, 2, 1, "https://tsa.example"), (2, 1, 1, "https://rekor.example")]
    {
        let mut signed = world.sign_as(&alice(), Thing::File(FILE), &shape);
        signed.bundle.material.timestamps = vec![world.tsa.stamp(signed.signature(), NOW + by_tsa)];
        world.rekor_v1.promise(&mut signed.bundle.material.log_entries[0], NOW + by_log);
        let verified = world.verify(&signed).unwrap();
        assert_eq!(verified.signed_at(), Some(UnixTime::from_seconds(NOW + earliest)));
        assert_eq!(verified.time_source(), Some(&TimeSource { authority: clock.into() }));
    }
}

/// What is said of a bundle when a service's window has its ends around a time.
fn around(
    world: &Sigstore,
    signed: &Signed,
    at: i64,
    set: impl Fn(&mut TrustedRoot, ValidFor),
) -> [Option<ErrorClass>; 4] {
    let from = |from| ValidFor::from(UnixTime::from_seconds(from));
    [from(at), from(at + 1), window(at - DAY, at), window(at - DAY, at - 1)].map(|window| {
        let mut world = world.clone();
        set(&mut world.root, window);
        world.class(signed)
    })
}

#[test]
fn every_service_must_be_trusted_at_the_time() {
    let mut world = Sigstore::new();
    let ends = |class| [None, Some(class), None, Some(class)];
    let signed = world.sign(&alice(), Thing::File(FILE));
    let ca = around(&world, &signed, NOW, |root, window| root.certificate_authorities[0].valid_for = window);
    assert_eq!(ca, ends(Chain));
    let tsa = around(&world, &signed, NOW, |root, window| root.timestamp_authorities[0].valid_for = window);
    assert_eq!(tsa, ends(Timestamp));
    let log = around(&world, &signed, NOW, |root, window| root.tlogs[0].valid_for = window);
    assert_eq!(log, ends(Checkpoint));
    // The certificate was promised when its validity began.
    let ct = around(&world, &signed, NOW - 60, |root, window| root.ctlogs[0].valid_for = window);
    assert_eq!(ct, ends(Sct));
    for form in [EntryForm::DsseV001, EntryForm::IntotoV002] {
        let mut shape = Shape::rekor_v1(form);
        let promised = world.sign_as(&alice(), Thing::StatementAbout(FILE), &shape);
        let log = around(&world, &promised, NOW, |root, window| root.tlogs[1].valid_for = window);
        assert_eq!(log, ends(Promise));
        (shape.promise, shape.timestamp) = (false, true);
        let unpromised = world.sign_as(&alice(), Thing::StatementAbout(FILE), &shape);
        let log = around(&world, &unpromised, NOW, |root, window| root.tlogs[1].valid_for = window);
        assert_eq!(log, ends(Checkpoint));
    }
}

#[test]
fn a_managed_key_needs_no_time_but_what_is_stated_must_fit() {
    let mut world = Sigstore::new();
    let mut shape = Shape::managed_key();
    let timeless = world.sign_as(&alice(), Thing::File(FILE), &shape);
    let log = around(&world, &timeless, NOW, |root, window| root.tlogs[0].valid_for = window);
    assert_eq!(log, [None; 4]);
    shape.timestamp = true;
    let stamped = world.sign_as(&alice(), Thing::File(FILE), &shape);
    let log = around(&world, &stamped, NOW, |root, window| root.tlogs[0].valid_for = window);
    assert_eq!(log, [None, Some(Checkpoint), None, Some(Checkpoint)]);
}

#[test]
fn a_fraction_of_a_second_past_the_end_is_past_it() {
    let mut world = Sigstore::new();
    let who = alice();
    let certificate = world.certificate(&who, NOW - 60);
    for (at, fraction, ends, class) in [
        (NOW, "25", NOW + 1, None),
        (NOW, "25", NOW, Some(Timestamp)),
        (NOW, "", NOW, None),
        // Certificates end with the moment that they name (RFC 5280 §4.1.2.5), not with the second after it.
        (NOW + 540, "", NOW + DAY, None),
        (NOW + 540, "001", NOW + DAY, Some(TimeOutsideCertificate)),
        (NOW + 539, "999", NOW + DAY, None),
        (NOW + 541, "001", NOW + DAY, Some(TimeOutsideCertificate)),
        (NOW - 61, "999", NOW + DAY, Some(TimeOutsideCertificate)),
        (NOW - 60, "001", NOW + DAY, None),
    ] {
        let mut signed = world.sign_with(&who, &certificate, Thing::File(FILE));
        let token = Token::new(at).fraction(fraction).over(signed.signature(), world.tsa.signer());
        signed.bundle.material.timestamps = vec![token];
        world.root.timestamp_authorities[0].valid_for = window(NOW - DAY, ends);
        assert_eq!(world.class(&signed), class, "{at}.{fraction} until {ends}");
    }
    // So do those of the timestamp's authority.
    for (fraction, class) in [("", None), ("001", Some(Timestamp))] {
        let mut world = Sigstore::new();
        world.tsa.change(1, |authority| authority.until(NOW));
        world.relist();
        let mut signed = world.sign(&who, Thing::File(FILE));
        let token = Token::new(NOW).fraction(fraction).over(signed.signature(), world.tsa.signer());
        signed.bundle.material.timestamps = vec![token];
        assert_eq!(world.class(&signed), class, "{fraction}");
    }
}

#[test]
fn an_authority_that_was_replaced_still_counts_for_its_time() {
    let mut world = Sigstore::new();
    let old = Sigstore::other("old");
    // The old one until a day ago, ours since an hour ago, and nobody in between.
    for (now, before) in [
        (&mut world.root.certificate_authorities, old.root.certificate_authorities.clone()),
        (&mut world.root.timestamp_authorities, old.root.timestamp_authorities.clone()),
    ] {
        now[0].valid_for = ValidFor::from(UnixTime::from_seconds(NOW - 3600));
        now.insert(0, before[0].clone());
        now[0].valid_for = window(NOW - 40 * DAY, NOW - DAY);
    }
    for (ca_is_old, tsa_is_old, at, class) in [
        (false, false, NOW, None),
        (true, true, NOW - DAY, None),
        (true, true, NOW, Some(Timestamp)),
        (true, false, NOW, Some(Chain)),
        (false, true, NOW, Some(Timestamp)),
        (false, true, NOW - DAY, Some(Chain)),
        (true, false, NOW - DAY, Some(Timestamp)),
        (false, false, NOW - DAY / 2, Some(Timestamp)),
    ] {
        let mut signing = world.clone();
        if ca_is_old {
            signing.ca = old.ca.clone();
        }
        if tsa_is_old {
            signing.tsa = old.tsa.clone();
        }
        let signed = signing.sign_as(&alice(), Thing::File(FILE), &Shape { at, ..Shape::default() });
        assert_eq!(world.class(&signed), class, "{ca_is_old} {tsa_is_old} {at}");
    }
}

#[test]
fn a_log_that_ended_still_counts_for_what_it_took_in() {
    let mut world = Sigstore::new();
    world.log.valid_for = window(NOW - DAY, NOW + 60);
    world.rekor_v1.valid_for = window(NOW - DAY, NOW + 60);
    world.ct.valid_for = window(NOW - DAY, NOW);
    world.relist();
    let v1 = Shape::rekor_v1(EntryForm::HashedRekordV001);
    for (shape, class) in [(Shape::default(), Checkpoint), (v1, Promise)] {
        for (at, class) in [(NOW, None), (NOW + 60, None), (NOW + 61, Some(Sct))] {
            let signed = world.sign_as(&alice(), Thing::File(FILE), &Shape { at, ..shape.clone() });
            // A promise speaks before the certificate does.
            let class = if class.is_some() && shape.promise { Some(Promise) } else { class };
            assert_eq!(world.class(&signed), class, "{at} {shape:?}");
        }
        // With a certificate promised in time, it is the log whose end is heard of.
        let certificate = world.certificate(&alice(), NOW - 60);
        let shape = Shape { at: NOW + 61, ..shape };
        let late = world.sign_all(&alice(), &certificate, Thing::File(FILE), &shape);
        assert_eq!(world.class(&late), Some(class));
    }
}
