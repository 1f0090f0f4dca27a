//! What must hold for any input.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use sealog_bundle::{
    Bundle, CreateEntryRequest, EntryBody, HashedRekord, KeyDetails, Statement, TransparencyLogEntry,
    TrustedRoot, UnixTime, Verifier,
    json::{decode_base64, encode_base64},
};
use sealog_crypto::HashAlgorithm;

proptest! {
    #[test]
    fn times_survive_writing(millis in -62_135_596_800_000_i64..=253_402_300_799_999) {
        let time = UnixTime::from_millis(millis);
        prop_assert_eq!(UnixTime::parse_rfc3339(&time.to_string()), Some(time));
        prop_assert_eq!(time.millis(), millis);
    }

    #[test]
    fn base64_is_read_in_every_form(bytes: Vec<u8>) {
        let standard = encode_base64(&bytes);
        let url = standard.replace('+', "-").replace('/', "_");
        for form in [standard.as_str(), standard.trim_end_matches('='), &url, url.trim_end_matches('=')] {
            prop_assert_eq!(decode_base64(form), Some(bytes.clone()));
        }
    }

    #[test]
    fn entries_survive_writing(signature in prop::collection::vec(any::<u8>(), 1..100), der in prop::collection::vec(any::<u8>(), 1..100), certificate: bool) {
        let entry = HashedRekord {
            digest: HashAlgorithm::Sha256.digest(&der),
            signature,
            verifier: if certificate { Verifier::Certificate(der) } else { Verifier::PublicKey(der) },
            key_details: KeyDetails::EcdsaP256Sha256,
        };
        let read = HashedRekord::parse(&entry.canonical()).unwrap();
        prop_assert_eq!(read.canonical(), entry.canonical());
        prop_assert_eq!(read, entry);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in r#"[\[\]{}",:0-9a-zA-Z\\ .-]{0,200}"#, field in "(mediaType|tlogs|verificationMaterial|spec|kind|subject|digest|logIndex)") {
        for document in [text.clone(), format!("{{\"{field}\":{text}}}"), format!("{{\"{field}\":\"{text}\"}}")] {
            let bytes = document.as_bytes();
            let _ = (Bundle::parse(bytes), TrustedRoot::parse(bytes), EntryBody::parse(bytes));
            let _ = (Statement::parse(bytes), CreateEntryRequest::parse(bytes), TransparencyLogEntry::parse(bytes));
            let _ = UnixTime::parse_rfc3339(&text);
        }
    }
}
