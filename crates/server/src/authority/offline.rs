//! The machine that is not online: it makes a root, and signs requests with its key.
//!
//! Nothing here needs a configuration, a data directory or a network. Names come from whoever gives the
//! command; of a request only its key is taken, once its holder is proved.

use super::{Kind, serial};
use crate::keys::{KeyStore, Protection};
use anyhow::Context as _;
use sealog_crypto::{PublicKey, Signer as _};
use sealog_pki::{
    Certificate, Csr,
    issue::{AuthorityProfile, self_signed_root},
};
use std::path::{Path, PathBuf};

/// Name of a root's files.
const ROOT: &str = "root";
/// Begins this long before now: the clock of a machine without a network is not the best.
const BACKDATE_SECONDS: i64 = 3600;
const DAY_SECONDS: i64 = 86_400;

/// What a certificate is to say.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Organisation.
    pub organization: &'a str,
    /// Common name.
    pub common_name: &'a str,
    /// How long it is valid.
    pub days: u32,
}

/// A request that is not signed.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The key given is none of the certificates'.
    #[error("no certificate in {} is for the key in {}", certificate.display(), key.display())]
    OtherKey {
        /// The file of certificates.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The key's file is not named as a key store names it.
    #[error("{} is not a private key of a key store: expected a file NAME.key", .0.display())]
    NotAKeyFile(PathBuf),
}

/// Makes a root: `root.key`, `root.pub` and `root.pem` in `dir`.
///
/// # Errors
/// When there is one, or nothing can be made.
pub fn root(
    dir: &Path,
    protection: Protection,
    kind: &Kind,
    names: &Names<'_>,
    now: i64,
) -> anyhow::Result<Certificate> {
    let keys = KeyStore::create(dir, protection)?;
    let key = match keys.contains(ROOT) && !keys.path(ROOT, "pem").exists() {
        // Left by a command that was interrupted.
        true => keys.load(ROOT)?,
        false => keys.generate(ROOT, kind.root_key_kind)?,
    };
    let certificate = self_signed_root(&profile(names, i64::MIN, now)?, &key)?;
    keys.store_chain(ROOT, &certificate.to_pem())?;
    Ok(certificate)
}

/// Signs a request: the certificate that was made first, then those above it.
///
/// # Errors
/// When key, certificate and request do not go together.
pub fn sign(
    root_key: &Path,
    protection: Protection,
    root_cert: &Path,
    request: &Csr,
    kind: &Kind,
    names: &Names<'_>,
    now: i64,
) -> anyhow::Result<Vec<Certificate>> {
    request.verify_self_signature().context("whoever made the request does not hold its key")?;
    let not_a_key = || OfflineError::NotAKeyFile(root_key.to_owned());
    let name = root_key.file_stem().and_then(|stem| stem.to_str()).ok_or_else(not_a_key)?;
    if root_key.extension().is_none_or(|extension| extension != "key") {
        return Err(not_a_key().into());
    }
    let dir = root_key.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let key = KeyStore::open(dir, protection)?.load(name)?;
    let pem = crate::files::read_bounded(root_cert, super::command::MAX_FILE)
        .with_context(|| format!("reading {}", root_cert.display()))?;
    let pem = String::from_utf8(pem).with_context(|| format!("reading {}", root_cert.display()))?;
    let listed =
        Certificate::chain_from_pem(&pem).with_context(|| format!("reading {}", root_cert.display()))?;
    // The key of a policy authority has its root behind it; the root of `init` has a working certificate before it.
    let above: Vec<Certificate> = listed
        .into_iter()
        .skip_while(|certificate| certificate.spki_der() != key.public_key().spki_der())
        .collect();
    let Some(issuer) = above.first() else {
        return Err(
            OfflineError::OtherKey { certificate: root_cert.to_owned(), key: root_key.to_owned() }.into()
        );
    };
    let organization = match names.organization {
        "" => issuer.organization().unwrap_or_default(),
        given => given.to_owned(),
    };
    let names = Names { organization: &organization, ..*names };
    let made = (kind.issue)(&profile(&names, issuer.validity().0, now)?, request.public_key(), issuer, &key)
        .with_context(|| {
            format!(
                "a certificate for {} days below \"{}\"",
                names.days,
                issuer.common_name().unwrap_or_default()
            )
        })?;
    Ok(std::iter::once(made).chain(above).collect())
}

/// How people compare a key on two machines: the SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    hex::encode(sealog_crypto::sha256(key.spki_der()))
}

/// `earliest`: before that nothing above is valid.
fn profile<'a>(
    names: &Names<'a>,
    earliest: i64,
    now: i64,
) -> Result<AuthorityProfile<'a>, sealog_crypto::RandomError> {
    let not_before = now.saturating_sub(BACKDATE_SECONDS).max(earliest);
    Ok(AuthorityProfile {
        organization: names.organization,
        common_name: names.common_name,
        serial: serial()?,
        not_before,
        not_after: not_before.saturating_add(i64::from(names.days).saturating_mul(DAY_SECONDS)),
    })
}
