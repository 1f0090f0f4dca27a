//! Every byte that stands beside a leaf is held against it, also where the leaf hash does not cover it.

use super::super::admission::tests::{authority, chain};
use super::*;
use crate::{fsck::FsckError, periods::Leaves};
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_log_engine::{
    Identity, Log, Place, Restoring, Settings, TransferError, Unsound, back_up, public_files, restore,
    transfer,
};
use sealog_tlog::{
    Leaf as _,
    ct::{CtEntry, CtLeaf, CtSubmission},
    note::KeySigner,
};
use std::{fs, path::Path, sync::Arc};

fn submission_of(precert: &[Vec<u8>]) -> CtSubmission {
    let [leaf, above @ ..] = precert else { panic!("a chain") };
    let (leaf, issuer) = (Certificate::from_der(leaf).unwrap(), Certificate::from_der(&above[0]).unwrap());
    let entry = CtEntry::Precert {
        issuer_key_hash: sha256(issuer.spki_der()),
        tbs: leaf.tbs_without(&POISON),
        precert: leaf.der().to_vec(),
    };
    CtSubmission { entry, issuers: above.to_vec() }
}

fn said(submission: &CtSubmission, ours: bool) -> Result<(), String> {
    let element = CtLeaf::place(submission, 7, 8).unwrap().encoded;
    let issuers: Vec<Bytes> = submission.issuers.iter().cloned().map(Bytes::from).collect();
    beside(ours)(&element, &issuers)
}

fn refused(submission: &CtSubmission, expected: &str) {
    for ours in [true, false] {
        let said = said(submission, ours).unwrap_err();
        assert!(said.contains(expected), "{said}, not {expected}");
    }
}

#[test]
fn what_stands_beside_a_leaf_belongs_to_it() {
    let (key, root) = authority();
    let good = submission_of(&chain(&key, &root));
    said(&good, true).unwrap();
    let final_one = CtSubmission {
        entry: CtEntry::X509 { cert: chain(&key, &root)[0].clone() },
        issuers: good.issuers.clone(),
    };
    said(&final_one, true).unwrap();

    // Another precertificate of the same authority.
    let CtEntry::Precert { precert: other, .. } = submission_of(&chain(&key, &root)).entry else { panic!() };
    let with = |change: &dyn Fn(&mut CtSubmission)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let put = |bytes: Vec<u8>| {
        with(&|changed| {
            if let CtEntry::Precert { precert, .. } = &mut changed.entry {
                precert.clone_from(&bytes);
            }
        })
    };
    refused(&put(other), "not the one that the leaf was made of");
    // Its signature alone, which nothing else covers.
    let CtEntry::Precert { mut precert, .. } = good.entry.clone() else { panic!() };
    *precert.last_mut().unwrap() ^= 1;
    refused(&put(precert), "its precertificate is not signed by the issuer that stands behind");
    // Another authority of the same name, and none.
    let (_, stranger) = authority();
    let other = with(&|changed| changed.issuers = vec![stranger.der().to_vec()]);
    refused(&other, "does not have the key that the leaf names");
    // One that did not issue the one before it.
    let longer = with(&|changed| changed.issuers.push(stranger.der().to_vec()));
    refused(&longer, "its issuer is not signed by the issuer that stands behind");
    refused(
        &CtSubmission { issuers: vec![stranger.der().to_vec()], ..final_one },
        "its certificate is not signed by the issuer",
    );

    // What only others' logs have: said of ours, passed over of theirs.
    for unknown in [
        with(&|changed| changed.issuers.clear()),
        with(&|changed| changed.issuers = vec![b"no certificate".to_vec()]),
        put(b"no certificate".to_vec()),
    ] {
        said(&unknown, true).unwrap_err();
        said(&unknown, false).unwrap();
    }
}

/// A whole log, one byte of a precertificate turned: `fsck` names the entry, and no copy is made of it.
#[test]
fn a_turned_byte_of_a_precertificate_is_found_and_never_copied() {
    let home = tempfile::tempdir().unwrap();
    let (dir, seen) = (home.path().join("ctlog"), home.path().join("ctlog.seen"));
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let signer = Arc::new(KeySigner::tree_head("log.example", Arc::new(key)).unwrap());
    let key = signer.verifier();
    let (authority, root) = authority();
    let settings = Settings::new("log.example", vec![signer], Arc::new(|| 1_700_000_000_000), seen.clone());
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let log = Log::<CtLeaf>::create(&dir, settings, None).unwrap();
        for _ in 0..3 {
            log.append(submission_of(&chain(&authority, &root))).await.unwrap();
        }
        log.close().unwrap();
    });
    let fsck = || {
        let files = public_files(&Place::from(&dir));
        crate::fsck::of_files(files.as_ref(), Leaves::Certificates, Some(&key), "ctlog")
    };
    fsck().unwrap();
    let path = dir.join("public/tile/data/000.p/3");
    let mut bytes = fs::read(&path).unwrap();
    // The last byte before the fingerprint of the one issuer and the length of the list is the signature's last.
    let last = bytes.len() - 32 - 2 - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let is_found = |error: &Unsound| {
        let said = error.to_string();
        let expected = "its precertificate is not signed by the issuer that stands behind";
        assert!(said.contains("tile/data/000.p/3: entry 2, bytes ") && said.contains(expected), "{said}");
    };
    match fsck().unwrap_err().downcast::<FsckError>().unwrap() {
        FsckError::Public { source, .. } => is_found(&source),
        other => panic!("{other}"),
    }
    let identity = Identity { key: &key, first_seen: &seen };
    let to = |name: &str| home.path().join(name);
    let files = || public_files(&Place::from(&dir));
    let refused = |done: Result<_, TransferError>, to: &Path| match done.map(drop).unwrap_err() {
        TransferError::Unsound(error) => {
            is_found(&error);
            assert!(!to.join("format").exists() && !to.join("public/checkpoint").exists());
        }
        other => panic!("{other}"),
    };
    let beside = beside(true);
    refused(back_up::<CtLeaf>(files().as_ref(), &to("backup"), &key, &beside), &to("backup"));
    let moved = transfer::<CtLeaf>(&Place::from(&dir), &Place::from(&to("moved")), &identity, &beside);
    refused(moved, &to("moved"));
    let with = Restoring { identity, frozen: false, newest: &[], beside: &beside };
    let restored = restore::<CtLeaf>(files().as_ref(), &Place::from(&to("back")), &with);
    refused(restored, &to("back"));
}
