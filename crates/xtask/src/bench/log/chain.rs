//! Certificates for the bench: an authority of our own kind, and chains that every log of certificates accepts.
//!
//! Fulcio's purpose is code signing, and the logs of the web accept nothing but servers' certificates: the chains that logs are
//! asked to take in are for both. OpenSSL makes one template; each leaf is the template with another serial
//! number and another key, signed anew.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sealog_crypto::{KeyKind, PrivateKey, PublicKey, Signer as _, sha256};
use sealog_pki::issue::{
    AuthorityProfile, Below, LeafProfile, Serial, finish, intermediate, precertificate, self_signed_root,
};
use sealog_pki::{Certificate, ExtensionValues, FulcioExtension, San};
use sealog_tlog::ct::{CtEntry, Sct, SctList};

use crate::process::{self, Scratch};

/// Certificates are valid around this time, which no log under measurement looks at: 2026-01-01.
const NOT_BEFORE: i64 = 1_767_225_600;
const YEAR: i64 = 365 * 86_400;
const MINUTES: i64 = 600;
const LIMIT: Duration = Duration::from_secs(30);
/// AlgorithmIdentifier of ecdsa-with-SHA256.
const ALGORITHM: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// What the leaves of templates say besides their names.
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning,serverAuth\n\
    authorityKeyIdentifier=keyid\nsubjectAltName=email:ada.lovelace@example.com,DNS:bench.example.com\n";
/// The row of the table of certificate extensions that names who vouched.
const ISSUER_ROW: u8 = 8;
const POISON: &str = "1.3.6.1.4.1.11129.2.4.3=critical,ASN1:NULL\n";
/// What the authorities say.
const AUTHORITY: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

/// The signers' authority, as ours would issue.
pub(super) struct Authority {
    certificate: Certificate,
    key: PrivateKey,
}

/// What logs of certificates take in.
pub(super) struct Chains {
    root_pem: String,
    intermediate: Vec<u8>,
    key: PrivateKey,
    certificate: Template,
    precertificate: Template,
}

/// The signed part of a certificate, and where in it serial number and public key stand.
struct Template {
    tbs: Vec<u8>,
    serial: usize,
    point: usize,
}

const SERIAL_BYTES: usize = 20;
const POINT_BYTES: usize = 65;

fn serial(number: usize) -> [u8; SERIAL_BYTES] {
    let mut bytes = [0; SERIAL_BYTES];
    bytes
        .iter_mut()
        .zip(sha256(format!("serial number {number}").as_bytes()))
        .for_each(|(to, from)| *to = from);
    *Serial::from_random(bytes).as_bytes()
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let (root_key, key) =
            (PrivateKey::generate(KeyKind::EcdsaP256)?, PrivateKey::generate(KeyKind::EcdsaP256)?);
        let profile = |common_name, number| AuthorityProfile {
            organization: "bench",
            common_name,
            serial: Serial::from_random(serial(number)),
            not_before: NOT_BEFORE - YEAR,
            not_after: NOT_BEFORE + 5 * YEAR,
        };
        let root = self_signed_root(&profile("bench root", 1), &root_key)?;
        let below = Below::CodeSigning;
        let certificate =
            intermediate(&profile("bench intermediate", 2), below, key.public_key(), &root, &root_key)?;
        Ok(Self { certificate, key })
    }

    /// A signer's certificate, with an SCT of some log.
    pub(super) fn issue(&self, number: usize, key: &PublicKey) -> Result<Vec<u8>> {
        let mut extensions = ExtensionValues::new();
        extensions.set_oidc_issuer("https://accounts.example.com");
        let profile = LeafProfile {
            serial: Serial::from_random(serial(number)),
            not_before: NOT_BEFORE,
            not_after: NOT_BEFORE + MINUTES,
            public_key: key,
            san: &San::Email("ada.lovelace@example.com".to_owned()),
            extensions: &extensions,
        };
        let precert = precertificate(&profile, &self.certificate, &self.key)?;
        let entry = CtEntry::X509 { cert: precert.tbs_for_ct() };
        let sct = Sct::sign(1_767_225_600_000, &entry, Vec::new(), &self.key)?;
        Ok(finish(&precert, &SctList(vec![sct]), &self.certificate, &self.key)?.der().to_vec())
    }
}

impl Chains {
    pub(super) fn new() -> Result<Self> {
        let scratch = Scratch::new("bench-log-chains")?;
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command.args(arguments.split(' ')).current_dir(scratch.path());
            process::run(&mut command, LIMIT)?.expect_success("openssl").map(drop)
        };
        let read = |name: &str| std::fs::read(scratch.file(name)).with_context(|| name.to_owned());
        let issuer = FulcioExtension::by_number(ISSUER_ROW).context("no such extension")?.dotted();
        let leaf = format!("{LEAF}{issuer}=ASN1:UTF8String:https://accounts.example.com\n");
        let precert = format!("{leaf}{POISON}");
        for (name, extensions) in
            [("authority", AUTHORITY), ("certificate", leaf.as_str()), ("precertificate", precert.as_str())]
        {
            std::fs::write(scratch.file(&format!("{name}.extensions")), extensions)?;
        }
        for name in ["root", "intermediate", "leaf"] {
            openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"))?;
            openssl(&format!("req -new -key {name}.key -subj /CN=bench-{name} -out {name}.csr"))?;
        }
        openssl(
            "x509 -req -in root.csr -signkey root.key -days 3650 -extfile authority.extensions -out root.pem",
        )?;
        openssl(
            "x509 -req -in intermediate.csr -CA root.pem -CAkey root.key -set_serial 2 -days 1825 -extfile authority.extensions -outform DER -out intermediate.der",
        )?;
        openssl("x509 -in intermediate.der -inform DER -out intermediate.pem")?;
        openssl("pkcs8 -topk8 -nocrypt -in intermediate.key -outform DER -out intermediate.p8")?;
        let template = |name: &str| {
            let first = serial(0).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            openssl(&format!(
                "x509 -req -in leaf.csr -CA intermediate.pem -CAkey intermediate.key -set_serial 0x{first} -days 90 -extfile {name}.extensions -outform DER -out {name}.der",
            ))?;
            Template::of(&read(&format!("{name}.der"))?)
        };
        Ok(Self {
            certificate: template("certificate")?,
            precertificate: template("precertificate")?,
            root_pem: String::from_utf8(read("root.pem")?)?,
            intermediate: read("intermediate.der")?,
            key: PrivateKey::from_pkcs8_der(&read("intermediate.p8")?)?,
        })
    }

    pub(super) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The certificate above all leaves.
    pub(super) fn intermediate(&self) -> &[u8] {
        &self.intermediate
    }

    pub(super) fn certificate(&self, number: usize, key: &PublicKey) -> Result<Vec<u8>> {
        self.certificate.issue(number, key, &self.key)
    }

    pub(super) fn precertificate(&self, number: usize, key: &PublicKey) -> Result<Vec<u8>> {
        self.precertificate.issue(number, key, &self.key)
    }
}

impl Template {
    fn of(der: &[u8]) -> Result<Self> {
        let certificate = Certificate::from_der(der)?;
        let spki = certificate.spki_der();
        let tbs = tbs(der)?;
        let place = |part: &[u8]| tbs.windows(part.len()).position(|window| window == part);
        let point = spki.get(spki.len().saturating_sub(POINT_BYTES)..).unwrap_or_default();
        Ok(Self {
            serial: place(&serial(0)).context("the template has another serial number")?,
            point: place(point).context("the template has another key")?,
            tbs: tbs.to_vec(),
        })
    }

    fn issue(&self, number: usize, key: &PublicKey, by: &PrivateKey) -> Result<Vec<u8>> {
        let mut tbs = self.tbs.clone();
        let mut put = |at: usize, bytes: &[u8]| {
            let place = tbs.get_mut(at..at + bytes.len()).context("the template is shorter")?;
            place.copy_from_slice(bytes);
            anyhow::Ok(())
        };
        put(self.serial, &serial(number))?;
        let spki = key.spki_der();
        put(self.point, spki.get(spki.len().saturating_sub(POINT_BYTES)..).unwrap_or_default())?;
        let signature = by.sign(&tbs)?;
        let signature = element(0x03, &[&[0], &signature])?;
        element(0x30, &[&tbs, &ALGORITHM, &signature])
    }
}

/// The first element in a certificate: what is signed.
fn tbs(der: &[u8]) -> Result<&[u8]> {
    // Both are longer than 255 bytes and shorter than 64 KiB, so that each has a head of four bytes.
    let inner = der.get(4..).context("too short")?;
    let [0x30, 0x82, high, low, ..] = inner else { anyhow::bail!("an unexpected head") };
    inner.get(..4 + usize::from(u16::from_be_bytes([*high, *low]))).context("cut short")
}

fn element(tag: u8, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short @ ..0x80) => out.push(short),
        Ok(long) => out.extend_from_slice(&[0x81, long]),
        Err(_) => {
            ensure!(length < 1 << 16, "{length} bytes");
            out.push(0x82);
            out.extend_from_slice(&u16::try_from(length)?.to_be_bytes());
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leaf_is_another_one_below_the_intermediate() {
        let chains = Chains::new().unwrap();
        let above = Certificate::from_der(chains.intermediate()).unwrap();
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        for (precert, made) in [
            (false, [1, 2].map(|number| chains.certificate(number, key.public_key()).unwrap())),
            (true, [1, 2].map(|number| chains.precertificate(number, key.public_key()).unwrap())),
        ] {
            assert_ne!(made[0], made[1]);
            for der in made {
                let leaf = Certificate::from_der(&der).unwrap();
                assert!(leaf.verify_signed_by(&above).is_ok() && leaf.names_issuer(&above));
                assert_eq!(
                    (leaf.is_precertificate(), leaf.spki_der()),
                    (precert, key.public_key().spki_der())
                );
            }
        }
    }
}
