//! Principals of every issuer type, from tokens that were really signed and verified.

use super::*;
use crate::{
    algorithm::Algorithm,
    issue::issue,
    jwk::{self, Jwks},
    preset::Preset,
    token::{Checks, UnverifiedToken, verify},
};
use alloc::{vec, vec::Vec};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use serde_json::{Value, json};

extern crate std;

const NOW: i64 = 1_700_000_000;

fn rule(toml: &str) -> IssuerRule {
    toml::from_str(toml).unwrap()
}

/// Signs the claims as their issuer and verifies them as the authority would.
fn verified(rule: &IssuerRule, claims: &Value) -> Claims {
    static KEY: std::sync::LazyLock<PrivateKey> =
        std::sync::LazyLock::new(|| PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
    let issuer = claims["iss"].as_str().unwrap_or_else(|| rule.issuer());
    let mut all = json!({"iss": issuer, "sub": "subject", "aud": "sigstore", "exp": NOW + 1});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let token = issue(&all, "k", &*KEY).unwrap();
    let key = jwk::encode(KEY.public_key(), "k", Algorithm::Es256).unwrap();
    let keys = Jwks::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
    let checks = Checks {
        issuer,
        audience: "sigstore",
        now_unix: NOW,
        expiry_leeway_seconds: 0,
        not_before_leeway_seconds: 0,
        algorithms: &[Algorithm::Es256],
    };
    verify(&UnverifiedToken::parse(&token).unwrap(), &keys, &checks).unwrap()
}

fn principal(rule: &IssuerRule, claims: &Value) -> Result<Principal, PrincipalError> {
    rule.principal(&verified(rule, claims))
}

fn values(principal: &Principal) -> Vec<(u8, &str)> {
    principal.extensions.iter().map(|(row, value)| (row.number, value)).collect()
}

fn email_rule() -> IssuerRule {
    rule("issuer = 'https://a.example'\ntype = 'email'")
}

#[test]
fn email() {
    let claims = json!({"email": "Me@Example.com", "email_verified": true});
    let found = principal(&email_rule(), &claims).unwrap();
    assert_eq!(found.san, San::Email("Me@Example.com".into()));
    assert_eq!((found.issuer.as_str(), found.challenge.as_str()), ("https://a.example", "Me@Example.com"));
    assert_eq!(values(&found), [(1, "https://a.example"), (8, "https://a.example"), (24, "subject")]);
    let claims = json!({"email": "me@example.com", "email_verified": "true"});
    assert!(principal(&email_rule(), &claims).is_ok());
}

#[test]
fn a_token_may_be_bound_to_a_key() {
    let with = |cnf: Value| json!({"email": "me@example.com", "email_verified": true, "cnf": cnf});
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let jwk = jwk::encode(key.public_key(), "k", Algorithm::EdDsa).unwrap();
    let bound = principal(&email_rule(), &with(json!({ "jwk": jwk }))).unwrap().bound_to.unwrap();
    assert_eq!(bound.check(key.public_key()), Ok(()));
    for wrong in [json!(null), json!("key"), json!([]), json!({}), json!({ "kid": "k" })] {
        let found = principal(&email_rule(), &with(wrong));
        assert_eq!(found, Err(PrincipalError::Confirmation(ConfirmationError::NotUnderstood)));
    }
}

#[test]
fn an_address_counts_only_when_its_issuer_verified_it() {
    let address = || "me@example.com".to_string();
    for verified in [json!(false), json!("false"), json!("True"), json!(1), json!(null), json!({})] {
        let claims = json!({"email": address(), "email_verified": verified});
        assert_eq!(
            principal(&email_rule(), &claims),
            Err(PrincipalError::EmailNotVerified { address: address() })
        );
    }
    let claims = json!({"email": address()});
    assert!(matches!(principal(&email_rule(), &claims), Err(PrincipalError::EmailNotVerified { .. })));
    let lax = rule("issuer = 'https://a.example'\ntype = 'email'\nskip_email_verification = true");
    assert!(principal(&lax, &claims).is_ok());
}

#[test]
fn addresses_that_are_none() {
    let with = |email: Value| principal(&email_rule(), &json!({"email": email, "email_verified": true}));
    assert!(matches!(with(json!("not an address")), Err(PrincipalError::NotAnAddress { .. })));
    assert!(matches!(with(json!("a@b.co, c@d.co")), Err(PrincipalError::NotAnAddress { .. })));
    assert!(matches!(with(json!("")), Err(PrincipalError::EmptyClaim { .. })));
    assert!(matches!(with(json!(null)), Err(PrincipalError::MissingClaim { .. })));
    assert!(matches!(with(json!(["a@b.co"])), Err(PrincipalError::ClaimType { found: "a list", .. })));
    assert!(matches!(with(json!("a@b.co\u{0}")), Err(PrincipalError::ClaimText { .. })));
    let none = principal(&email_rule(), &json!({"email_verified": true}));
    assert_eq!(none, Err(PrincipalError::MissingClaim { claim: "email".into() }));
}

#[test]
fn the_provider_behind_the_provider() {
    let rule = rule(
        "issuer = 'https://a.example'\ntype = 'email'\nissuer_claim = '$.federated_claims.connector_id'",
    );
    let mut claims = json!({"email": "me@example.com", "email_verified": true,
        "federated_claims": {"connector_id": "https://github.com/login/oauth"}});
    let found = principal(&rule, &claims).unwrap();
    assert_eq!(found.issuer, "https://github.com/login/oauth");
    assert_eq!(found.extensions.oidc_issuer(), Some("https://github.com/login/oauth"));
    for odd in [json!(null), json!({}), json!({"connector_id": ""}), json!({"connector_id": 7}), json!("x")] {
        claims["federated_claims"] = odd;
        assert!(principal(&rule, &claims).is_err(), "{claims}");
    }
}

#[test]
fn uri() {
    let rule = rule("issuer = 'https://a.example.com'\ntype = 'uri'\nsubject_domain = 'https://example.com'");
    let with = |sub: &str| principal(&rule, &json!({"sub": sub}));
    let found = with("https://example.com/users/1").unwrap();
    assert_eq!(found.san, San::Uri("https://example.com/users/1".into()));
    assert_eq!(found.challenge, "https://example.com/users/1");
    for outside in [
        "https://example.com.evil.org/x",
        "http://example.com/x",
        "https://sub.example.com/x",
        "https://example.com:8443/x",
    ] {
        assert!(matches!(with(outside), Err(PrincipalError::OutsideDomain { .. })), "{outside}");
    }
    assert!(matches!(with("me@example.com"), Err(PrincipalError::SubjectIsAddress { .. })));
    assert!(matches!(with("https://u@example.com/x"), Err(PrincipalError::NotAUri { .. })));
    assert!(matches!(with("users/1"), Err(PrincipalError::NotAUri { .. })));
}

#[test]
fn username() {
    let rule = rule("issuer = 'https://a.example.com'\ntype = 'username'\nsubject_domain = 'example.com'");
    let with = |sub: &str| principal(&rule, &json!({"sub": sub}));
    let found = with("alice").unwrap();
    assert_eq!(found.san, San::OtherName("alice!example.com".into()));
    assert_eq!(found.challenge, "alice");
    assert_eq!(values(&found).last(), Some(&(24, "alice")));
    assert!(matches!(with("alice!evil.org"), Err(PrincipalError::UsernameMark { .. })));
    assert!(matches!(with("alice@example.com"), Err(PrincipalError::SubjectIsAddress { .. })));
    assert!(matches!(with("a\u{7}"), Err(PrincipalError::ClaimText { .. })));
}

#[test]
fn spiffe() {
    let rule = rule("issuer = 'https://a.example'\ntype = 'spiffe'\nspiffe_trust_domain = 'example.org'");
    let with = |sub: &str| principal(&rule, &json!({"sub": sub}));
    assert_eq!(with("spiffe://example.org/ns/x").unwrap().san, San::Uri("spiffe://example.org/ns/x".into()));
    assert!(matches!(with("spiffe://example.com/x"), Err(PrincipalError::OutsideDomain { .. })));
    for bad in [
        "spiffe://example.org/",
        "spiffe://example.org/a//b",
        "spiffe://example.org/../a",
        "spiffe://Example.org/a",
        "spiffe://example.org/a?b",
        "https://example.org/a",
        "spiffe:///a",
    ] {
        assert!(matches!(with(bad), Err(PrincipalError::NotASpiffeId { .. })), "{bad}");
    }
}

#[test]
fn kubernetes() {
    let rule = rule("issuer = 'https://k.example'\ntype = 'kubernetes'");
    let with = |inner: Value| principal(&rule, &json!({"sub": "system:x", "kubernetes.io": inner}));
    let found =
        with(json!({"namespace": "prod", "serviceaccount": {"name": "signer.v1", "uid": "u"}})).unwrap();
    let name = "https://kubernetes.io/namespaces/prod/serviceaccounts/signer.v1";
    assert_eq!(found.san, San::Uri(name.into()));
    assert_eq!(found.challenge, "system:x");
    let slash = with(json!({"namespace": "a/serviceaccounts/b", "serviceaccount": {"name": "x"}}));
    assert!(matches!(slash, Err(PrincipalError::NotAKubernetesName { .. })));
    // Kubernetes writes names as text; a number is not one that looks like it.
    for inner in [
        json!({"namespace": 7, "serviceaccount": {"name": "x"}}),
        json!({"namespace": "prod", "serviceaccount": {"name": 7}}),
    ] {
        assert!(matches!(with(inner), Err(PrincipalError::ClaimType { found: "a number", .. })));
    }
    for missing in [
        json!({}),
        json!({"namespace": "a"}),
        json!({"serviceaccount": {"name": "x"}}),
        json!({"namespace": "", "serviceaccount": {"name": "x"}}),
        json!("text"),
        json!(null),
    ] {
        assert!(with(missing.clone()).is_err(), "{missing}");
    }
}

fn github_rule() -> IssuerRule {
    rule(
        "issuer = 'https://token.actions.githubusercontent.com'\ntype = 'ci-provider'\npreset = 'github-actions'",
    )
}

fn github_claims() -> Value {
    json!({
        "sub": "repo:octo/app:ref:refs/heads/main",
        "event_name": "push", "sha": "aaaa", "workflow": "release", "repository": "octo/app",
        "ref": "refs/heads/main", "job_workflow_ref": "octo/ci/.github/workflows/sign.yml@refs/tags/v1",
        "job_workflow_sha": "bbbb", "runner_environment": "github-hosted", "repository_id": "12",
        "repository_owner": "octo", "repository_owner_id": "34",
        "workflow_ref": "octo/app/.github/workflows/release.yml@refs/heads/main", "workflow_sha": "cccc",
        "run_id": "56", "run_attempt": "1", "repository_visibility": "public", "actor": "someone",
    })
}

#[test]
fn github() {
    let found = principal(&github_rule(), &github_claims()).unwrap();
    let signer = "https://github.com/octo/ci/.github/workflows/sign.yml@refs/tags/v1";
    let issuer = "https://token.actions.githubusercontent.com";
    assert_eq!(found.san, San::Uri(signer.into()));
    assert_eq!(found.challenge, "repo:octo/app:ref:refs/heads/main");
    assert_eq!(
        values(&found),
        vec![
            (1, issuer),
            (2, "push"),
            (3, "aaaa"),
            (4, "release"),
            (5, "octo/app"),
            (6, "refs/heads/main"),
            (8, issuer),
            (9, signer),
            (10, "bbbb"),
            (11, "github-hosted"),
            (12, "https://github.com/octo/app"),
            (13, "aaaa"),
            (14, "refs/heads/main"),
            (15, "12"),
            (16, "https://github.com/octo"),
            (17, "34"),
            (18, "https://github.com/octo/app/.github/workflows/release.yml@refs/heads/main"),
            (19, "cccc"),
            (20, "push"),
            (21, "https://github.com/octo/app/actions/runs/56/attempts/1"),
            (22, "public"),
            (24, "repo:octo/app:ref:refs/heads/main"),
        ]
    );
    let mut claims = github_claims();
    claims["environment"] = json!("production");
    let found = principal(&github_rule(), &claims).unwrap();
    assert_eq!(found.extensions.get_by_name("deployment-environment"), Some("production"));
}

#[test]
fn a_claim_that_looks_like_a_template_is_certified_as_it_is() {
    let mut claims = github_claims();
    claims["workflow"] = json!("{{ .repository }}");
    let found = principal(&github_rule(), &claims).unwrap();
    assert!(values(&found).contains(&(4, "{{ .repository }}")), "{found:?}");
}

#[test]
fn no_subject_has_characters_that_are_not_seen() {
    let sub = |text: &str| json!({"sub": text, "email": "a@example.com", "email_verified": true});
    let github = |text: &str| {
        let mut claims = github_claims();
        claims["sub"] = json!(text);
        claims
    };
    let uri = "issuer = 'https://a.example.com'\ntype = 'uri'\nsubject_domain = 'https://example.com'";
    let username = "issuer = 'https://a.example.com'\ntype = 'username'\nsubject_domain = 'example.com'";
    let spiffe = "issuer = 'https://a.example'\ntype = 'spiffe'\nspiffe_trust_domain = 'example.org'";
    for odd in ["\0", "\n", "\r", "\u{7f}", "\u{1b}[31m", "\u{85}"] {
        for (rule, claims) in [
            (email_rule(), sub(&alloc::format!("a{odd}b"))),
            (rule(uri), sub(&alloc::format!("https://example.com/a{odd}b"))),
            (rule(username), sub(&alloc::format!("a{odd}b"))),
            (rule(spiffe), sub(&alloc::format!("spiffe://example.org/a{odd}b"))),
            (github_rule(), github(&alloc::format!("repo:octo/app{odd}"))),
            (rule("preset = 'chainguard'"), json!({"sub": alloc::format!("4c5f/0a{odd}1b")})),
        ] {
            let refused = principal(&rule, &claims);
            assert!(refused.is_err(), "{odd:?} at {}: {refused:?}", rule.issuer());
        }
    }
}

#[test]
fn every_claim_of_a_build_must_be_there() {
    for claim in [
        "event_name",
        "sha",
        "workflow",
        "repository",
        "ref",
        "job_workflow_ref",
        "job_workflow_sha",
        "runner_environment",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "workflow_ref",
        "workflow_sha",
        "run_id",
        "run_attempt",
        "repository_visibility",
    ] {
        for odd in [json!(null), json!(""), json!(["x"]), json!({}), json!(1.5), json!(true), json!("a\nb")] {
            let mut claims = github_claims();
            claims[claim] = odd;
            assert!(principal(&github_rule(), &claims).is_err(), "{claim}: {claims}");
        }
    }
    let mut claims = github_claims();
    claims["environment"] = json!(["production"]);
    assert!(principal(&github_rule(), &claims).is_err(), "optional is not untyped");
}

#[test]
fn no_claim_replaces_a_constant() {
    let mut claims = github_claims();
    claims["url"] = json!("https://evil.example");
    let refused = principal(&github_rule(), &claims);
    assert!(matches!(refused, Err(PrincipalError::OtherConstant { .. })), "{refused:?}");
    for odd in [json!(""), json!(["https://github.com"]), json!(7)] {
        claims["url"] = odd;
        assert!(principal(&github_rule(), &claims).is_err(), "{claims}");
    }
    for same in [json!(null), json!("https://github.com")] {
        claims["url"] = same;
        assert!(principal(&github_rule(), &claims).is_ok(), "{claims}");
    }
}

#[test]
fn a_constant_that_no_template_uses_is_compared_all_the_same() {
    let table = "issuer = 'https://ci.example'\ntype = 'ci-provider'\n\
        subject_alternative_name = 'https://ci.example/{{.job}}'\nconstants = { owner = '66' }";
    let of = |owner: Value| principal(&rule(table), &json!({ "job": "a", "owner": owner }));
    assert!(of(json!("66")).is_ok() && of(json!(66)).is_ok());
    assert!(matches!(of(json!("67")), Err(PrincipalError::OtherConstant { .. })));
}

#[test]
fn a_rule_may_require_claims_of_every_type() {
    let ours = rule("preset = 'github-actions'\nclaims = { repository_owner_id = '66', private = 'true' }");
    let of = |owner: Value, private: Value| {
        let mut claims = github_claims();
        claims["repository_owner_id"] = owner;
        claims["private"] = private;
        principal(&ours, &claims)
    };
    assert!(of(json!("66"), json!("true")).is_ok());
    assert!(of(json!(66), json!(true)).is_ok());
    for (owner, private) in
        [(json!("67"), json!(true)), (json!("66"), json!(false)), (json!("066"), json!(true))]
    {
        let refused = of(owner, private);
        assert!(matches!(refused, Err(PrincipalError::OtherConstant { .. })), "{refused:?}");
    }
    for missing in [json!(null), json!(""), json!(["66"])] {
        assert!(of(missing, json!(true)).is_err());
    }
    let company = rule("preset = 'google'\nclaims = { hd = 'example.com' }");
    let of = |hd: Value| {
        principal(&company, &json!({ "email": "a@example.com", "email_verified": true, "hd": hd }))
    };
    assert!(of(json!("example.com")).is_ok());
    assert!(of(json!("example.org")).is_err() && of(json!(null)).is_err());
}

#[test]
fn a_name_is_what_go_would_print() {
    let mut claims = github_claims();
    claims["job_workflow_ref"] = json!("o/r/.github/workflows/a b.yml@refs/heads/ü");
    let found = principal(&github_rule(), &claims).unwrap();
    let name = "https://github.com/o/r/.github/workflows/a%20b.yml@refs/heads/%C3%BC";
    assert_eq!(found.san.as_text(), Some(name));
    let raw = "https://github.com/o/r/.github/workflows/a b.yml@refs/heads/ü";
    assert_eq!(found.extensions.get_by_name("build-signer-uri"), Some(raw));
    claims["job_workflow_ref"] = json!("o/r/x.yml@refs/heads/%zz");
    assert!(matches!(principal(&github_rule(), &claims), Err(PrincipalError::NotAUri { .. })));
}

#[test]
fn gitlab() {
    let rule = rule("issuer = 'https://gitlab.com'\ntype = 'ci-provider'\npreset = 'gitlab'");
    let mut claims = json!({
        "sub": "project_path:g/p:ref_type:branch:ref:main", "ci_config_sha": "dddd",
        "ci_config_ref_uri": "gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main",
        "runner_environment": "gitlab-hosted", "project_path": "g/p", "sha": "dddd", "ref_type": "branch",
        "ref": "main", "project_id": "7", "namespace_path": "g", "namespace_id": "8",
        "pipeline_source": "push", "job_id": "9", "project_visibility": "private",
    });
    let found = principal(&rule, &claims).unwrap();
    let name = "https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main";
    assert_eq!(found.san, San::Uri(name.into()));
    assert_eq!(found.extensions.get_by_name("source-repository-ref"), Some("refs/heads/main"));
    assert_eq!(found.extensions.get_by_name("run-invocation-uri"), Some("https://gitlab.com/g/p/-/jobs/9"));
    claims["ref_type"] = json!("tag");
    claims["ref"] = json!("v1");
    claims.as_object_mut().unwrap().remove("ci_config_sha");
    let found = principal(&rule, &claims).unwrap();
    assert_eq!(found.extensions.get_by_name("source-repository-ref"), Some("refs/tags/v1"));
    assert_eq!(found.extensions.get_by_name("build-config-digest"), None);
    for elsewhere in
        ["gitlab.com.evil.example/g/p@x", "evil.example/g/p@x", "github.com/octo/app", "gitlab.com/"]
    {
        claims["ci_config_ref_uri"] = json!(elsewhere);
        assert!(
            matches!(principal(&rule, &claims), Err(PrincipalError::OutsideDomain { .. })),
            "{elsewhere}"
        );
    }
}

#[test]
fn gitlab_of_ones_own() {
    let rule = rule(
        "issuer = 'https://git.corp.example'\ntype = 'ci-provider'\npreset = 'gitlab'\n\
         constants = { url = 'https://git.corp.example' }",
    );
    let claims = json!({
        "ci_config_ref_uri": "gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main", "runner_environment": "x",
        "project_path": "g/p", "sha": "d", "ref_type": "branch", "ref": "main", "project_id": 7,
        "namespace_path": "g", "namespace_id": 8, "pipeline_source": "push", "job_id": 9,
        "project_visibility": "private",
    });
    assert!(matches!(principal(&rule, &claims), Err(PrincipalError::OutsideDomain { .. })));
}

#[test]
fn buildkite() {
    let rule = rule("issuer = 'https://agent.buildkite.com'\ntype = 'ci-provider'\npreset = 'buildkite'");
    let claims = json!({"organization_slug": "acme", "pipeline_slug": "app", "build_number": 5,
        "job_id": "0184", "runner_environment": "self-hosted", "build_commit": "ee", "build_source": "ui"});
    let found = principal(&rule, &claims).unwrap();
    assert_eq!(found.san, San::Uri("https://buildkite.com/acme/app".into()));
    assert_eq!(
        found.extensions.get_by_name("run-invocation-uri"),
        Some("https://buildkite.com/acme/app/builds/5#0184")
    );
}

#[test]
fn circleci() {
    let rule = rule("preset = 'circleci'");
    let mut claims = json!({
        "iss": "https://oidc.circleci.com/org/0d1f", "sub": "org/0d1f/project/2b3c/user/4d5e",
        "oidc.circleci.com/project-id": "2b3c", "oidc.circleci.com/pipeline-id": "6f70",
        "oidc.circleci.com/pipeline-definition-id": "8192", "oidc.circleci.com/workflow-id": "a3b4",
        "oidc.circleci.com/job-id": "c5d6", "oidc.circleci.com/ssh-rerun": false,
        "oidc.circleci.com/vcs-ref": "refs/heads/main", "oidc.circleci.com/vcs-origin": "github.com/acme/app",
    });
    let found = principal(&rule, &claims).unwrap();
    let name = "https://circleci.com/api/v2/projects/2b3c/pipeline-definitions/8192";
    assert_eq!(
        (found.san, found.issuer),
        (San::Uri(name.into()), "https://oidc.circleci.com/org/0d1f".into())
    );
    let value = |name: &str| found.extensions.get_by_name(name);
    assert_eq!(value("build-signer-uri"), Some(name));
    assert_eq!(value("build-config-uri"), Some("https://circleci.com/api/v2/pipeline/6f70/config"));
    assert_eq!(value("run-invocation-uri"), Some("https://app.circleci.com//workflow/a3b4/job/c5d6"));
    assert_eq!(value("runner-environment"), Some("\"\""));
    assert_eq!(value("source-repository-uri"), Some("github.com/acme/app"));
    claims["oidc.circleci.com/ssh-rerun"] = json!(true);
    let found = principal(&rule, &claims).unwrap();
    assert_eq!(found.extensions.get_by_name("runner-environment"), Some("ssh-rerun"));
    claims["oidc.circleci.com/project-id"] = json!(true);
    assert!(principal(&rule, &claims).is_err(), "a yes or no is no name");
    claims["oidc.circleci.com/project-id"] = json!("2b3c");
    for claim in ["project-id", "pipeline-definition-id", "pipeline-id", "job-id", "ssh-rerun"] {
        let mut less = claims.clone();
        less.as_object_mut().unwrap().remove(&alloc::format!("oidc.circleci.com/{claim}"));
        assert!(principal(&rule, &less).is_err(), "{claim}");
    }
}

#[test]
fn codefresh() {
    let rule = rule("preset = 'codefresh'");
    let mut claims = json!({
        "sub": "account:628a:pipeline:64f0", "account_name": "acme", "account_id": "628a",
        "pipeline_name": "oidc/build", "pipeline_id": "64f0", "workflow_id": "64f4",
        "platform_url": "https://g.codefresh.io", "runner_environment": "hybrid",
        "scm_repo_url": "https://github.com/acme/app", "scm_ref": "main",
    });
    let found = principal(&rule, &claims).unwrap();
    let name = "https://g.codefresh.io/acme/oidc/build:628a/64f0";
    assert_eq!(found.san, San::Uri(name.into()));
    assert_eq!(
        found.extensions.get_by_name("build-config-uri"),
        Some("https://g.codefresh.io/api/pipelines/64f0")
    );
    for claim in ["scm_repo_url", "scm_ref", "runner_environment", "platform_url"] {
        claims.as_object_mut().unwrap().remove(claim);
    }
    let found = principal(&rule, &claims).unwrap();
    assert_eq!(found.san, San::Uri(name.into()));
    assert_eq!(found.extensions.get_by_name("source-repository-uri"), None);
    claims["platform_url"] = json!("https://codefresh.acme.example");
    assert!(matches!(principal(&rule, &claims), Err(PrincipalError::OtherConstant { .. })));
}

#[test]
fn buddy() {
    let rule = rule(
        "preset = 'buddy'\nissuer = 'https://eu-oidc.buddyusercontent.com'\n\
         constants = { base_url = 'https://app.eu.buddy.works' }",
    );
    let mut claims = json!({"workspace_domain": "acme", "project_name": "app", "pipeline_id": 12, "execution_id": 34,
        "triggered_on": "ON_PUSH", "runner_environment": "platform-hosted", "base_url": "https://app.eu.buddy.works"});
    let found = principal(&rule, &claims).unwrap();
    let name = "https://app.eu.buddy.works/acme/app/pipelines/pipeline/12";
    assert_eq!(found.san, San::Uri(name.into()));
    assert_eq!(
        found.extensions.get_by_name("run-invocation-uri"),
        Some("https://app.eu.buddy.works/acme/app/pipelines/pipeline/12/execution/34")
    );
    claims["base_url"] = json!("https://app.buddy.works");
    assert!(principal(&rule, &claims).is_err(), "a region has an issuer of its own");
}

#[test]
fn chainguard() {
    let rule = rule("preset = 'chainguard'");
    let with = |claims: Value| principal(&rule, &claims);
    let found = with(json!({"sub": "4c5f/0a1b2c"})).unwrap();
    assert_eq!(found.san, San::Uri("https://issuer.enforce.dev/4c5f/0a1b2c".into()));
    assert_eq!(found.challenge, "4c5f/0a1b2c");
    let found = with(json!({"sub": "4c5f", "email": "me@example.com", "email_verified": true})).unwrap();
    assert_eq!(
        (found.san, found.challenge.as_str()),
        (San::Uri("https://issuer.enforce.dev/4c5f".into()), "me@example.com")
    );
    assert!(with(json!({"sub": "4c5f", "email": "me@example.com"})).is_err());
    for elsewhere in ["../x", "a//b", "a/", "/a", "a/./b", "a?b", "a#b", "a b", "a%2fb", "ü", "@evil.example"]
    {
        assert!(
            matches!(with(json!({"sub": elsewhere})), Err(PrincipalError::NotAPath { .. })),
            "{elsewhere}"
        );
    }
}

#[test]
fn every_preset_is_a_rule_by_itself() {
    for preset in Preset::ALL {
        let rule = rule(&alloc::format!("preset = '{}'", preset.name()));
        assert_eq!(rule.issuer(), preset.issuer());
        let named = alloc::format!("preset = '{}'\nissuer = 'https://i.example/x'", preset.name());
        let named: IssuerRule = toml::from_str(&named).unwrap();
        assert_eq!(named.issuer(), "https://i.example/x");
    }
}

#[test]
fn a_rule_speaks_only_for_its_issuer() {
    let claims = verified(&email_rule(), &json!({"iss": "https://b.example", "email": "a@b.co"}));
    assert!(matches!(email_rule().principal(&claims), Err(PrincipalError::OtherIssuer { .. })));
}
