//! Policies that once took strangers, or cost seconds: through the target that the fuzzer calls.

use sealog_fuzz_targets::run;

const GITHUB: &str = "issuer = 'https://token.actions.githubusercontent.com'";

/// A policy with one signer, whose name is a pattern.
fn by(pattern: &str, more: &str) -> String {
    format!("version = 1\n[[signer]]\nidentity-pattern = '{pattern}'\n{more}\n")
}

#[test]
fn policies_that_once_took_strangers_take_none() {
    for pattern in [
        "https://github.com/.*/x.yml@refs/heads/main",
        "https://github.com/.*/.github/workflows/release.yml@.*",
        "^https://github.com/[^/]+/[^/]+/.github/workflows/release.*$",
        "https://github.com/org.*",
        "ann.*@gmail.com",
        ".*@users.noreply.github.com",
        r"https://(www\.)?github\.com/.*/release\.yml@.*",
        r"https://github\.com(:443)?/.*/release\.yml@.*",
        r"https://github\.com/(org/)?.*",
        ".{90,}",
        r"\S{30,}",
        ".{1,}@.{5,}",
        "https?://.{90,}",
        // With builds as signers these take whoever calls a branch so.
        r".*@example\.com",
        r"https://.*\.example\.com/.*",
    ] {
        run("policy", by(pattern, GITHUB).as_bytes());
        run("policy", by(&format!("bob@example.org|{pattern}"), GITHUB).as_bytes());
    }
    for (name, value) in [
        ("source-repository-identifier", "[1-9][0-9]*"),
        ("source-repository-owner-identifier", "[1-9][0-9]{3,}"),
        ("repository", "https://.{30,}"),
        ("owner", "https://github.com/[^/]{5,}"),
        ("workflow", ".{60,}"),
        ("run-invocation-uri", ".{60,}"),
        ("token-subject", "repo:.{10,}"),
        ("github-workflow-repository", ".{20,}"),
    ] {
        let more = format!("{GITHUB}\nextension-patterns = {{ {name} = '{value}' }}");
        run("policy", by(".*", &more).as_bytes());
    }
    for provider in ["https://.{15,}", "https://[a-z]+.com", ".{15,}"] {
        let text = format!(
            "version = 1\n[[signer]]\nidentity = 'alice@example.com'\nissuer-pattern = '{provider}'\n"
        );
        run("policy", text.as_bytes());
    }
}
