//! Object identifiers by the name the specifications give them.

use const_oid::ObjectIdentifier;

pub(crate) use const_oid::db::{
    fips204::{ID_ML_DSA_44 as ML_DSA_44, ID_ML_DSA_65 as ML_DSA_65, ID_ML_DSA_87 as ML_DSA_87},
    rfc4519::{CN as COMMON_NAME, O as ORGANIZATION},
    rfc5280::{
        ANY_EXTENDED_KEY_USAGE, ID_CE_AUTHORITY_KEY_IDENTIFIER as AUTHORITY_KEY_ID,
        ID_CE_BASIC_CONSTRAINTS as BASIC_CONSTRAINTS, ID_CE_CERTIFICATE_POLICIES as CERTIFICATE_POLICIES,
        ID_CE_EXT_KEY_USAGE as EXT_KEY_USAGE, ID_CE_KEY_USAGE as KEY_USAGE,
        ID_CE_NAME_CONSTRAINTS as NAME_CONSTRAINTS, ID_CE_SUBJECT_ALT_NAME as SUBJECT_ALT_NAME,
        ID_CE_SUBJECT_KEY_IDENTIFIER as SUBJECT_KEY_ID, ID_KP_CODE_SIGNING as CODE_SIGNING,
        ID_KP_TIME_STAMPING as TIME_STAMPING,
    },
    rfc5911::{
        ID_AA_SIGNING_CERTIFICATE as SIGNING_CERTIFICATE,
        ID_AA_SIGNING_CERTIFICATE_V_2 as SIGNING_CERTIFICATE_V2, ID_CONTENT_TYPE as CONTENT_TYPE,
        ID_MESSAGE_DIGEST as MESSAGE_DIGEST, ID_SIGNED_DATA as SIGNED_DATA, ID_SIGNING_TIME as SIGNING_TIME,
    },
    rfc5912::{
        ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_MGF_1 as MGF1,
        ID_RSASSA_PSS as RSASSA_PSS, ID_SHA_1 as SHA_1, ID_SHA_256 as SHA_256, ID_SHA_384 as SHA_384,
        ID_SHA_512 as SHA_512, RSA_ENCRYPTION, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION,
        SHA_512_WITH_RSA_ENCRYPTION,
    },
    rfc6962::{CT_PRECERT_POISON, CT_PRECERT_SCTS, CT_PRECERT_SIGNING_CERT},
    rfc8410::ID_ED_25519 as ED25519,
};

/// extensionRequest, an attribute of PKCS#10 requests (RFC 2985 §5.4.2).
pub(crate) const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// id-ct-TSTInfo (RFC 3161 §2.4.2).
pub(crate) const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// The arc of the Fulcio certificate extensions.
pub(crate) const FULCIO_ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
/// The otherName type of a username identity.
pub(crate) const FULCIO_OTHER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
/// MD5, known only in order to be called weak.
pub(crate) const MD5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.5");
/// SHA-224, known only in order to be called weak.
pub(crate) const SHA_224: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4");
