//! Keys as objects of a token: made, found by label, read, and asked to sign.
//!
//! PKCS#11 v3.0 §4.7 to §4.9, and Current Mechanisms §2.1 (RSA), §2.3 (elliptic curves). ECDSA gets the
//! digest, computed here: every module has plain CKM_ECDSA, not every one has it with a hash.

use super::{
    error::TokenError,
    pool::{Failure, Opened},
};
use cryptoki::{
    context::Function,
    error::{Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, SessionState},
};
use sealog_crypto::{HashAlgorithm, KeyKind, PublicKey, Scheme, ecdsa_signature};

/// The curve's name as PKCS#11 v3.0 §2.3.7 also allows it: a PrintableString, in DER.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";
/// 65537, big-endian.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// Makes a key pair that never leaves the token.
pub(super) fn generate(session: &Session, token: &str, label: &str, kind: KeyKind) -> Result<(), Failure> {
    let unsupported = || TokenError::Unsupported { token: token.to_owned(), kind };
    let (mechanism, forms) = match kind {
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => {
            let curve = kind.curve_der().ok_or_else(unsupported)?;
            (Mechanism::EccKeyPairGen, vec![vec![Attribute::EcParams(curve)]])
        }
        KeyKind::Ed25519 => {
            let curve = kind.curve_der().ok_or_else(unsupported)?;
            let named = vec![Attribute::EcParams(EDWARDS25519.to_vec())];
            (Mechanism::EccEdwardsKeyPairGen, vec![vec![Attribute::EcParams(curve)], named])
        }
        KeyKind::Rsa { bits } => {
            let bits = u64::try_from(bits).map_err(|_| unsupported())?;
            let size = Attribute::ModulusBits(bits.into());
            (Mechanism::RsaPkcsKeyPairGen, vec![vec![size, Attribute::PublicExponent(RSA_EXPONENT.to_vec())]])
        }
        _ => return Err(unsupported().into()),
    };
    let id = Attribute::Id(label.as_bytes().to_vec());
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Label(label.as_bytes().to_vec()),
        id.clone(),
    ];
    let mut first_refusal = None;
    for mut public in forms {
        public.extend([
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::Label(label.as_bytes().to_vec()),
            id.clone(),
        ]);
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok(_) => return Ok(()),
            Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
        }
    }
    Err(first_refusal.map_or_else(|| unsupported().into(), Failure::Module))
}

/// The private key of this label, remembered with the session it was found in.
pub(super) fn private(opened: &mut Opened, token: &str, label: &str) -> Result<ObjectHandle, Failure> {
    if let Some(handle) = opened.keys.get(label) {
        return Ok(*handle);
    }
    // Without a login private objects are not refused, they are not there.
    if !matches!(
        opened.session.get_session_info()?.session_state(),
        SessionState::RwUser | SessionState::RoUser
    ) {
        return Err(Error::Pkcs11(RvError::UserNotLoggedIn, Function::GetSessionInfo).into());
    }
    let handle = find(&opened.session, ObjectClass::PRIVATE_KEY, "private key", token, label)?
        .ok_or_else(|| TokenError::NoKey { token: token.to_owned(), label: label.to_owned() })?;
    let readable = opened
        .session
        .get_attributes(handle, &[AttributeType::Extractable, AttributeType::Sensitive])?
        .into_iter()
        .any(|found| matches!(found, Attribute::Extractable(true) | Attribute::Sensitive(false)));
    if readable {
        return Err(TokenError::Extractable { token: token.to_owned(), label: label.to_owned() }.into());
    }
    opened.keys.insert(label.to_owned(), handle);
    Ok(handle)
}

/// The public half of this label, where the token keeps one.
pub(super) fn public(session: &Session, token: &str, label: &str) -> Result<Option<PublicKey>, Failure> {
    let Some(handle) = find(session, ObjectClass::PUBLIC_KEY, "public key", token, label)? else {
        return Ok(None);
    };
    let wanted = [
        AttributeType::KeyType,
        AttributeType::EcParams,
        AttributeType::EcPoint,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ];
    let (mut key_type, mut curve, mut point, mut modulus, mut exponent) = (None, None, None, None, None);
    for attribute in session.get_attributes(handle, &wanted)? {
        match attribute {
            Attribute::KeyType(found) => key_type = Some(found),
            Attribute::EcParams(bytes) => curve = Some(bytes),
            Attribute::EcPoint(bytes) => point = Some(bytes),
            Attribute::Modulus(bytes) => modulus = Some(bytes),
            Attribute::PublicExponent(bytes) => exponent = Some(bytes),
            _ => {}
        }
    }
    let key = match (key_type, curve, point, modulus, exponent) {
        (Some(KeyType::RSA), _, _, Some(modulus), Some(exponent)) => {
            PublicKey::from_rsa_numbers(&modulus, &exponent)
        }
        (Some(KeyType::EC | KeyType::EC_EDWARDS), Some(curve), Some(point), _, _) => {
            let kind = kind_of(&curve).ok_or(Error::NotSupported)?;
            PublicKey::from_point(kind, &point)
        }
        _ => return Err(Error::NotSupported.into()),
    };
    Ok(Some(key.map_err(TokenError::from)?))
}

fn kind_of(curve: &[u8]) -> Option<KeyKind> {
    if curve == EDWARDS25519 {
        return Some(KeyKind::Ed25519);
    }
    [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Ed25519]
        .into_iter()
        .find(|kind| kind.curve_der().is_some_and(|der| der == curve))
}

fn find(
    session: &Session,
    class: ObjectClass,
    what: &'static str,
    token: &str,
    label: &str,
) -> Result<Option<ObjectHandle>, Failure> {
    let template =
        [Attribute::Class(class), Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec())];
    let found = session.find_objects(&template)?;
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => Err(TokenError::ManyKeys {
            token: token.to_owned(),
            label: label.to_owned(),
            what,
            found: several.len(),
        }
        .into()),
    }
}

/// A signature in the form the rest of the house has it.
pub(super) fn sign(
    session: &Session,
    handle: ObjectHandle,
    kind: KeyKind,
    scheme: Scheme,
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    match scheme {
        Scheme::Ecdsa(hash) => {
            let raw = session.sign(&Mechanism::Ecdsa, handle, hash.digest(message).as_bytes())?;
            Ok(ecdsa_signature(kind, &raw).ok_or(Error::InvalidValue)?)
        }
        Scheme::Ed25519 => {
            let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
            Ok(session.sign(&pure, handle, message)?)
        }
        Scheme::RsaPkcs1(HashAlgorithm::Sha256) => {
            Ok(session.sign(&Mechanism::Sha256RsaPkcs, handle, message)?)
        }
        _ => Err(Error::NotSupported.into()),
    }
}
