//! The principal: who a certificate is for, from a verified token and its issuer's rule.
//!
//! Spec: sigstore/fulcio docs/oidc.md and docs/oid-info.md. Every leaf carries the issuer in both its
//! forms and the token's subject; names are URIs as Go prints them, addresses, or `user!domain`.
//!
//! Must always hold: no part of a name comes from a claim that is missing, null, empty, of another type,
//! over-long or with control characters, and no claim speaks for another host, domain or trust domain
//! than the operator gave to its issuer.

use crate::{
    confirmation::{Confirmation, ConfirmationError},
    issuer::{CiProvider, IssuerKind, IssuerRule},
    json::Json,
    template::Use,
    token::{Claims, MAX_CLAIM_BYTES},
    uri::{Uri, is_email, reprinted},
};
use alloc::{
    borrow::ToOwned as _,
    format,
    string::{String, ToString as _},
};
use sealog_pki::{ExtensionValues, FulcioExtension, San, fulcio_extensions::TOKEN_SUBJECT};

/// Who a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name.
    pub san: San,
    /// Who vouches for it: the token's issuer, or the provider behind it.
    pub issuer: String,
    /// Everything else the certificate says.
    pub extensions: ExtensionValues,
    /// The text a client signs to prove that it holds the key.
    pub challenge: String,
    /// The only key it may have, where the token is bound to one.
    pub bound_to: Option<Confirmation>,
}

/// Why claims make no principal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// The rule is about another issuer: a mistake of the caller's.
    #[error("the rule for {rule:?} is not about the issuer {issuer:?}")]
    OtherIssuer {
        /// Whom the rule is about.
        rule: String,
        /// The token's issuer.
        issuer: String,
    },
    /// Not there, or null.
    #[error("the identity token has no claim {claim:?}")]
    MissingClaim {
        /// The claim.
        claim: String,
    },
    /// There, but nothing in it.
    #[error("the identity token's claim {claim:?} is empty")]
    EmptyClaim {
        /// The claim.
        claim: String,
    },
    /// Neither text nor a whole number.
    #[error("the identity token's claim {claim:?} is {found}, not text")]
    ClaimType {
        /// The claim.
        claim: String,
        /// What it is.
        found: &'static str,
    },
    /// Longer than a certificate should carry, or with control characters.
    #[error(
        "the identity token's claim {claim:?} is longer than {MAX_CLAIM_BYTES} bytes or has control characters"
    )]
    ClaimText {
        /// The claim.
        claim: String,
    },
    /// The issuer does not say that it verified the address.
    #[error("the issuer has not verified the address {address:?}: the claim \"email_verified\" is not true")]
    EmailNotVerified {
        /// The address.
        address: String,
    },
    /// Not an address.
    #[error("{found:?} is not an email address")]
    NotAnAddress {
        /// What it is.
        found: String,
    },
    /// An address where a username or URI belongs.
    #[error("the subject {found:?} must not be an email address")]
    SubjectIsAddress {
        /// What it is.
        found: String,
    },
    /// `!` separates a username from its domain.
    #[error("the username {found:?} must not contain `!`")]
    UsernameMark {
        /// What it is.
        found: String,
    },
    /// Not a URI that can be a name.
    #[error("{found:?} is not a URI")]
    NotAUri {
        /// What it is.
        found: String,
    },
    /// Outside the scheme and host the issuer speaks for.
    #[error("{found:?} is not under {expected:?}, which is all its issuer speaks for")]
    OutsideDomain {
        /// What it must begin with.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Not a SPIFFE id.
    #[error("the subject {found:?} is not a SPIFFE id")]
    NotASpiffeId {
        /// What it is.
        found: String,
    },
    /// Not what can follow an issuer's URL.
    #[error("the subject {found:?} is not a path of plain segments")]
    NotAPath {
        /// What it is.
        found: String,
    },
    /// A claim that says otherwise than the operator's rule, which has a constant of that name or requires another value.
    #[error(
        "the identity token's claim {claim:?} is {found:?}, and this authority's rule for its issuer says {expected:?}"
    )]
    OtherConstant {
        /// The claim.
        claim: String,
        /// What the rule says.
        expected: String,
        /// What the token says.
        found: String,
    },
    /// Bound to a key in a way nobody can check.
    #[error(transparent)]
    Confirmation(#[from] ConfirmationError),
    /// Not a name Kubernetes gives.
    #[error("the claim {claim:?} is {found:?}, which is not a Kubernetes name")]
    NotAKubernetesName {
        /// The claim.
        claim: &'static str,
        /// What it is.
        found: String,
    },
}

impl IssuerRule {
    /// What the claims of a verified token say under this rule.
    ///
    /// # Errors
    /// See [`PrincipalError`].
    pub fn principal(&self, claims: &Claims) -> Result<Principal, PrincipalError> {
        if !self.matches(claims.issuer()) {
            return Err(PrincipalError::OtherIssuer {
                rule: self.issuer().to_owned(),
                issuer: claims.issuer().to_owned(),
            });
        }
        for (claim, expected) in self.required() {
            says(claim, claims.get(claim), expected)?;
        }
        let subject = text(claims, "sub")?;
        let bound_to = claims.confirmation()?;
        let mut extensions = ExtensionValues::new();
        let mut issuer = claims.issuer().to_owned();
        let mut challenge = subject.clone();
        let san = match self.kind() {
            IssuerKind::Email { issuer_claim, skip_email_verification } => {
                let address = email(claims, *skip_email_verification)?;
                if let Some(path) = issuer_claim {
                    issuer = text_at(claims, path)?;
                }
                challenge.clone_from(&address);
                San::Email(address)
            }
            IssuerKind::Uri { subject_domain } => San::Uri(uri(&subject, subject_domain)?),
            IssuerKind::Username { subject_domain } => {
                San::OtherName(format!("{}!{subject_domain}", username(&subject)?))
            }
            IssuerKind::Spiffe { trust_domain } => San::Uri(spiffe(&subject, trust_domain)?),
            IssuerKind::Kubernetes => San::Uri(service_account(claims)?),
            IssuerKind::ChainguardIdentity => {
                // What its clients sign: an address where the token has one, as the other clients do.
                if !matches!(claims.get("email"), None | Some(Json::Null)) {
                    challenge = email(claims, false)?;
                }
                San::Uri(under(claims.issuer(), &subject)?)
            }
            IssuerKind::CiProvider(ci) => {
                // Also those that no template uses: an operator who writes one down means it.
                for name in ci.constants.keys() {
                    value(claims, ci, name, Use::Comparison)?;
                }
                build_extensions(claims, ci, &mut extensions)?;
                San::Uri(build_name(claims, ci)?)
            }
        };
        // Last, so that no template has a say in them.
        extensions.set_oidc_issuer(&issuer);
        if let Some(row) = FulcioExtension::by_number(TOKEN_SUBJECT) {
            extensions.set_row(row, subject);
        }
        Ok(Principal { san, issuer, extensions, challenge, bound_to })
    }
}

fn email(claims: &Claims, skip_verification: bool) -> Result<String, PrincipalError> {
    let address = text(claims, "email")?;
    if !is_email(&address) {
        return Err(PrincipalError::NotAnAddress { found: address });
    }
    // Some providers write the boolean as text.
    let verified = match claims.get("email_verified") {
        Some(Json::Bool(verified)) => *verified,
        Some(Json::Text(text)) => text == "true",
        _ => false,
    };
    match verified || skip_verification {
        true => Ok(address),
        false => Err(PrincipalError::EmailNotVerified { address }),
    }
}

fn uri(subject: &str, domain: &str) -> Result<String, PrincipalError> {
    not_an_address(subject)?;
    let printed = printed(subject)?;
    let same = |one: Uri<'_>, other: Uri<'_>| one.scheme == other.scheme && one.authority == other.authority;
    let inside = Uri::parse(&printed).zip(Uri::parse(domain)).is_some_and(|(one, other)| same(one, other));
    match inside {
        true => Ok(printed),
        false => {
            Err(PrincipalError::OutsideDomain { expected: domain.to_owned(), found: subject.to_owned() })
        }
    }
}

fn username(subject: &str) -> Result<&str, PrincipalError> {
    not_an_address(subject)?;
    match subject.contains('!') {
        true => Err(PrincipalError::UsernameMark { found: subject.to_owned() }),
        false => Ok(subject),
    }
}

/// SPIFFE-ID §2: a trust domain, and a path of plain segments.
fn spiffe(subject: &str, trust_domain: &str) -> Result<String, PrincipalError> {
    /// SPIFFE-ID §2.3.
    const MOST: usize = 2048;
    let wrong = || PrincipalError::NotASpiffeId { found: subject.to_owned() };
    let id = subject.strip_prefix("spiffe://").filter(|_| subject.len() <= MOST).ok_or_else(wrong)?;
    let (domain, path) = id.split_once('/').map_or((id, None), |(domain, path)| (domain, Some(path)));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(plain);
    if !is_trust_domain(domain) || !path.is_none_or(|path| path.split('/').all(segment)) {
        return Err(wrong());
    }
    match domain == trust_domain {
        true => Ok(subject.to_owned()),
        false => Err(PrincipalError::OutsideDomain {
            expected: format!("spiffe://{trust_domain}"),
            found: subject.to_owned(),
        }),
    }
}

/// SPIFFE-ID §2.1.
pub(crate) fn is_trust_domain(domain: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    (1..=255).contains(&domain.len()) && domain.chars().all(plain)
}

fn service_account(claims: &Claims) -> Result<String, PrincipalError> {
    const NAMESPACE: &str = "kubernetes.io.namespace";
    const ACCOUNT: &str = "kubernetes.io.serviceaccount.name";
    let inner = claims.get("kubernetes.io").and_then(Json::as_object);
    let account = inner.and_then(|o| o.get("serviceaccount")).and_then(Json::as_object);
    // RFC 1123 labels and subdomains: nothing that could end one path segment and begin another.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let name = |claim: &'static str, value: Option<&Json>| {
        let name = only_text(claim, value)?;
        match name.chars().all(plain)
            && name.len() <= 253
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            true => Ok(name),
            false => Err(PrincipalError::NotAKubernetesName { claim, found: name }),
        }
    };
    let namespace = name(NAMESPACE, inner.and_then(|o| o.get("namespace")))?;
    let account = name(ACCOUNT, account.and_then(|o| o.get("name")))?;
    Ok(format!("https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"))
}

/// The subject as the path of its issuer's URL; nothing in it leads elsewhere.
fn under(issuer: &str, subject: &str) -> Result<String, PrincipalError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(plain);
    match subject.split('/').all(segment) {
        true => Ok(format!("{}/{subject}", issuer.trim_end_matches('/'))),
        false => Err(PrincipalError::NotAPath { found: subject.to_owned() }),
    }
}

fn build_name(claims: &Claims, ci: &CiProvider) -> Result<String, PrincipalError> {
    let name = ci.subject_alternative_name.render(&|name, wanted| value(claims, ci, name, wanted))?;
    let printed = printed(&name)?;
    match printed.starts_with(&ci.prefix) && printed.len() > ci.prefix.len() {
        true => Ok(printed),
        false => Err(PrincipalError::OutsideDomain { expected: ci.prefix.clone(), found: name }),
    }
}

fn build_extensions(
    claims: &Claims,
    ci: &CiProvider,
    extensions: &mut ExtensionValues,
) -> Result<(), PrincipalError> {
    for (row, template) in &ci.extensions {
        extensions.set_row(row, template.render(&|name, wanted| value(claims, ci, name, wanted))?);
    }
    Ok(())
}

/// Whether a claim is what the operator's rule wants of it; numbers and yes or no as they are written.
fn says(claim: &str, value: Option<&Json>, expected: &str) -> Result<(), PrincipalError> {
    let found = match value {
        Some(Json::Bool(yes)) => yes.to_string(),
        other => scalar(claim, other)?,
    };
    match found == expected {
        true => Ok(()),
        false => Err(PrincipalError::OtherConstant {
            claim: claim.to_owned(),
            expected: expected.to_owned(),
            found,
        }),
    }
}

/// What a name in a template stands for. A claim never replaces a constant: one that says otherwise is of another
/// instance than the rule is about, and a certificate would name the wrong one.
fn value(claims: &Claims, ci: &CiProvider, name: &str, wanted: Use) -> Result<String, PrincipalError> {
    if let Some(constant) = ci.constants.get(name) {
        return match claims.get(name) {
            None | Some(Json::Null) => Ok(constant.clone()),
            value => says(name, value, constant).map(|()| constant.clone()),
        };
    }
    // A yes or no is fit for comparing with one, and for nothing that a certificate says.
    if let (Use::Comparison, Some(Json::Bool(yes))) = (wanted, claims.get(name)) {
        return Ok(yes.to_string());
    }
    match scalar(name, claims.get(name)) {
        Err(PrincipalError::MissingClaim { .. } | PrincipalError::EmptyClaim { .. })
            if ci.optional.contains(name) =>
        {
            Ok(String::new())
        }
        other => other,
    }
}

fn text(claims: &Claims, claim: &str) -> Result<String, PrincipalError> {
    only_text(claim, claims.get(claim))
}

fn text_at(claims: &Claims, path: &[String]) -> Result<String, PrincipalError> {
    let mut names = path.iter();
    let mut found = names.next().and_then(|name| claims.get(name));
    for name in names {
        found = found.and_then(Json::as_object).and_then(|object| object.get(name));
    }
    only_text(&path.join("."), found)
}

fn only_text(claim: &str, value: Option<&Json>) -> Result<String, PrincipalError> {
    match value {
        Some(Json::Integer(_)) => {
            Err(PrincipalError::ClaimType { claim: claim.to_owned(), found: "a number" })
        }
        other => scalar(claim, other),
    }
}

/// Text, or a whole number as text: some build systems number their jobs.
fn scalar(claim: &str, value: Option<&Json>) -> Result<String, PrincipalError> {
    let claim = || claim.to_owned();
    match value {
        None | Some(Json::Null) => Err(PrincipalError::MissingClaim { claim: claim() }),
        Some(Json::Text(text)) if text.is_empty() => Err(PrincipalError::EmptyClaim { claim: claim() }),
        Some(Json::Text(text)) if text.len() > MAX_CLAIM_BYTES || text.contains(char::is_control) => {
            Err(PrincipalError::ClaimText { claim: claim() })
        }
        Some(Json::Text(text)) => Ok(text.clone()),
        Some(Json::Integer(number)) => Ok(number.to_string()),
        Some(other) => Err(PrincipalError::ClaimType { claim: claim(), found: other.kind() }),
    }
}

fn printed(uri: &str) -> Result<String, PrincipalError> {
    reprinted(uri).ok_or_else(|| PrincipalError::NotAUri { found: uri.to_owned() })
}

fn not_an_address(subject: &str) -> Result<(), PrincipalError> {
    match is_email(subject) {
        true => Err(PrincipalError::SubjectIsAddress { found: subject.to_owned() }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
