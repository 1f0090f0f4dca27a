//! Writes a folder of hard cases for any verifier: bundles of a whole Sigstore in memory, each with the trusted root,
//! artifact and signer that go with it.
//!
//!   corpus DIR
//!
//! The folder is laid out like the sigstore-conformance suite's `test/assets/bundle-verify`: `NAME/bundle.sigstore.json`,
//! `trusted_root.json`, `artifact`, and `identity` with `issuer` or `key.pub`. What must be refused has a name that ends
//! with `_fail`. The names, and what is wrong with each case, are the same in every run; keys and signatures are not.
//! This program holds our own verifier to every name, so that a case is what it is said to be.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program that stops at once if it cannot go on"
)]

use sealog_bundle::{ValidFor, Version};
use sealog_crypto::{HashAlgorithm, KeyKind};
use sealog_pki::San;
use sealog_testkit::{
    Authority, CtLog, DAY, EntryForm, KeyForm, NOW, P256, Person, Shape, Signed, Signer, Sigstore, Template,
    Thing, Token, oids, window,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

const FILE: &[u8] = b"the file";
/// When all of it is signed: past for everybody, also for who compares with the clock on the wall.
const AT: i64 = NOW - 49 * DAY;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("usage: corpus DIR");
        return ExitCode::from(2);
    };
    let mut corpus = Corpus { folder, written: 0 };
    corpus.shapes();
    corpus.keys();
    corpus.certificates();
    corpus.authorities();
    corpus.periods();
    corpus.services();
    corpus.content();
    println!("{} cases in {}", corpus.written, corpus.folder.display());
    ExitCode::SUCCESS
}

struct Corpus {
    folder: PathBuf,
    written: usize,
}

fn alice() -> Person {
    Person::new("alice@example.com", P256)
}

/// The usual shape, signed then.
fn usual() -> Shape {
    Shape { at: AT, ..Shape::default() }
}

fn rekor_v1(form: EntryForm) -> Shape {
    Shape { version: Version::V02, key: KeyForm::Chain, at: AT, ..Shape::rekor_v1(form) }
}

impl Corpus {
    /// Writes a case, if it is what its name says.
    fn case(&mut self, name: &str, world: &Sigstore, signed: &Signed) {
        let found = world.class(signed);
        assert_eq!(found.is_some(), name.ends_with("_fail"), "{name}: {found:?}");
        let place = self.folder.join(name);
        assert!(!place.exists(), "{name} is there already");
        fs::create_dir_all(&place).unwrap();
        let write = |file: &str, text: &[u8]| fs::write(Path::join(&place, file), text).unwrap();
        write("bundle.sigstore.json", signed.bundle.to_json().as_bytes());
        write("trusted_root.json", world.root.to_json().as_bytes());
        write("artifact", &signed.file);
        match &signed.signer {
            Signer::Identity { identity, issuer } => {
                write("identity", identity.as_bytes());
                write("issuer", issuer.as_bytes());
            }
            Signer::Key(key) => write("key.pub", key.to_pem().as_bytes()),
        }
        self.written += 1;
    }

    /// A case of a changed world, in which a file is signed as usual.
    fn in_a_world(&mut self, name: &str, change: impl FnOnce(&mut Sigstore)) {
        let mut world = Sigstore::new();
        change(&mut world);
        world.relist();
        let signed = world.sign_as(&alice(), Thing::File(FILE), &usual());
        self.case(name, &world, &signed);
    }

    /// A case whose trusted root is changed after everything was signed.
    fn under_a_root(&mut self, name: &str, change: impl FnOnce(&mut Sigstore)) {
        let mut world = Sigstore::new();
        let signed = world.sign_as(&alice(), Thing::File(FILE), &usual());
        change(&mut world);
        self.case(name, &world, &signed);
    }

    /// A case of a changed certificate of the signer's.
    fn with_leaf(&mut self, name: &str, change: impl FnOnce(Template) -> Template) {
        let mut world = Sigstore::new();
        let mut draft = world.draft(&alice(), AT - 60);
        draft.template = change(draft.template);
        let certificate = world.certify(&draft);
        let signed = world.sign_all(&alice(), &certificate, Thing::File(FILE), &usual());
        self.case(name, &world, &signed);
    }

    fn shapes(&mut self) {
        let timestamp = |shape: Shape| Shape { timestamp: true, ..shape };
        for (name, shape, statement) in [
            ("file", usual(), false),
            ("statement", usual(), true),
            ("chain", Shape { at: AT, ..Shape::chain() }, false),
            ("hashedrekord-v1", rekor_v1(EntryForm::HashedRekordV001), false),
            ("hashedrekord-v1-timestamp", timestamp(rekor_v1(EntryForm::HashedRekordV001)), false),
            ("dsse-v1", rekor_v1(EntryForm::DsseV001), true),
            ("intoto-v1-timestamp", timestamp(rekor_v1(EntryForm::IntotoV002)), true),
            ("key", Shape { at: AT, ..Shape::managed_key() }, false),
            ("key-statement", Shape { at: AT, ..Shape::managed_key() }, true),
        ] {
            let mut world = Sigstore::new();
            let thing = if statement { Thing::StatementAbout(FILE) } else { Thing::File(FILE) };
            let signed = world.sign_as(&alice(), thing, &shape);
            self.case(&format!("shape-{name}"), &world, &signed);
        }
    }

    fn keys(&mut self) {
        for (name, kind) in [
            ("p384", KeyKind::EcdsaP384),
            ("p521", KeyKind::EcdsaP521),
            ("rsa-2048", KeyKind::Rsa { bits: 2048 }),
            ("rsa-4096", KeyKind::Rsa { bits: 4096 }),
        ] {
            let mut world = Sigstore::new();
            let signed = world.sign_as(&Person::new("alice@example.com", kind), Thing::File(FILE), &usual());
            self.case(&format!("signer-{name}"), &world, &signed);
            self.in_a_world(&format!("authority-{name}"), |world| world.ca.change_key(0, "another", kind));
            self.in_a_world(&format!("timestamps-{name}"), |world| world.tsa.change_key(0, "another", kind));
        }
    }

    fn certificates(&mut self) {
        self.with_leaf("leaf-ends-then", |t| t.until(AT));
        self.with_leaf("leaf-ended-before_fail", |t| t.until(AT - 1));
        self.with_leaf("leaf-begins-then", |t| t.from(AT));
        self.with_leaf("leaf-begins-after_fail", |t| t.from(AT + 1));
        self.with_leaf("leaf-no-usage_fail", |t| t.without(oids::KEY_USAGE));
        self.with_leaf("leaf-usage-of-a-ca_fail", Template::usage_of_a_ca);
        self.with_leaf("leaf-no-purpose_fail", |t| t.without(oids::EXT_KEY_USAGE));
        self.with_leaf("leaf-for-servers_fail", |t| t.purposes(&[oids::SERVER_AUTH], false));
        self.with_leaf("leaf-for-both", |t| t.purposes(&[oids::CODE_SIGNING, oids::SERVER_AUTH], false));
        self.with_leaf("leaf-unknown-critical_fail", |t| t.with(oids::POLICY_CONSTRAINTS, true, &[0x30, 0]));
        self.with_leaf("leaf-issuers-name-another_fail", |t| t.issued_under("somebody else"));
        self.with_leaf("leaf-two-names_fail", |t| {
            t.names(&[San::Email("alice@example.com".into()), San::Email("mallory@example.com".into())])
        });
    }

    fn authorities(&mut self) {
        let permitted = |names: &[San], excluded: &[San]| {
            let (names, excluded) = (names.to_vec(), excluded.to_vec());
            move |t: Template| t.name_constraints(&names, &excluded)
        };
        let domain = |name: &str| vec![San::Email(name.into())];
        for (place, name) in ["intermediate", "root"].into_iter().enumerate() {
            self.in_a_world(&format!("{name}-ends-then"), |w| w.ca.change(place, |t| t.until(AT)));
            self.in_a_world(&format!("{name}-ended-before_fail"), |w| {
                w.ca.change(place, |t| t.until(AT - 1))
            });
            self.in_a_world(&format!("{name}-begins-after_fail"), |w| w.ca.change(place, |t| t.from(AT + 1)));
            self.in_a_world(&format!("{name}-permits-the-name"), |w| {
                w.ca.change(place, permitted(&domain("example.com"), &[]));
            });
            self.in_a_world(&format!("{name}-permits-others_fail"), |w| {
                w.ca.change(place, permitted(&domain("example.org"), &[]));
            });
            self.in_a_world(&format!("{name}-excludes-the-name_fail"), |w| {
                w.ca.change(place, permitted(&[], &domain("example.com")));
            });
            self.in_a_world(&format!("{name}-is-no-ca_fail"), |w| {
                w.ca.change(place, |t| t.without(oids::BASIC_CONSTRAINTS));
            });
        }
        self.in_a_world("path-long-enough", |w| w.ca.change(1, |t| t.path_len(1)));
        self.in_a_world("path-too-long_fail", |w| w.ca.change(1, |t| t.path_len(0)));
        for (place, name) in ["signer", "intermediate", "root"].into_iter().enumerate() {
            self.in_a_world(&format!("timestamps-{name}-ends-then"), |w| {
                w.tsa.change(place, |t| t.until(AT));
            });
            self.in_a_world(&format!("timestamps-{name}-ended-before_fail"), |w| {
                w.tsa.change(place, |t| t.until(AT - 1));
            });
        }
        self.in_a_world("timestamps-signer-for-code_fail", |w| {
            w.tsa.change(0, |t| t.purposes(&[oids::CODE_SIGNING], true));
        });
        let twin = Authority::ca("twin");
        self.under_a_root("authority-of-the-same-name_fail", |w| {
            w.root.certificate_authorities = vec![twin.listed()];
        });
        self.under_a_root("authority-of-the-same-name-before", |w| {
            w.root.certificate_authorities.insert(0, twin.listed());
        });
        self.under_a_root("authority-of-the-same-name-behind", |w| {
            w.root.certificate_authorities.push(twin.listed());
        });
    }

    /// The edges of the times for which the trusted root lists somebody.
    fn periods(&mut self) {
        let set = |world: &mut Sigstore, what: &str, period: ValidFor| {
            let root = &mut world.root;
            match what {
                "authority" => root.certificate_authorities[0].valid_for = period,
                "timestamps" => root.timestamp_authorities[0].valid_for = period,
                "ct-log" => root.ctlogs[0].valid_for = period,
                _ => root.tlogs[0].valid_for = period,
            }
        };
        for what in ["authority", "timestamps", "ct-log", "log"] {
            // The certificate was logged when it was issued, all else is of the time of the signature.
            let then = if what == "ct-log" { AT - 60 } else { AT };
            for (name, from, to) in [
                ("ends-then", then - DAY, then),
                ("ended-before_fail", then - DAY, then - 1),
                ("begins-then", then, then + DAY),
                ("begins-after_fail", then + 1, then + DAY),
            ] {
                let name = format!("period-of-{what}-{name}");
                self.under_a_root(&name, |world| set(world, what, window(from, to)));
            }
        }
    }

    fn services(&mut self) {
        let other = Sigstore::other("other");
        self.under_a_root("ct-log-unknown_fail", |w| w.root.ctlogs = vec![CtLog::new("other").listed()]);
        self.under_a_root("ct-log-second-unknown", |w| w.root.ctlogs.push(CtLog::new("other").listed()));
        self.under_a_root("log-of-the-same-name_fail", |w| w.root.tlogs = other.root.tlogs.clone());
        self.under_a_root("timestamps-of-the-same-name_fail", |w| {
            w.root.timestamp_authorities = other.root.timestamp_authorities.clone();
        });
        self.in_a_world("witnessed", |w| {
            w.log.witnessed_by("witness.example/w1").witnessed_by("witness.example/w2");
        });
        let mut world = Sigstore::new();
        let unlogged = world.sign_as(&alice(), Thing::File(FILE), &Shape { sct: false, ..usual() });
        self.case("no-sct_fail", &world, &unlogged);
        let mut signed = world.sign_as(&alice(), Thing::File(FILE), &usual());
        let mut entry = world.rekor_v1.take(&signed, EntryForm::HashedRekordV001);
        world.rekor_v1.promise(&mut entry, AT);
        signed.bundle.material.log_entries.push(entry);
        self.case("two-logs", &world, &signed);
        let broken = signed.changed(|bundle| {
            let proof = bundle.material.log_entries[1].inclusion_proof.as_mut().unwrap();
            proof.hashes[0][0] ^= 1;
        });
        self.case("two-logs-second-broken_fail", &world, &broken);
        let mut signed = world.sign_as(&alice(), Thing::File(FILE), &usual());
        for (name, token) in [
            ("sha384", Token::new(AT).imprint(HashAlgorithm::Sha384)),
            ("sha512", Token::new(AT).imprint(HashAlgorithm::Sha512)),
            ("fraction", Token::new(AT).fraction("25")),
            ("without-certificate", Token::new(AT).bare()),
            ("nonce", Token::new(AT).nonce(7)),
        ] {
            let response = token.over(signed.signature(), world.tsa.signer());
            signed.bundle.material.timestamps = vec![response];
            self.case(&format!("token-{name}"), &world, &signed);
        }
        signed.bundle.material.timestamps = vec![world.tsa.stamp(b"another signature", AT)];
        self.case("token-of-another-signature_fail", &world, &signed);
        signed.bundle.material.timestamps = vec![world.tsa.stamp(signed.signature(), AT + 1000)];
        self.case("token-after-the-certificate_fail", &world, &signed);
    }

    fn content(&mut self) {
        let v1 = "https://in-toto.io/Statement/v1";
        for (name, of_type, by) in [
            ("sha512", v1, &[HashAlgorithm::Sha256, HashAlgorithm::Sha512][..]),
            ("v0.1", "https://in-toto.io/Statement/v0.1", &[HashAlgorithm::Sha256][..]),
            ("of-a-type-unknown_fail", "https://in-toto.io/Statement/v9", &[HashAlgorithm::Sha256][..]),
            ("of-no-digest_fail", v1, &[][..]),
        ] {
            let mut world = Sigstore::new();
            let signed = world.sign_as(&alice(), Thing::Statement { about: FILE, of_type, by }, &usual());
            self.case(&format!("statement-{name}"), &world, &signed);
        }
        let mut world = Sigstore::new();
        let signed = world.sign_as(&alice(), Thing::StatementAbout(b"another file"), &usual());
        self.case("statement-about-another-file_fail", &world, &Signed { file: FILE.to_vec(), ..signed });
        let envelope = Thing::Envelope { payload: b"{}", payload_type: "application/json", file: FILE };
        let signed = world.sign_as(&alice(), envelope, &usual());
        self.case("envelope-of-no-statement_fail", &world, &signed);
        let bob = Person::new("https://example.com/bob", P256);
        let (a, b) = (
            world.sign_as(&alice(), Thing::File(FILE), &usual()),
            world.sign_as(&bob, Thing::File(FILE), &usual()),
        );
        let mixed = |name: &str, corpus: &mut Self, change: &dyn Fn(&mut sealog_bundle::Bundle)| {
            corpus.case(&format!("mixed-{name}_fail"), &world, &a.changed(|bundle| change(bundle)));
        };
        mixed("certificate", self, &|to| to.material.key = b.bundle.material.key.clone());
        mixed("entry", self, &|to| to.material.log_entries = b.bundle.material.log_entries.clone());
        mixed("timestamp", self, &|to| to.material.timestamps = b.bundle.material.timestamps.clone());
        mixed("signature", self, &|to| to.content = b.bundle.content.clone());
        mixed("all-but-certificate", self, &|to| {
            let key = to.material.key.clone();
            *to = b.bundle.clone();
            to.material.key = key;
        });
    }
}
