//! Build systems whose claims are known, as data: what an operator need not write.
//!
//! Values are those of sigstore/fulcio `config/identity/config.yaml`, so that certificates say the same
//! as the public instance's. The token formats: GitHub's and GitLab's documentation on OpenID Connect in
//! pipelines, Buildkite's on agent tokens. A new one is a new [`Data`], never a new branch of code.

use serde::Deserialize;

/// A known build system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// GitHub Actions.
    GithubActions,
    /// GitLab pipelines.
    Gitlab,
    /// Buildkite jobs.
    Buildkite,
}

/// The same as an operator would write for a `ci-provider`.
pub(crate) struct Data {
    pub(crate) constants: &'static [(&'static str, &'static str)],
    pub(crate) optional: &'static [&'static str],
    pub(crate) subject_alternative_name: &'static str,
    pub(crate) extensions: &'static [(&'static str, &'static str)],
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::GithubActions, Self::Gitlab, Self::Buildkite];

    /// Its name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GithubActions => "github-actions",
            Self::Gitlab => "gitlab",
            Self::Buildkite => "buildkite",
        }
    }

    pub(crate) const fn data(self) -> &'static Data {
        match self {
            Self::GithubActions => &GITHUB_ACTIONS,
            Self::Gitlab => &GITLAB,
            Self::Buildkite => &BUILDKITE,
        }
    }
}

/// The signer is the reusable workflow that ran (`job_workflow_ref`), not the one that called it.
static GITHUB_ACTIONS: Data = Data {
    constants: &[("url", "https://github.com")],
    optional: &["environment"],
    subject_alternative_name: "{{ .url }}/{{ .job_workflow_ref }}",
    extensions: &[
        ("github-workflow-trigger", "event_name"),
        ("github-workflow-sha", "sha"),
        ("github-workflow-name", "workflow"),
        ("github-workflow-repository", "repository"),
        ("github-workflow-ref", "ref"),
        ("build-signer-uri", "{{ .url }}/{{ .job_workflow_ref }}"),
        ("build-signer-digest", "job_workflow_sha"),
        ("runner-environment", "runner_environment"),
        ("source-repository-uri", "{{ .url }}/{{ .repository }}"),
        ("source-repository-digest", "sha"),
        ("source-repository-ref", "ref"),
        ("source-repository-identifier", "repository_id"),
        ("source-repository-owner-uri", "{{ .url }}/{{ .repository_owner }}"),
        ("source-repository-owner-identifier", "repository_owner_id"),
        ("build-config-uri", "{{ .url }}/{{ .workflow_ref }}"),
        ("build-config-digest", "workflow_sha"),
        ("build-trigger", "event_name"),
        (
            "run-invocation-uri",
            "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
        ),
        ("source-repository-visibility-at-signing", "repository_visibility"),
        ("deployment-environment", "environment"),
    ],
};

/// `ci_config_ref_uri` carries the host; a rule holds it to the instance's URL. `ci_config_sha` is
/// there only when the configuration lies in the project itself.
static GITLAB: Data = Data {
    constants: &[("url", "https://gitlab.com")],
    optional: &["environment", "ci_config_sha"],
    subject_alternative_name: "https://{{ .ci_config_ref_uri }}",
    extensions: &[
        ("build-signer-uri", "https://{{ .ci_config_ref_uri }}"),
        ("build-signer-digest", "ci_config_sha"),
        ("runner-environment", "runner_environment"),
        ("source-repository-uri", "{{ .url }}/{{ .project_path }}"),
        ("source-repository-digest", "sha"),
        (
            "source-repository-ref",
            r#"refs/{{ if eq .ref_type "branch" }}heads/{{ else }}tags/{{ end }}{{ .ref }}"#,
        ),
        ("source-repository-identifier", "project_id"),
        ("source-repository-owner-uri", "{{ .url }}/{{ .namespace_path }}"),
        ("source-repository-owner-identifier", "namespace_id"),
        ("build-config-uri", "https://{{ .ci_config_ref_uri }}"),
        ("build-config-digest", "ci_config_sha"),
        ("build-trigger", "pipeline_source"),
        ("run-invocation-uri", "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}"),
        ("source-repository-visibility-at-signing", "project_visibility"),
        ("deployment-environment", "environment"),
    ],
};

static BUILDKITE: Data = Data {
    constants: &[("url", "https://buildkite.com")],
    optional: &[],
    subject_alternative_name: "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}",
    extensions: &[
        (
            "run-invocation-uri",
            "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}/builds/{{ .build_number }}#{{ .job_id }}",
        ),
        ("runner-environment", "runner_environment"),
        ("source-repository-digest", "build_commit"),
        ("build-trigger", "build_source"),
    ],
};
