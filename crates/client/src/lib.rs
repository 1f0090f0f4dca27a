//! Outward HTTP: identity, certificates, timestamps, log entries, tiles; signing; watching.
