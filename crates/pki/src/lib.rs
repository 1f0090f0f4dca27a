//! X.509 as bytes: certificates, chains, extensions, SCTs and RFC 3161 timestamps.
