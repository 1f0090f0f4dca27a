//! AlgorithmIdentifier (RFC 5280 §4.1.1.2, RFC 4055, RFC 5758, RFC 8410, RFC 9881) to and from a [`Scheme`].

use crate::{
    asn1::{self, DerError, Element, Elements, NULL, SEQUENCE},
    oids,
};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use sealog_crypto::{HashAlgorithm, Scheme};

const WHAT: &str = "the algorithm identifier";

/// An algorithm as named, with its parameters.
pub(crate) struct Algorithm<'a> {
    pub(crate) oid: ObjectIdentifier,
    parameters: Option<Element<'a>>,
}

impl<'a> Algorithm<'a> {
    pub(crate) fn parse(element: &Element<'a>) -> Result<Self, DerError> {
        element.expect(SEQUENCE)?;
        let mut fields = element.elements()?;
        let oid = fields.next_any()?.oid()?;
        let parameters = if fields.is_empty() { None } else { Some(fields.next_any()?) };
        fields.finish()?;
        Ok(Self { oid, parameters })
    }

    /// The signature scheme; none when it is not one we verify.
    pub(crate) fn scheme(&self) -> Option<Scheme> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let absent = self.parameters.is_none();
        let scheme = match self.oid {
            oids::ECDSA_WITH_SHA_256 if absent => Scheme::Ecdsa(Sha256),
            oids::ECDSA_WITH_SHA_384 if absent => Scheme::Ecdsa(Sha384),
            oids::ECDSA_WITH_SHA_512 if absent => Scheme::Ecdsa(Sha512),
            oids::ED25519 if absent => Scheme::Ed25519,
            oids::ML_DSA_44 if absent => Scheme::MlDsa44,
            oids::ML_DSA_65 if absent => Scheme::MlDsa65,
            oids::ML_DSA_87 if absent => Scheme::MlDsa87,
            oids::SHA_256_WITH_RSA_ENCRYPTION if self.absent_or_null() => Scheme::RsaPkcs1(Sha256),
            oids::SHA_384_WITH_RSA_ENCRYPTION if self.absent_or_null() => Scheme::RsaPkcs1(Sha384),
            oids::SHA_512_WITH_RSA_ENCRYPTION if self.absent_or_null() => Scheme::RsaPkcs1(Sha512),
            oids::RSASSA_PSS => Scheme::RsaPss(pss_hash(self.parameters.as_ref()?)?),
            _ => return None,
        };
        Some(scheme)
    }

    /// The scheme where the digest is named apart from the key's algorithm, as in CMS (RFC 5652 §5.3).
    pub(crate) fn scheme_with(&self, digest: HashAlgorithm) -> Option<Scheme> {
        match self.oid {
            oids::RSA_ENCRYPTION if self.absent_or_null() => Some(Scheme::RsaPkcs1(digest)),
            _ => self.scheme(),
        }
    }

    /// The hash function; none when it is not one we use.
    pub(crate) fn hash(&self) -> Option<HashAlgorithm> {
        let hash = match self.oid {
            oids::SHA_256 => HashAlgorithm::Sha256,
            oids::SHA_384 => HashAlgorithm::Sha384,
            oids::SHA_512 => HashAlgorithm::Sha512,
            _ => return None,
        };
        self.absent_or_null().then_some(hash)
    }

    fn absent_or_null(&self) -> bool {
        self.parameters.is_none_or(|found| found.tag == NULL && found.value.is_empty())
    }
}

/// AlgorithmIdentifier of a signature; none for schemes X.509 has no name for.
pub(crate) fn signature(scheme: Scheme) -> Option<Vec<u8>> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let bare = |oid| Some(asn1::sequence(&[&asn1::oid(&oid)]));
    let with_null = |oid| Some(asn1::sequence(&[&asn1::oid(&oid), &asn1::null()]));
    match scheme {
        Scheme::Ecdsa(Sha256) => bare(oids::ECDSA_WITH_SHA_256),
        Scheme::Ecdsa(Sha384) => bare(oids::ECDSA_WITH_SHA_384),
        Scheme::Ecdsa(Sha512) => bare(oids::ECDSA_WITH_SHA_512),
        Scheme::RsaPkcs1(Sha256) => with_null(oids::SHA_256_WITH_RSA_ENCRYPTION),
        Scheme::RsaPkcs1(Sha384) => with_null(oids::SHA_384_WITH_RSA_ENCRYPTION),
        Scheme::RsaPkcs1(Sha512) => with_null(oids::SHA_512_WITH_RSA_ENCRYPTION),
        Scheme::Ed25519 => bare(oids::ED25519),
        Scheme::MlDsa44 => bare(oids::ML_DSA_44),
        Scheme::MlDsa65 => bare(oids::ML_DSA_65),
        Scheme::MlDsa87 => bare(oids::ML_DSA_87),
        Scheme::RsaPss(_) | Scheme::Ed25519ph => None,
    }
}

/// AlgorithmIdentifier of a hash function, parameters absent (RFC 5754 §2).
pub(crate) fn hash(algorithm: HashAlgorithm) -> Vec<u8> {
    let oid = match algorithm {
        HashAlgorithm::Sha256 => oids::SHA_256,
        HashAlgorithm::Sha384 => oids::SHA_384,
        HashAlgorithm::Sha512 => oids::SHA_512,
    };
    asn1::sequence(&[&asn1::oid(&oid)])
}

/// RSASSA-PSS-params (RFC 4055 §3.1), of which only "one hash throughout, salt of its length" is taken.
fn pss_hash(parameters: &Element<'_>) -> Option<HashAlgorithm> {
    parameters.expect(SEQUENCE).ok()?;
    let mut fields = parameters.elements().ok()?;
    let hash = Algorithm::parse(&explicit(&mut fields, 0)?).ok()?.hash()?;
    let mask = Algorithm::parse(&explicit(&mut fields, 1)?).ok()?;
    let mask_hash = Algorithm::parse(mask.parameters.as_ref()?).ok()?.hash()?;
    let salt = usize::try_from(explicit(&mut fields, 2)?.small_integer().ok()?).ok()?;
    fields.finish().ok()?;
    (mask.oid == oids::MGF1 && mask_hash == hash && salt == hash.len()).then_some(hash)
}

/// The element inside `[number] EXPLICIT`, if that comes next.
fn explicit<'a>(fields: &mut Elements<'a>, number: u8) -> Option<Element<'a>> {
    let outer = fields.next_if(asn1::constructed(number)).ok()??;
    let mut inner = Elements::new(outer.value, WHAT).ok()?;
    let element = inner.next_any().ok()?;
    inner.finish().ok()?;
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme_of(der: &[u8]) -> Option<Scheme> {
        Algorithm::parse(&Elements::new(der, WHAT).unwrap().next_any().unwrap()).unwrap().scheme()
    }

    #[test]
    fn what_is_written_is_read_and_parameters_where_none_belong_are_refused() {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let with_null = [Sha256, Sha384, Sha512].map(Scheme::RsaPkcs1);
        let bare = [
            (oids::ECDSA_WITH_SHA_256, Scheme::Ecdsa(Sha256)),
            (oids::ECDSA_WITH_SHA_384, Scheme::Ecdsa(Sha384)),
            (oids::ECDSA_WITH_SHA_512, Scheme::Ecdsa(Sha512)),
            (oids::ED25519, Scheme::Ed25519),
            (oids::ML_DSA_44, Scheme::MlDsa44),
            (oids::ML_DSA_65, Scheme::MlDsa65),
            (oids::ML_DSA_87, Scheme::MlDsa87),
        ];
        for scheme in with_null {
            assert_eq!(scheme_of(&signature(scheme).unwrap()), Some(scheme));
        }
        for (oid, scheme) in bare {
            let written = signature(scheme).unwrap();
            assert_eq!(written, asn1::sequence(&[&asn1::oid(&oid)]));
            assert_eq!(scheme_of(&written), Some(scheme));
            assert_eq!(scheme_of(&asn1::sequence(&[&asn1::oid(&oid), &asn1::null()])), None, "{scheme}");
        }
        assert_eq!(signature(Scheme::Ed25519ph), None);
    }
}
