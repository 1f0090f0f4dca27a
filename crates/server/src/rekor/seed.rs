//! The entry that takes index 0: clients cannot read a bundle whose index or tree size is a default value.
//!
//! An ordinary entry, admitted like any other: a key made for this one signature signs the log's name.

use anyhow::Context as _;
use sealog_bundle::{
    CreateEntryRequest, KeyDetails, Verifier,
    admission::{DEFAULT_ALGORITHMS, admit},
    request::HashedRekordRequest,
};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _, sha256};
use sealog_tlog::EntryBytes;

/// The first entry of a log of this origin.
pub(super) fn first_entry(origin: &str) -> anyhow::Result<EntryBytes> {
    let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
    let message = format!("first entry of the log {origin}\n");
    let request = HashedRekordRequest {
        digest: sha256(message.as_bytes()).to_vec(),
        signature: key.sign(message.as_bytes())?,
        verifier: Verifier::PublicKey(key.public_key().spki_der().to_vec()),
        key_details: KeyDetails::EcdsaP256Sha256,
    };
    let admitted = admit(CreateEntryRequest::HashedRekord(request), &DEFAULT_ALGORITHMS)
        .context("the first entry is not admitted by our own rules")?;
    Ok(EntryBytes(admitted.into_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_is_an_entry() {
        let EntryBytes(bytes) = first_entry("log.example").unwrap();
        assert!(sealog_bundle::HashedRekord::parse(&bytes).is_ok());
    }
}
