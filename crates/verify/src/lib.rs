//! Bundle, trusted root, policy and artifact digest in; a verdict or the step that failed out.
