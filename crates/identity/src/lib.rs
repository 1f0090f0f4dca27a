//! OpenID Connect federation: tokens, issuer rules, and the principal a certificate names.
