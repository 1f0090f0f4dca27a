//! Issuers whose tokens are known, as data: what an operator need not write.
//!
//! A preset names the issuer, its type, and for a build system the templates; the rule's own settings come first. A new one
//! is a new row and, for a build system, a new [`Build`]: never a new branch of code.

mod builds;

use serde::Deserialize;

/// A known issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// GitHub Actions.
    GithubActions,
    /// GitHub Actions of enterprises whose tokens name them in their issuer.
    GithubActionsEnterprise,
    /// GitLab pipelines.
    Gitlab,
    /// Buildkite jobs.
    Buildkite,
    /// `CircleCI` jobs.
    Circleci,
    /// Codefresh pipelines.
    Codefresh,
    /// Buddy pipelines.
    Buddy,
    /// Google accounts.
    Google,
    /// The sign-in of Sigstore's public instance, which stands before GitHub, Google and Microsoft.
    Sigstore,
    /// Hellō.
    Hello,
    /// Kaggle.
    Kaggle,
    /// Chainguard identities.
    Chainguard,
    /// Clusters of Amazon's Kubernetes service.
    Eks,
    /// Clusters of Google's.
    Gke,
    /// Clusters of Microsoft's.
    Aks,
}

/// One row.
pub(crate) struct Row {
    name: &'static str,
    /// The issuer, where the rule names no other.
    pub(crate) issuer: &'static str,
    /// The other issuers, or patterns of them, of the same provider.
    pub(crate) also: &'static [&'static str],
    pub(crate) kind: Kind,
}

/// What a preset says of a rule's type.
pub(crate) enum Kind {
    Email { issuer_claim: Option<&'static str> },
    Chainguard,
    Kubernetes,
    Build(&'static Build),
}

/// The same as an operator would write for a `ci-provider`.
pub(crate) struct Build {
    pub(crate) constants: &'static [(&'static str, &'static str)],
    pub(crate) optional: &'static [&'static str],
    pub(crate) subject_alternative_name: &'static str,
    pub(crate) extensions: &'static [(&'static str, &'static str)],
}

const EMAIL: Kind = Kind::Email { issuer_claim: None };

/// The forms that issuers of Azure's clusters had before the one of today: without region or cluster, without a slash at the
/// end. They are those of Fulcio's public instance.
const AKS: [&str; 4] = [
    "https://*.oic.prod-aks.azure.com/*/*",
    "https://oidc.prod-aks.azure.com/*",
    "https://oidc.prod-aks.azure.com/*/",
    "https://oidc.prod-aks.azure.com/*/*",
];

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 15] = [
        Self::GithubActions,
        Self::GithubActionsEnterprise,
        Self::Gitlab,
        Self::Buildkite,
        Self::Circleci,
        Self::Codefresh,
        Self::Buddy,
        Self::Google,
        Self::Sigstore,
        Self::Hello,
        Self::Kaggle,
        Self::Chainguard,
        Self::Eks,
        Self::Gke,
        Self::Aks,
    ];

    /// Its name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The issuer it is about, unless the rule names another.
    #[must_use]
    pub const fn issuer(self) -> &'static str {
        self.row().issuer
    }

    /// The other issuers, or patterns of them, that it is about where a rule names none.
    #[must_use]
    pub const fn also(self) -> &'static [&'static str] {
        self.row().also
    }

    pub(crate) const fn row(self) -> Row {
        let (name, issuer, kind) = match self {
            Self::GithubActions => (
                "github-actions",
                "https://token.actions.githubusercontent.com",
                Kind::Build(&builds::GITHUB_ACTIONS),
            ),
            Self::GithubActionsEnterprise => (
                "github-actions-enterprise",
                "https://token.actions.githubusercontent.com/*",
                Kind::Build(&builds::GITHUB_ACTIONS),
            ),
            Self::Gitlab => ("gitlab", "https://gitlab.com", Kind::Build(&builds::GITLAB)),
            Self::Buildkite => ("buildkite", "https://agent.buildkite.com", Kind::Build(&builds::BUILDKITE)),
            Self::Circleci => ("circleci", "https://oidc.circleci.com/org/*", Kind::Build(&builds::CIRCLECI)),
            Self::Codefresh => ("codefresh", "https://oidc.codefresh.io", Kind::Build(&builds::CODEFRESH)),
            Self::Buddy => ("buddy", "https://oidc.buddyusercontent.com", Kind::Build(&builds::BUDDY)),
            Self::Google => ("google", "https://accounts.google.com", EMAIL),
            Self::Sigstore => (
                "sigstore",
                "https://oauth2.sigstore.dev/auth",
                Kind::Email { issuer_claim: Some("$.federated_claims.connector_id") },
            ),
            Self::Hello => ("hello", "https://issuer.hello.coop", EMAIL),
            Self::Kaggle => ("kaggle", "https://www.kaggle.com/api/v1/models/signing", EMAIL),
            Self::Chainguard => ("chainguard", "https://issuer.enforce.dev", Kind::Chainguard),
            Self::Eks => ("eks", "https://oidc.eks.*.amazonaws.com/id/*", Kind::Kubernetes),
            Self::Gke => (
                "gke",
                "https://container.googleapis.com/v1/projects/*/locations/*/clusters/*",
                Kind::Kubernetes,
            ),
            Self::Aks => ("aks", "https://*.oic.prod-aks.azure.com/*/*/", Kind::Kubernetes),
        };
        let also: &[&str] = match self {
            Self::Aks => &AKS,
            Self::Circleci => &["https://oidc.circleci.com"],
            _ => &[],
        };
        Row { name, issuer, also, kind }
    }
}
