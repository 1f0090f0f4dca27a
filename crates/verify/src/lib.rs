//! Verifies who signed a file, offline: a Sigstore bundle, a trusted root, a policy and the file in; who signed it,
//! when and in which log out, or the step that failed.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut world = sealog_testkit::Sigstore::new();
//! # let ann = sealog_testkit::Person::new("ann@example.org", sealog_testkit::P256);
//! # let file = b"a release".to_vec();
//! # let document = world.sign(&ann, sealog_testkit::Thing::File(&file)).bundle.to_json().into_bytes();
//! # let root_document = world.root.to_json().into_bytes();
//! use sealog_verify::{Artifact, Bundle, Policy, TrustedRoot, Verifier};
//!
//! let root = TrustedRoot::parse(&root_document)?; // or Instance::named("public-good")
//! let verifier = Verifier::new(&root); // for any number of bundles
//! let policy = Policy::identity("ann@example.org", "https://accounts.example.com");
//! let bundle = Bundle::parse(&document)?; // app.tar.gz.sigstore.json
//! let verified = verifier.verify(&bundle, &policy, &Artifact::from_bytes(&file))?;
//! println!("signed by {:?} at {:?}", verified.identity(), verified.signed_at());
//! # Ok(())
//! # }
//! ```
//!
//! [`examples/verify_file.rs`] is a whole program: it reads the files, says what it found in words and ends with a
//! status for scripts. The crate is not on crates.io yet; depend on it by
//!
//! ```toml
//! [dependencies]
//! sealog-verify = { git = "https://github.com/sealog/sealog" }
//! ```
//!
//! Policies as TOML files are the feature `policy-file`, on unless `default-features = false`.
//!
//! [`examples/verify_file.rs`]: https://github.com/sealog/sealog/blob/main/crates/verify/examples/verify_file.rs
//!
//! # Which question is asked
//!
//! A [`Policy`] says who must have signed: an identity as an OIDC issuer knows it, or a key. There is none that
//! accepts anybody, unless its name ends in `unsafe`. [`SignerRule`]s put names, patterns, certificate extensions
//! and keys together, [`Policy::signers`] asks for several different signers, [`Evidence`] for more proof than
//! one log and one certificate log, and [`Policy::from_toml`] reads all of it from a file:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sealog_verify::{Match, Policy, SignerRule};
//!
//! let actions = "https://token.actions.githubusercontent.com";
//! let workflow = r"https://github\.com/org/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+";
//! let build = SignerRule::identity(Match::pattern(workflow)?, Match::exact(actions));
//! let ann = SignerRule::identity(Match::exact("ann@example.org"), Match::exact("https://accounts.example.com"));
//! let both = Policy::signers(2, vec![build, ann])?; // for Verifier::verify_all, with a bundle by each
//! # assert_eq!(both.threshold(), 2);
//!
//! let anybody = SignerRule::identity(Match::pattern(".*")?, Match::exact(actions));
//! assert!(Policy::signer(anybody).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Large files
//!
//! A file need not be in memory. [`digests_needed`] says by which algorithms to hash it, [`Hasher`] hashes it in
//! pieces, and [`Artifact::from_digests`] takes the result. ([`needs_bytes`] says of which bundles that may not do: of
//! those without a log by keys that sign a file itself, Ed25519 and ML-DSA.)
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut world = sealog_testkit::Sigstore::new();
//! # let ann = sealog_testkit::Person::new("ann@example.org", sealog_testkit::P256);
//! # let signed = world.sign(&ann, sealog_testkit::Thing::File(b"in two pieces"));
//! # let (bundle, verifier, policy) = (signed.bundle.clone(), sealog_verify::Verifier::new(&world.root), signed.policy());
//! use sealog_verify::{Artifact, Hasher, digests_needed};
//!
//! let mut hashers: Vec<Hasher> = digests_needed(&bundle, &policy).into_iter().map(Hasher::new).collect();
//! for piece in [b"in two".as_slice(), b" pieces"] {
//!     hashers.iter_mut().for_each(|hasher| hasher.update(piece));
//! }
//! let artifact = Artifact::from_digests(hashers.into_iter().map(Hasher::finish));
//! verifier.verify(&bundle, &policy, &artifact)?;
//! # Ok(())
//! # }
//! ```
//!
//! # When it fails
//!
//! [`VerifyError`] is a closed list with the values that were compared ([`VerifyError::compared`]) and a
//! [class](ErrorClass) for programs. [`ErrorClass::Policy`] means that everything holds and somebody else signed;
//! any other, that nothing may be believed. [`Report`] has words for people, the same in every program.
//!
//! # How it works
//!
//! [`Verifier::verify`] reads as the client specification (sigstore/architecture-docs client-spec.md §4): the steps
//! are numbered alike, and each finished step is a value only that step can make. A verdict wants all of them, so
//! one that skips a step does not compile: pieces are never verified without each other.
//!
//! In scope: bundles of every version whose entry is in a Rekor v2 or v1 log, or in none if the policy says so. Not
//! in scope: fetching anything (trusted roots are arguments), what the time is now (it does not matter to what was
//! signed once). No `async`, no HTTP, no OpenSSL; also for `wasm32-unknown-unknown`.
//!
//! Refused, though some client accepts it: a timestamp, promise, SCT or entry by a service we know that
//! does not hold, beside others that do; an entry without inclusion proof and checkpoint, unless the
//! policy takes a promise for them; a chain in a bundle of version 0.3; unknown and repeated fields;
//! keys outside the algorithm registry; a certificate with several names.
//!
//! Accepted on purpose: SCTs and entries by logs we do not know, beside one by a log we know (nothing is
//! taken from them); further signatures on checkpoints and further certificates in chains and tokens,
//! roots among them, of which nothing is trusted; a message without digest (the entry has it); keys
//! without any time. And since entries of Rekor v2 are the same for both, an envelope's encoding as a file: who signed a file
//! that starts with `DSSEv1` has signed an envelope, and the other way round.
//!
//! Must always hold: no network, no clock, no files, no randomness; no default policy accepts anyone;
//! time never comes from an unverified source.

#![no_std]
extern crate alloc;

mod anchors;
mod artifact;
mod chain;
mod compared;
mod content;
mod entry;
mod error;
mod inclusion;
mod instances;
mod policy;
mod promise;
mod sct;
mod signature;
mod statement;
mod structure;
mod time;
pub mod verdict;
mod verified;
mod verifier;

pub use anchors::TrustRootError;
pub use artifact::{Artifact, digests_needed, needs_bytes};
pub use chain::ChainStepError;
pub use compared::Compared;
pub use content::ContentError;
pub use entry::EntryMismatch;
pub use error::{ErrorClass, VerifyError};
pub use inclusion::{CheckpointStepError, InclusionStepError, Logged};
pub use instances::{INSTANCES, Instance};
#[cfg(feature = "policy-file")]
pub use policy::PolicyFileError;
pub use policy::{
    Evidence, EvidenceError, Match, Pattern, PatternError, Policy, PolicyError, RuleError, SignerRule,
    WitnessError, Witnesses,
};
pub use promise::PromiseError;
pub use sct::SctStepError;
pub use signature::SignatureStepError;
pub use statement::StatementError;
pub use structure::{KeyPolicyError, StructureError};
pub use time::{TimeError, TimeSource};
pub use verdict::{Report, Row, Verdict};
pub use verified::{SignedBy, Verified};
pub use verifier::{MAX_BUNDLES, Verifier};

pub use sealog_bundle::{Bundle, BundleError, TrustedRoot, UnixTime};
pub use sealog_crypto::{Digest, HashAlgorithm, Hasher, PublicKey};

/// Verifies that somebody the policy names signed this artifact: [`Verifier::verify`], for one bundle.
///
/// # Errors
/// The step that failed, see [`VerifyError`].
pub fn verify(
    bundle: &Bundle,
    root: &TrustedRoot,
    policy: &Policy,
    artifact: &Artifact<'_>,
) -> Result<Verified, VerifyError> {
    Verifier::new(root).verify(bundle, policy, artifact)
}
