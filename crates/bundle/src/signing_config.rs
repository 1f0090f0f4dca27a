//! The signing config: which services a signer uses (`dev.sigstore.trustroot.v1.SigningConfig`, v0.2),
//! and the choice among them.

use crate::{
    json::{Fields, JsonError, JsonFault, Unknown, Value, fields, object},
    time::UnixTime,
    trusted_root::ValidFor,
};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// Bytes in a signing config.
pub const MAX_SIGNING_CONFIG_BYTES: usize = 1 << 20;
/// Services of one kind.
pub const MAX_SERVICES: usize = 256;

/// A signing config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningConfig {
    /// Certificate authorities: base URLs.
    pub ca: Vec<Service>,
    /// Identity providers: issuer URLs.
    pub oidc: Vec<Service>,
    /// Logs: base URLs.
    pub rekor: Vec<Service>,
    /// How many logs to use.
    pub rekor_selector: Selector,
    /// Timestamp authorities: whole URLs, nothing is appended.
    pub tsa: Vec<Service>,
    /// How many timestamp authorities to use.
    pub tsa_selector: Selector,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Where.
    pub url: String,
    /// Which protocol it speaks.
    pub major_api_version: u32,
    /// When it may be used.
    pub valid_for: ValidFor,
    /// Who runs it.
    pub operator: String,
}

/// How many of the services to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Any one.
    Any,
    /// All of them.
    All,
    /// This many.
    Exact(u32),
}

/// A kind of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Certificate authority.
    Ca,
    /// Identity provider.
    Oidc,
    /// Transparency log.
    Rekor,
    /// Timestamp authority.
    Tsa,
}

/// The services to use now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected<'c> {
    /// Certificate authority.
    pub ca: &'c Service,
    /// Where people sign in; may be nowhere: a build system brings its token along.
    pub oidc: Option<&'c Service>,
    /// Logs, at least one; all speak the same version.
    pub rekor: Vec<&'c Service>,
    /// Timestamp authorities; may be none.
    pub tsa: Vec<&'c Service>,
}

/// Why no choice could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No service of that kind is valid now and speaks a version we speak.
    #[error("the signing config has no {0} that can be used now")]
    None(ServiceKind),
    /// Fewer operators than asked for.
    #[error("the signing config asks for {wanted} {kind} services and has {found} that can be used now")]
    TooFew {
        /// The kind.
        kind: ServiceKind,
        /// How many are asked for.
        wanted: u32,
        /// How many there are.
        found: usize,
    },
}

impl ServiceKind {
    /// The protocol versions we speak.
    #[must_use]
    pub const fn versions(self) -> &'static [u32] {
        match self {
            Self::Rekor => &[2],
            Self::Ca | Self::Oidc | Self::Tsa => &[1],
        }
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ca => "certificate authority",
            Self::Oidc => "identity provider",
            Self::Rekor => "transparency log",
            Self::Tsa => "timestamp authority",
        })
    }
}

impl SigningConfig {
    /// Reads a signing config. Unknown and repeated fields are refused.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(document: &[u8]) -> Result<Self, JsonError> {
        Fields::document(document, MAX_SIGNING_CONFIG_BYTES, Unknown::Refuse, Self::read)
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let media_type = fields.required_text("mediaType")?;
        if media_type != MEDIA_TYPE {
            return Err(JsonError::here(JsonFault::UnknownName(media_type)).at("mediaType"));
        }
        let mut services = |name| fields.messages(name, MAX_SERVICES, Service::read);
        let (ca, oidc) = (services("caUrls")?, services("oidcUrls")?);
        let (rekor, tsa) = (services("rekorTlogUrls")?, services("tsaUrls")?);
        let mut selector = |name, needed: bool| match fields.message(name, Selector::read)? {
            Some(selector) => Ok(selector),
            None if needed => Err(fields::missing(name)),
            None => Ok(Selector::Any),
        };
        Ok(Self {
            rekor_selector: selector("rekorTlogConfig", !rekor.is_empty())?,
            tsa_selector: selector("tsaConfig", !tsa.is_empty())?,
            ca,
            oidc,
            rekor,
            tsa,
        })
    }

    /// The document, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_value().to_pretty()
    }

    pub(crate) fn to_value(&self) -> Value<'static> {
        let list = |services: &[Service]| Value::Array(services.iter().map(Service::to_value).collect());
        object([
            ("mediaType", Some(Value::text(MEDIA_TYPE))),
            ("caUrls", Some(list(&self.ca))),
            ("oidcUrls", Some(list(&self.oidc))),
            ("rekorTlogUrls", Some(list(&self.rekor))),
            ("rekorTlogConfig", Some(self.rekor_selector.to_value())),
            ("tsaUrls", Some(list(&self.tsa))),
            ("tsaConfig", Some(self.tsa_selector.to_value())),
        ])
    }

    /// The services to use at a moment: of the highest version we speak that any has, valid then, the
    /// newest of each operator, newest first; of these as many as the selector says.
    ///
    /// # Errors
    /// When a kind that is needed has too few. Timestamp authorities are needed if any is listed, identity providers never.
    pub fn select(&self, now: UnixTime) -> Result<Selected<'_>, SelectError> {
        let one = |services, kind| select(services, Selector::Any, kind, now);
        let first = |services, kind| one(services, kind)?.first().copied().ok_or(SelectError::None(kind));
        Ok(Selected {
            ca: first(&self.ca, ServiceKind::Ca)?,
            oidc: first(&self.oidc, ServiceKind::Oidc).ok(),
            rekor: select(&self.rekor, self.rekor_selector, ServiceKind::Rekor, now)?,
            tsa: if self.tsa.is_empty() {
                Vec::new()
            } else {
                select(&self.tsa, self.tsa_selector, ServiceKind::Tsa, now)?
            },
        })
    }
}

fn select(
    services: &[Service],
    selector: Selector,
    kind: ServiceKind,
    now: UnixTime,
) -> Result<Vec<&Service>, SelectError> {
    let usable = |s: &&Service| kind.versions().contains(&s.major_api_version) && s.valid_for.contains(now);
    let version = services.iter().filter(usable).map(|s| s.major_api_version).max();
    let version = version.ok_or(SelectError::None(kind))?;
    let mut candidates: Vec<&Service> =
        services.iter().filter(usable).filter(|s| s.major_api_version == version).collect();
    candidates.sort_by_key(|s| core::cmp::Reverse(s.valid_for.start));
    let mut chosen: Vec<&Service> = Vec::new();
    for service in candidates {
        if !chosen.iter().any(|c| c.operator == service.operator) {
            chosen.push(service);
        }
    }
    match selector {
        Selector::All => {}
        Selector::Any => chosen.truncate(1),
        Selector::Exact(wanted) => {
            let count = usize::try_from(wanted).unwrap_or(usize::MAX);
            if count == 0 || chosen.len() < count {
                return Err(SelectError::TooFew { kind, wanted, found: chosen.len() });
            }
            chosen.truncate(count);
        }
    }
    Ok(chosen)
}

impl Service {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            url: fields.required_text("url")?,
            major_api_version: fields.uint32("majorApiVersion")?,
            valid_for: fields.required_message("validFor", ValidFor::read)?,
            operator: fields.text("operator")?,
        })
    }

    fn to_value(&self) -> Value<'static> {
        object([
            ("url", Some(Value::text(self.url.clone()))),
            ("majorApiVersion", Some(Value::Integer(self.major_api_version.into()))),
            ("validFor", Some(self.valid_for.to_value())),
            ("operator", (!self.operator.is_empty()).then(|| Value::text(self.operator.clone()))),
        ])
    }
}

impl Selector {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let named = |name: &str| match name {
            "ALL" => Some(Self::All),
            "ANY" => Some(Self::Any),
            "EXACT" => Some(Self::Exact(0)),
            _ => None,
        };
        let numbered = |number| match number {
            1 => named("ALL"),
            2 => named("ANY"),
            3 => named("EXACT"),
            _ => None,
        };
        let selector = fields.name_or_number("selector", named, numbered)?;
        let count = fields.uint32("count")?;
        match selector {
            Self::Exact(_) if count == 0 => Err(fields::missing("count")),
            Self::Exact(_) => Ok(Self::Exact(count)),
            other => Ok(other),
        }
    }

    fn to_value(self) -> Value<'static> {
        let (name, count) = match self {
            Self::All => ("ALL", None),
            Self::Any => ("ANY", None),
            Self::Exact(count) => ("EXACT", Some(Value::Integer(count.into()))),
        };
        object([("selector", Some(Value::text(name))), ("count", count)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString as _, vec};

    fn service(url: &str, version: u32, start: i64, operator: &str) -> Service {
        Service {
            url: url.to_string(),
            major_api_version: version,
            valid_for: ValidFor::from(UnixTime::from_seconds(start)),
            operator: operator.to_string(),
        }
    }

    fn config() -> SigningConfig {
        SigningConfig {
            ca: vec![service("https://ca", 1, 0, "a")],
            oidc: vec![service("https://oidc", 1, 0, "a")],
            rekor: vec![
                service("https://old", 1, 50, "a"),
                service("https://shard1", 2, 10, "a"),
                service("https://shard2", 2, 20, "a"),
                service("https://future", 2, 1000, "a"),
                service("https://other", 2, 15, "b"),
                service("https://next", 3, 10, "b"),
            ],
            rekor_selector: Selector::All,
            tsa: vec![],
            tsa_selector: Selector::Any,
        }
    }

    #[test]
    fn chooses_version_then_newest_of_each_operator() {
        let config = config();
        let now = UnixTime::from_seconds(100);
        let urls = |config: &SigningConfig| -> Vec<String> {
            config.select(now).unwrap().rekor.iter().map(|s| s.url.clone()).collect()
        };
        assert_eq!(urls(&config), ["https://shard2", "https://other"]);
        assert_eq!(
            urls(&SigningConfig { rekor_selector: Selector::Any, ..config.clone() }),
            ["https://shard2"]
        );
        let three = SigningConfig { rekor_selector: Selector::Exact(3), ..config.clone() };
        assert!(matches!(three.select(now), Err(SelectError::TooFew { wanted: 3, found: 2, .. })));
        assert!(matches!(
            config.select(UnixTime::from_seconds(5)),
            Err(SelectError::None(ServiceKind::Rekor))
        ));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let config = SigningConfig { rekor_selector: Selector::Exact(2), ..config() };
        assert_eq!(SigningConfig::parse(config.to_json().as_bytes()).unwrap(), config);
        let zero = config.to_json().replace("\"count\": 2", "\"count\": 0");
        assert!(SigningConfig::parse(zero.as_bytes()).is_err());
        let none = config.to_json().replace("EXACT", "TRUST_ME");
        assert!(SigningConfig::parse(none.as_bytes()).is_err());
    }
}
