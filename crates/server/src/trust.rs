//! The files a client needs: trusted root, signing config, both in one, in the one form every client takes.
//!
//! Made from public material alone. Media type 0.1, no `operator` and no `checkpointKeyId` in the trusted
//! root, `ANY` selectors, TSA as its full endpoint, everything else without a trailing slash: clients differ
//! in what they tolerate, and this is what they share.

use crate::{
    authority::{Kind, SIGNING, TIMESTAMPING, generation, generation::Generation},
    config::Config,
    ctlog, files,
    instance::Instance,
    periods::{self, Period},
    rekor,
};
use anyhow::Context as _;
use sealog_bundle::{
    CertificateAuthority, ClientTrustConfig, KeyDetails, SigningConfig, TransparencyLog, TrustedRoot,
    UnixTime, ValidFor,
    signing_config::{Selector, Service},
};
use sealog_crypto::{HashAlgorithm, PublicKey};
use sealog_identity::IssuerKind;
use sealog_tlog::{ct::log_id, note::key_id_full};
use std::{fs, path::Path};

/// Versions of the protocols spoken here, as signing configs number them.
const CA_VERSION: u32 = 1;
const OIDC_VERSION: u32 = 1;
const REKOR_VERSION: u32 = 2;
const TSA_VERSION: u32 = 1;

/// Writes the files into `dir`, each whole. An instance that lacks one of the four services that verifying
/// needs has no trusted root of its own, and gets none.
///
/// # Errors
/// When keys or certificates are missing, or a file cannot be written.
pub fn write(config: &Config, instance: &Instance, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let Some(documents) = documents(config, instance)? else { return Ok(()) };
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        let unchanged = fs::read(&path).is_ok_and(|old| old == text.as_bytes());
        match unchanged {
            true => Ok(()),
            false => files::replace(&path, text.as_bytes(), files::MODE_PUBLIC)
                .with_context(|| format!("writing {}", path.display())),
        }
    };
    put("trusted_root.json", documents.trusted_root.to_json())?;
    put("signing_config.json", documents.signing_config.to_json())?;
    put("client_trust_config.json", documents.to_json())
}

/// The documents, if all services they need are configured.
fn documents(config: &Config, instance: &Instance) -> anyhow::Result<Option<ClientTrustConfig>> {
    let (Some(rekor), Some(ctlog), Some(ca), Some(tsa)) =
        (&config.rekor, &config.ctlog, &config.ca, &config.tsa)
    else {
        return Ok(None);
    };
    let valid_for = ValidFor::from(UnixTime::from_seconds(instance.valid_from()));
    let now = instance.clock.unix_seconds();
    let log = |period: &Period<'_>, key: &PublicKey, id: [u8; 32]| {
        anyhow::Ok(TransparencyLog {
            base_url: period.url.as_str().to_owned(),
            hash_algorithm: HashAlgorithm::Sha256,
            public_key: key.spki_der().to_vec(),
            key_details: KeyDetails::for_log_key(key).context("the log's key is of no kind clients know")?,
            valid_for: period.valid_for(instance.valid_from()),
            log_id: id.to_vec(),
            checkpoint_key_id: Vec::new(),
            operator: String::new(),
        })
    };
    // Every log there ever was, and those that are to come: what was signed stays verifiable.
    let (rekors, ctlogs) = (rekor.periods(), ctlog.periods());
    let tlogs = rekors.iter().map(|period| {
        let key = rekor::public_key(instance, period)?;
        log(period, &key, key_id_full(rekor::origin(period), &key)?)
    });
    let ctlogs = ctlogs.iter().map(|period| {
        let key = ctlog::public_key(instance, period)?;
        log(period, &key, log_id(&key))
    });
    let tsa_endpoint = format!("{}/api/v1/timestamp", tsa.url);
    let trusted_root = TrustedRoot {
        tlogs: tlogs.collect::<anyhow::Result<_>>()?,
        certificate_authorities: authorities_of(instance, &SIGNING, ca.url.as_str())?,
        ctlogs: ctlogs.collect::<anyhow::Result<_>>()?,
        timestamp_authorities: authorities_of(instance, &TIMESTAMPING, &tsa_endpoint)?,
    };
    // The one to write to alone, and until when: some clients look at the end, none well at a start to come.
    let writing = periods::at_work(&rekors, now).context("no log of signatures has begun")?;
    let next = rekors.iter().filter_map(|period| period.start).find(|start| start.0 > now);
    let until = next.map(|start| UnixTime::from_seconds(start.0));
    let since = writing.start.map_or(instance.valid_from(), |start| start.0);
    let written = ValidFor { start: UnixTime::from_seconds(since), end: until };
    let service = |url: &str, major_api_version| Service {
        url: url.to_owned(),
        major_api_version,
        valid_for,
        operator: config.organization.clone(),
    };
    let signing_config = SigningConfig {
        ca: vec![service(ca.url.as_str(), CA_VERSION)],
        oidc: sign_in(config).map(|url| service(&url, OIDC_VERSION)).into_iter().collect(),
        rekor: vec![Service { valid_for: written, ..service(writing.url.as_str(), REKOR_VERSION) }],
        rekor_selector: Selector::Any,
        tsa: vec![service(&tsa_endpoint, TSA_VERSION)],
        tsa_selector: Selector::Any,
    };
    Ok(Some(ClientTrustConfig { trusted_root, signing_config }))
}

/// Where people sign in: our own provider, else the first issuer of addresses we believe.
fn sign_in(config: &Config) -> Option<String> {
    if let Some(own) = &config.oidc {
        return Some(own.url.as_str().to_owned());
    }
    let mut rules = config.ca.iter().flat_map(|ca| ca.issuers.iter());
    rules.find(|rule| matches!(rule.kind(), IssuerKind::Email { .. })).map(|rule| rule.issuer().to_owned())
}

/// Every generation of an authority, superseded and coming ones too.
fn authorities_of(instance: &Instance, kind: &Kind, uri: &str) -> anyhow::Result<Vec<CertificateAuthority>> {
    let of = |(generation, valid_for): (Generation, ValidFor)| {
        // Clients show the name of whom they trust: the root's.
        let root_cert = generation.chain.last().context("an authority without a certificate")?;
        Ok(CertificateAuthority {
            organization: root_cert.organization().unwrap_or_default(),
            common_name: root_cert.common_name().unwrap_or_default(),
            uri: uri.to_owned(),
            cert_chain: generation.chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            valid_for,
            operator: String::new(),
        })
    };
    generation::windows(instance, kind)?.into_iter().map(of).collect()
}
