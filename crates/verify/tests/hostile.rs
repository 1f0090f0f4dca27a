//! Bytes by somebody who wants the verifier to fall over, or to see what is not there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::KeyKind;
use sealog_testkit::{Person, Sigstore, Thing};
use sealog_verify::{Artifact, Policy, Report, Verified, VerifyError, verdict::json_line, verify};

const FILE: &[u8] = b"the file";
const LIMIT: usize = 32 << 20;

/// Numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

fn damaged(good: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=dice.below(3) {
        let (at, from) = (dice.below(bytes.len()), dice.below(good.len()));
        match dice.below(6) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = [b'"', b'{', b'}', b'0', b'A', b'=', 0x30, 0x80, 0xff][dice.below(9)],
            2 => bytes.truncate(at + 1),
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, good[from]),
            _ => {
                let piece = &good[from..good.len().min(from + dice.below(40))];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

/// Looks at a bundle in every way there is; whether it was accepted.
fn accepted(bundle: &Bundle, root: &TrustedRoot) -> bool {
    let outcome = verify(bundle, root, &Policy::any_identity_unsafe(), &Artifact::from_bytes(FILE));
    assert!(!Report::of("file", &outcome).to_string().is_empty());
    assert!(json_line("file", &outcome).starts_with('{'));
    outcome.is_ok()
}

#[test]
fn damaged_documents_and_pieces_are_refused_without_falling_over() {
    let mut world = Sigstore::new();
    let who = Person::new("alice@example.com", KeyKind::EcdsaP256);
    let mut dice = Dice(0x5eed);
    for thing in [Thing::File(FILE), Thing::StatementAbout(FILE)] {
        let good = world.sign(&who, thing).bundle;
        let document = good.to_json();
        for _ in 0..4000 {
            let bytes = damaged(document.as_bytes(), &mut dice);
            let Ok(mut bundle) = Bundle::parse(&bytes) else { continue };
            if accepted(&bundle, &world.root) {
                // Other spellings of the same, and what nobody signed: certificates that came along with
                // a timestamp, a digest left out.
                bundle.material.timestamps = good.material.timestamps.clone();
                bundle.content = good.content.clone();
                assert_eq!(bundle, good, "{}", String::from_utf8_lossy(&bytes));
            }
        }
        // Under the base64, where a changed document seldom gets to.
        for _ in 0..2000 {
            let mut bundle = good.clone();
            let entry = &mut bundle.material.log_entries[0];
            match dice.below(4) {
                0 => {
                    let leaf = damaged(good.material.key.leaf().unwrap(), &mut dice);
                    bundle.material.key = sealog_bundle::KeyMaterial::Certificate(leaf);
                }
                1 => entry.canonicalized_body = damaged(&entry.canonicalized_body, &mut dice),
                2 => {
                    let proof = entry.inclusion_proof.as_mut().unwrap();
                    let checkpoint = damaged(proof.checkpoint.as_bytes(), &mut dice);
                    proof.checkpoint = String::from_utf8_lossy(&checkpoint).into_owned();
                }
                _ => {
                    let stamp = damaged(&bundle.material.timestamps[0], &mut dice);
                    bundle.material.timestamps = vec![stamp];
                }
            }
            let same = bundle.material.log_entries[0].canonicalized_body
                == good.material.log_entries[0].canonicalized_body
                && bundle.material.key == good.material.key;
            assert!(!accepted(&bundle, &world.root) || same, "{bundle:?}");
        }
    }
}

#[test]
fn the_largest_documents_are_refused_in_little_time() {
    let fill = |unit: &str, room: usize| unit.repeat(room / unit.len());
    let room = LIMIT - 400;
    let head = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","#;
    let names: String = (0..200_000).map(|n| format!("\"{n}\":0,")).collect();
    for document in [
        "[".repeat(LIMIT),
        format!("[{}0]", fill("[],", room)),
        format!("[{}0]", fill("0,", room)),
        format!("{{{names}\"x\":0}}"),
        format!("{head}\"{}\":1}}", fill("x", room)),
        format!("{{\"mediaType\":\"{}\"}}", fill(" ", room)),
        format!("{head}\"messageSignature\":{{\"signature\":\"{}\"}}}}", fill("A\\n", room)),
        format!("{head}\"messageSignature\":{{\"signature\":\"{}=\"}}}}", fill("AAAA", room)),
        format!("{head}\"dsseEnvelope\":{{\"payload\":\"{}\"}}}}", fill("\\u0041", room)),
        format!("{head}\"verificationMaterial\":{{\"tlogEntries\":[{}{{}}]}}}}", fill("{},", room)),
        format!("{{\"mediaType\":{}1}}", fill("0", room)),
        " ".repeat(LIMIT + 1),
    ] {
        let error = Bundle::parse(document.as_bytes()).unwrap_err();
        // What is said of it fits a screen, whatever it holds.
        let outcome: Result<Verified, VerifyError> = Err(error.into());
        let said = Report::of("file", &outcome).to_string();
        assert!(said.len() < 5000, "{} bytes", said.len());
    }
}

#[test]
fn many_signature_lines_are_refused_unread() {
    let mut world = Sigstore::new();
    let signed = world.sign(&Person::new("alice@example.com", KeyKind::EcdsaP256), Thing::File(FILE));
    let proof = signed.bundle.material.log_entries[0].inclusion_proof.as_ref().unwrap();
    let line = proof.checkpoint.lines().last().unwrap().to_owned() + "\n";
    for count in [64, 500, 200_000] {
        let mut bundle = signed.bundle.clone();
        let proof = bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap();
        proof.checkpoint.push_str(&line.repeat(count));
        let bundle = Bundle::parse(bundle.to_json().as_bytes()).unwrap();
        assert!(!accepted(&bundle, &world.root), "{count}");
    }
    assert!(accepted(&signed.bundle, &world.root));
}
