//! Certificates, timestamps, checkpoints, keys: read, written again, and believed only if they are genuine.

use crate::{
    good::{NOW, World, world},
    script::Script,
};
use sealog_bundle::KeyDetails;
use sealog_crypto::{HashAlgorithm, PublicKey, Scheme, SignatureError};
use sealog_pki::{
    Certificate, FulcioExtension, Purpose, TrustedChain,
    sct::{embedded_scts, verify_sct},
    timestamp::{self, TimeStampResp},
    verify_chain,
};
use sealog_tlog::{
    SignedCheckpoint, SignedNote,
    ct::{Sct, SctList},
    note::KeyVerifier,
};
use std::sync::OnceLock;

/// Makes what is made once, so that no input pays for it.
pub fn prepare() {
    let _ = (Authorities::of(world()), known_keys());
}

/// [`Certificate`] in DER or PEM: names, extensions, SCTs, key, and paths in which it is any of the members.
pub fn certificate(input: &[u8]) {
    let _ = Certificate::from_tbs(input);
    let in_text = core::str::from_utf8(input).ok();
    if let Some(chain) = in_text.and_then(|text| Certificate::chain_from_pem(text).ok()) {
        chain.iter().for_each(one_certificate);
    }
    match Certificate::from_der(input) {
        Ok(certificate) => one_certificate(&certificate),
        Err(error) => drop(error.to_string()),
    }
}

fn one_certificate(certificate: &Certificate) {
    let again = Certificate::from_pem(&certificate.to_pem());
    assert_eq!(again.as_ref().map(Certificate::der), Ok(certificate.der()));
    let _ =
        format!("{certificate:?} {:?} {:?}", certificate.organization(), certificate.extended_key_usage());
    for (row, value) in certificate.fulcio().iter() {
        assert_eq!(row.decode(&row.encode(value)).as_deref(), Some(value));
        assert_eq!(FulcioExtension::by_name(row.name), Some(row));
    }
    for extension in certificate.extensions() {
        let without = certificate.tbs_without(&extension.oid);
        assert!(without.len() < certificate.tbs_der().len());
    }
    let _ = certificate.public_key();
    let world = world();
    let authorities = Authorities::of(world);
    let issuer = &authorities.issuers[0];
    if let Ok(Some(list)) = certificate.sct_list()
        && let Ok(list) = SctList::parse(list)
    {
        assert_eq!(SctList::parse(&list.encode().unwrap_or_default()), Ok(list.clone()));
        for sct in &list.0 {
            assert_eq!(Sct::parse(&sct.encode().unwrap_or_default()).as_ref(), Ok(sct));
        }
    }
    for sct in embedded_scts(certificate).unwrap_or_default() {
        for key in &authorities.ct_keys {
            let _ = verify_sct(&sct, certificate, issuer, key);
        }
    }
    // As a leaf, it must be one that was issued.
    for purpose in [Purpose::CodeSigning, Purpose::TimeStamping, Purpose::Precertificate] {
        let path = verify_chain(certificate, &authorities.issuers, &authorities.anchors, NOW, purpose);
        assert!(path.is_err() || authorities.is_genuine(certificate), "nobody issued {certificate:?}");
    }
    // As an issuer, it must not lead to an anchor unless it was issued; as an anchor, it is trusted.
    let own = core::slice::from_ref(certificate);
    for leaf in &authorities.leaves {
        let path = verify_chain(leaf, own, &authorities.anchors, NOW, Purpose::CodeSigning);
        assert!(path.is_err() || authorities.is_genuine(certificate), "nobody issued {certificate:?}");
        let _ = verify_chain(leaf, own, own, NOW, Purpose::CodeSigning);
    }
}

/// The certificates and keys of the world's services.
struct Authorities {
    issuers: Vec<Certificate>,
    anchors: Vec<Certificate>,
    /// Signers' certificates: one with a mail address, one with a URI.
    leaves: Vec<Certificate>,
    tsa: Vec<TrustedChain>,
    ct_keys: Vec<PublicKey>,
    logs: Vec<KeyVerifier>,
    /// Every certificate that is in the world.
    all: Vec<Certificate>,
    /// Every time in it: the message and the Unix milliseconds.
    times: Vec<(Vec<u8>, i64)>,
    /// The text of every checkpoint in it.
    checkpoints: Vec<String>,
}

impl Authorities {
    fn of(world: &'static World) -> &'static Self {
        static AUTHORITIES: OnceLock<Authorities> = OnceLock::new();
        AUTHORITIES.get_or_init(|| Self::read(world))
    }

    fn read(world: &World) -> Self {
        let parse = |der: &Vec<u8>| Certificate::from_der(der).ok();
        let chains = |list: &[sealog_bundle::CertificateAuthority]| -> Vec<Vec<Certificate>> {
            list.iter().map(|authority| authority.cert_chain.iter().filter_map(parse).collect()).collect()
        };
        let (ca, tsa) =
            (chains(&world.root.certificate_authorities), chains(&world.root.timestamp_authorities));
        let both = || ca.iter().chain(&tsa);
        let leaf_of = |name: &str| {
            let example = world.bundles.iter().find(|example| example.name == name)?;
            Certificate::from_der(example.bundle.material.key.leaf()?).ok()
        };
        let mut authorities = Self {
            issuers: both().filter_map(|chain| chain.first().cloned()).collect(),
            anchors: both().filter_map(|chain| chain.last().cloned()).collect(),
            leaves: ["v2", "v2-p384-chain"].into_iter().filter_map(leaf_of).collect(),
            all: both().flatten().cloned().collect(),
            tsa: tsa.into_iter().filter_map(TrustedChain::new).collect(),
            ct_keys: world
                .root
                .ctlogs
                .iter()
                .filter_map(|log| PublicKey::from_spki_der(&log.public_key).ok())
                .collect(),
            logs: Vec::new(),
            times: Vec::new(),
            checkpoints: Vec::new(),
        };
        for log in &world.root.tlogs {
            let key = PublicKey::from_spki_der(&log.public_key).ok();
            authorities
                .logs
                .extend(log.host().zip(key).and_then(|(host, key)| KeyVerifier::for_log(host, key).ok()));
        }
        for example in &world.bundles {
            let material = &example.bundle.material;
            authorities.all.extend(material.key.leaf().and_then(|der| Certificate::from_der(der).ok()));
            let message = example.bundle.signature().unwrap_or_default();
            for token in material.timestamps.iter().filter_map(|der| TimeStampResp::parse(der).ok()) {
                authorities.times.push((message.to_vec(), token.gen_time_unix_ms()));
            }
            for proof in material.log_entries.iter().filter_map(|entry| entry.inclusion_proof.as_ref()) {
                authorities.checkpoints.extend(SignedNote::parse(&proof.checkpoint).map(|note| note.text));
            }
        }
        authorities
    }

    fn is_genuine(&self, certificate: &Certificate) -> bool {
        self.all.contains(certificate)
    }
}

/// [`TimeStampResp::parse`] and [`timestamp::verify`]: only what an authority put a time to has that time.
pub fn timestamp(input: &[u8]) {
    let world = world();
    let authorities = Authorities::of(world);
    if let Ok(token) = TimeStampResp::parse_token(input) {
        let _ = (token.nonce(), token.serial(), token.policy());
    }
    let response = match TimeStampResp::parse(input) {
        Ok(response) => response,
        Err(error) => return drop(error.to_string()),
    };
    let _ = format!("{:?} {:?}", response.imprint(), response.certificates());
    for (message, _) in &authorities.times {
        for chain in &authorities.tsa {
            if let Ok(verified) = timestamp::verify(&response, message, chain) {
                let time = (message.clone(), verified.gen_time_unix_ms());
                assert!(authorities.times.contains(&time), "nobody said {time:?}");
                assert!(authorities.is_genuine(verified.signer()));
            }
        }
    }
}

/// [`SignedCheckpoint::parse`], with the text of a key in the first line or without.
pub fn checkpoint(input: &[u8]) {
    let world = world();
    let authorities = Authorities::of(world);
    let text = String::from_utf8_lossy(input);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let own = KeyVerifier::from_vkey(first).ok();
    if let Some(key) = &own {
        assert_eq!(key.to_vkey().as_deref(), Some(first));
    }
    for note in [input, rest.as_bytes()] {
        if let Ok(note) = SignedNote::parse(note) {
            assert_eq!(SignedNote::parse(note.encode()).as_ref(), Ok(&note));
        }
        let signed = match SignedCheckpoint::parse(note) {
            Ok(signed) => signed,
            Err(error) => {
                let _ = error.to_string();
                continue;
            }
        };
        assert_eq!(signed.checkpoint.encode(), signed.note.text);
        for log in &authorities.logs {
            let believed = signed.verify(log).is_ok();
            assert!(
                !believed || authorities.checkpoints.contains(&signed.note.text),
                "{:?}",
                signed.note.text
            );
        }
        if let Some(key) = &own {
            let _ = signed.verify(key);
        }
    }
}

/// What the known keys signed.
pub const MESSAGE: &[u8] = b"what is signed with every key";

/// The schemes a key is asked for.
const SCHEMES: [Scheme; 11] = [
    Scheme::Ecdsa(HashAlgorithm::Sha256),
    Scheme::Ecdsa(HashAlgorithm::Sha384),
    Scheme::Ecdsa(HashAlgorithm::Sha512),
    Scheme::RsaPkcs1(HashAlgorithm::Sha256),
    Scheme::RsaPkcs1(HashAlgorithm::Sha384),
    Scheme::RsaPkcs1(HashAlgorithm::Sha512),
    Scheme::RsaPss(HashAlgorithm::Sha256),
    Scheme::RsaPss(HashAlgorithm::Sha384),
    Scheme::RsaPss(HashAlgorithm::Sha512),
    Scheme::Ed25519,
    Scheme::Ed25519ph,
];

/// [`PublicKey`] in DER or PEM and signatures: the length of the key in two bytes, the key, the signature.
pub fn public_key(input: &[u8]) {
    let mut script = Script::new(input);
    let length = usize::from(script.word());
    let (key, signature) = (script.take(length), script.rest());
    let from_pem = core::str::from_utf8(key).ok().and_then(|text| PublicKey::from_pem(text).ok());
    for key in PublicKey::from_spki_der(key).ok().into_iter().chain(from_pem) {
        assert_eq!(PublicKey::from_spki_der(key.spki_der()).as_ref(), Ok(&key));
        assert_eq!(PublicKey::from_pem(&key.to_pem()).as_ref(), Ok(&key));
        let details = KeyDetails::default_for(&key);
        assert!(details.is_none_or(|details| details.fits(&key)), "{key:?} {details:?}");
        let _ = KeyDetails::for_log_key(&key);
        for scheme in SCHEMES {
            let by_message = key.verify(scheme, MESSAGE, signature);
            if let Some(algorithm) = scheme.prehash() {
                let by_digest = key.verify_digest(scheme, &algorithm.digest(MESSAGE), signature);
                assert_eq!(by_digest, by_message, "{key:?} {scheme}");
            }
        }
    }
    for (key, genuine) in known_keys() {
        let verdict: Result<(), SignatureError> =
            key.verify(Scheme::default_for(key.kind()), MESSAGE, signature);
        assert!(verdict.is_err() || signature == *genuine, "{key:?} takes a second signature");
    }
}

macro_rules! known {
    ($($name:literal),*) => {
        [$((
            include_bytes!(concat!("../../../fuzz/good/keys/", $name, ".spki")).as_slice(),
            include_bytes!(concat!("../../../fuzz/good/keys/", $name, ".signature")).as_slice(),
        )),*]
    };
}

/// Keys whose private halves are gone, and the one signature each has made.
const KNOWN: [(&[u8], &[u8]); 4] = known!["p256", "p384", "ed25519", "rsa2048"];

fn known_keys() -> &'static [(PublicKey, &'static [u8])] {
    static KEYS: OnceLock<Vec<(PublicKey, &'static [u8])>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let read = |(der, signature)| Some((PublicKey::from_spki_der(der).ok()?, signature));
        KNOWN.into_iter().filter_map(read).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_keys_made_their_signatures() {
        assert_eq!(known_keys().len(), KNOWN.len());
        for (key, signature) in known_keys() {
            assert_eq!(key.verify(Scheme::default_for(key.kind()), MESSAGE, signature), Ok(()));
        }
    }

    #[test]
    fn the_services_of_the_world_are_all_there() {
        let authorities = Authorities::of(world());
        assert_eq!((authorities.logs.len(), authorities.tsa.len(), authorities.leaves.len()), (2, 2, 2));
        assert!(authorities.times.len() > 8 && authorities.checkpoints.len() > 10);
    }
}
