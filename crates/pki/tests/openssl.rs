//! OpenSSL as a second opinion on what is issued, asked for and answered.
//!
//! Skips with a word where no `openssl` command is installed.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; a skip says so")]

mod setting;

use sealog_crypto::{HashAlgorithm, KeyKind, Signer as _};
use sealog_pki::{
    Certificate, Csr, Purpose, San, TrustedChain,
    issue::{self, Below},
    timestamp::{self, POLICY, TimeStampReq, TimeStampResp, TsaIdentity},
    verify_chain,
};
use setting::{NOW, authority, key, leaf, profile};
use std::{fs, path::Path, process::Command};

const KINDS: [KeyKind; 2] = [KeyKind::EcdsaP256, KeyKind::EcdsaP384];

fn installed() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success());
    if !there {
        eprintln!("skipped: no openssl command");
    }
    there
}

/// Runs a command line split at spaces, in `directory`.
fn openssl(directory: &Path, line: &str) -> String {
    let out = Command::new("openssl").args(line.split(' ')).current_dir(directory).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "openssl {line}: {said}");
    said
}

#[test]
fn openssl_accepts_our_chains() {
    if !installed() {
        return;
    }
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, certificate: &Certificate| {
            fs::write(directory.path().join(name), certificate.to_pem()).unwrap();
        };
        let authority = authority(kind, Below::CodeSigning);
        write("root.pem", &authority.root);
        write("intermediate.pem", &authority.intermediate);
        for san in [San::Email("a@example.com".into()), San::OtherName("a!example.com".into())] {
            let signing = key(KeyKind::EcdsaP256);
            let leaf = leaf(&authority, &signing, &san, &key(KeyKind::EcdsaP256));
            write("leaf.pem", &leaf);
            let verify = format!(
                "verify -x509_strict -attime {NOW} -CAfile root.pem -untrusted intermediate.pem -purpose any leaf.pem"
            );
            assert!(openssl(directory.path(), &verify).contains("OK"));
            let text = openssl(directory.path(), "x509 -in leaf.pem -noout -text");
            for part in [
                "Code Signing",
                "Digital Signature",
                "CT Precertificate SCTs",
                "Subject Alternative Name: critical",
                "Version   : v1 (0x0)",
                "ecdsa-with-SHA256",
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }
}

#[test]
fn openssl_accepts_our_timestamps_and_we_read_its_request() {
    if !installed() {
        return;
    }
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let authority = authority(kind, Below::TimeStamping);
        let tsa_key = key(kind);
        let tsa_profile = profile("test tsa", 10);
        let (issuer, issuer_key) = (&authority.intermediate, &authority.key);
        let tsa = issue::tsa_leaf(&tsa_profile, tsa_key.public_key(), issuer, issuer_key).unwrap();
        fs::write(path("message"), b"a signature").unwrap();
        fs::write(path("root.pem"), authority.root.to_pem()).unwrap();
        fs::write(path("above.pem"), authority.intermediate.to_pem()).unwrap();
        fs::write(path("all.pem"), format!("{}{}", tsa.to_pem(), authority.intermediate.to_pem())).unwrap();
        let chain = [tsa, authority.intermediate, authority.root];
        for (options, untrusted) in
            [("-sha256 -cert", "above"), ("-sha512 -no_nonce", "all"), ("-sha384", "all")]
        {
            openssl(directory.path(), &format!("ts -query -data message {options} -out query"));
            let request = TimeStampReq::parse(&fs::read(path("query")).unwrap()).unwrap();
            assert_eq!(request.nonce.is_none(), options.contains("no_nonce"));
            let identity = TsaIdentity { signer: &tsa_key, chain: &chain };
            let answer = timestamp::respond(&request, &identity, NOW, &[1, 2, 3], &POLICY).unwrap();
            fs::write(path("reply"), &answer).unwrap();
            let verify = format!(
                "ts -verify -queryfile query -in reply -attime {NOW} -CAfile root.pem -untrusted {untrusted}.pem"
            );
            assert!(openssl(directory.path(), &verify).contains("Verification: OK"));
            let text = openssl(directory.path(), "ts -reply -in reply -text");
            for part in
                ["Status: Granted.", "Jan 15 08:00:00 2027 GMT", "0x01 seconds", "1.3.6.1.4.1.57264.2"]
            {
                assert!(text.contains(part), "{part} in {text}");
            }
            let response = TimeStampResp::parse(&answer).unwrap();
            assert!(
                timestamp::verify(&response, b"a signature", &TrustedChain::new(chain.to_vec()).unwrap())
                    .is_ok()
            );
        }
    }
}

#[test]
fn we_accept_openssl_timestamps() {
    if !installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("message"), b"a signature").unwrap();
    fs::write(
        path("ts.cnf"),
        "[ts]\nserial=serial\ncrypto_device=builtin\nsigner_digest=sha384\ndefault_policy=1.2.3.4\n\
         digests=sha256,sha384,sha512\naccuracy=secs:1,millisecs:500\nclock_precision_digits=6\n\
         ordering=yes\ntsa_name=yes\ness_cert_id_chain=yes\ness_cert_id_alg=sha256\n\
         [req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:true\n\
         keyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n[tsa]\n\
         extendedKeyUsage=critical,timeStamping\nsubjectKeyIdentifier=hash\n",
    )
    .unwrap();
    for algorithm in ["rsa -pkeyopt rsa_keygen_bits:2048", "ec -pkeyopt ec_paramgen_curve:P-384"] {
        let run = |line: &str| openssl(directory.path(), line);
        run(&format!(
            "req -config ts.cnf -x509 -newkey {algorithm} -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=ca -extensions ca"
        ));
        run(&format!(
            "req -config ts.cnf -newkey {algorithm} -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa"
        ));
        run(
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tsa.pem -days 30 -extfile ts.cnf -extensions tsa",
        );
        let read = |name: &str| Certificate::from_pem(&fs::read_to_string(path(name)).unwrap()).unwrap();
        let chain = [read("tsa.pem"), read("ca.pem")];
        for hash in HashAlgorithm::ALL {
            let request =
                TimeStampReq::new(hash.digest(b"a signature")).with_nonce(&[9; 8]).with_certificate();
            fs::write(path("query"), request.encode()).unwrap();
            fs::write(path("serial"), "0f\n").unwrap();
            run(
                "ts -reply -config ts.cnf -section ts -queryfile query -inkey tsa.key -signer tsa.pem -out reply",
            );
            let response = TimeStampResp::parse(&fs::read(path("reply")).unwrap()).unwrap();
            assert_eq!(response.nonce(), request.nonce.as_deref());
            let verified =
                timestamp::verify(&response, b"a signature", &TrustedChain::new(chain.to_vec()).unwrap())
                    .unwrap();
            assert_eq!(verified.signer(), &chain[0]);
            assert!(
                timestamp::verify(&response, b"another", &TrustedChain::new(chain.to_vec()).unwrap())
                    .is_err()
            );
        }
    }
}

#[test]
fn requests_cross_over() {
    if !installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let ours = Csr::build(&key(KeyKind::EcdsaP256)).unwrap();
    fs::write(directory.path().join("ours.pem"), Csr::pem_of(&ours)).unwrap();
    assert!(openssl(directory.path(), "req -in ours.pem -verify -noout").contains("verify OK"));
    for algorithm in ["ed25519", "rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-521"] {
        openssl(
            directory.path(),
            &format!("req -newkey {algorithm} -nodes -keyout key -out theirs.pem -subj /CN=x"),
        );
        let theirs = fs::read_to_string(directory.path().join("theirs.pem")).unwrap();
        let request = Csr::from_pem(&theirs);
        // OpenSSL signs P-521 with SHA-256 by default; that is a scheme too.
        assert_eq!(request.unwrap().verify_self_signature(), Ok(()), "{algorithm}");
    }
}

#[test]
fn pss_and_unusual_certificates_of_openssl_are_read() {
    if !installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    openssl(
        directory.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout key -out pss.pem -subj /O=org/CN=x -sha256 \
         -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -addext subjectAltName=DNS:a.example"
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .as_str(),
    );
    let pem = fs::read_to_string(directory.path().join("pss.pem")).unwrap();
    let certificate = Certificate::from_pem(&pem).unwrap();
    assert_eq!(certificate.verify_signed_by(&certificate), Ok(()));
    assert_eq!(certificate.common_name().as_deref(), Some("x"));
    assert_eq!(certificate.san(), [San::Dns("a.example".into())]);
    let at = certificate.validity().0;
    let error = verify_chain(&certificate, &[], &[], at, Purpose::CodeSigning).unwrap_err();
    assert_eq!(error.to_string(), "the leaf certificate is a CA's");
}
