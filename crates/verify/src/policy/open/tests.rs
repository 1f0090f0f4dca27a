//! Which patterns name somebody, in every spelling that people use, and that those take nobody else.

use super::*;
use alloc::{format, vec::Vec};

const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn pattern(text: &str) -> Match {
    Match::pattern(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn is_open(text: &str) -> bool {
    pattern(text).nobody(Place::Identity).is_some()
}

fn takes(text: &str, name: &str) -> bool {
    pattern(text).takes(Place::Identity, name)
}

fn says(name: &str, value: &Match) -> bool {
    says_whose(FulcioExtension::by_name(name).unwrap(), value)
}

#[test]
fn patterns_that_name_nobody_are_open() {
    for open in [
        // Nothing, whatever its length.
        ".*",
        ".+",
        ".{90,}",
        ".{100,}",
        r"\S{90,}",
        "[^ ]{90,}",
        "(?s).{50,}",
        ".{1,}@.{20,}",
        "https?://.{100,}",
        "https://.{60,}",
        r"[\s\S]*",
        "(.|\n)*",
        "......................................................................",
        // Any organisation, with the right file names.
        r"https://github\.com/.*/\.github/workflows/release\.yml@refs/tags/v.*",
        r"https://github\.com/[^/]+/app/\.github/workflows/release\.yml@refs/heads/main",
        r"https://github\.com/[\w-]+/app/.*",
        r"https://github\.com/.{5,}/x\.yml@.*",
        r"https://github\.com/([a-z]|[A-Z]|[0-9]|-)+/.*",
        r"https://github\.com/[a-z-]{8,}/[a-z-]{8,}/\.github/workflows/release.*",
        r"https://github\.com/\S{100,}",
        r"https://github\.com/[^@]{60,}@refs/heads/main",
        r"(https|http)://github\.com/\S{20,}",
        r"https://gitlab\.com/.*/app//\.gitlab-ci\.yml@refs/heads/main",
        // With dots as everybody writes them.
        "https://github.com/.*",
        "https://github.com/.*/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
        "^https://github.com/[^/]+/[^/]+/.github/workflows/extremely.*$",
        "https://gitlab.com/.*/app//.gitlab-ci.yml@refs/heads/main",
        "https://buildkite.com/[^/]+/release",
        "https://github.com//.*",
        "https://......../org/.*",
        // With something in the host that may be there.
        r"https://(www\.)?github\.com/.*/x\.yml@.*",
        r"https://github\.com(:443)?/.*/\.github/workflows/release\.yml@refs/heads/main",
        r"https://(www.)?github.com/.*",
        r"https://[a-z.]*github\.com/.*/release\.yml@.*",
        r"https://[^/]+/.*/release\.yml@.*",
        "https://(.*@)?github.com/org/.*",
        // With an owner that may be there, or is one of several ways.
        r"https://github\.com/(sigstore-conformance/)?.*",
        r"https://github\.com/(sigstore-conformance/){0,1}extremely.*",
        r"https://github\.com/(sigstore-conformance|.{5,})/.*",
        r"https://github\.com/(one/|.*/)extremely.*",
        r"(https://github\.com|https://example\.org)?/?.*extremely.*",
        r"(https://github\.com/.{4,}){1}",
        r"https://github\.com/org/.*|.*",
        // Organisations that begin or end like one.
        r"https://github\.com/org.*",
        "https://github.com/sigstore.*",
        "https://github.com/sigstore-conf.*",
        r"https://github\.com/org[^/]*/app/.*",
        r"https://github\.com/.*org/app/\.github/workflows/a\.yml@refs/heads/main",
        r"https://github\.com/org/?.*",
        r"https://github\.com/org\b.*",
        // File names and refs.
        r".*/release\.yml@refs/heads/main",
        ".*@refs/heads/main",
        ".*github.com/org/.*",
        // Steps that are nobody's.
        "https://g.codefresh.io/build/.*",
        "https://circleci.com/api/v2/projects/.*",
        // Domains that end or begin like one, or under the same top.
        r".*example\.org",
        r".*@.*example\.org",
        r".*@.*\.org",
        r".*@example\.org.*",
        "release@.*",
        r"(ann|bob)@[a-z]+\.com",
        r".*@.*example\.co\.uk",
        r".*@.*\.co\.uk",
        r"[a-z]+@[a-z]+\.[a-z]+",
        r"https://.*\.com/org/app",
        r"https://example\.org.*",
        "https://example.org.*",
        r"https://.*example\.org/.*",
        r"https://.*\.github\.io/.*",
        "spiffe://.*/ns/release",
        "release!.*",
        // Mailboxes where anybody can have one.
        r"ann.*@gmail\.com",
        "ann.*@gmail.com",
        ".*@gmail.com",
        r"[a-z.]*ann@gmail\.com",
        "(ann)?.*@gmail.com",
        "ann.@gmail.com",
        r".*@users\.noreply\.github\.com",
        ".*@users.noreply.github.com",
        r".*@.*\.github\.com",
        r".*@.*\.iam\.gserviceaccount\.com",
        "[0-9]+@cloudbuild.gserviceaccount.com",
        "[a-z]+",
    ] {
        assert!(is_open(open), "{open}");
    }
}

/// A pattern, names it takes, and names that it does not take though its text alone would (or nearly would).
type Closed<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

const CLOSED: [Closed<'static>; 30] = [
    (
        "https://github.com/owner/repo/.github/workflows/release.yml@refs/tags/v.*",
        &["https://github.com/owner/repo/.github/workflows/release.yml@refs/tags/v1.0"],
        &["https://githubqcom/owner/repo/.github/workflows/release.yml@refs/tags/v1.0"],
    ),
    (
        r"^https://github\.com/owner/repo/\.github/workflows/release\.yml@refs/tags/v[0-9.]+$",
        &["https://github.com/owner/repo/.github/workflows/release.yml@refs/tags/v1.0"],
        &["https://github.com/owner-x/repo/.github/workflows/release.yml@refs/tags/v1.0"],
    ),
    (
        r"https://github\.com/org/.*",
        &["https://github.com/org/a", "https://github.com/org/"],
        &["https://github.com/org-of-somebody/a", "https://github.com.example.org/org/a"],
    ),
    (
        r"https://github\.com/org/[^/]+/\.github/workflows/release\.ya?ml@refs/tags/v[0-9.]+",
        &["https://github.com/org/app/.github/workflows/release.yaml@refs/tags/v2"],
        &[],
    ),
    (
        r"(?i)https://github\.com/(one|two)/app/.*",
        &["https://github.com/One/app/x", "HTTPS://GITHUB.COM/two/app/x"],
        &["https://github.com/three/app/x"],
    ),
    (
        "https://(www.)?github.com/[Oo]rg/.*",
        &["https://github.com/Org/a", "https://www.github.com/org/a"],
        &[],
    ),
    (r"https:\/\/github\.com\/org\/.*", &["https://github.com/org/a"], &[]),
    ("https://github[.]com/org[/].*", &["https://github.com/org/a"], &[]),
    (
        r"https://github\.com(:443)?/org/.*",
        &["https://github.com/org/a", "https://github.com:443/org/a"],
        &[],
    ),
    ("https?://github.com/org/app.*", &["https://github.com/org/application"], &[]),
    (
        r"https://github\.com/org(/.*)?",
        &["https://github.com/org", "https://github.com/org/a"],
        &["https://github.com/orga"],
    ),
    (
        "https://gitlab.com/my.group/.*",
        &["https://gitlab.com/my.group/app//.gitlab-ci.yml@refs/heads/main"],
        &["https://gitlab.com/my-group/app//.gitlab-ci.yml@refs/heads/main"],
    ),
    (r"https://gitlab\.example\.org/.*", &["https://gitlab.example.org/anybody/here"], &[]),
    (
        r"https://.*\.example\.org/.*",
        &["https://ci.example.org/a", "https://a.ci.example.org/a"],
        // A branch may be called so.
        &["https://github.com/x/y/.github/workflows/z.yml@refs/heads/a.example.org/b"],
    ),
    (r"https://build[0-9]+\.ci\.example\.org/.*", &["https://build7.ci.example.org/a"], &[]),
    ("https://([a-z]+.)+example.org/.*", &["https://a.b.example.org/x"], &["https://a.b.exampleqorg/x"]),
    (
        r".*@example\.org",
        &["ann@example.org", "Ann.Smith@example.org"],
        &[
            "https://github.com/x/y/.github/workflows/z.yml@refs/heads/a@example.org",
            "ann@example.org.evil",
            "@example.org",
        ],
    ),
    (".*@example.org", &["ann@example.org"], &["ann@exampleqorg"]),
    (r".*@(.*\.)?example\.org", &["ann@example.org", "ann@dev.example.org"], &["ann@evilexample.org"]),
    (r".+@([a-z0-9-]+\.)*example\.co\.uk", &["ann@a.b.example.co.uk", "ann@example.co.uk"], &["a@co.uk"]),
    (r"[a-z]+@(example\.org|example\.com)", &["ann@example.com"], &[]),
    (r"(ann|bob)@gmail\.com", &["ann@gmail.com", "bob@gmail.com"], &["eve@gmail.com"]),
    ("ann.smith@gmail.com", &["ann.smith@gmail.com"], &["annxsmith@gmail.com"]),
    (r"[a-z-]+@my-project\.iam\.gserviceaccount\.com", &["release@my-project.iam.gserviceaccount.com"], &[]),
    (r"spiffe://example\.org/.*", &["spiffe://example.org/ns/release"], &["spiffe://exampleqorg/ns/release"]),
    (r".*!example\.org", &["ann!example.org"], &["ann@example.org", "x/y@a!example.org"]),
    (
        r"ann@example\.org|https://github\.com/org/.*",
        &["ann@example.org", "https://github.com/org/a"],
        &["https://github.com/other/a"],
    ),
    (
        "https://kubernetes.io/namespaces/ci/serviceaccounts/.*",
        &["https://kubernetes.io/namespaces/ci/serviceaccounts/release"],
        &[],
    ),
    (
        "https://circleci.com/api/v2/projects/1b7e/pipeline-definitions/.*",
        &["https://circleci.com/api/v2/projects/1b7e/pipeline-definitions/9c"],
        &["https://circleci.com/api/v2/projects/2/pipeline-definitions/9c"],
    ),
    ("https://buildkite.com/org/(release|nightly)", &["https://buildkite.com/org/release"], &[]),
];

#[test]
fn patterns_that_name_somebody_are_not_open_and_take_nobody_else() {
    for (closed, theirs, others) in CLOSED {
        assert!(!is_open(closed), "{closed}");
        for name in theirs {
            assert!(takes(closed, name), "{closed} does not take {name}");
        }
        for name in others {
            assert!(!takes(closed, name), "{closed} takes {name}");
        }
    }
    // As many as there are maintainers.
    let names: Vec<String> = (0..300).map(|at| format!("m{at}")).collect();
    for (begin, end, sample) in [
        ("(", r")@gmail\.com", "m299@gmail.com"),
        (
            "https://github.com/(",
            r")/app/.github/workflows/release.ya?ml@.*",
            "https://github.com/m299/app/.github/workflows/release.yml@x",
        ),
    ] {
        let text = format!("{begin}{}{end}", names.join("|"));
        assert!(!is_open(&text) && takes(&text, sample), "{begin}");
    }
}

/// The names that the patterns above mean, with a wildcard of every spelling for whom they name.
#[test]
fn whoever_is_named_cannot_be_left_open_in_any_spelling() {
    let wild = [
        ".*",
        ".+",
        ".*?",
        ".{3,}",
        ".{1,40}",
        "...",
        "[^/]+",
        "[^/@]*",
        r"\S+",
        r"[\w.-]+",
        r"\w{3,}",
        "[a-z]+",
        "[[:alnum:]]{2,}",
        "(a|b|.*)",
        "(.)+",
        "(x)?.*",
        "(?:[a-z]|-)+",
        "(?i:[A-Z]+)",
        "(named)?.*",
        "named.*",
        ".*named",
        "named?.*",
        "(named|[a-z]+)",
        "[^x]{3,}",
        "na.*ed",
        "(?P<who>.+)",
    ];
    let names = [
        "https://github.com/{}/app/.github/workflows/release.yml@refs/tags/v1.0",
        "https://github.com/{}",
        "https://github.com/{}/.*",
        "https://gitlab.com/{}/app//.gitlab-ci.yml@refs/heads/main",
        "https://buildkite.com/{}/release",
        "https://dev.azure.com/{}/.*",
        "https://{}/org/app",
        "https://{}.com/org/app",
        "https://example.{}/org/app",
        "https://{}.github.io/app",
        "spiffe://{}/ns/release",
        "{}://github.com/.*",
        "ann@{}",
        "ann@{}.com",
        "{}@gmail.com",
        "ann.{}@gmail.com",
        "{}@users.noreply.github.com",
        ".*@{}.co.uk",
        ".*@{}",
        "ann!{}",
        "{}",
    ];
    let hosts = ["", "(www\\.)?", "(a\\.)*"];
    let mut tried = 0;
    for name in names {
        for wildcard in wild {
            for host in hosts {
                let plain = name.replace("://", &format!("://{host}")).replace("{}", wildcard);
                // Only the dots of the name, not those of the wildcard.
                let escaped = name.replace(".*", "\u{2}").replace('.', r"\.").replace('\u{2}', ".*");
                let escaped = escaped.replace("://", &format!("://{host}")).replace("{}", wildcard);
                for text in [plain, escaped] {
                    for text in [
                        text.clone(),
                        format!("^{text}$"),
                        format!("(?i){text}"),
                        format!("ann@example.org|({text})"),
                    ] {
                        let found = pattern(&text);
                        let nobody = found.nobody(Place::Identity).is_some();
                        assert!(nobody, "{text} is taken");
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn a_provider_is_written_out() {
    let open = |text: &str| pattern(text).nobody(Place::Provider).is_some();
    for text in [
        ".*",
        ".{30,}",
        "https://.*",
        "https://.{30,}",
        "https://[a-z.]{30,}",
        r"https://.*\.com",
        r"https://token\..*",
        "https://token.*com",
        r"https://(.*\.)?githubusercontent\.com/.*",
        "https://login.microsoftonline.com/.*/v2.0",
        "https://oidc.eks.[a-z0-9-]+.amazonaws.com/id/.*",
        "https://oidc.circleci.com/org/.*",
        "https://container.googleapis.com/v1/projects/[^/]+/locations/.*",
        r"https://.*\.okta\.com",
        "accounts.google.*",
        r"https://accounts\.example\.org.*",
    ] {
        assert!(open(text), "{text}");
    }
    for (text, issuer) in [
        ("https://token.actions.githubusercontent.com", GITHUB),
        (r"https://token\.actions\.githubusercontent\.com(/ent)?", GITHUB),
        (r"https://(i|j)\.example", "https://j.example"),
        ("https://accounts.google.com|https://login.microsoftonline.com", "https://accounts.google.com"),
        (r"https://.*\.example\.org", "https://a.example.org"),
        ("https://gitlab.com", "https://gitlab.com"),
        ("https://oidc.circleci.com/org/1b7e", "https://oidc.circleci.com/org/1b7e"),
        (
            "https://container.googleapis.com/v1/projects/p/.*",
            "https://container.googleapis.com/v1/projects/p/x",
        ),
        ("https://oauth2.sigstore.dev/auth", "https://oauth2.sigstore.dev/auth"),
        ("accounts.google.com", "accounts.google.com"),
    ] {
        assert!(!open(text) && pattern(text).takes(Place::Provider, issuer), "{text}");
    }
    let dots = pattern("https://token.actions.githubusercontent.com");
    assert!(!dots.takes(Place::Provider, "https://token-actions.githubusercontent.com"));
}

#[test]
fn an_extension_says_whose_it_is_or_does_not() {
    assert!(says("repository", &Match::exact("https://github.com/org/app")));
    assert!(says("source-repository-identifier", &Match::exact("1234")));
    assert!(!says("repository", &Match::exact("")));
    for (name, value, theirs, other) in [
        ("owner", r"https://github\.com/(one|two)", "https://github.com/two", "https://github.com/twofold"),
        ("owner", "https://github.com/org", "https://github.com/org", "https://githubqcom/org"),
        (
            "repository",
            "https://github.com/org/.+",
            "https://github.com/org/app",
            "https://github.com/orga/p",
        ),
        ("github-workflow-repository", "org/.*", "org/app", "other/app"),
        ("source-repository-identifier", "1234|5678", "5678", "9"),
        (
            "token-subject",
            "repo:org/.*",
            "repo:org/app:ref:refs/heads/main",
            "repo:other/app:ref:refs/heads/main",
        ),
        (
            "token-subject",
            "project_path:group/app:.*",
            "project_path:group/app:ref",
            "project_path:other/app:ref",
        ),
        (
            "token-subject",
            "system:serviceaccount:ci:.*",
            "system:serviceaccount:ci:a",
            "system:serviceaccount:x:ci:",
        ),
        ("token-subject", "org/1b7e/.*", "org/1b7e/project/2", "org/2/project/1b7e"),
        ("workflow", "https://github.com/org/.*", "https://github.com/org/a", "https://github.com/b/a"),
    ] {
        let row = FulcioExtension::by_name(name).unwrap();
        let wanted = pattern(value);
        assert!(says(name, &wanted), "{name} {value}");
        assert!(super::takes(row, &wanted, theirs) && !super::takes(row, &wanted, other), "{name} {value}");
    }
    for (name, value) in [
        ("trigger", "push"),
        ("runner", "github-hosted"),
        ("ref", "refs/heads/main"),
        ("environment", "production"),
        ("github-workflow-name", "release"),
        ("source-repository-visibility-at-signing", "public"),
        ("source-repository-digest", "0123456789012345678901234567890123456789"),
        ("issuer", GITHUB),
    ] {
        assert!(!says(name, &Match::exact(value)), "{name}");
        // But it is asked for as it is written.
        let row = FulcioExtension::by_name(name).unwrap();
        assert!(super::takes(row, &pattern(&value.replace('s', ".")), value), "{name}");
    }
    for (name, value) in [
        ("repository", r"https://github\.com/.*"),
        ("repository", r"https://github\.com/org.*"),
        ("repository", r"https://github\.com/.*/app"),
        ("repository", r"https://github\.com/.{5,}"),
        ("repository", "https://.{30,}"),
        ("repository", "https://(www.)?github.com/.+/.+"),
        ("owner", "https://github.com/[^/]{20,}"),
        ("owner", ".{30,}"),
        ("workflow", ".{90,}"),
        ("run-invocation-uri", ".{60,}"),
        ("source-repository-identifier", "[1-9][0-9]*"),
        ("source-repository-identifier", "[0-9]+"),
        ("source-repository-owner-identifier", "[1-9][0-9]{3,}"),
        ("source-repository-owner-identifier", "1?.*"),
        ("token-subject", "repo:.*"),
        ("token-subject", "repo:.{10,}"),
        ("token-subject", ".+:.+"),
        ("token-subject", "org/.*"),
        ("token-subject", "organization:.*"),
        ("github-workflow-repository", ".*/app"),
        ("github-workflow-repository", "[^/]+/[^/]+"),
        ("github-workflow-repository", ".{30,}"),
        ("github-workflow-repository", "org.*"),
    ] {
        assert!(!says(name, &pattern(value)), "{name} {value}");
    }
}
