//! Whose word counts for what; the rest is tested over the wire.

use super::*;
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_pki::{
    ExtensionValues, LeafProfile, San, Serial,
    issue::{self, AuthorityProfile},
};

pub(in crate::ctlog) fn authority() -> (PrivateKey, Certificate) {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let profile = AuthorityProfile {
        organization: "tests",
        common_name: "root",
        serial: Serial::from_random([1; 20]),
        not_before: 0,
        not_after: 4_000_000_000,
    };
    let certificate = issue::self_signed_root(&profile, &key).unwrap();
    (key, certificate)
}

/// A precertificate in the authority's name, with its chain.
pub(in crate::ctlog) fn chain(signed_by: &PrivateKey, issuer: &Certificate) -> Vec<Vec<u8>> {
    let leaf = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let mut extensions = ExtensionValues::new();
    extensions.set_oidc_issuer("https://issuer.example");
    let profile = LeafProfile {
        serial: Serial::from_random([7; 20]),
        not_before: 0,
        not_after: 600,
        public_key: leaf.public_key(),
        san: &San::Email("jane@example.com".to_owned()),
        extensions: &extensions,
    };
    let precert = issue::precertificate(&profile, issuer, signed_by).unwrap();
    vec![precert.certificate().der().to_vec(), issuer.der().to_vec()]
}

#[test]
fn the_authoritys_word_counts_for_chains_that_held_and_nobody_elses_ever() {
    let (key, root) = authority();
    let roots = Roots::new(vec![root.clone()]);
    let admit = |chain: &[Vec<u8>], whose| roots.admit(chain, Endpoint::PreChain, whose);
    let mut wrong = chain(&key, &root);
    // The signature comes last.
    *wrong[0].last_mut().unwrap() ^= 1;
    for whose in [Leaf::Ours, Leaf::Unknown] {
        let refused = admit(&wrong, whose);
        assert!(
            matches!(refused, Err(AdmissionError::NotSigned { position: 0, .. })),
            "{whose:?}: {refused:?}"
        );
    }
    admit(&chain(&key, &root), Leaf::Ours).unwrap();
    assert!(admit(&wrong, Leaf::Ours).is_ok(), "it is believed now");
    assert!(matches!(admit(&wrong, Leaf::Unknown), Err(AdmissionError::NotSigned { position: 0, .. })));
}

#[test]
fn strangers_have_no_chain_forgotten_that_is_in_use() {
    let authorities: Vec<_> = (0..30).map(|_| authority()).collect();
    let roots = Roots::new(authorities.iter().map(|(_, root)| root.clone()).collect());
    let admit = |chain: &[Vec<u8>], whose| roots.admit(chain, Endpoint::PreChain, whose);
    let chains: Vec<_> = authorities.iter().map(|(key, root)| chain(key, root)).collect();
    let (ours, busy) = (&chains[0], &chains[1]);
    admit(busy, Leaf::Unknown).unwrap();
    // Known from somebody else already, in time for the authority.
    admit(ours, Leaf::Unknown).unwrap();
    admit(ours, Leaf::Ours).unwrap();
    let is_known = |chain: &[Vec<u8>]| {
        let known = roots.known.lock().unwrap();
        assert!(known.len() <= MAX_KNOWN);
        known.iter().any(|known| known.above.sent == chain[1..])
    };
    for strangers in &chains[2..] {
        admit(strangers, Leaf::Unknown).unwrap();
        // The same once more in another form: its root twice.
        let [leaf, root] = strangers.as_slice() else { panic!("a chain of two") };
        admit(&[leaf.clone(), root.clone(), root.clone()], Leaf::Unknown).unwrap();
        assert!(is_known(busy));
        admit(busy, Leaf::Unknown).unwrap();
    }
    assert!(is_known(ours) && is_known(busy));
    assert!(!is_known(&chains[2]));

    // Nor does our own authority fill more than there is room for, and then strangers get none.
    for own in &chains {
        admit(own, Leaf::Ours).unwrap();
    }
    admit(&chains[0], Leaf::Unknown).unwrap();
    assert!(is_known(&chains[29]) && !is_known(&chains[0]));
}
