//! The one table of Fulcio certificate extensions: number, names and encoding of each.
//!
//! Spec: sigstore/fulcio docs/oid-info.md. Issuance, claim templates, policy, monitoring and the
//! web pages all read this table; nothing else in the project spells one of these names.
//! Number 7 is no extension: it is the otherName type of a username (`san`).

use crate::{
    asn1::{self, Element, UTF8_STRING},
    oids,
};
use alloc::{borrow::ToOwned as _, collections::BTreeMap, string::String, vec::Vec};
use const_oid::ObjectIdentifier;

/// How the value lies in the extension's OCTET STRING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 bytes with nothing around them (the oldest extensions).
    Raw,
    /// A DER UTF8String.
    Utf8,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FulcioExtension {
    /// Last arc below 1.3.6.1.4.1.57264.1.
    pub number: u8,
    /// The kebab-case key of Fulcio's YAML configuration.
    pub name: &'static str,
    /// The field name of Fulcio's JSON configuration and of policy files.
    pub field: &'static str,
    /// How the value is encoded.
    pub encoding: Encoding,
    /// What people call it who write policies; for a few.
    pub short: Option<&'static str>,
}

/// The issuer as raw bytes, in every leaf.
pub const ISSUER: u8 = 1;
/// The issuer as UTF8String, in every leaf.
pub const ISSUER_V2: u8 = 8;
/// The token's subject as it came, in every leaf of ours.
pub const TOKEN_SUBJECT: u8 = 24;

/// Every extension, in the order in which a leaf carries them.
pub const TABLE: [FulcioExtension; 23] = {
    use Encoding::{Raw, Utf8};
    [
        row(1, "issuer", "Issuer", Raw),
        row(2, "github-workflow-trigger", "GithubWorkflowTrigger", Raw),
        row(3, "github-workflow-sha", "GithubWorkflowSHA", Raw),
        row(4, "github-workflow-name", "GithubWorkflowName", Raw),
        row(5, "github-workflow-repository", "GithubWorkflowRepository", Raw),
        row(6, "github-workflow-ref", "GithubWorkflowRef", Raw),
        row(8, "issuer-v2", "IssuerV2", Utf8),
        row(9, "build-signer-uri", "BuildSignerURI", Utf8),
        row(10, "build-signer-digest", "BuildSignerDigest", Utf8),
        row(11, "runner-environment", "RunnerEnvironment", Utf8).short("runner"),
        row(12, "source-repository-uri", "SourceRepositoryURI", Utf8).short("repository"),
        row(13, "source-repository-digest", "SourceRepositoryDigest", Utf8),
        row(14, "source-repository-ref", "SourceRepositoryRef", Utf8).short("ref"),
        row(15, "source-repository-identifier", "SourceRepositoryIdentifier", Utf8),
        row(16, "source-repository-owner-uri", "SourceRepositoryOwnerURI", Utf8).short("owner"),
        row(17, "source-repository-owner-identifier", "SourceRepositoryOwnerIdentifier", Utf8),
        row(18, "build-config-uri", "BuildConfigURI", Utf8).short("workflow"),
        row(19, "build-config-digest", "BuildConfigDigest", Utf8),
        row(20, "build-trigger", "BuildTrigger", Utf8).short("trigger"),
        row(21, "run-invocation-uri", "RunInvocationURI", Utf8),
        row(22, "source-repository-visibility-at-signing", "SourceRepositoryVisibilityAtSigning", Utf8),
        row(23, "deployment-environment", "DeploymentEnvironment", Utf8).short("environment"),
        row(24, "token-subject", "TokenSubject", Utf8),
    ]
};

const fn row(number: u8, name: &'static str, field: &'static str, encoding: Encoding) -> FulcioExtension {
    FulcioExtension { number, name, field, encoding, short: None }
}

impl FulcioExtension {
    const fn short(mut self, short: &'static str) -> Self {
        self.short = Some(short);
        self
    }
}

impl FulcioExtension {
    /// The row of that number.
    #[must_use]
    pub fn by_number(number: u8) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.number == number)
    }

    /// The row of that name, in any of its spellings.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.name == name || row.field == name || row.short == Some(name))
    }

    /// The row of that object identifier.
    #[must_use]
    pub fn by_oid(oid: &ObjectIdentifier) -> Option<&'static Self> {
        match oid.as_bytes().strip_prefix(oids::FULCIO_ARC.as_bytes())? {
            [number] => Self::by_number(*number),
            _ => None,
        }
    }

    /// The whole object identifier in dotted form.
    #[must_use]
    pub fn dotted(&self) -> String {
        alloc::format!("{}.{}", oids::FULCIO_ARC, self.number)
    }

    /// The content of the extension's OCTET STRING for this text.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u8> {
        match self.encoding {
            Encoding::Raw => text.as_bytes().to_vec(),
            Encoding::Utf8 => asn1::utf8(text),
        }
    }

    /// The text in the content of the extension's OCTET STRING; none when it is malformed.
    #[must_use]
    pub fn decode(&self, value: &[u8]) -> Option<String> {
        self.text(value).map(str::to_owned)
    }

    /// The same, where it stands.
    pub(crate) fn text<'a>(&self, value: &'a [u8]) -> Option<&'a str> {
        let text = match self.encoding {
            Encoding::Raw => value,
            Encoding::Utf8 => Element::only(value, UTF8_STRING, "the extension").ok()?.value,
        };
        core::str::from_utf8(text).ok()
    }

    /// The content octets of the object identifier: all numbers of the table fit one octet.
    pub(crate) fn oid_content(&self) -> Vec<u8> {
        [oids::FULCIO_ARC.as_bytes(), &[self.number]].concat()
    }
}

/// Values of these extensions, by number. Empty values are never kept: they are left out of leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionValues(BTreeMap<u8, String>);

/// A number or name outside the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a certificate extension of the table")]
pub struct UnknownExtension(pub String);

impl ExtensionValues {
    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a value by the name of its row; an empty one removes it.
    ///
    /// # Errors
    /// When no row has that name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<(), UnknownExtension> {
        let row = FulcioExtension::by_name(name).ok_or_else(|| UnknownExtension(name.to_owned()))?;
        self.set_row(row, value);
        Ok(())
    }

    /// Sets a value of a row; an empty one removes it.
    pub fn set_row(&mut self, row: &'static FulcioExtension, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.0.remove(&row.number);
        } else {
            self.0.insert(row.number, value);
        }
    }

    /// Sets both forms of the issuer, which every leaf carries.
    pub fn set_oidc_issuer(&mut self, oidc_issuer: &str) {
        TABLE
            .iter()
            .filter(|row| [ISSUER, ISSUER_V2].contains(&row.number))
            .for_each(|row| self.set_row(row, oidc_issuer));
    }

    /// The OIDC issuer: the newer form, else the older.
    #[must_use]
    pub fn oidc_issuer(&self) -> Option<&str> {
        self.get(ISSUER_V2).or_else(|| self.get(ISSUER))
    }

    /// The value of that number.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<&str> {
        self.0.get(&number).map(String::as_str)
    }

    /// The value of the row of that name, in either spelling.
    #[must_use]
    pub fn get_by_name(&self, name: &str) -> Option<&str> {
        self.get(FulcioExtension::by_name(name)?.number)
    }

    /// Rows and values, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static FulcioExtension, &str)> {
        TABLE.iter().filter_map(|row| Some((row, self.get(row.number)?)))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_without_doubles() {
        assert!(TABLE.windows(2).all(|pair| pair[0].number < pair[1].number));
        for row in &TABLE {
            assert_eq!(FulcioExtension::by_number(row.number), Some(row));
            assert_eq!(FulcioExtension::by_name(row.name), Some(row));
            assert_eq!(FulcioExtension::by_name(row.field), Some(row));
            let oid = ObjectIdentifier::new_unwrap(&row.dotted());
            assert_eq!(
                (FulcioExtension::by_oid(&oid), row.oid_content()),
                (Some(row), oid.as_bytes().to_vec())
            );
            // Only the six oldest are bare bytes.
            assert_eq!(row.encoding == Encoding::Raw, row.number <= 6);
            assert_eq!(row.decode(&row.encode("ä b")).as_deref(), Some("ä b"));
            assert_eq!(row.decode(&[0xff, 0xfe]), None);
        }
        assert_eq!(FulcioExtension::by_oid(&oids::FULCIO_OTHER_NAME), None);
        assert_eq!(FulcioExtension::by_oid(&oids::FULCIO_ARC), None);
    }

    #[test]
    fn empty_values_are_not_kept_and_the_newer_issuer_counts() {
        let mut values = ExtensionValues::new();
        values.set("build-trigger", "push").unwrap();
        values.set("BuildTrigger", "").unwrap();
        assert!(values.is_empty());
        assert_eq!(values.set("other", "x"), Err(UnknownExtension("other".into())));
        values.set("issuer", "old").unwrap();
        assert_eq!(values.oidc_issuer(), Some("old"));
        values.set("issuer-v2", "new").unwrap();
        assert_eq!(values.oidc_issuer(), Some("new"));
    }
}
