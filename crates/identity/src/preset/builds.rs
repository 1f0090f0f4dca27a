//! The known build systems, as data. The comments say what a reader of the templates could not know.
//!
//! Values are those of sigstore/fulcio `config/identity/config.yaml`, so that certificates say the same as the public
//! instance's, to the letter; the odd ones are theirs and are kept. The token formats: each system's own documentation.

use super::Build;

/// The signer is the reusable workflow that ran (`job_workflow_ref`), not the one that called it.
pub(super) static GITHUB_ACTIONS: Build = Build {
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
pub(super) static GITLAB: Build = Build {
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

pub(super) static BUILDKITE: Build = Build {
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

/// The names of its claims hold slashes, which `index` is for. A job that was not run again over SSH has two quotation
/// marks for a runner environment: so do the public instance's certificates.
pub(super) static CIRCLECI: Build = Build {
    constants: &[("api_url", "https://circleci.com/api/v2"), ("platform_url", "https://app.circleci.com/")],
    optional: &["oidc.circleci.com/vcs-ref", "oidc.circleci.com/vcs-origin"],
    subject_alternative_name: CIRCLECI_DEFINITION,
    extensions: &[
        ("build-config-uri", r#"{{.api_url}}/pipeline/{{index . "oidc.circleci.com/pipeline-id"}}/config"#),
        ("build-signer-uri", CIRCLECI_DEFINITION),
        (
            "run-invocation-uri",
            r#"{{.platform_url}}/workflow/{{index . "oidc.circleci.com/workflow-id"}}/job/{{index . "oidc.circleci.com/job-id"}}"#,
        ),
        (
            "runner-environment",
            r#"{{if eq (index . "oidc.circleci.com/ssh-rerun") "true"}}ssh-rerun{{else}}""{{end}}"#,
        ),
        ("source-repository-ref", r#"{{index . "oidc.circleci.com/vcs-ref"}}"#),
        ("source-repository-uri", r#"{{index . "oidc.circleci.com/vcs-origin"}}"#),
    ],
};

const CIRCLECI_DEFINITION: &str = r#"{{.api_url}}/projects/{{index . "oidc.circleci.com/project-id"}}/pipeline-definitions/{{index . "oidc.circleci.com/pipeline-definition-id"}}"#;

/// A pipeline that no push started has neither repository nor ref.
pub(super) static CODEFRESH: Build = Build {
    constants: &[("platform_url", "https://g.codefresh.io")],
    optional: &["scm_repo_url", "scm_ref", "runner_environment"],
    subject_alternative_name: "{{.platform_url}}/{{.account_name}}/{{.pipeline_name}}:{{.account_id}}/{{.pipeline_id}}",
    extensions: &[
        ("build-signer-uri", "{{.platform_url}}/build/{{.workflow_id}}"),
        ("runner-environment", "runner_environment"),
        ("source-repository-uri", "scm_repo_url"),
        ("source-repository-ref", "scm_ref"),
        ("build-config-uri", "{{.platform_url}}/api/pipelines/{{.pipeline_id}}"),
        ("run-invocation-uri", "{{.platform_url}}/build/{{.workflow_id}}"),
    ],
};

/// Each region has an issuer and a `base_url` of its own.
pub(super) static BUDDY: Build = Build {
    constants: &[("base_url", "https://app.buddy.works")],
    optional: &["revision", "ref"],
    subject_alternative_name: BUDDY_PIPELINE,
    extensions: &[
        ("build-signer-uri", BUDDY_PIPELINE),
        ("build-trigger", "triggered_on"),
        ("runner-environment", "runner_environment"),
        ("source-repository-uri", "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}"),
        ("source-repository-digest", "revision"),
        ("source-repository-ref", "ref"),
        ("source-repository-owner-uri", "{{.base_url}}/{{.workspace_domain}}"),
        (
            "run-invocation-uri",
            "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}/pipelines/pipeline/{{.pipeline_id}}/execution/{{.execution_id}}",
        ),
    ],
};

const BUDDY_PIPELINE: &str =
    "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}/pipelines/pipeline/{{.pipeline_id}}";
