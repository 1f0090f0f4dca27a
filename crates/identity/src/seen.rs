//! Tokens that were used before: the protocol allows it, an operator may want to see it.
//!
//! Kept are digests under a secret of this set's own, and only until their tokens expire: nothing here can be
//! used as a token, or compared with what another process keeps. What is digested is what the issuer signed, not
//! the signature, which some algorithms let anyone rewrite. Memory is bounded: a full set forgets what expires
//! first, and says so.

use crate::token::UnverifiedToken;
use alloc::{collections::BTreeSet, vec::Vec};
use sealog_crypto::sha256;

/// Half of a SHA-256: nobody looks for collisions under a secret, and none come by chance.
const DIGEST: usize = 16;

/// The tokens that were used and have not expired.
#[derive(Clone)]
pub struct SeenTokens {
    secret: [u8; 32],
    limit: usize,
    /// In the order in which they expire. A token is found again by both: it cannot change when it expires.
    tokens: BTreeSet<(i64, [u8; DIGEST])>,
}

/// What is known of a token's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// It was used before.
    pub again: bool,
    /// Others that have not expired were forgotten, for want of room.
    pub forgotten: usize,
}

impl SeenTokens {
    /// An empty set of at most `limit` tokens; the secret must be random.
    #[must_use]
    pub fn new(secret: [u8; 32], limit: usize) -> Self {
        Self { secret, limit, tokens: BTreeSet::new() }
    }

    /// Notes the use of a token, verified, that expires at `expires`.
    pub fn note(&mut self, token: &UnverifiedToken<'_>, expires: i64, now: i64) -> Sight {
        self.note_signed(token.signed(), expires, now)
    }

    fn note_signed(&mut self, signed: &str, expires: i64, now: i64) -> Sight {
        while self.tokens.first().is_some_and(|(expires, _)| *expires < now) {
            self.tokens.pop_first();
        }
        let keyed: Vec<u8> = [self.secret.as_slice(), signed.as_bytes()].concat();
        let mut digest = [0; DIGEST];
        for (to, from) in digest.iter_mut().zip(sha256(&keyed)) {
            *to = from;
        }
        let again = !self.tokens.insert((expires, digest));
        let mut forgotten = 0;
        while self.tokens.len() > self.limit {
            self.tokens.pop_first();
            forgotten += 1;
        }
        Sight { again, forgotten }
    }
}

impl core::fmt::Debug for SeenTokens {
    /// Never the secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SeenTokens({} of {})", self.tokens.len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const FIRST: Sight = Sight { again: false, forgotten: 0 };
    const AGAIN: Sight = Sight { again: true, forgotten: 0 };

    #[test]
    fn a_token_is_known_again_until_it_expires() {
        let mut seen = SeenTokens::new([7; 32], 10);
        assert_eq!(seen.note_signed("a.b", 100, 1), FIRST);
        assert_eq!(seen.note_signed("a.c", 100, 2), FIRST);
        assert_eq!(seen.note_signed("a.b", 100, 99), AGAIN);
        assert_eq!(seen.note_signed("a.b", 100, 99), AGAIN);
        seen.note_signed("x.y", 300, 101);
        assert_eq!(seen.tokens.len(), 1);
    }

    #[test]
    fn a_full_set_forgets_what_expires_first_and_says_so() {
        let mut seen = SeenTokens::new([7; 32], 3);
        for (n, expires) in [(1, 500), (2, 100), (3, 300)] {
            assert_eq!(seen.note_signed(&format!("t.{n}"), expires, 1), FIRST);
        }
        assert_eq!(seen.note_signed("t.4", 400, 1), Sight { again: false, forgotten: 1 });
        assert_eq!(seen.note_signed("t.1", 500, 1), AGAIN);
        assert_eq!(seen.note_signed("t.3", 300, 1), AGAIN);
        assert_eq!(seen.tokens.len(), 3);
        // The one that was forgotten is new again, and goes again at once: it expires first.
        assert_eq!(seen.note_signed("t.2", 100, 1), Sight { again: false, forgotten: 1 });
        assert_eq!(SeenTokens::new([7; 32], 0).note_signed("t", 9, 1).forgotten, 1);
    }

    #[test]
    fn another_secret_keeps_other_digests_and_none_shows_a_token() {
        let mut one = SeenTokens::new([7; 32], 3);
        let mut other = SeenTokens::new([8; 32], 3);
        one.note_signed("a.b", 100, 1);
        other.note_signed("a.b", 100, 1);
        assert_ne!(one.tokens, other.tokens);
        assert_eq!(format!("{one:?}"), "SeenTokens(1 of 3)");
    }
}
