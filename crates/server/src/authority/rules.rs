//! Which chains may go to work: the rules that clients will hold against them, asked beforehand.
//!
//! RFC 5280 §6 in the profile of `sealog_pki::chain`, and what the least able of the clients reads: one
//! signature family from the leaf to the root. A signing authority's chain is tried: a precertificate for a
//! key that is thrown away is issued below it in memory, and must verify as a client would verify it.

use super::Kind;
use sealog_crypto::{KeyError, KeyKind, PrivateKey, PublicKey, RandomError, Scheme, SignError, Signer};
use sealog_pki::{
    Certificate, ChainError, ExtensionValues, IssueError, LeafProfile, Purpose, San,
    certificate::CertificateSignatureError, chain::MAX_PATH, issue::precertificate, verify_chain,
};

/// A chain must last at least this long once it works.
const SHORTEST_SECONDS: i64 = 86_400;
/// A leaf's life.
const LEAF_SECONDS: i64 = 600;
/// Stands in for the names that tokens will bring.
const TRIAL: &str = "trial!sealog.invalid";

/// Why a chain is not put to work.
#[derive(Debug, thiserror::Error)]
pub enum ChainRule {
    /// Nothing in it.
    #[error("the chain holds no certificate")]
    Empty,
    /// Clients follow no longer one.
    #[error("the chain has {found} certificates, clients follow {limit} below and above all together")]
    TooLong {
        /// Its length.
        found: usize,
        /// Room for it.
        limit: usize,
    },
    /// The first certificate is somebody else's.
    #[error("the first certificate, \"{found}\", is not for the key {expected}")]
    OtherKey {
        /// Its name.
        found: String,
        /// Where the key lives.
        expected: String,
    },
    /// Two neighbours do not belong together.
    #[error(
        "\"{below}\" is not signed by \"{above}\", the next certificate: the issuing one comes first, the root last"
    )]
    NotSigned {
        /// The lower one.
        below: String,
        /// The one that should have signed it.
        above: String,
        /// How that fails.
        source: CertificateSignatureError,
    },
    /// No root.
    #[error(
        "the chain ends with \"{last}\", which did not sign itself: the root's certificate must be in it"
    )]
    NoRoot {
        /// The last certificate.
        last: String,
    },
    /// A mixture that not every client reads.
    #[error(
        "\"{name}\" has a key of kind {found}, the working one is {expected}: one signature family must lead to the root"
    )]
    Family {
        /// The certificate.
        name: String,
        /// The working key.
        expected: KeyKind,
        /// Its own.
        found: KeyKind,
    },
    /// Signed in a way not read here.
    #[error("\"{name}\" is signed by an algorithm that clients do not read")]
    Algorithm {
        /// The certificate.
        name: String,
    },
    /// Not valid for the whole time.
    #[error("\"{name}\" is valid from {from} until {until}, and would be at work from {starts}")]
    Validity {
        /// The certificate.
        name: String,
        /// Its first moment.
        from: sealog_bundle::UnixTime,
        /// Its last.
        until: sealog_bundle::UnixTime,
        /// When it would start.
        starts: sealog_bundle::UnixTime,
    },
    /// The issuing certificate does not say what it is for.
    #[error("\"{name}\" has no extended key usage for code signing")]
    NoPurpose {
        /// The certificate.
        name: String,
    },
    /// An unusable key in it.
    #[error("the key of \"{name}\" is not usable")]
    Key {
        /// The certificate.
        name: String,
        /// Why.
        source: KeyError,
    },
    /// What was issued below it on trial could not be.
    #[error("no certificate can be issued below \"{name}\"")]
    Trial {
        /// The issuing certificate.
        name: String,
        /// Why.
        source: IssueError,
    },
    /// What was issued below it on trial does not verify.
    #[error("what stands below this chain would not verify")]
    Path(#[from] ChainError),
    /// No key to try it with.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No serial number to try it with.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Holds every rule against a chain that is to work with `key`, from `starts` on; `place` says where the key is.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    kind: &Kind,
    key: &dyn Signer,
    place: &str,
    chain: &[Certificate],
    starts: i64,
) -> Result<(), ChainRule> {
    let ([first, ..], [.., root]) = (chain, chain) else { return Err(ChainRule::Empty) };
    check_length(kind, chain)?;
    if first.spki_der() != key.public_key().spki_der() {
        return Err(ChainRule::OtherKey { found: name_of(first), expected: place.to_owned() });
    }
    check_order(chain)?;
    if root.verify_signed_by(root).is_err() || !root.names_issuer(root) {
        return Err(ChainRule::NoRoot { last: name_of(root) });
    }
    chain.iter().try_for_each(|certificate| check_family(certificate, key.public_key()))?;
    chain.iter().try_for_each(|certificate| check_validity(certificate, starts))?;
    check_path(kind, key, chain, starts)
}

fn check_length(kind: &Kind, chain: &[Certificate]) -> Result<(), ChainRule> {
    // Below a signing authority stands one more.
    let limit = match kind.purpose {
        Purpose::TimeStamping => MAX_PATH,
        _ => MAX_PATH.saturating_sub(1),
    };
    match chain.len() {
        found if found > limit => Err(ChainRule::TooLong { found, limit }),
        _ => Ok(()),
    }
}

/// Each certificate is signed by the next.
///
/// # Errors
/// [`ChainRule::NotSigned`].
pub fn check_order(chain: &[Certificate]) -> Result<(), ChainRule> {
    chain.iter().zip(chain.iter().skip(1)).try_for_each(|(below, above)| {
        below.verify_signed_by(above).map_err(|source| ChainRule::NotSigned {
            below: name_of(below),
            above: name_of(above),
            source,
        })
    })
}

fn check_family(certificate: &Certificate, working: &PublicKey) -> Result<(), ChainRule> {
    let name = || name_of(certificate);
    let key = certificate.public_key().map_err(|source| ChainRule::Key { name: name(), source })?;
    let scheme = certificate.signature_scheme().ok_or_else(|| ChainRule::Algorithm { name: name() })?;
    let own = Scheme::default_for(working.kind());
    let same = |scheme: Scheme| std::mem::discriminant(&scheme) == std::mem::discriminant(&own);
    match same(Scheme::default_for(key.kind())) && same(scheme) {
        true => Ok(()),
        false => Err(ChainRule::Family { name: name(), expected: working.kind(), found: key.kind() }),
    }
}

fn check_validity(certificate: &Certificate, starts: i64) -> Result<(), ChainRule> {
    let (from, until) = certificate.validity();
    match from <= starts && starts.saturating_add(SHORTEST_SECONDS) <= until {
        true => Ok(()),
        false => {
            let [from, until, starts] = [from, until, starts].map(sealog_bundle::UnixTime::from_seconds);
            Err(ChainRule::Validity { name: name_of(certificate), from, until, starts })
        }
    }
}

fn check_path(kind: &Kind, key: &dyn Signer, chain: &[Certificate], at: i64) -> Result<(), ChainRule> {
    let ([first, above @ ..], [below @ .., root]) = (chain, chain) else { return Err(ChainRule::Empty) };
    let anchors = std::slice::from_ref(root);
    if kind.purpose == Purpose::TimeStamping {
        verify_chain(first, above, anchors, at, Purpose::TimeStamping)?;
        return Ok(());
    }
    // Silence allows every purpose to some clients and none to others.
    let code_signing = sealog_pki::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
    if !first.extended_key_usage().is_some_and(|purposes| purposes.contains(&code_signing)) {
        return Err(ChainRule::NoPurpose { name: name_of(first) });
    }
    let thrown_away = PrivateKey::generate(KeyKind::EcdsaP256)?;
    let mut extensions = ExtensionValues::default();
    extensions.set_oidc_issuer("https://sealog.invalid");
    let profile = LeafProfile {
        serial: super::serial()?,
        not_before: at,
        not_after: at.saturating_add(LEAF_SECONDS),
        public_key: thrown_away.public_key(),
        // Of a form that no constraint of names speaks about.
        san: &San::OtherName(TRIAL.to_owned()),
        extensions: &extensions,
    };
    let trial = precertificate(&profile, first, key)
        .map_err(|source| ChainRule::Trial { name: name_of(first), source })?;
    verify_chain(trial.certificate(), below, anchors, at, Purpose::Precertificate)?;
    Ok(())
}

fn name_of(certificate: &Certificate) -> String {
    certificate
        .common_name()
        .or_else(|| certificate.organization())
        .unwrap_or_else(|| "a certificate".to_owned())
}
