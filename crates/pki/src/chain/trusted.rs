//! One authority's certificates as a trusted root lists them, and what was once found out about them.
//!
//! Which of them signed which never changes, so it is asked once and not again for every leaf. Nothing
//! about a leaf, a time or a purpose is remembered.

use super::{ChainError, Path, Purpose, find_path};
use crate::Certificate;
use alloc::{boxed::Box, vec::Vec};
use once_cell::race::OnceBox;

/// Certificates of an authority, the anchor last; a timestamp authority's own first.
#[derive(Debug)]
pub struct TrustedChain {
    anchor: Certificate,
    /// Those before the anchor.
    below: Vec<Certificate>,
    /// For each of `below`, whether the next one up signed it.
    links: OnceBox<Vec<bool>>,
}

impl TrustedChain {
    /// `None` for an empty list.
    #[must_use]
    pub fn new(mut certificates: Vec<Certificate>) -> Option<Self> {
        let anchor = certificates.pop()?;
        Some(Self { anchor, below: certificates, links: OnceBox::new() })
    }

    /// The first certificate: the anchor itself where it is alone.
    #[must_use]
    pub fn first(&self) -> &Certificate {
        self.below.first().unwrap_or(&self.anchor)
    }

    /// The trusted end.
    #[must_use]
    pub const fn anchor(&self) -> &Certificate {
        &self.anchor
    }

    /// Finds a path from `leaf` through these certificates or any of `extra` (untrusted) to the anchor,
    /// as [`verify_chain`](super::verify_chain) does, valid at a time in Unix milliseconds.
    ///
    /// # Errors
    /// The most telling failure; see [`ChainError`].
    pub fn verify(
        &self,
        leaf: &Certificate,
        extra: &[Certificate],
        at_ms: i64,
        purpose: Purpose,
    ) -> Result<Path, ChainError> {
        let anchors = core::slice::from_ref(&self.anchor);
        let is_signed = |below: &Certificate, issuer: &Certificate| self.is_signed(below, issuer);
        let at_unix = at_ms.div_euclid(1000);
        let path = if extra.is_empty() {
            find_path(leaf, &self.below, anchors, at_unix, purpose, &is_signed)?
        } else {
            let intermediates: Vec<Certificate> = self.below.iter().chain(extra).cloned().collect();
            find_path(leaf, &intermediates, anchors, at_unix, purpose, &is_signed)?
        };
        path.check_valid_at_ms(at_ms)?;
        Ok(path)
    }

    /// Whether `below` is one of these and `issuer` the next one up, which signed it. `false` says nothing.
    fn is_signed(&self, below: &Certificate, issuer: &Certificate) -> bool {
        let Some(at) = self.below.iter().position(|listed| listed.is_clone_of(below)) else { return false };
        let next = self.below.get(at.saturating_add(1)).unwrap_or(&self.anchor);
        next.is_clone_of(issuer) && self.links().get(at).is_some_and(|signed| *signed)
    }

    fn links(&self) -> &[bool] {
        self.links.get_or_init(|| {
            let above = self.below.iter().skip(1).chain([&self.anchor]);
            Box::new(
                self.below.iter().zip(above).map(|(one, next)| one.verify_signed_by(next).is_ok()).collect(),
            )
        })
    }
}
