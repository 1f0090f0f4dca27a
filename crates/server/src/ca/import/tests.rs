//! Configurations as Fulcio's operators write them, and what comes of each.

use super::*;
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_identity::IssuerRules;
use sealog_pki::issue::{AuthorityProfile, self_signed_root};

/// What is printed is a configuration.
fn rules(imported: &Imported) -> IssuerRules {
    #[derive(Deserialize)]
    struct Config {
        ca: Ca,
    }
    #[derive(Deserialize)]
    struct Ca {
        issuers: IssuerRules,
    }
    toml::from_str::<Config>(&imported.tables)
        .unwrap_or_else(|e| panic!("{e}\n{}", imported.tables))
        .ca
        .issuers
}

fn imported(yaml: &str) -> Imported {
    import(yaml).unwrap()
}

/// The form of the public instance's file: anchors that are keys, and issuers that share templates.
const FORGE: &str = r#"
define:
  - &forge "forge-job"
oidc-issuers:
  https://git.example.com:
    issuer-url: https://git.example.com
    client-id: sigstore
    type: ci-provider
    ci-provider: *forge
    contact: ops@example.com
    description: "Our forge"
  https://git.example.org:
    issuer-url: https://git.example.org
    client-id: sigstore
    type: ci-provider
    ci-provider: *forge
ci-issuer-metadata:
  *forge:
    default-template-values:
      url: "https://git.example.com"
      region: "eu"
      environment: ""
    extension-templates:
      build-signer-uri: "https://{{ .config_uri }}"
      source-repository-uri: "{{ .url }}/{{ .project }}"
      deployment-environment: "environment"
      build-trigger: ""
    subject-alternative-name-template: "https://{{ .config_uri }}"
"#;

#[test]
fn a_host_in_a_claim_is_held_to_the_issuer() {
    let found = imported(FORGE);
    let rules = rules(&found);
    assert!(found.left_out.is_empty(), "{:?}", found.left_out);
    let rule = rules.find("https://git.example.org").unwrap();
    assert_eq!(rule.type_name(), "ci-provider");
    assert!(found.tables.contains("# Our forge\n# contact: ops@example.com\n"), "{}", found.tables);
    for prefix in ["https://git.example.com/", "https://git.example.org/"] {
        let line = format!("subject_alternative_name_prefix = \"{prefix}\"");
        assert!(found.tables.contains(&line), "{}", found.tables);
    }
    assert_eq!(found.tables.matches("\"url\" = \"https://git.example.org\"").count(), 1, "{}", found.tables);
    assert!(found.notes.iter().any(|note| note.contains("is another's address")), "{:?}", found.notes);
    assert!(
        found.notes.iter().any(|note| note.contains("region is eu for every token")),
        "{:?}",
        found.notes
    );
    assert!(!found.tables.contains("build-trigger"), "an empty template is none: {}", found.tables);
}

#[test]
fn a_preset_that_says_the_same_is_named() {
    let found = imported(
        r#"{"OIDCIssuers": {
            "https://accounts.google.com": {"IssuerURL": "https://accounts.google.com", "ClientID": "sigstore", "Type": "email"},
            "https://oauth2.sigstore.dev/auth": {"ClientID": "sigstore", "Type": "email",
                "IssuerClaim": "$.federated_claims.connector_id"},
            "https://token.actions.githubusercontent.com": {"ClientID": "mine", "Type": "github-workflow"},
            "https://accounts.example.com": {"ClientID": "sigstore", "Type": "email"},
            "https://gitlab.example.com": {"ClientID": "sigstore", "Type": "gitlab-pipeline"}},
        "MetaIssuers": {"https://oidc.eks.*.amazonaws.com/id/*": {"ClientID": "sigstore", "Type": "kubernetes"}}}"#,
    );
    assert_eq!(rules(&found).iter().count(), 6);
    let tables: Vec<&str> =
        found.tables.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(
        tables.join("\n"),
        r#"[[ca.issuers]]
issuer = "https://accounts.example.com"
type = "email"
[[ca.issuers]]
preset = "google"
[[ca.issuers]]
preset = "gitlab"
issuer = "https://gitlab.example.com"
constants = { url = "https://gitlab.example.com" }
[[ca.issuers]]
preset = "sigstore"
[[ca.issuers]]
preset = "github-actions"
audience = "mine"
[[ca.issuers]]
preset = "eks""#
    );
}

#[test]
fn a_preset_that_demands_a_claim_more_is_not_named() {
    let buildkite = |optional: &str| {
        imported(&format!(
            r#"
oidc-issuers:
  https://agent.buildkite.com:
    issuer-url: https://agent.buildkite.com
    client-id: sigstore
    type: ci-provider
    ci-provider: buildkite-job
ci-issuer-metadata:
  buildkite-job:
    default-template-values:
      url: "https://buildkite.com"
{optional}
    extension-templates:
      run-invocation-uri: "{{{{ .url }}}}/{{{{ .organization_slug }}}}/{{{{ .pipeline_slug }}}}/builds/{{{{ .build_number }}}}#{{{{ .job_id }}}}"
      runner-environment: "runner_environment"
      source-repository-digest: "build_commit"
      build-trigger: "build_source"
    subject-alternative-name-template: "{{{{ .url }}}}/{{{{ .organization_slug }}}}/{{{{ .pipeline_slug }}}}"
"#
        ))
    };
    assert!(buildkite("").tables.contains("preset = \"buildkite\""));
    let own = buildkite("      build_source: \"\"");
    assert!(own.tables.contains("optional = [\"build_source\"]"), "{}", own.tables);
    assert!(!own.tables.contains("preset = "));
    assert_eq!(rules(&own).iter().count(), 1);
}

#[test]
fn every_other_type_keeps_its_settings() {
    let found = imported(
        "oidc-issuers:\n  https://a.example.com: {type: uri, subject-domain: 'https://example.com', client-id: x}\n  \
         https://b.example.com: {type: username, subject-domain: example.com}\n  \
         https://c.example.com: {type: spiffe, spiffe-trust-domain: example.org}\n  \
         https://d.example.com: {type: email, skip-email-verification: true}\n  \
         https://e.example.com: {type: chainguard-identity}\n",
    );
    let rules = rules(&found);
    assert_eq!(rules.find("https://a.example.com").unwrap().subject_domain(), Some("https://example.com"));
    assert_eq!(rules.find("https://a.example.com").unwrap().audience(), Some("x"));
    assert_eq!(rules.find("https://b.example.com").unwrap().subject_domain(), Some("example.com"));
    assert_eq!(rules.find("https://c.example.com").unwrap().spiffe_trust_domain(), Some("example.org"));
    assert!(rules.find("https://d.example.com").unwrap().skips_email_verification());
    assert_eq!(rules.find("https://e.example.com").unwrap().type_name(), "chainguard-identity");
    assert!(found.notes.is_empty() && found.left_out.is_empty(), "{found:?}");
}

#[test]
fn an_authority_of_ones_own_is_carried() {
    let profile = AuthorityProfile {
        organization: "",
        common_name: "inner",
        serial: crate::authority::serial().unwrap(),
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
    };
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let pem = self_signed_root(&profile, &key).unwrap().to_pem();
    for (kind, table) in [("gitlab-pipeline", "preset = \"gitlab\""), ("email", "type = \"email\"")] {
        let block = pem.replace('\n', "\n      ");
        let found = imported(&format!(
            "oidc-issuers:\n  https://git.corp.example:\n    type: {kind}\n    ca-cert: |\n      {block}\n"
        ));
        let rule = rules(&found).find("https://git.corp.example").unwrap().clone();
        assert_eq!(rule.asking().ca_certificates, pem);
        assert!(found.tables.contains(table), "{}", found.tables);
    }
}

#[test]
fn what_cannot_be_carried_is_said() {
    let found = imported(
        "oidc-issuers:\n  https://a.example: {type: ci-provider, ci-provider: none}\n  \
         https://b.example: {type: carrier-pigeon}\n  \
         https://c.example: {type: email, issuer-url: 'https://other.example'}\n  \
         http://d.example: {type: email}\n  \
         https://e.example: {type: email, challenge-claim: sub, pigeon: grey}\n  \
         https://g.example: {type: email, ca-cert: a certificate}\n  \
         \"https://f.example\\n[[ca.issuers]]\": {type: email}\n\
         meta-issuers:\n  https://*.example.com/x: {type: ci-provider, ci-provider: open}\n\
         ci-issuer-metadata:\n  open: {subject-alternative-name-template: 'https://{{ .host }}/x', colour: red}\n\
         pigeons: 3\n",
    );
    assert_eq!(rules(&found).iter().map(IssuerRule::issuer).collect::<Vec<_>>(), ["https://e.example"]);
    let said =
        |all: &[String], text: &str| assert!(all.iter().any(|one| one.contains(text)), "{text}: {all:?}");
    for reason in [
        "https://a.example: there is no ci-issuer-metadata \"none\"",
        "unknown variant `carrier-pigeon`",
        "its issuer-url is another",
        "neither https nor on this machine",
        "is not a URL",
        "do not begin with a fixed scheme and host",
        "must be certificates in PEM",
    ] {
        said(&found.left_out, reason);
    }
    assert_eq!(found.left_out.len(), 7, "{:?}", found.left_out);
    for note in [
        "challenge-claim \"sub\" is not carried",
        "pigeon is not known",
        "pigeons: not known",
        "colour is not known",
    ] {
        said(&found.notes, note);
    }
}

#[test]
fn what_is_no_configuration_is_refused() {
    assert!(matches!(import("hello"), Err(ImportError::Shape(_))));
    assert!(matches!(import("{}"), Err(ImportError::Empty)));
    assert!(matches!(import("oidc-issuers: [1]"), Err(ImportError::Shape(_))));
    // A few lines that would become gigabytes.
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        let before = format!("*a{}, ", n - 1).repeat(9);
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    assert!(import(&(bomb + "oidc-issuers: {}\n")).is_err());
}

#[test]
fn an_issuer_of_both_lists_has_one_table() {
    let out = import(
        "oidc-issuers:\n  https://c.example: {client-id: sigstore, type: email}\n\
         meta-issuers:\n  https://c.example: {client-id: sigstore, type: kubernetes}\n",
    )
    .unwrap();
    assert_eq!(out.tables.matches("[[ca.issuers]]").count(), 1, "sealogd refuses two: {}", out.tables);
    assert!(out.tables.contains("\"email\""), "{}", out.tables);
    assert_eq!(out.left_out, ["https://c.example: it is among oidc-issuers already"]);
}

#[test]
fn no_preset_makes_one_pattern_into_many() {
    let aks = [
        "https://*.oic.prod-aks.azure.com/*/*",
        "https://*.oic.prod-aks.azure.com/*/*/",
        "https://oidc.prod-aks.azure.com/*",
    ];
    for count in 1..=aks.len() {
        let yaml: String = aks
            .iter()
            .rev()
            .take(count)
            .map(|url| format!("  {url}:\n    client-id: sigstore\n    type: kubernetes\n"))
            .collect();
        let found = imported(&format!("meta-issuers:\n{yaml}"));
        let rules = rules(&found);
        assert_eq!(rules.iter().count(), count, "{}", found.tables);
        assert!(rules.iter().all(|rule| aks.contains(&rule.issuer())), "{}", found.tables);
    }
}
