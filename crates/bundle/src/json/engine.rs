//! The base64 engines: vector instructions where the processor has them, the same answers everywhere.
//!
//! Most bytes of an entry, of the request for it and of the answer are base64.

use alloc::vec::Vec;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Padding is there.
const PADDED: GeneralPurposeConfig = GeneralPurposeConfig::new();
/// Padding is written, and may be left out by others.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Asked for line breaks and the other alphabet: rarely.
pub(super) const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod best {
    use super::{CONFIG, PADDED};
    use alloc::boxed::Box;
    use base64::engine::Simd;
    use once_cell::race::OnceBox;

    /// The processor is asked once.
    pub(crate) fn standard() -> &'static Simd {
        static STANDARD: OnceBox<Simd> = OnceBox::new();
        STANDARD.get_or_init(|| Box::new(Simd::standard(CONFIG)))
    }

    pub(crate) fn padded() -> &'static Simd {
        static STRICT: OnceBox<Simd> = OnceBox::new();
        STRICT.get_or_init(|| Box::new(Simd::standard(PADDED)))
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod best {
    use super::{CONFIG, GeneralPurpose, PADDED, alphabet};

    pub(crate) fn standard() -> &'static GeneralPurpose {
        static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
        &STANDARD
    }

    pub(crate) fn padded() -> &'static GeneralPurpose {
        static STRICT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED);
        &STRICT
    }
}

pub(crate) use best::{padded, standard};

/// Bytes that so many take in base64, padding included.
pub(crate) const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Writes padded standard base64 behind what is there.
pub(crate) fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let from = out.len();
    out.resize(from + base64_len(bytes.len()), 0);
    let written = out.get_mut(from..).and_then(|room| standard().encode_slice(bytes, room).ok());
    // The room is what the padded encoding takes.
    debug_assert_eq!(written, Some(out.len() - from));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);

    proptest! {
        #[test]
        fn both_engines_write_and_read_alike(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            at: prop::sample::Index,
            other: char,
            cut: prop::sample::Index,
        ) {
            let text = PLAIN.encode(&bytes);
            prop_assert_eq!(&standard().encode(&bytes), &text);
            prop_assert_eq!(standard().decode(&text), Ok(bytes));
            let mut changed: Vec<char> = text.chars().collect();
            if !changed.is_empty() {
                let at = at.index(changed.len());
                changed[at] = other;
                changed.truncate(1 + cut.index(changed.len()));
            }
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(standard().decode(&changed), PLAIN.decode(&changed));
            prop_assert_eq!(padded().decode(&changed), STANDARD.decode(&changed));
        }
    }
}
