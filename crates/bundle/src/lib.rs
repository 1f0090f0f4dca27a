//! Sigstore documents: bundle, DSSE envelope, statement, log entry, trusted root, signing config.
