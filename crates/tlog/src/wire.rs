//! Reads and writes the big-endian, length-prefixed integers and vectors of TLS (RFC 8446 §3).

use alloc::vec::Vec;

/// What is left of some bytes. Every read either takes exactly what it says or nothing.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

/// The bytes ended before what they announced.
#[derive(Debug)]
pub(crate) struct Short;

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Short)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    /// A vector behind a two-byte length.
    pub(crate) fn vec16(&mut self) -> Result<&'a [u8], Short> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A vector behind a three-byte length.
    pub(crate) fn vec24(&mut self) -> Result<&'a [u8], Short> {
        let [high, middle, low] = self.array::<3>()?;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.take(usize::try_from(length).map_err(|_| Short)?)
    }
}

/// Appends `bytes` behind a two-byte length; `None` and nothing written when they do not fit.
pub(crate) fn put_vec16(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let length = u16::try_from(bytes.len()).ok()?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Some(())
}
