//! Roots that stay offline, chains of a company's own, and the change from one certificate to the next.

use super::{
    ca::{SIGNING_CERT, issued, logged, with_csr},
    harness::Sealog,
    hsm::Hsm,
    openssl::{self, Key},
    operator::{configured, said, sealogd, sealogd_in},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot, UnixTime};
use sealog_client::{
    http::Client,
    oidc::IdentityToken,
    sign::{Payload, Signer, SigningKey},
    trust::TrustConfig,
};
use sealog_crypto::{Digest, HashAlgorithm};
use sealog_pki::Certificate;
use sealog_server::clock::Clock;
use sealog_verify::{Artifact, Policy, verify};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `sealogd authority …`, whose data goes into a file.
#[track_caller]
fn authority(dir: &Path, out: &str, args: &[&str]) -> String {
    let output = sealogd(&[&["authority"], args].concat());
    let told = said(&output, 0);
    fs::write(dir.join(out), &output.stdout).unwrap();
    told
}

#[track_caller]
fn refused(args: &[&str], status: i32, expected: &str) {
    let told = said(&sealogd(&[&["authority"], args].concat()), status);
    assert!(told.contains(expected), "expected {expected:?} in: {told}");
}

fn path_in(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_root_that_is_never_online() {
    let (online, offline) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (config, _ports) = configured(online.path());
    let secret = path_in(offline.path(), "secret");
    fs::write(&secret, "a passphrase for the root\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let root = path_in(offline.path(), "root");
    let dir = offline.path();

    for (which, name, purpose) in [("signing", "ca", "Code Signing"), ("timestamps", "tsa", "Time Stamping")]
    {
        let which = ["--for", which];
        let asked = authority(dir, "request", &[&["request", "--config", &config], &which[..]].concat());
        let again = authority(dir, "again", &[&["request", "--config", &config], &which[..]].concat());
        assert_eq!(asked, again, "the key is made once");
        let shown = openssl::run(dir, &["req", "-in", "request", "-verify", "-noout", "-text"]);
        for expected in ["Certificate request self-signature verify OK", "O = Sealog, CN = ", purpose] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
        if name == "ca" {
            // There is a key that waits for its certificate: no other root is made for it.
            let told = said(&sealogd(&["init", "--config", &config]), 2);
            let expected = ["waits for its certificate chain", "authority install"];
            assert!(expected.iter().all(|expected| told.contains(expected)), "{told}");
        }

        let root = format!("{root}-{name}");
        let (key, cert) = (format!("{root}/root.key"), format!("{root}/root.pem"));
        let made = ["root", "--dir", &root, "--passphrase-file", &secret, "--organization", "Example"];
        authority(dir, "none", &[&made, &which[..]].concat());
        refused(&[&made, &which[..]].concat(), 2, "exists already");
        let sealed = fs::read_to_string(&key).unwrap();
        assert!(sealed.starts_with("-----BEGIN SEALOG SEALED"), "{sealed}");
        let request = path_in(dir, "request");
        let sign = ["sign", "--root-key", &key, "--root-cert", &cert, "--request", &request];
        let sealing = ["--passphrase-file", &secret];
        let told = authority(dir, "chain.pem", &[&sign[..], &sealing, &which].concat());
        let fingerprint = asked.rsplit(' ').next().unwrap().trim();
        assert!(told.contains(fingerprint), "{told} has no {fingerprint}");
        refused(&[&sign[..], &sealing, &which, &["--days", "36500"]].concat(), 3, "36500 days below");
        refused(&[&sign[..], &["--plain-key"], &which].concat(), 2, "no passphrase is configured");
        let other = [&sign[..3], &["--root-cert", &request, "--request", &request], &sealing].concat();
        refused(&other, 3, "reading");

        // Somebody who does not hold the key asks for it.
        let body = fs::read_to_string(&request).unwrap();
        let mut der =
            STANDARD.decode(body.lines().filter(|l| !l.starts_with('-')).collect::<String>()).unwrap();
        *der.last_mut().unwrap() ^= 1;
        let forged = path_in(dir, "forged");
        let label = "CERTIFICATE REQUEST";
        fs::write(
            &forged,
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)),
        )
        .unwrap();
        let sign = ["sign", "--root-key", &key, "--root-cert", &cert, "--request", &forged];
        refused(&[&sign[..], &sealing, &which].concat(), 3, "does not hold its key");

        let chain = path_in(dir, "chain.pem");
        let install = ["install", "--config", &config, "--chain", &chain];
        let early = [&install[..], &which, &["--starts", "2040-01-01T00:00:00Z"]].concat();
        refused(&early, 2, "the authority's first chain");
        let told = authority(dir, "none", &[&install[..], &which].concat());
        assert!(told.contains(&format!("{name} is in place")), "{told}");
        refused(&[&install[..], &which].concat(), 2, "is for the key of");
        openssl::run(dir, &["verify", "-x509_strict", "-CAfile", &cert, "chain.pem"]);
    }
    said(&sealogd(&["init", "--config", &config]), 0);
    let checked = sealogd(&["check", "--config", &config]);
    said(&checked, 0);
    let shown = text(&checked);
    assert!(
        shown.contains("ca       certificate \"signing authority\", ECDSA P-384, valid until"),
        "{shown}"
    );
    assert!(!shown.contains("root's key is on this machine"), "{shown}");
    for name in ["ca-root", "tsa-root", "root"] {
        assert!(!online.path().join(format!("keys/{name}.key")).exists(), "{name}");
    }
    let trusted = fs::read(online.path().join("client/trusted_root.json")).unwrap();
    let trusted = TrustedRoot::parse(&trusted).unwrap();
    assert_eq!(trusted.certificate_authorities[0].organization, "Example");
}

/// OpenSSL's own authority, as a company has it.
struct Company {
    dir: tempfile::TempDir,
}

const ROOT: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
                    subjectKeyIdentifier=hash\n";
const POLICY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
                      subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
const SIGNING: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
                       extendedKeyUsage=codeSigning\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

impl Company {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        path_in(self.dir.path(), name)
    }

    fn key(&self, name: &str, curve: &str) {
        let key = format!("{name}.key");
        match curve {
            "rsa" => openssl::run(self.dir.path(), &["genpkey", "-algorithm", "RSA", "-out", &key]),
            _ => openssl::run(
                self.dir.path(),
                &[
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    &format!("ec_paramgen_curve:{curve}"),
                    "-out",
                    &key,
                ],
            ),
        };
        fs::set_permissions(self.path(&key), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A root of this kind of key.
    fn root(&self, name: &str, curve: &str) {
        self.key(name, curve);
        self.request(name);
        let (key, csr, out) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        fs::write(self.path("extensions"), ROOT).unwrap();
        let args = ["x509", "-req", "-in", &csr, "-signkey", &key, "-days", "3650", "-extfile", "extensions"];
        openssl::run(self.dir.path(), &[&args[..], &["-out", &out]].concat());
    }

    fn request(&self, name: &str) {
        let (key, csr, subject) =
            (format!("{name}.key"), format!("{name}.csr"), format!("/O=Company/CN={name}"));
        openssl::run(self.dir.path(), &["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr]);
    }

    /// Signs `NAME.csr`; the extensions are those given, or else those that the request asks for.
    fn sign(&self, name: &str, by: &str, extensions: Option<&str>, more: &[&str]) {
        let (csr, out) = (format!("{name}.csr"), format!("{name}.pem"));
        let (ca, key) = (format!("{by}.pem"), format!("{by}.key"));
        let mut args = vec!["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &key, "-CAcreateserial"];
        if let Some(extensions) = extensions {
            fs::write(self.path("extensions"), extensions).unwrap();
            args.extend(["-extfile", "extensions"]);
        } else {
            args.extend(["-copy_extensions", "copyall"]);
        }
        if !more.contains(&"-days") {
            args.extend(["-days", "1000"]);
        }
        args.extend(more);
        args.extend(["-out", &out]);
        openssl::run(self.dir.path(), &args);
    }

    /// A file with these certificates, in this order.
    fn chain(&self, names: &[&str]) -> String {
        let pem: String =
            names.iter().map(|name| fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap()).collect();
        fs::write(self.path("chain"), pem).unwrap();
        self.path("chain")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companys_own_root_policy_and_signing_authority() {
    let company = Company::new();
    company.root("root", "P-384");
    company.key("policy", "P-384");
    company.request("policy");
    company.sign("policy", "root", Some(POLICY), &[]);
    let sealog = Sealog::start_prepared(tempfile::tempdir().unwrap(), "", "", |config| {
        let config = config.to_str().unwrap();
        authority(company.dir.path(), "signing.csr", &["request", "--config", config]);
        // The extensions it needs stand in the request.
        company.sign("signing", "policy", None, &[]);
        let chain = company.chain(&["signing", "policy", "root"]);
        authority(company.dir.path(), "none", &["install", "--config", config, "--chain", &chain]);
    })
    .await;
    let key = Key::p256();
    let request = with_csr(&sealog.issuer.email("jane@example.com"), &key).to_string();
    let chain = issued(&sealog.post("ca", SIGNING_CERT, request).await);
    assert_eq!(chain.len(), 4);
    logged(&sealog, &chain).await;
    fs::write(company.path("leaf.pem"), chain[0].to_pem()).unwrap();
    let between = chain[1].to_pem() + &chain[2].to_pem();
    fs::write(company.path("between.pem"), between).unwrap();
    let verify = ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "between.pem", "leaf.pem"];
    assert!(openssl::run(company.dir.path(), &verify).contains("leaf.pem: OK"));
    let trusted = trusted(&sealog);
    assert_eq!(trusted.certificate_authorities[0].cert_chain.len(), 3);
    assert_eq!(trusted.certificate_authorities[0].common_name, "root");
    let (bundle, artifact) = signed(&sealog, &trusted).await;
    accepted(&bundle, artifact, &trusted);
    let checked = sealogd(&["check", "--config", sealog.dir.path().join("sealog.toml").to_str().unwrap()]);
    assert!(text(&checked).contains("below policy, root"), "{}", text(&checked));
}

#[test]
fn chains_that_would_verify_nowhere_are_not_put_to_work() {
    let company = Company::new();
    let online = tempfile::tempdir().unwrap();
    let (config, _ports) = configured(online.path());
    let install = |chain: &str| -> Vec<String> {
        ["install", "--config", &config, "--chain", chain].map(str::to_owned).to_vec()
    };
    let refused = |names: &[&str], expected: &str| {
        let args = install(&company.chain(names));
        refused(&args.iter().map(String::as_str).collect::<Vec<_>>(), 1, expected);
        assert!(!online.path().join("keys/ca.pem").exists(), "{expected}");
    };
    company.root("root", "P-384");
    company.root("other", "P-384");
    company.root("rsa", "rsa");
    for name in ["policy", "narrow", "named"] {
        company.key(name, "P-384");
        company.request(name);
    }
    company.sign("policy", "root", Some(POLICY), &[]);
    company.sign("narrow", "root", Some(&POLICY.replace("CA:TRUE", "CA:TRUE,pathlen:0")), &[]);
    company.sign("named", "root", Some(&format!("{POLICY}1.2.3.4=critical,ASN1:NULL\n")), &[]);
    let chain = install(&company.chain(&["policy", "root"]));
    let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
    super::authority::refused(&chain, 2, "there is no key");
    authority(company.dir.path(), "signing.csr", &["request", "--config", &config]);

    company.sign("signing", "policy", None, &[]);
    refused(&["signing", "policy"], "ends with \"policy\", which did not sign itself");
    refused(&["signing", "root"], "\"signing authority\" is not signed by \"root\"");
    refused(&["root", "policy", "signing"], "the first certificate, \"root\", is not for the key");
    refused(&["signing", "policy", "other"], "\"policy\" is not signed by \"other\"");
    refused(&["policy", "root"], "\"policy\", is not for the key");
    company.sign("signing", "narrow", None, &[]);
    refused(&["signing", "narrow", "root"], "allows 0 CAs below it");
    company.sign("signing", "named", None, &[]);
    refused(&["signing", "named", "root"], "critical extension 1.2.3.4");
    company.sign("signing", "rsa", None, &[]);
    refused(&["signing", "rsa"], "one signature family must lead to the root");
    company.sign("signing", "root", None, &["-days", "0"]);
    refused(&["signing", "root"], "\"signing authority\" is valid from");
    company.sign("signing", "root", Some(POLICY), &[]);
    refused(&["signing", "root"], "no extended key usage for code signing");
    company.sign("signing", "root", Some(&SIGNING.replace("codeSigning", "timeStamping")), &[]);
    refused(&["signing", "root"], "no extended key usage for code signing");
    company.sign("signing", "root", Some(&SIGNING.replace("CA:TRUE,pathlen:0", "CA:FALSE")), &[]);
    refused(&["signing", "root"], "the issuer certificate is not a CA's");
    company.sign("signing", "root", Some(&SIGNING.replace("keyCertSign,", "")), &[]);
    refused(&["signing", "root"], "keyCertSign");
    fs::write(company.path("empty.pem"), "").unwrap();
    refused(&["empty"], "");

    // And one that would.
    company.sign("signing", "policy", Some(SIGNING), &[]);
    let chain = install(&company.chain(&["signing", "policy", "root"]));
    let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
    authority(company.dir.path(), "none", &chain);
}

#[test]
fn a_key_that_is_there_already_is_brought_along() {
    let company = Company::new();
    let online = tempfile::tempdir().unwrap();
    let (config, _ports) = configured(online.path());
    company.root("root", "P-256");
    company.key("signing", "P-256");
    company.request("signing");
    company.sign("signing", "root", Some(SIGNING), &[]);
    company.key("other", "P-256");
    let chain = company.chain(&["signing", "root"]);
    let (key, other) = (company.path("signing.key"), company.path("other.key"));
    let install = ["install", "--config", &config, "--chain", &chain, "--key"];
    refused(&[&install[..], &[&other]].concat(), 1, "is not for the key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&[&install[..], &[&key]].concat(), 2, "has mode 0644, expected 0600");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    authority(company.dir.path(), "none", &[&install[..], &[&key]].concat());
    let kept = fs::read_to_string(online.path().join("keys/ca.key")).unwrap();
    assert!(kept.starts_with("-----BEGIN SEALOG SEALED"), "{kept}");
    said(&sealogd(&["init", "--config", &config]), 0);
    let checked = sealogd(&["check", "--config", &config]);
    assert!(text(&checked).contains("certificate \"signing\", ECDSA P-256"), "{}", text(&checked));
}

fn trusted(sealog: &Sealog) -> TrustedRoot {
    TrustedRoot::parse(&fs::read(sealog.client_dir().join("trusted_root.json")).unwrap()).unwrap()
}

/// A whole signature by way of the running services.
async fn signed(sealog: &Sealog, root: &TrustedRoot) -> (Bundle, Digest) {
    let now = UnixTime::from_seconds(Clock::system().unix_seconds());
    let services = TrustConfig::from_directory(&sealog.client_dir()).unwrap().services(now.millis()).unwrap();
    let client = Arc::new(Client::new());
    let token = IdentityToken::parse(&sealog.issuer.email("jane@example.com")).unwrap();
    let artifact = HashAlgorithm::Sha256.digest(b"an artifact");
    let payload = Payload::File(artifact);
    let signer = Signer::new(&client, &services, root);
    let batch =
        signer.begin(SigningKey::generate().unwrap(), &token, std::slice::from_ref(&payload)).await.unwrap();
    let signed = batch.finish(0, &payload).await.unwrap();
    (Bundle::parse(signed.bundle.to_json().as_bytes()).unwrap(), artifact)
}

fn verdict(bundle: &Bundle, artifact: Digest, root: &TrustedRoot) -> Result<(), String> {
    let leaf = Certificate::from_der(bundle_leaf(bundle)).unwrap();
    let policy = Policy::identity("jane@example.com", leaf.fulcio().oidc_issuer().unwrap());
    verify(bundle, root, &policy, &Artifact::from_digests([artifact])).map(drop).map_err(|e| e.to_string())
}

fn bundle_leaf(bundle: &Bundle) -> &[u8] {
    match &bundle.material.key {
        KeyMaterial::Certificate(leaf) => leaf,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn accepted(bundle: &Bundle, artifact: Digest, root: &TrustedRoot) {
    verdict(bundle, artifact, root).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_leaves_no_gap() {
    let sealog = Sealog::start().await;
    let config = path_in(sealog.dir.path(), "sealog.toml");
    let dir = sealog.dir.path();
    let old_root = trusted(&sealog);
    let (before, artifact) = signed(&sealog, &old_root).await;
    let shown = text(&sealogd(&["check", "--config", &config]));
    assert!(shown.contains("the root's key is on this machine") && shown.contains("ca-root.key"), "{shown}");

    // Everything while the services run.
    let told = authority(dir, "next.csr", &["request", "--config", &config]);
    assert!(told.contains("key ca-2 is "), "{told}");
    let (key, cert) = (path_in(dir, "keys/ca-root.key"), path_in(dir, "keys/ca.pem"));
    let request = path_in(dir, "next.csr");
    let sign = ["sign", "--root-key", &key, "--root-cert", &cert, "--request", &request, "--plain-key"];
    authority(dir, "next.pem", &[&sign[..], &["--common-name", "signing authority 2"]].concat());
    let chain = path_in(dir, "next.pem");
    let install = ["install", "--config", &config, "--chain", &chain];
    refused(&[&install[..], &["--starts", "2020-01-01T00:00:00Z"]].concat(), 2, "which must be after");
    refused(&[&install[..], &["--starts", "tomorrow"]].concat(), 2, "expected `now`, or a time such as");
    refused(&["install", "--config", &config, "--chain", &cert], 2, "a renewal needs a new key");
    let starts = Clock::system().unix_seconds() + 15;
    let when = UnixTime::from_seconds(starts).to_string();
    let told = authority(dir, "none", &[&install[..], &["--starts", &when]].concat());
    assert!(told.contains(&format!("ca-2 takes over at {when}")) && told.contains("no restart"), "{told}");

    // Clients are told at once, of both.
    let new_root = trusted(&sealog);
    let [old, new] = new_root.certificate_authorities.as_slice() else { panic!("two authorities") };
    assert_eq!(old.cert_chain, old_root.certificate_authorities[0].cert_chain);
    assert_eq!(old.valid_for.start, old_root.certificate_authorities[0].valid_for.start);
    assert_eq!(old.valid_for.end, Some(UnixTime::from_seconds(starts + 3600)));
    assert!(new.valid_for.start <= UnixTime::from_seconds(starts) && new.valid_for.end.is_none());
    let shown = text(&sealogd(&["check", "--config", &config]));
    let expected = "next: certificate \"signing authority 2\", ECDSA P-384, valid until ";
    assert!(shown.contains(expected) && shown.contains(&format!(", from {when}")), "{shown}");

    // Until then the old one works, afterwards the new one, and nobody is turned away in between.
    let begun = Instant::now();
    let mut seen = Vec::new();
    while seen.last() != Some(&1) {
        assert!(begun.elapsed() < Duration::from_secs(45), "{seen:?}");
        let request = with_csr(&sealog.issuer.email("jane@example.com"), &Key::p256()).to_string();
        let (sent, chain) =
            (Clock::system().unix_seconds(), issued(&sealog.post("ca", SIGNING_CERT, request).await));
        let by = new_root.certificate_authorities.iter().position(|ca| ca.cert_chain[0] == chain[1].der());
        seen.push(by.unwrap());
        chain[0].verify_signed_by(&chain[1]).unwrap();
        assert!(by == Some(0) || Clock::system().unix_seconds() >= starts);
        assert!(by == Some(1) || sent <= starts);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen[0], 0);
    let (after, _) = signed(&sealog, &new_root).await;
    let leaf = Certificate::from_der(bundle_leaf(&after)).unwrap();
    let intermediate = Certificate::from_der(&new.cert_chain[0]).unwrap();
    leaf.verify_signed_by(&intermediate).unwrap();
    accepted(&before, artifact, &new_root);
    accepted(&after, artifact, &new_root);
    accepted(&before, artifact, &old_root);
    let told = verdict(&after, artifact, &old_root).unwrap_err();
    assert!(told.contains("certificate"), "{told}");

    // OpenSSL agrees, and the authority shows both chains, the one at work first.
    for (name, certificate) in [("leaf.pem", &leaf), ("intermediate.pem", &intermediate)] {
        fs::write(dir.join(name), certificate.to_pem()).unwrap();
    }
    let root = Certificate::from_der(&new.cert_chain[1]).unwrap();
    fs::write(dir.join("root.pem"), root.to_pem()).unwrap();
    let verify =
        ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediate.pem", "leaf.pem"];
    assert!(openssl::run(dir, &verify).contains("leaf.pem: OK"));
    let shown = sealog.get("ca", "/api/v2/trustBundle").await.json();
    assert_eq!(shown["chains"].as_array().unwrap().len(), 2);
    assert_eq!(shown["chains"][0]["certificates"][0], intermediate.to_pem().trim_end());

    // The old key is not needed any more, not even by a start.
    let mut sealog = sealog;
    fs::remove_file(sealog.dir.path().join("keys/ca.key")).unwrap();
    fs::remove_file(sealog.dir.path().join("keys/ca-root.key")).unwrap();
    sealog.restart().await;
    let (again, _) = signed(&sealog, &trusted(&sealog)).await;
    accepted(&again, artifact, &new_root);
    assert_eq!(trusted(&sealog), new_root);
    let roots = sealog.get("ctlog", "/ct/v1/get-roots").await.json();
    assert_eq!(roots["certificates"].as_array().unwrap().len(), 1, "one root, however many chains");
    let shown = text(&sealogd(&["check", "--config", &config]));
    assert!(shown.contains("ca       certificate \"signing authority 2\""), "{shown}");
    assert!(!shown.contains("next: "), "{shown}");
}

#[test]
fn a_renewed_key_is_made_where_the_first_one_lives() {
    let Some(hsm) = Hsm::with_token("sealog") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (config, _ports) = configured(dir.path());
    let table = hsm.table("sealog", "ca = \"signing\"");
    fs::write(&config, fs::read_to_string(&config).unwrap() + &table).unwrap();
    let run = |args: &[&str]| sealogd_in(&[hsm.conf()], args);
    said(&run(&["init", "--config", &config]), 0);
    let request = run(&["authority", "request", "--config", &config]);
    let told = said(&request, 0);
    assert!(told.contains("key ca-2 is \"signing-2\" in token \"sealog\""), "{told}");
    fs::write(dir.path().join("next.csr"), &request.stdout).unwrap();
    let (key, cert) = (path_in(dir.path(), "keys/ca-root.key"), path_in(dir.path(), "keys/ca.pem"));
    let (request, secret) = (path_in(dir.path(), "next.csr"), path_in(dir.path(), "passphrase"));
    let sign = ["authority", "sign", "--root-key", &key, "--root-cert", &cert, "--request", &request];
    let signed = run(&[&sign[..], &["--passphrase-file", &secret]].concat());
    said(&signed, 0);
    let chain = path_in(dir.path(), "next.pem");
    fs::write(&chain, &signed.stdout).unwrap();
    let install = ["authority", "install", "--config", &config, "--chain", &chain, "--starts", "now"];
    let told = said(&run(&install), 0);
    assert!(told.contains("ca-2 takes over at"), "{told}");
    // The first key may go: nothing asks for it any more.
    for half in ["privkey", "pubkey"] {
        hsm.tool(&["--delete-object", "--type", half, "--label", "signing"]);
    }
    said(&run(&["check", "--config", &config]), 0);
    assert!(!dir.path().join("keys/ca-2.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_needs_no_restart_either() {
    let sealog = Sealog::start().await;
    let dir = sealog.dir.path();
    let config = path_in(dir, "sealog.toml");
    let root = path_in(dir, "offline");
    authority(dir, "none", &["root", "--dir", &root, "--plain-key", "--organization", "Another"]);
    authority(dir, "next.csr", &["request", "--config", &config]);
    let (key, cert) = (format!("{root}/root.key"), format!("{root}/root.pem"));
    let request = path_in(dir, "next.csr");
    let sign = ["sign", "--root-key", &key, "--root-cert", &cert, "--request", &request, "--plain-key"];
    authority(dir, "next.pem", &sign);
    let chain = path_in(dir, "next.pem");
    authority(dir, "none", &["install", "--config", &config, "--chain", &chain, "--starts", "now"]);
    let root = Certificate::from_pem(&fs::read_to_string(&cert).unwrap()).unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(60));
        let request = with_csr(&sealog.issuer.email("jane@example.com"), &Key::p256()).to_string();
        // Every one of them is answered with a certificate.
        let chain = issued(&sealog.post("ca", SIGNING_CERT, request).await);
        if chain.last() == Some(&root) {
            logged(&sealog, &chain).await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let roots = sealog.get("ctlog", "/ct/v1/get-roots").await.json();
    assert_eq!(roots["certificates"].as_array().unwrap().len(), 2);
}
