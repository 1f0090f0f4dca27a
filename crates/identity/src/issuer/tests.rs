//! Rules as operators write them, and the mistakes that are found before any token comes.

use super::*;
use crate::preset::Preset;
use alloc::{format, string::ToString as _};

fn rule(toml: &str) -> Result<IssuerRule, String> {
    toml::from_str(toml).map_err(|e| e.message().to_string())
}

fn refused(toml: &str, reason: &str) {
    match rule(toml) {
        Ok(_) => panic!("accepted: {toml}"),
        Err(found) => assert!(found.contains(reason), "{toml}\nsaid: {found}\nnot:  {reason}"),
    }
}

#[test]
fn every_type_in_its_shortest_form() {
    for (toml, kind, challenge) in [
        ("issuer = 'https://a.example'\ntype = 'email'", "email", "email"),
        (
            "issuer = 'https://a.example.com'\ntype = 'uri'\nsubject_domain = 'https://example.com'",
            "uri",
            "sub",
        ),
        (
            "issuer = 'https://a.example.com'\ntype = 'username'\nsubject_domain = 'example.com'",
            "username",
            "sub",
        ),
        (
            "issuer = 'https://a.example'\ntype = 'spiffe'\nspiffe_trust_domain = 'example.org'",
            "spiffe",
            "sub",
        ),
        ("issuer = 'https://a.example'\ntype = 'kubernetes'", "kubernetes", "sub"),
        ("issuer = 'https://gitlab.com'\ntype = 'ci-provider'\npreset = 'gitlab'", "ci-provider", "sub"),
        (
            "issuer = 'https://ci.example'\ntype = 'ci-provider'\nsubject_alternative_name = 'https://ci.example/{{.job}}'",
            "ci-provider",
            "sub",
        ),
        ("issuer = 'http://localhost:5556'\ntype = 'email'", "email", "email"),
    ] {
        let rule = rule(toml).unwrap();
        assert_eq!((rule.type_name(), rule.challenge_claim()), (kind, challenge), "{toml}");
        assert!(rule.matches(rule.issuer()) && rule.audience().is_none());
    }
}

#[test]
fn issuers_are_urls_that_nobody_can_answer_for() {
    let email = |issuer: &str| format!("issuer = '{issuer}'\ntype = 'email'");
    refused(&email("accounts.example"), "not a URL");
    refused(&email("https://a.example?x"), "not a URL");
    refused(&email("https://a.example#x"), "not a URL");
    refused(&email("https://u@a.example"), "not a URL");
    refused(&email("http://a.example"), "neither https nor on this machine");
    refused(&email("http://127.0.0.1.example"), "neither https nor on this machine");
}

#[test]
fn unknown_and_foreign_settings_are_refused() {
    refused("issuer = 'https://a.example'\ntype = 'email'\nclient_id = 'x'", "unknown field `client_id`");
    refused("issuer = 'https://a.example'\ntype = 'mail'", "unknown variant `mail`");
    refused("issuer = 'https://a.example'", "needs \"type\", or a preset (https://a.example)");
    refused("type = 'email'", "needs \"issuer\", or a preset");
    refused(
        "preset = 'gitlab'\ntype = 'email'",
        "\"type\" of the issuer \"\" must be the preset's, or left out",
    );
    refused("preset = 'githup'", "unknown variant `githup`");
    let foreign = "has no setting";
    refused("issuer = 'https://a.example'\ntype = 'kubernetes'\nsubject_domain = 'a.example'", foreign);
    refused("issuer = 'https://a.example'\ntype = 'uri'\nskip_email_verification = true", foreign);
    refused("issuer = 'https://a.example'\ntype = 'spiffe'\nissuer_claim = '$.a'", foreign);
    refused("preset = 'google'\nconstants = { url = 'x' }", foreign);
    refused("preset = 'google'\nclaims = { hd = '' }", "a value for each");
    let preset = "issuer = 'https://gitlab.com'\ntype = 'ci-provider'\npreset = 'gitlab'\n";
    refused(&format!("{preset}optional = ['a']"), foreign);
    refused(&format!("{preset}[extensions]\nbuild-trigger = 'a'"), foreign);
    refused(&format!("{preset}[constants]\nhost = 'a'"), "must be one of the preset's");
}

#[test]
fn domains_belong_to_their_issuer() {
    let uri =
        |domain: &str| format!("issuer = 'https://a.example.com'\ntype = 'uri'\nsubject_domain = '{domain}'");
    assert!(rule(&uri("https://b.example.com")).is_ok());
    for bad in ["https://example.org", "http://a.example.com", "a.example.com", "https://example.com/x"] {
        refused(&uri(bad), "must be a scheme and host like the issuer's");
    }
    let username = |domain: &str| {
        format!("issuer = 'https://a.example.com'\ntype = 'username'\nsubject_domain = '{domain}'")
    };
    assert!(rule(&username("users.example.com")).is_ok());
    for bad in ["https://example.com", "example.org", "com", "example.com/x", "a!example.com"] {
        refused(&username(bad), "must be a bare host name");
    }
    refused("issuer = 'https://a.example'\ntype = 'uri'", "needs \"subject_domain\"");
    refused("issuer = 'https://a.example'\ntype = 'spiffe'", "needs \"spiffe_trust_domain\"");
    refused(
        "issuer = 'https://a.example'\ntype = 'spiffe'\nspiffe_trust_domain = 'a/b'",
        "must be a SPIFFE trust domain",
    );
}

#[test]
fn wildcards_stay_within_a_domain_and_a_type() {
    let k8s = |issuer: &str| rule(&format!("issuer = '{issuer}'\ntype = 'kubernetes'"));
    let eks = k8s("https://oidc.eks.*.amazonaws.com/id/*").unwrap();
    assert!(eks.is_wildcard());
    assert!(eks.matches("https://oidc.eks.eu-west-1.amazonaws.com/id/B02C93B6A2D30341AD01E1B6D48164CB"));
    for other in [
        "https://oidc.eks.eu-west-1.amazonaws.com/id/",
        "https://oidc.eks.eu-west-1.amazonaws.com/id/a/b",
        "https://oidc.eks.eu.west.amazonaws.com/id/a",
        "https://oidc.eks.x.amazonaws.com/id/a?https://oidc.eks.x.amazonaws.com/id/a",
        "https://evil.example/https://oidc.eks.x.amazonaws.com/id/a",
        "https://oidc.eks.x.amazonaws.com/id/a\n",
    ] {
        assert!(!eks.matches(other), "{other}");
    }
    let long = k8s("https://a.example/*-*-*").unwrap();
    assert!(long.matches("https://a.example/a-b-c-d-e"));
    assert!(!long.matches(&format!("https://a.example/{}", "-".repeat(60_000))));
    for open in ["https://*/x", "https://*.com", "https://a.*", "https://*.example.*"] {
        refused(&format!("issuer = '{open}'\ntype = 'kubernetes'"), "cannot have a wildcard");
    }
    refused("issuer = 'https://a.example/*'\ntype = 'email'", "cannot have a wildcard");
    refused(
        "issuer = 'https://a.example/*'\ntype = 'spiffe'\nspiffe_trust_domain = 'a'",
        "cannot have a wildcard",
    );
}

#[test]
fn the_named_issuer_comes_before_a_pattern() {
    #[derive(Debug, Deserialize)]
    struct Config {
        issuers: IssuerRules,
    }
    let toml = "[[issuers]]\nissuer = 'https://a.example/*'\ntype = 'kubernetes'\n\
                [[issuers]]\nissuer = 'https://a.example/x'\ntype = 'email'\n";
    let rules = toml::from_str::<Config>(toml).unwrap().issuers;
    assert_eq!(rules.find("https://a.example/x").map(IssuerRule::type_name), Some("email"));
    assert_eq!(rules.find("https://a.example/y").map(IssuerRule::type_name), Some("kubernetes"));
    assert_eq!(rules.find("https://a.example/*"), None, "a pattern is nobody's name");
    assert_eq!(rules.find("https://a.example/"), None);
    for other in
        ["https://A.example/x", "HTTPS://a.example/x", "https://a.example/x/", "https://a.example/x#"]
    {
        assert_ne!(rules.find(other).map(IssuerRule::type_name), Some("email"), "{other}");
    }
    assert_eq!(rules.find("https://A.example/y"), None);
    let twice = toml.replace("/x", "/*").replace("'email'", "'kubernetes'");
    let error = toml::from_str::<Config>(&twice).unwrap_err();
    assert!(error.message().contains("has two rules"), "{error}");
}

#[test]
fn templates_are_checked_when_they_are_read() {
    let ci = |name: &str, more: &str| {
        format!(
            "issuer = 'https://ci.example'\ntype = 'ci-provider'\nsubject_alternative_name = '{name}'\n{more}"
        )
    };
    let good = "https://ci.example/{{.job}}";
    refused("issuer = 'https://ci.example'\ntype = 'ci-provider'", "needs \"subject_alternative_name\"");
    refused(&ci("https://ci.example/{{.job", ""), "is opened with {{ and not closed");
    refused(&ci(good, "[extensions]\nbuild-triger = 'a'"), "cannot set the certificate extension");
    for fixed in ["issuer", "issuer-v2", "token-subject"] {
        refused(&ci(good, &format!("[extensions]\n{fixed} = 'a'")), "cannot set the certificate extension");
    }
    let both = "[extensions]\nbuild-trigger = 'a'\nBuildTrigger = 'b'";
    refused(&ci(good, both), "cannot set the certificate extension");
    refused(&ci(good, "[constants]\na = ''"), "list it as optional instead");
    refused(&ci(good, "optional = ['a']\n[constants]\na = 'b'"), "claims that are no constants");
}

#[test]
fn no_token_chooses_the_host() {
    let ci = |name: &str, more: &str| {
        rule(&format!(
            "issuer = 'https://ci.example'\ntype = 'ci-provider'\nsubject_alternative_name = '{name}'\n{more}"
        ))
    };
    for open in
        ["job", "{{.url}}/{{.job}}", "https://{{.host}}/x", "https://ci.example{{.job}}", "ci.example/x"]
    {
        let error = ci(open, "").unwrap_err();
        assert!(error.contains("do not begin with a fixed scheme and host"), "{open}: {error}");
    }
    assert!(ci("{{.url}}/{{.job}}", "[constants]\nurl = 'https://ci.example'").is_ok());
    assert!(ci("https://{{.host}}/x", "subject_alternative_name_prefix = 'https://ci.example/'").is_ok());
    assert!(ci("https://{{.host}}/x", "subject_alternative_name_prefix = 'https://ci.example'").is_err());
    let idle = ci("https://ci.example/{{.x}}", "subject_alternative_name_prefix = 'https://ci.example'");
    assert!(idle.is_err(), "it would be passed over for the template's own");
}

#[test]
fn how_an_issuer_is_asked() {
    let asked = |more: &str| rule(&format!("issuer = 'https://a.example'\ntype = 'email'\n{more}"));
    let plain = asked("").unwrap();
    assert_eq!(plain.asking(), &Asking::default());
    assert!(asked("private_addresses = true").unwrap().asking().private_addresses);
    assert!(asked("ca_certificates = 'a certificate'").unwrap_err().contains("certificates in PEM"));
    let file = "bearer_token_file = '/run/token'";
    assert_eq!(asked(file).unwrap().asking().bearer_token_file.as_deref(), Some("/run/token"));
    refused(&format!("issuer = 'http://localhost:1'\ntype = 'kubernetes'\n{file}"), "for an https issuer");
}

#[derive(Debug, Deserialize)]
struct Listed {
    issuers: IssuerRules,
}

fn listed(toml: &str) -> IssuerRules {
    toml::from_str::<Listed>(toml).unwrap().issuers
}

/// What sigstore/fulcio v1.8.8 `config/identity/config.yaml` believes, and by which preset we do. A rule without one is an
/// organization's own sign-in, or its own instance of a build system.
const PUBLIC_INSTANCE: [(&str, Option<&str>, &str); 25] = [
    ("https://accounts.google.com", Some("google"), "email"),
    ("https://agent.buildkite.com", Some("buildkite"), "ci-provider"),
    ("https://auth.eclipse.org/auth/realms/foundation-service-accounts", None, "email"),
    ("https://dev.gitlab.org", None, "ci-provider"),
    ("https://gitlab.archlinux.org", None, "ci-provider"),
    ("https://gitlab.com", Some("gitlab"), "ci-provider"),
    ("https://issuer.enforce.dev", Some("chainguard"), "chainguard-identity"),
    ("https://issuer.chainops.dev", None, "chainguard-identity"),
    ("https://issuer.hello.coop", Some("hello"), "email"),
    ("https://www.kaggle.com/api/v1/models/signing", Some("kaggle"), "email"),
    ("https://oauth2.sigstore.dev/auth", Some("sigstore"), "email"),
    ("https://oidc.circleci.com", Some("circleci"), "ci-provider"),
    ("https://oidc.codefresh.io", Some("codefresh"), "ci-provider"),
    ("https://ops.gitlab.net", None, "ci-provider"),
    ("https://token.actions.githubusercontent.com", Some("github-actions"), "ci-provider"),
    ("https://sigstore.verify.ibm.com/oauth2", None, "email"),
    ("https://*.oic.prod-aks.azure.com/*/*", Some("aks"), "kubernetes"),
    ("https://*.oic.prod-aks.azure.com/*/*/", Some("aks"), "kubernetes"),
    ("https://container.googleapis.com/v1/projects/*/locations/*/clusters/*", Some("gke"), "kubernetes"),
    ("https://oidc.circleci.com/org/*", Some("circleci"), "ci-provider"),
    ("https://oidc.eks.*.amazonaws.com/id/*", Some("eks"), "kubernetes"),
    ("https://oidc.prod-aks.azure.com/*", Some("aks"), "kubernetes"),
    ("https://oidc.prod-aks.azure.com/*/", Some("aks"), "kubernetes"),
    ("https://oidc.prod-aks.azure.com/*/*", Some("aks"), "kubernetes"),
    ("https://token.actions.githubusercontent.com/*", Some("github-actions-enterprise"), "ci-provider"),
];

#[test]
fn presets_are_about_every_provider_that_the_public_instance_believes() {
    let with_one = PUBLIC_INSTANCE.iter().filter_map(|row| row.1);
    for preset in Preset::ALL {
        let rules = listed(&format!("[[issuers]]\npreset = '{}'", preset.name()));
        let found: BTreeSet<(&str, &str)> =
            rules.iter().map(|rule| (rule.issuer(), rule.type_name())).collect();
        let of_preset = PUBLIC_INSTANCE.iter().filter(|row| row.1 == Some(preset.name()));
        let expected: BTreeSet<(&str, &str)> = of_preset.map(|row| (row.0, row.2)).collect();
        // Buddy came after that version.
        assert!(found == expected || preset == Preset::Buddy, "{}: {found:?}", preset.name());
        // And each is a rule that an operator could write.
        for rule in rules.iter() {
            let alone = format!("preset = '{}'\nissuer = '{}'", preset.name(), rule.issuer());
            let alone: IssuerRule = toml::from_str(&alone).unwrap();
            assert_eq!(alone.issuer(), rule.issuer());
            assert!(alone.makes_the_same_as(rule));
        }
    }
    assert_eq!(with_one.collect::<BTreeSet<_>>().len(), Preset::ALL.len() - 1);
}

#[test]
fn clusters_of_azure_are_believed_in_every_form_of_their_issuers() {
    let rules = listed("[[issuers]]\npreset = 'aks'\naudience = 'mine'");
    let (tenant, cluster) = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002");
    for issuer in [
        format!("https://westeurope.oic.prod-aks.azure.com/{tenant}/{cluster}/"),
        format!("https://westeurope.oic.prod-aks.azure.com/{tenant}/{cluster}"),
        format!("https://oidc.prod-aks.azure.com/{tenant}"),
        format!("https://oidc.prod-aks.azure.com/{tenant}/"),
        format!("https://oidc.prod-aks.azure.com/{tenant}/{cluster}"),
    ] {
        let rule = rules.find(&issuer).unwrap_or_else(|| panic!("{issuer}"));
        assert_eq!((rule.type_name(), rule.audience()), ("kubernetes", Some("mine")), "{issuer}");
    }
    assert_eq!(rules.find("https://westeurope.oic.prod-aks.azure.example/a/b/"), None);
}

#[test]
fn what_is_said_of_one_issuer_goes_before_what_a_preset_says_of_many() {
    let own =
        "[[issuers]]\nissuer = 'https://oidc.prod-aks.azure.com/*'\ntype = 'kubernetes'\naudience = 'own'\n";
    let preset = "[[issuers]]\npreset = 'aks'\n";
    for toml in [format!("{own}{preset}"), format!("{preset}{own}")] {
        let rules = listed(&toml);
        assert_eq!(rules.iter().count(), 5);
        let audience = |issuer: &str| rules.find(issuer).unwrap().audience();
        assert_eq!(audience("https://oidc.prod-aks.azure.com/a"), Some("own"));
        assert_eq!(audience("https://oidc.prod-aks.azure.com/a/"), None);
    }
    // One that names its issuer is about that one.
    let rules = listed("[[issuers]]\npreset = 'aks'\nissuer = 'https://a.example/x'");
    assert_eq!(rules.iter().count(), 1);
    let twice = toml::from_str::<Listed>(&format!("{preset}{preset}")).unwrap_err();
    assert!(twice.message().contains("has two rules"), "{twice}");
}
