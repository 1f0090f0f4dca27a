"""Claims of every provider in fulcio's production file: as its documentation shows them, and as it never should.

`sets(providers)` gives (case, issuer, claims). A case begins with what was done to the claims, so that one row of the table
of differences can speak of all that were treated alike. Claims in text are JSON as it stands.
"""

import json

GITHUB, GITLAB, BUILDKITE = "https://token.actions.githubusercontent.com", "https://gitlab.com", "https://agent.buildkite.com"
CIRCLECI = "https://oidc.circleci.com/org/a1b2c3d4-0000-4000-8000-0123456789ab"
CODEFRESH, CHAINGUARD, GOOGLE = "https://oidc.codefresh.io", "https://issuer.enforce.dev", "https://accounts.google.com"
BUDDY = "https://oidc.buddyusercontent.com"
DEX = "https://oauth2.sigstore.dev/auth"
EKS = "https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
GKE = "https://container.googleapis.com/v1/projects/my-project/locations/us-central1/clusters/prod_1"
SHA = ["1f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f7081920%x" % n for n in range(8)]
LONG = 4097


def github():
    return {
        "jti": "b5b0d9a1-0000-4000-8000-000000000001",
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "ref": "refs/heads/main",
        "sha": SHA[0],
        "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org",
        "actor_id": "12",
        "repository_visibility": "public",
        "repository_id": "74",
        "repository_owner_id": "65",
        "run_id": "9876543210",
        "run_number": "10",
        "run_attempt": "2",
        "runner_environment": "github-hosted",
        "actor": "octocat",
        "workflow": "Release",
        "head_ref": "",
        "base_ref": "",
        "event_name": "push",
        "ref_protected": "true",
        "ref_type": "branch",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
        "workflow_sha": SHA[1],
        "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
        "job_workflow_sha": SHA[2],
    }


def gitlab(providers):
    host = providers.host(GITLAB)
    return {
        "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
        "sub": "project_path:my-group/my-project:ref_type:branch:ref:feature-branch-1",
        "namespace_id": "72",
        "namespace_path": "my-group",
        "project_id": "20",
        "project_path": "my-group/my-project",
        "user_id": "1",
        "user_login": "sample-user",
        "user_email": "sample-user@example.com",
        "user_access_level": "developer",
        "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "feature-branch-1",
        "ref_type": "branch",
        "ref_path": "refs/heads/feature-branch-1",
        "ref_protected": "false",
        "groups_direct": ["mygroup/mysubgroup", "myothergroup/myothersubgroup"],
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": SHA[3],
        "project_visibility": "public",
        "ci_config_ref_uri": f"{host}/my-group/my-project//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": SHA[4],
    }


def buildkite():
    return {
        "sub": "organization:acme-inc:pipeline:super-duper-app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:build",
        "organization_slug": "acme-inc",
        "organization_id": "0184990a-477b-4fa8-9968-496074483k77",
        "pipeline_slug": "super-duper-app",
        "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "build_number": 1,
        "build_branch": "main",
        "build_tag": "v1.0.0",
        "build_commit": "9f3182061f1e2cca4702c368cbc039b7dc9d4485",
        "build_source": "webhook",
        "step_key": "build",
        "job_id": "0184990a-477b-4fa8-9968-496074483cee",
        "agent_id": "0184990a-4782-42b5-afc1-16715b10b8ee",
        "runner_environment": "self-hosted",
    }


def circleci():
    at = "oidc.circleci.com/"
    return {
        "sub": "org/a1b2c3d4-0000-4000-8000-0123456789ab/project/b2c3/user/c3d4/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/main",
        at + "project-id": "b2c3d4e5-0000-4000-8000-0123456789ab",
        at + "context-ids": ["c3d4e5f6-0000-4000-8000-0123456789ab"],
        at + "vcs-origin": "github.com/acme/app",
        at + "vcs-ref": "refs/heads/main",
        at + "ssh-rerun": False,
        at + "job-id": "d4e5f6a7-0000-4000-8000-0123456789ab",
        at + "workflow-id": "e5f6a7b8-0000-4000-8000-0123456789ab",
        at + "pipeline-id": "f6a7b8c9-0000-4000-8000-0123456789ab",
        at + "pipeline-definition-id": "a7b8c9d0-0000-4000-8000-0123456789ab",
    }


def codefresh():
    return {
        "sub": "account:628a80b693a15c0f9c13ab75:pipeline:65e6d5551e47e5bc243ca93f:scm_repo_url:https://github.com/codefresh-user/oidc-test:scm_user_name:codefresh-user:scm_ref:main",
        "account_id": "628a80b693a15c0f9c13ab75",
        "account_name": "codefresh-account",
        "pipeline_id": "65e6d5551e47e5bc243ca93f",
        "pipeline_name": "oidc-test/oidc-test",
        "workflow_id": "65e6ebe0bfbfa1782876165e",
        "initiator": "codefresh-user",
        "scm_user_name": "codefresh-user",
        "scm_repo_url": "https://github.com/codefresh-user/oidc-test",
        "scm_ref": "main",
        "runner_environment": "hybrid",
        "platform_url": "https://g.codefresh.io",
    }


def buddy():
    return {
        "sub": "workspace:1:project:2:pipeline:3",
        "workspace_id": "1",
        "workspace_domain": "acme",
        "project_id": "2",
        "project_name": "my-app",
        "pipeline_id": "3",
        "execution_id": "65e6ebe0bfbfa1782876165e",
        "triggered_on": "EVENT",
        "runner_environment": "platform-hosted",
        "revision": SHA[5],
        "ref": "refs/heads/main",
        "base_url": "https://app.buddy.works",
    }


def kubernetes():
    return {
        "sub": "system:serviceaccount:prod:builder",
        "kubernetes.io": {
            "namespace": "prod",
            "node": {"name": "127.0.0.1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced"},
            "pod": {"name": "builder-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33"},
            "serviceaccount": {"name": "builder", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af"},
            "warnafter": 1700081020,
        },
    }


def email(address="ada@example.com", **more):
    return {"sub": "110169484474386276334", "email": address, "email_verified": True, **more}


def without(claims, name):
    return {key: value for key, value in claims.items() if key != name}


def builds(providers):
    """Provider: its issuer, its claims, those a certificate needs, those it may lack."""
    at = "oidc.circleci.com/"
    return {
        "github": (
            GITHUB,
            github(),
            "event_name sha workflow repository ref job_workflow_ref job_workflow_sha runner_environment repository_id "
            "repository_owner repository_owner_id workflow_ref workflow_sha run_id run_attempt repository_visibility",
            "environment",
        ),
        "gitlab": (
            GITLAB,
            gitlab(providers),
            "ci_config_ref_uri runner_environment project_path sha ref_type ref project_id namespace_path namespace_id "
            "pipeline_source job_id project_visibility",
            "environment",
        ),
        "buildkite": (
            BUILDKITE,
            buildkite(),
            "organization_slug pipeline_slug build_number job_id runner_environment build_commit build_source",
            "",
        ),
        "circleci": (
            CIRCLECI,
            circleci(),
            " ".join(at + name for name in ("project-id", "pipeline-definition-id", "pipeline-id", "workflow-id", "job-id", "ssh-rerun")),
            "",
        ),
        "codefresh": (
            CODEFRESH,
            codefresh(),
            "account_id account_name pipeline_id pipeline_name workflow_id",
            "scm_repo_url scm_ref runner_environment",
        ),
        "buddy": (
            BUDDY,
            buddy(),
            "workspace_domain project_name pipeline_id execution_id triggered_on runner_environment",
            "revision ref",
        ),
    }


def documented(providers):
    """What each provider's documentation shows, in the variants it speaks of."""
    plain = github()
    tag = {"ref": "refs/tags/v1.2.3", "ref_type": "tag", "sub": "repo:octo-org/octo-repo:ref:refs/tags/v1.2.3"}
    yield "github push", GITHUB, plain
    yield "github tag", GITHUB, {**plain, **tag}
    yield "github release event", GITHUB, {**plain, **tag, "event_name": "release"}
    pull = {"event_name": "pull_request", "ref": "refs/pull/7/merge", "head_ref": "feature/a", "base_ref": "main", "sub": "repo:octo-org/octo-repo:pull_request"}
    yield "github pull request", GITHUB, {**plain, **pull}
    yield "github schedule", GITHUB, {**plain, "event_name": "schedule"}
    yield "github dispatched by hand", GITHUB, {**plain, "event_name": "workflow_dispatch"}
    yield "github merge queue", GITHUB, {**plain, "event_name": "merge_group", "ref": "refs/heads/gh-readonly-queue/main/pr-7-1f0a"}
    yield "github environment", GITHUB, {**plain, "environment": "production", "environment_node_id": "EN_kwDO", "sub": "repo:octo-org/octo-repo:environment:production"}
    yield "github private on its own runner", GITHUB, {**plain, "repository_visibility": "private", "runner_environment": "self-hosted"}
    yield "github internal of an enterprise", GITHUB, {**plain, "repository_visibility": "internal", "enterprise": "octo-corp", "enterprise_id": "3"}
    yield "github custom subject", GITHUB, {**plain, "sub": "repository_owner:octo-org:job_workflow_ref:octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"}
    yield "github issuer of an enterprise", GITHUB + "/octo-corp", {**plain, "enterprise": "octo-corp"}
    yield "github numbers for ids", GITHUB, {**plain, "run_id": 9876543210, "repository_id": 74, "repository_owner_id": 65, "run_attempt": 2}
    plain = gitlab(providers)
    yield "gitlab branch", GITLAB, plain
    yield "gitlab tag", GITLAB, {**plain, "ref": "v1.2.3", "ref_type": "tag", "ref_path": "refs/tags/v1.2.3"}
    yield "gitlab merge request", GITLAB, {**plain, "pipeline_source": "merge_request_event", "ref_path": "refs/merge-requests/1/head"}
    yield "gitlab schedule on its own runner", GITLAB, {**plain, "pipeline_source": "schedule", "runner_environment": "gitlab-hosted"}
    yield "gitlab environment", GITLAB, {**plain, "environment": "test-environment2", "environment_protected": "false", "deployment_tier": "testing", "environment_action": "start"}
    yield "gitlab nested groups", GITLAB, {**plain, "namespace_path": "a/b/c", "project_path": "a/b/c/my-project", "project_visibility": "internal"}
    yield "gitlab of another instance", "https://gitlab.archlinux.org", {**plain, "ci_config_ref_uri": f"{providers.host('https://gitlab.archlinux.org')}/a/b//.gitlab-ci.yml@refs/heads/main"}
    yield "gitlab configuration elsewhere", GITLAB, {**plain, "ci_config_sha": None}
    yield "gitlab names another host", GITLAB, {**plain, "ci_config_ref_uri": "gitlab.example.org/a/b//.gitlab-ci.yml@refs/heads/main"}
    plain = buildkite()
    yield "buildkite job", BUILDKITE, plain
    yield "buildkite hosted by a trigger", BUILDKITE, {**plain, "build_source": "trigger_job", "runner_environment": "buildkite-hosted"}
    yield "buildkite without a tag or step", BUILDKITE, without(without(plain, "build_tag"), "step_key")
    yield "buildkite commit by name", BUILDKITE, {**plain, "build_commit": "HEAD"}
    plain = circleci()
    yield "circleci job", CIRCLECI, plain
    yield "circleci job of the first issuer", "https://oidc.circleci.com", plain
    yield "circleci rerun over SSH", CIRCLECI, {**plain, "oidc.circleci.com/ssh-rerun": True}
    yield "circleci rerun in words", CIRCLECI, {**plain, "oidc.circleci.com/ssh-rerun": "true"}
    yield "circleci tag", CIRCLECI, {**plain, "oidc.circleci.com/vcs-ref": "refs/tags/v1"}
    yield "circleci job without sources", CIRCLECI, without(without(plain, "oidc.circleci.com/vcs-ref"), "oidc.circleci.com/vcs-origin")
    plain = codefresh()
    yield "codefresh push", CODEFRESH, plain
    by_hand = {key: value for key, value in plain.items() if not key.startswith("scm_")}
    yield "codefresh by hand", CODEFRESH, by_hand
    yield "codefresh without a platform", CODEFRESH, without(plain, "platform_url")
    yield "codefresh pull request", CODEFRESH, {**plain, "scm_pull_request_target_branch": "main", "scm_ref": "feature/x"}
    yield "codefresh of another platform", CODEFRESH, {**plain, "platform_url": "https://cf.example.com"}
    plain = buddy()
    yield "buddy execution", BUDDY, plain
    yield "buddy by hand", BUDDY, without(without(plain, "revision"), "ref")
    yield "buddy numbers for ids", BUDDY, {**plain, "pipeline_id": 3, "workspace_id": 1}
    yield "buddy of another region", BUDDY, {**plain, "base_url": "https://eu.buddy.works"}


def broken(providers):
    """Each claim a certificate is made of: missing, null, empty, of another type."""
    for provider, (issuer, claims, needed, spare) in builds(providers).items():
        for name in needed.split():
            yield f"missing claim: {provider} {name}", issuer, without(claims, name)
            yield f"null claim: {provider} {name}", issuer, {**claims, name: None}
            yield f"empty claim: {provider} {name}", issuer, {**claims, name: ""}
        for name in spare.split():
            yield f"missing spare claim: {provider} {name}", issuer, without(claims, name)
            yield f"null spare claim: {provider} {name}", issuer, {**claims, name: None}
            yield f"empty spare claim: {provider} {name}", issuer, {**claims, name: ""}
            yield f"nested spare claim: {provider} {name}", issuer, {**claims, name: {"a": "b"}}
        for name in needed.split()[:3]:
            for kind, value in (("object", {"a": "b"}), ("list", ["a", "b"]), ("empty object", {}), ("empty list", [])):
                yield f"nested claim: {provider} {name}, {kind}", issuer, {**claims, name: value}
    for provider, name in (("github", "run_id"), ("gitlab", "job_id"), ("buildkite", "build_number")):
        issuer, claims, _, _ = builds(providers)[provider]
        for value in ("7", "0", "-5", "9007199254740991"):
            yield f"whole number: {provider} {name}, {value}", issuer, raw(claims, name, value)
        for value in ("9007199254740993", "123456789012345678", "18446744073709551615", "1e21"):
            yield f"large number: {provider} {name}, {value}", issuer, raw(claims, name, value)
        for value in ("1.5", "7.0", "1e3", "-0.0"):
            yield f"fraction: {provider} {name}, {value}", issuer, raw(claims, name, value)
        yield f"yes or no: {provider} {name}", issuer, {**claims, name: True}
    yield "ci_config_sha missing", GITLAB, without(gitlab(providers), "ci_config_sha")
    yield "ci_config_sha empty", GITLAB, {**gitlab(providers), "ci_config_sha": ""}
    yield "nested deeply: a claim that nothing uses", GITHUB, {**github(), "more": json.loads('{"a":' * 20 + "1" + "}" * 20)}
    yield "nested deeply: lists", GITHUB, {**github(), "more": json.loads("[" * 60 + "]" * 60)}


def raw(claims, name, value):
    """The claims in JSON, one of them as it is written here."""
    return json.dumps({**claims, name: "\0"}, ensure_ascii=False).replace('"\\u0000"', value)


def hostile(providers):
    """Text that means something to a URL, a template or a certificate."""
    texts = {
        "percent": "a%2Fb",
        "percent alone": "100%",
        "percent and no digits": "a%zz",
        "slashes": "a//b/../c/./d",
        "leading slash": "/a",
        "dots": "..",
        "question mark": "a?b=c",
        "number sign": "a#b",
        "at": "user@host",
        "space": "a b",
        "plus": "a+b",
        "quotes": "a\"b'c`d",
        "angles": "<a>",
        "braces": "{{ .url }}",
        "brackets": "a[b]^|\\",
        "colon": "a:b;c,d=e&f$g!h(i)*j~k",
        "non-ASCII": "brånch-ü-日本",
        "emoji": "🚀",
        "right to left": "a\u202eb",
        "zero width": "a\u200bb",
    }
    places = [
        ("github ref", GITHUB, lambda text: {**github(), "ref": f"refs/heads/{text}"}),
        ("github job_workflow_ref", GITHUB, lambda text: {**github(), "job_workflow_ref": f"octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/{text}"}),
        ("github workflow", GITHUB, lambda text: {**github(), "workflow": text, "environment": text}),
        ("gitlab ci_config_ref_uri", GITLAB, lambda text: {**gitlab(providers), "ref": text, "ci_config_ref_uri": f"{providers.host(GITLAB)}/my-group/my-project//.gitlab-ci.yml@refs/heads/{text}"}),
        ("buildkite pipeline_slug", BUILDKITE, lambda text: {**buildkite(), "pipeline_slug": text}),
        ("circleci vcs-ref", CIRCLECI, lambda text: {**circleci(), "oidc.circleci.com/vcs-ref": f"refs/heads/{text}", "oidc.circleci.com/project-id": text}),
        ("codefresh pipeline_name", CODEFRESH, lambda text: {**codefresh(), "pipeline_name": text, "scm_ref": text}),
        ("subject", GITHUB, lambda text: {**github(), "sub": f"repo:octo-org/{text}"}),
    ]
    for place, issuer, claims in places:
        for name, text in texts.items():
            yield f"{name}: {place}", issuer, claims(text)
        for name, text in (("null byte", "a\0b"), ("line end", "a\nb"), ("escape", "a\x1b[31mb"), ("delete", "a\x7fb"), ("C1", "a\x85b")):
            yield f"control character: {place}, {name}", issuer, claims(text)
        yield f"long claim: {place}", issuer, claims("x" * 3000)
        yield f"very long claim: {place}", issuer, claims("x" * LONG)
    yield "lone surrogate: github ref", GITHUB, raw(github(), "ref", '"refs/heads/\\ud800"')
    for name in ("url", "environment"):
        yield f"claim of a constant's name: github {name}", GITHUB, {**github(), name: "https://evil.example"}
    yield "claim of a constant's name: github url, the same", GITHUB, {**github(), "url": "https://github.com"}
    yield "claim of a constant's name: github url, null", GITHUB, {**github(), "url": None}
    yield "claim of a constant's name: gitlab url", GITLAB, {**gitlab(providers), "url": "https://evil.example"}
    yield "claim of a constant's name: buildkite url", BUILDKITE, {**buildkite(), "url": "https://evil.example"}
    yield "claim of a constant's name: circleci api_url", CIRCLECI, {**circleci(), "api_url": "https://evil.example"}
    yield "claim of a constant's name: circleci platform_url", CIRCLECI, {**circleci(), "platform_url": "https://evil.example"}
    for name in ("ref", "job_workflow_ref", "sub"):
        doubled = json.dumps(github())[:-1] + f', "{name}": "evil"}}'
        yield f"claim written twice: github {name}", GITHUB, doubled
    yield "claim in another case: github Ref", GITHUB, {**without(github(), "ref"), "Ref": "refs/heads/main"}
    yield "claim in another case: email Email", GOOGLE, {"sub": "1", "Email": "ada@example.com", "Email_Verified": True}
    yield "claim in another case beside the right one: email", GOOGLE, {**email(), "EMAIL": "eve@example.com"}
    yield "claim in another case: kubernetes Namespace", EKS, {**kubernetes(), "kubernetes.io": {"Namespace": "prod", "ServiceAccount": {"Name": "builder"}}}


def people():
    yield "google", GOOGLE, email(azp="32555940559.apps.googleusercontent.com", hd="example.com", at_hash="x", name="Ada")
    yield "dex", DEX, email(federated_claims={"connector_id": "https://github.com/login/oauth", "user_id": "1"})
    for name, connector in (("missing", None), ("empty", ""), ("a number", 7), ("not ASCII", "https://ü.example")):
        yield f"connector {name}", DEX, email(federated_claims={"connector_id": connector} if connector is not None else {})
    yield "connector: claims not an object", DEX, email(federated_claims="x")
    yield "hello", "https://issuer.hello.coop", email()
    yield "kaggle", "https://www.kaggle.com/api/v1/models/signing", email()
    yield "eclipse", "https://auth.eclipse.org/auth/realms/foundation-service-accounts", email()
    yield "ibm", "https://sigstore.verify.ibm.com/oauth2", email()
    yield "unverified where that is allowed", "https://lax.example.com", email(email_verified=False)
    yield "without verification where that is allowed", "https://lax.example.com", without(email(), "email_verified")
    for name, value in (("false", False), ("null", None), ("in words", "true"), ("in capitals", "TRUE"), ("a number", 1), ("no, in words", "false"), ("an object", {})):
        yield f"verified {name}", GOOGLE, email(email_verified=value)
    addresses = {
        "capitals": "Ada.Lovelace@Example.COM",
        "plus": "ada+sign@example.com",
        "marks": "a!#$%&'*+-/=?^_`{|}~b@example.com",
        "quoted": '"ada lovelace"@example.com',
        "two dots": "ada..lovelace@example.com",
        "dot first": ".ada@example.com",
        "dot last": "ada.@example.com",
        "no domain": "ada@",
        "no local part": "@example.com",
        "two ats": "ada@eve@example.com",
        "one label": "ada@localhost",
        "short top level": "ada@example.c",
        "numbers for a domain": "ada@127.0.0.1",
        "address literal": "ada@[127.0.0.1]",
        "underscore in the domain": "ada@ex_ample.com",
        "hyphen first in the domain": "ada@-example.com",
        "two hyphens": "ada@xn--bcher-kva.example",
        "non-ASCII domain": "ada@bücher.example",
        "non-ASCII local part": "ädä@example.com",
        "space": "ada lovelace@example.com",
        "space around": " ada@example.com ",
        "line end": "ada@example.com\n",
        "null byte": "ada\0@example.com",
        "comment": "ada(comment)@example.com",
        "display name": "Ada <ada@example.com>",
        "long local part": "a" * 65 + "@example.com",
        "long domain": "ada@" + ".".join(["d" * 60] * 5) + ".com",
        "long label": "ada@" + "d" * 64 + ".com",
        "dot after the domain": "ada@example.com.",
        "digits at the end": "ada@example.c0m",
        "top level with a digit last": "ada@example.co1",
        "top level with a digit first": "ada@example.1com",
        "top level in punycode": "ada@example.xn--p1ai",
        "percent": "ada%evil.example@example.com",
    }
    for name, address in addresses.items():
        yield f"address: {name}", GOOGLE, email(address)
    yield "address null", GOOGLE, email(None)
    yield "address a list", GOOGLE, email(["ada@example.com"])


def workloads(providers):
    aks = "00000000-0000-0000-0000-000000000001"
    places = {
        "eks": EKS,
        "gke": GKE,
        "aks": f"https://oidc.prod-aks.azure.com/{aks}",
        "aks with a slash": f"https://oidc.prod-aks.azure.com/{aks[:-1]}2/",
        "aks with two parts": f"https://oidc.prod-aks.azure.com/{aks}/{aks}",
        "aks by region": f"https://westeurope.oic.prod-aks.azure.com/{aks}/{aks}",
        "aks by region with a slash": f"https://westeurope.oic.prod-aks.azure.com/{aks}/{aks[:-1]}2/",
    }
    for name, issuer in places.items():
        yield f"kubernetes: {name}", issuer, kubernetes()
    yield "kubernetes: no such path", EKS + "/more", kubernetes()
    yield "kubernetes: no such location", GKE.replace("us-central1", "us.central1"), kubernetes()

    def account(namespace, name):
        return {"sub": "system:serviceaccount:x:y", "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name}}}

    for name, namespace, who in (("hyphens and dots", "team-a", "build.er-1"), ("digits", "0", "1")):
        yield f"service account: {name}", EKS, account(namespace, who)
    for name, namespace, who in (
        ("capitals", "Prod", "builder"), ("slash", "prod/serviceaccounts/admin", "x"), ("dots", "..", "builder"), ("percent", "a%2fb", "builder"),
        ("space", "a b", "builder"), ("non-ASCII", "prød", "builder"), ("hyphen first", "-prod", "builder"), ("long", "p" * 254, "builder"),
    ):
        yield f"service account of no such name: {name}", EKS, account(namespace, who)
    for name, namespace, who in (("empty namespace", "", "builder"), ("empty name", "prod", ""), ("null namespace", None, "builder"), ("null name", "prod", None)):
        yield f"service account: {name}", EKS, account(namespace, who)
    yield "service account: a number for a namespace", EKS, account(7, "builder")
    yield "service account: a number for a name", EKS, account("prod", 7)
    yield "service account: claim missing", EKS, {"sub": "system:serviceaccount:prod:builder"}
    yield "service account: claim null", EKS, {"sub": "x", "kubernetes.io": None}
    yield "service account: claim a text", EKS, {"sub": "x", "kubernetes.io": "prod"}

    subjects = {
        "plain": "f0a1b2c3d4e5", "path": "f0a1b2c3/d4e5f6a7", "dots up": "../x", "dots within": "a/../b", "one dot": "./a", "two slashes": "a//b",
        "slash first": "/a", "slash last": "a/", "percent": "a%2fb", "question mark": "a?b", "number sign": "a#b", "space": "a b", "non-ASCII": "ü",
        "colon": "google-oauth2:1", "bar": "google-oauth2|1",
    }
    for name, subject in subjects.items():
        yield f"chainguard subject: {name}", CHAINGUARD, {"sub": subject}
    whole = {"sub": "a/b", "act": {"iss": "https://accounts.google.com/", "sub": "1"}, "internal": {"service-principal": "COSIGNED"}}
    yield "chainguard with an actor", CHAINGUARD, whole
    yield "chainguard with an address", CHAINGUARD, {**whole, **email(sub="a/b")}
    yield "chainguard with an address nobody verified", CHAINGUARD, {**whole, **email(email_verified=False, sub="a/b")}
    yield "chainguard actor a text", CHAINGUARD, {**whole, "act": "x"}
    yield "chainguard of the other issuer", "https://issuer.chainops.dev", {"sub": "a/b"}

    uri, here = "https://uri.example.com", providers.url("https://uri.example.com")
    for name, subject in {
        "plain": f"{here}/users/1", "root": here, "root with a slash": f"{here}/", "query": f"{here}/a?b=c", "fragment": f"{here}/a#b", "percent": f"{here}/a%2fb",
        "space": f"{here}/a b", "non-ASCII": f"{here}/ü", "dots": f"{here}/a/../b",
    }.items():
        yield f"uri: {name}", uri, {"sub": subject}
    host = here.removeprefix("https://").split(":")[0]
    yield "uri: another port", uri, {"sub": f"https://{host}:1/a"}
    yield "uri: a user", uri, {"sub": here.replace("https://", "https://eve@") + "/a"}
    for name, subject in {
        "another host": "https://evil.example/a", "longer host": here.split(":", 2)[0] + f"://{host}.evil.example/a", "another scheme": here.replace("https", "http"),
        "no scheme": f"{host}/a", "an address": "ada@example.com", "no host": "https:///a", "broken percent": f"{here}/a%zz",
    }.items():
        yield f"uri refused: {name}", uri, {"sub": subject}
    for name, subject in {
        "plain": "ada", "capitals": "Ada", "space": "ada lovelace", "non-ASCII": "ädä", "slash": "a/b", "colon": "a:b", "at": "ada@host", "percent": "a%21b", "exclamation": "a!b",
        "address": "ada@example.com", "long": "a" * 300,
    }.items():
        yield f"username: {name}", "https://name.example.com", {"sub": subject}
    for name, subject in {
        "plain": "spiffe://example.org/ns/prod/sa/builder", "no path": "spiffe://example.org", "another domain": "spiffe://example.com/a", "longer domain": "spiffe://example.org.evil/a",
        "capitals in the domain": "spiffe://EXAMPLE.org/a", "capitals in the scheme": "SPIFFE://example.org/a", "capitals in the path": "spiffe://example.org/Ns/A",
        "slash last": "spiffe://example.org/a/", "slash alone": "spiffe://example.org/", "two slashes": "spiffe://example.org//a", "dots": "spiffe://example.org/a/../b",
        "port": "spiffe://example.org:1/a", "user": "spiffe://eve@example.org/a", "query": "spiffe://example.org/a?b", "fragment": "spiffe://example.org/a#b",
        "percent": "spiffe://example.org/a%2fb", "non-ASCII": "spiffe://example.org/ü", "marks": "spiffe://example.org/a-b._c", "long": "spiffe://example.org/" + "a" * 2100,
    }.items():
        yield f"spiffe: {name}", "https://spiffe.example.com", {"sub": subject}
    for name, subject in (("null", None), ("empty", ""), ("a number", 7), ("a list", ["x"]), ("an object", {})):
        yield f"subject {name}", GITHUB, {**github(), "sub": subject}
        yield f"subject {name} of a person", GOOGLE, email(sub=subject)


def sets(providers):
    yield from documented(providers)
    yield from people()
    yield from workloads(providers)
    yield from broken(providers)
    yield from hostile(providers)


def proofs(providers):
    """(case, issuer, claims, what the client signs): the challenge of each type of issuer, and others."""
    sub = {"sub": "a/b"}
    for name, issuer, claims in (
        ("github", GITHUB, github()),
        ("github with an address", GITHUB, {**github(), **email(sub=github()["sub"])}),
        ("kubernetes", EKS, kubernetes()),
        ("chainguard", CHAINGUARD, sub),
        ("chainguard with an address", CHAINGUARD, email(**sub)),
        ("person", GOOGLE, email()),
        ("dex", DEX, email(federated_claims={"connector_id": "https://github.com/login/oauth"})),
        ("uri", "https://uri.example.com", {"sub": providers.url("https://uri.example.com") + "/a"}),
        ("username", "https://name.example.com", {"sub": "ada"}),
        ("spiffe", "https://spiffe.example.com", {"sub": "spiffe://example.org/a"}),
    ):
        yield f"proof over the subject: {name}", issuer, claims, claims["sub"]
        yield f"proof over the address: {name}", issuer, claims, "ada@example.com"
        yield f"proof over nothing: {name}", issuer, claims, ""
    name = f"ada!{providers.host('https://name.example.com').split(':')[0]}"
    yield "proof over the whole name: username", "https://name.example.com", {"sub": "ada"}, name
