//! Providers behind this one: people sign in there, and come back with an address that it verified.
//!
//! Spec: OpenID Connect Core §3.1 (code flow), §5.3 (UserInfo), RFC 7636, RFC 9207; for GitHub its OAuth and `GET /user/emails`. The way there
//! and back is bound to the browser that began it, by a secret in its cookie, and to one use: an answer that somebody else
//! obtained is worth nothing here.
//!
//! Must always hold: a token counts only when its signature, issuer, audience, time and nonce are right, and an address only
//! when its provider says that it verified it, in the same document, or the operator says so of the provider.

use super::{
    address::Address,
    config::{Config, GITHUB, Upstream, UpstreamKind},
    grants::{Person, Purpose, secret},
    store::{Kind, Store, StoreError},
};
use crate::{
    clock::Clock,
    issuer_keys::{FetchError, IssuerKeys, KeyCache},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sealog_client::http::{Client, HttpError, Reach, Request, below, is_loopback, parse_url};
use sealog_crypto::{RandomError, Zeroizing, sha256};
use sealog_identity::{
    Checks, Claims, Json, TokenError, UnverifiedToken,
    discovery::SecretIn,
    issuer::Asking,
    json::{self, Object},
    verify,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use url::Url;

/// Where providers send people back to.
pub(super) const CALLBACK_PATH: &str = "/callback";
/// A person may take this long there.
const LIFE_MS: u64 = 15 * 60 * 1000;
/// Clocks differ; a token that was just made must not be refused for it.
const LEEWAY_SECONDS: i64 = 60;
/// Answers are shorter.
const MAX_ANSWER: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why nobody comes back from a provider as a person.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error("no provider of that name is configured")]
    Unknown,
    #[error("this sign-in was begun in another browser, is too old, or has ended already")]
    Gone,
    #[error("the provider refused: {0}")]
    Refused(String),
    #[error("the provider's answer is from another one: {0}")]
    OtherIssuer(String),
    #[error("the provider says nowhere where people sign in, or where codes become tokens")]
    NoEndpoints,
    #[error(
        "the provider takes a client's secret neither by client_secret_basic nor by client_secret_post, and no other \
         way is known here"
    )]
    NoWayForSecret,
    #[error("the provider cannot be asked")]
    Keys(#[from] FetchError),
    #[error("the provider did not give a token")]
    Http(#[from] HttpError),
    #[error("the provider's answer holds no token")]
    NoToken,
    #[error("the provider's token is not to be believed")]
    Token(#[from] TokenError),
    #[error("the provider's token is of another sign-in: its {0} differs")]
    NotOurs(&'static str),
    #[error("the provider's UserInfo is not to be believed: {0}")]
    UserInfo(&'static str),
    #[error("the provider gave no mail address")]
    NoAddress,
    #[error("the provider has not verified the address")]
    NotVerified,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The providers.
pub(super) struct Upstreams {
    all: Vec<One>,
    keys: KeyCache,
    store: Store,
    clock: Clock,
    url: String,
}

/// One of them.
struct One {
    name: String,
    label: String,
    kind: UpstreamKind,
    issuer: String,
    connector_id: String,
    client_id: String,
    redirect_uri: String,
    secret: Option<Zeroizing<String>>,
    skip_email_verification: bool,
    asking: Asking,
    client: Client,
}

/// A person on the way.
#[derive(Serialize, Deserialize)]
struct Away {
    name: String,
    nonce: String,
    verifier: String,
    browser: String,
    purpose: Purpose,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct GithubUser {
    id: u64,
}

#[derive(Deserialize)]
struct GithubAddress {
    email: String,
    primary: bool,
    verified: bool,
}

/// What a provider's answer says in the address of the page it leads to.
pub(super) struct Return<'a> {
    /// The path of that address.
    pub(super) path: &'a str,
    pub(super) state: &'a str,
    pub(super) code: Option<&'a str>,
    pub(super) error: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
}

impl Upstreams {
    /// Reads the secrets; nobody is asked yet.
    pub(super) fn new(config: &Config, store: Store, clock: Clock) -> anyhow::Result<Self> {
        let all = config.upstreams.iter().map(|one| One::new(one, config.callback(one)));
        let all = all.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { all, keys: KeyCache::new(clock.clone()), store, clock, url: config.url.to_string() })
    }

    /// Names and labels, for pages.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.iter().map(|one| (one.name.as_str(), one.label.as_str()))
    }

    /// The name of the provider that a program wants.
    pub(super) fn by_connector(&self, connector_id: &str) -> Option<&str> {
        self.all.iter().find(|one| one.connector_id == connector_id).map(|one| one.name.as_str())
    }

    /// What people call the provider that vouches so.
    pub(super) fn label_of(&self, connector_id: &str) -> Option<&str> {
        self.all.iter().find(|one| one.connector_id == connector_id).map(|one| one.label.as_str())
    }

    /// Where the browser goes to sign in.
    pub(super) async fn begin(
        &self,
        name: &str,
        purpose: Purpose,
        browser: &str,
        now_ms: u64,
    ) -> Result<Url, UpstreamError> {
        let one = self.all.iter().find(|one| one.name == name).ok_or(UpstreamError::Unknown)?;
        let (state, nonce, verifier) = (secret()?, secret()?, secret()?);
        let mut url = match one.kind {
            UpstreamKind::Github => below(&parse_url(&one.issuer)?, "login/oauth/authorize"),
            _ => {
                let known = self.known(one).await?;
                // Before anybody goes there, and comes back for nothing.
                one.secret_in(&known)?;
                endpoint(known.discovery.authorization_endpoint.as_deref())?
            }
        };
        let scope = if one.kind == UpstreamKind::Github { "user:email" } else { "openid email" };
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &one.client_id)
            .append_pair("redirect_uri", &one.redirect_uri)
            .append_pair("scope", scope)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())))
            .append_pair("code_challenge_method", "S256");
        let away = Away { name: name.to_owned(), nonce, verifier, browser: bound(&state, browser), purpose };
        self.store.put(Kind::Upstream, &state, &away, now_ms, LIFE_MS).await?;
        Ok(url)
    }

    /// Who came back, and what for. What it was for is told with an error as well, where it is known.
    pub(super) async fn finish(
        &self,
        back: &Return<'_>,
        browser: &str,
        now_ms: u64,
    ) -> Result<(Person, Purpose), UpstreamError> {
        let away: Away =
            self.store.take(Kind::Upstream, back.state, now_ms).await?.ok_or(UpstreamError::Gone)?;
        if away.browser != bound(back.state, browser) {
            return Err(UpstreamError::Gone);
        }
        let one = self.all.iter().find(|one| one.name == away.name).ok_or(UpstreamError::Unknown)?;
        // A provider may send people on to another of ours, to be given the code that that one made.
        if one.redirect_uri != format!("{}{}", self.url, back.path) {
            return Err(UpstreamError::Gone);
        }
        if let Some(other) = back.issuer.filter(|issuer| *issuer != one.issuer) {
            return Err(UpstreamError::OtherIssuer(shortened(other)));
        }
        if let Some(error) = back.error {
            return Err(UpstreamError::Refused(shortened(error)));
        }
        let code = back.code.ok_or_else(|| UpstreamError::Refused("there is no code".to_owned()))?;
        let person = match one.kind {
            UpstreamKind::Github => self.github(one, code, &away).await?,
            _ => self.openid(one, code, &away).await?,
        };
        Ok((person, away.purpose))
    }

    async fn known(&self, one: &One) -> Result<Arc<IssuerKeys>, UpstreamError> {
        Ok(self.keys.of(&one.issuer, &one.asking).await?)
    }

    async fn redeem(
        &self,
        one: &One,
        url: Url,
        secret_in: SecretIn,
        code: &str,
        away: &Away,
    ) -> Result<TokenAnswer, UpstreamError> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", one.redirect_uri.as_str()),
            ("code_verifier", away.verifier.as_str()),
        ];
        let (header, form) = match (&one.secret, secret_in) {
            (Some(secret), SecretIn::Header) => (Some(secret), None),
            (secret, _) => (None, secret.as_ref()),
        };
        if header.is_none() {
            fields.push(("client_id", &one.client_id));
        }
        fields.extend(form.map(|secret| ("client_secret", secret.as_str())));
        let mut request = Request::post_form(url, &fields);
        if let Some(secret) = header {
            let encoded =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Zeroizing::new(format!("{}:{}", encoded(&one.client_id), encoded(secret)));
            request = request.authorization(&format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        }
        let request = request.accept("application/json").limit(MAX_ANSWER).timeout(TIMEOUT);
        let answer = one.client.send(request).await?;
        serde_json::from_slice(&answer.body).map_err(|_| UpstreamError::NoToken)
    }

    async fn openid(&self, one: &One, code: &str, away: &Away) -> Result<Person, UpstreamError> {
        let known = self.known(one).await?;
        let url = endpoint(known.discovery.token_endpoint.as_deref())?;
        let answer = self.redeem(one, url, one.secret_in(&known)?, code, away).await?;
        let id_token = answer.id_token.ok_or(UpstreamError::NoToken)?;
        let token = UnverifiedToken::parse(&id_token)?;
        let claims = match self.check(one, &token, &known) {
            // It may have a new key since we asked, under whatever name.
            Err(error) if error.newer_keys_may_help() => {
                let newer = self.keys.newer(&one.issuer, &one.asking, &known).await?;
                self.check(one, &token, &newer)?
            }
            other => other?,
        };
        let text = |name: &str| claims.get(name).and_then(Json::as_text);
        // Compared by digest, so that the time taken says nothing about how much of it was right.
        if sha256(text("nonce").unwrap_or_default().as_bytes()) != sha256(away.nonce.as_bytes()) {
            return Err(UpstreamError::NotOurs("nonce"));
        }
        // Core §3.1.3.7: a token for several must have been made for us.
        if text("azp").is_some_and(|party| party != one.client_id) {
            return Err(UpstreamError::NotOurs("authorized party"));
        }
        if text("email").is_some_and(|address| !address.is_empty()) {
            return one.vouched(|name| claims.get(name), claims.subject());
        }
        // Core §5.4: in this flow what a scope asks for is in UserInfo, and need not be in the token.
        let access = answer.access_token.map(Zeroizing::new);
        let place = known.discovery.userinfo_endpoint.as_deref();
        let said = userinfo(one, place, access, claims.subject()).await?;
        one.vouched(|name| said.get(name), claims.subject())
    }

    fn check(
        &self,
        one: &One,
        token: &UnverifiedToken<'_>,
        known: &IssuerKeys,
    ) -> Result<Claims, TokenError> {
        let checks = Checks {
            issuer: &one.issuer,
            audience: &one.client_id,
            now_unix: self.clock.unix_seconds(),
            expiry_leeway_seconds: LEEWAY_SECONDS,
            not_before_leeway_seconds: LEEWAY_SECONDS,
            algorithms: &known.discovery.algorithms,
        };
        verify(token, &known.keys, &checks)
    }

    /// The primary address, if GitHub verified it: the one its public certificates have.
    async fn github(&self, one: &One, code: &str, away: &Away) -> Result<Person, UpstreamError> {
        let base = parse_url(&one.issuer)?;
        let answer = self
            // It reads the client's secret from the form alone.
            .redeem(one, below(&base, "login/oauth/access_token"), SecretIn::Form, code, away)
            .await?;
        let token = answer.access_token.map(Zeroizing::new).ok_or(UpstreamError::NoToken)?;
        let api = match one.issuer.trim_end_matches('/') {
            GITHUB => parse_url("https://api.github.com")?,
            _ => below(&base, "api/v3"),
        };
        let bearer = Zeroizing::new(format!("Bearer {}", *token));
        let get = |path: &str| {
            let mut url = below(&api, path);
            // The most that one page holds; nobody has as many addresses.
            url.query_pairs_mut().append_pair("per_page", "100");
            let request = Request::get(url).authorization(&bearer).accept("application/json");
            one.client.send(request.limit(MAX_ANSWER).timeout(TIMEOUT))
        };
        let user: GithubUser =
            serde_json::from_slice(&get("user").await?.body).map_err(|_| UpstreamError::NoAddress)?;
        let all: Vec<GithubAddress> =
            serde_json::from_slice(&get("user/emails").await?.body).map_err(|_| UpstreamError::NoAddress)?;
        let primary = all.into_iter().find(|one| one.primary).ok_or(UpstreamError::NoAddress)?;
        match primary.verified {
            true => one.person(&primary.email, &user.id.to_string()),
            false => Err(UpstreamError::NotVerified),
        }
    }
}

impl One {
    fn new(config: &Upstream, redirect_uri: String) -> anyhow::Result<Self> {
        let issuer = config.issuer().unwrap_or_default().to_owned();
        let here = parse_url(&issuer).is_ok_and(|url| is_loopback(&url));
        let reach = Reach {
            public_only: !config.private_addresses && !here,
            authorities: config.ca_certificates.clone(),
        };
        Ok(Self {
            name: config.name.clone(),
            label: config.label.clone().unwrap_or_else(|| config.name.clone()),
            kind: config.kind,
            connector_id: config.connector_id(),
            client_id: config.client_id.clone(),
            redirect_uri,
            secret: config.secret()?,
            skip_email_verification: config.skip_email_verification,
            asking: Asking {
                private_addresses: config.private_addresses,
                ca_certificates: config.ca_certificates.clone(),
                bearer_token_file: None,
            },
            client: Client::reaching(reach),
            issuer,
        })
    }

    /// How its client's secret is shown to it; without one it makes no difference.
    fn secret_in(&self, known: &IssuerKeys) -> Result<SecretIn, UpstreamError> {
        match (known.discovery.secret_in, &self.secret) {
            (Some(way), _) => Ok(way),
            (None, None) => Ok(SecretIn::Form),
            (None, Some(_)) => Err(UpstreamError::NoWayForSecret),
        }
    }

    /// The person whom a document of its speaks of: their address, if that very document says that it was verified.
    fn vouched<'a>(
        &self,
        said: impl Fn(&str) -> Option<&'a Json>,
        user_id: &str,
    ) -> Result<Person, UpstreamError> {
        let address = said("email").and_then(Json::as_text).filter(|address| !address.is_empty());
        let address = address.ok_or(UpstreamError::NoAddress)?;
        let verified = is_verified(self.kind, said(verification_claim(self.kind)));
        if !verified && !self.skip_email_verification {
            return Err(UpstreamError::NotVerified);
        }
        self.person(address, user_id)
    }

    fn person(&self, address: &str, user_id: &str) -> Result<Person, UpstreamError> {
        let address = Address::parse(address).map_err(|_| UpstreamError::NoAddress)?;
        Ok(Person {
            address: address.as_str().to_owned(),
            connector_id: self.connector_id.clone(),
            user_id: user_id.to_owned(),
        })
    }
}

/// What the provider tells whoever has a person's access token.
async fn userinfo(
    one: &One,
    place: Option<&str>,
    access: Option<Zeroizing<String>>,
    subject: &str,
) -> Result<Object, UpstreamError> {
    // Entra's says nothing of whether an address was proven.
    let place = place.filter(|_| one.kind != UpstreamKind::Microsoft);
    let url = parse_url(place.ok_or(UpstreamError::NoAddress)?)?;
    let access = access.ok_or(UpstreamError::NoToken)?;
    let bearer = Zeroizing::new(format!("Bearer {}", *access));
    let request = Request::get(url).authorization(&bearer).accept("application/json").never_redirected();
    let answer = one.client.send(request.limit(MAX_ANSWER).timeout(TIMEOUT)).await?;
    // A signed one (`application/jwt`) is only sent to clients that are registered for it.
    if answer.content_type.as_deref() != Some("application/json") {
        return Err(UpstreamError::UserInfo("it is not JSON"));
    }
    let said = json::parse_object(&answer.body).map_err(|_| UpstreamError::UserInfo("it cannot be read"))?;
    // §5.3.2: an access token may be another person's, so what it tells is, too.
    match said.get("sub").and_then(Json::as_text) {
        Some(same) if same == subject => Ok(said),
        _ => Err(UpstreamError::UserInfo("its `sub` is not the token's")),
    }
}

fn endpoint(named: Option<&str>) -> Result<Url, UpstreamError> {
    Ok(parse_url(named.ok_or(UpstreamError::NoEndpoints)?)?)
}

/// The browser's secret, as it is kept.
fn bound(state: &str, browser: &str) -> String {
    hex::encode(sha256(format!("{state} {browser}").as_bytes()))
}

fn shortened(text: &str) -> String {
    sealog_client::http::readable(text).into()
}

/// The claim by which a provider says that it verified the address. Entra lets an administrator write any address into
/// `email`; only this optional claim says that its domain was proven to be the tenant's.
fn verification_claim(kind: UpstreamKind) -> &'static str {
    if kind == UpstreamKind::Microsoft { "xms_edov" } else { "email_verified" }
}

/// What it says. Entra writes its Booleans in several ways.
fn is_verified(kind: UpstreamKind, said: Option<&Json>) -> bool {
    let microsoft = kind == UpstreamKind::Microsoft;
    match said {
        Some(Json::Bool(verified)) => *verified,
        Some(Json::Text(text)) => text == "true" || (microsoft && text == "1"),
        Some(Json::Integer(number)) => microsoft && *number == 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
