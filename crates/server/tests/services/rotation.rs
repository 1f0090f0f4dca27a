//! An issuer that changes its keys: the authority follows, asks it seldom, and goes on while it cannot be asked.

use super::{
    ca::{SIGNING_CERT, issued, with_csr},
    harness::{Answer, Issuer, Sealog},
    openssl::Key,
};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_identity::{Algorithm, jwk};
use serde_json::json;
use std::time::Duration;

/// Discovery and keys.
const REQUESTS_OF_A_FETCH: usize = 2;
/// After which the authority may ask again.
const INTERVAL: Duration = Duration::from_secs(5);
const NOT_NOW: &str = "There was an error processing the identity token: \
    its issuer's keys could not be fetched now; try again in a moment";
const FORGED: &str = "There was an error processing the identity token: \
    the identity token's signature does not verify with the issuer's key";

struct World {
    sealog: Sealog,
    key: Key,
}

impl World {
    async fn new() -> Self {
        let sealog = Sealog::start().await;
        // How often the issuer is asked is told to a request, and the authority counts in seconds.
        sealog.stop_clock();
        Self { sealog, key: Key::p256() }
    }

    async fn ask(&self, token: &str) -> Answer {
        self.sealog.post("ca", SIGNING_CERT, with_csr(token, &self.key).to_string()).await
    }

    /// A token that is good if its signature is, and names this key.
    fn token(&self, key_id: Option<&str>) -> String {
        token_by(&self.sealog.issuer, &self.sealog.issuer, key_id)
    }
}

/// What `issuer` would say, signed by `signer`.
fn token_by(issuer: &Issuer, signer: &Issuer, key_id: Option<&str>) -> String {
    let mut header = json!({ "alg": "ES256", "typ": "JWT" });
    if let Some(key_id) = key_id {
        header["kid"] = json!(key_id);
    }
    signer.sign_with(&header, &issuer.email_claims("jane@example.com"))
}

#[tokio::test]
async fn a_new_key_counts_under_a_new_name_the_old_name_and_none() {
    for (before, after) in [
        (Some("one"), Some("two")),
        (Some("one"), Some("one")),
        (Some("one"), None),
        (None, None),
        (None, Some("two")),
    ] {
        let mut world = World::new().await;
        world.sealog.issuer.rotate(before);
        let old = world.token(before);
        issued(&world.ask(&old).await);
        let asked = world.sealog.issuer.asked();
        world.sealog.issuer.rotate(after);
        world.sealog.wait(INTERVAL);
        // Nothing said that the old key is not good any more, so far.
        issued(&world.ask(&old).await);
        assert_eq!(world.sealog.issuer.asked(), asked, "{before:?} {after:?}");
        issued(&world.ask(&world.token(after)).await);
        assert_eq!(world.sealog.issuer.asked(), asked + REQUESTS_OF_A_FETCH, "{before:?} {after:?}");
        // Now something did.
        assert_eq!(world.ask(&old).await.status, 400, "{before:?} {after:?}");
    }
}

#[tokio::test]
async fn a_key_that_could_not_be_used_is_looked_at_again() {
    let other = PrivateKey::generate(KeyKind::EcdsaP384).unwrap();
    let other = jwk::encode(other.public_key(), "one", Algorithm::Es384).unwrap();
    let mut useless = other.clone();
    useless["use"] = json!("enc");
    for wrong in [other, useless] {
        let world = World::new().await;
        let right = world.sealog.issuer.publish(json!([wrong]));
        assert_eq!(world.ask(&world.token(Some("one"))).await.status, 400);
        world.sealog.issuer.publish(right);
        world.sealog.wait(INTERVAL);
        issued(&world.ask(&world.token(Some("one"))).await);
    }
}

#[tokio::test]
async fn forgeries_make_nobody_ask_often_or_wait() {
    let world = World::new().await;
    let issuer = &world.sealog.issuer;
    let stranger = Issuer::start("").await;
    issued(&world.ask(&world.token(Some("one"))).await);
    let asked = issuer.asked();
    for round in 1..=3 {
        world.sealog.wait(INTERVAL);
        for key_id in [Some("one"), None, Some("one"), None] {
            world.ask(&token_by(issuer, &stranger, key_id)).await.refused(400, 3, FORGED);
        }
        assert_eq!(issuer.asked(), asked + round * REQUESTS_OF_A_FETCH);
    }
    // An issuer that takes its time over them holds up nobody whose key is known.
    world.sealog.wait(INTERVAL);
    issuer.is_slow(true);
    let forged = token_by(issuer, &stranger, None);
    let good = world.token(Some("one"));
    let asked = issuer.asked();
    let honest = async {
        while issuer.asked() == asked {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answered = tokio::time::timeout(Duration::from_secs(5), world.ask(&good)).await;
        issued(&answered.expect("it waited for the issuer"));
        issuer.is_slow(false);
    };
    let (forged, ()) = tokio::join!(world.ask(&forged), honest);
    forged.refused(400, 3, FORGED);
    assert_eq!(stranger.asked(), 0);
}

#[tokio::test]
async fn while_the_issuer_is_down_the_old_keys_go_on() {
    let mut world = World::new().await;
    let old = world.token(Some("one"));
    issued(&world.ask(&old).await);
    world.sealog.issuer.rotate(Some("one"));
    world.sealog.issuer.is_down(true);
    world.sealog.wait(INTERVAL);
    let new = world.token(Some("one"));
    let asked = world.sealog.issuer.asked();
    for _ in 0..3 {
        // It may well be good; nobody can tell now.
        world.ask(&new).await.refused(400, 3, NOT_NOW);
        issued(&world.ask(&old).await);
    }
    assert_eq!(
        world.sealog.issuer.asked(),
        asked + 1,
        "it answers to the first question already that it is down"
    );
    world.sealog.issuer.is_down(false);
    world.sealog.wait(INTERVAL);
    issued(&world.ask(&new).await);
    assert_eq!(world.ask(&old).await.status, 400);
}
