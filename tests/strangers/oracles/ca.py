"""Fulcio: the same requests to `sealogd` and to fulcio, over one CA key, one chain, one CT log and the same issuers.

    ca.py SEALOGD FULCIO GRPC_CLIENT FOLDER
"""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time

import jwt
from asn1crypto import csr as asn1_csr
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common import Comparison, Servers, b64, free_port, table
from issuer import AUDIENCE, Issuer

PATH = "/api/v2/signingCert"
JSON = {"Content-Type": "application/json"}
# How often two answers within one second are tried for.
EDGE_TRIES = 10
EMAIL = {"email": "ada@example.com", "email_verified": True}
SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"
SUBJECT_KEY = "2.5.29.14"

GITHUB = {
    "event_name": "push",
    "sha": "1f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
    "workflow": "release",
    "repository": "octo/tool",
    "ref": "refs/heads/main",
    "job_workflow_ref": "octo/shared/.github/workflows/release.yml@refs/heads/main",
    "job_workflow_sha": "2f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
    "runner_environment": "github-hosted",
    "repository_id": "4711",
    "repository_owner": "octo",
    "repository_owner_id": "12",
    "workflow_ref": "octo/tool/.github/workflows/ci.yml@refs/heads/main",
    "workflow_sha": "3f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
    "run_id": "99",
    "run_attempt": "1",
    "repository_visibility": "public",
    "sub": "repo:octo/tool:ref:refs/heads/main",
}
GITLAB = {
    "sub": "project_path:group/tool:ref_type:branch:ref:main",
    "ci_config_ref_uri": "gitlab.com/group/tool//.gitlab-ci.yml@refs/heads/main",
    "ci_config_sha": "4f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
    "runner_environment": "gitlab-hosted",
    "project_path": "group/tool",
    "project_id": "31",
    "namespace_path": "group",
    "namespace_id": "7",
    "sha": "5f0a3cde2b5b7c8d9e0f1a2b3c4d5e6f70819203",
    "ref": "main",
    "ref_type": "branch",
    "pipeline_source": "push",
    "job_id": "1234",
    "project_visibility": "private",
}
# What the peer is told about the two build systems; ours knows them by name.
GITHUB_RULES = {
    "DefaultTemplateValues": {"url": "https://github.com", "environment": ""},
    "ExtensionTemplates": {
        "GithubWorkflowTrigger": "event_name",
        "GithubWorkflowSHA": "sha",
        "GithubWorkflowName": "workflow",
        "GithubWorkflowRepository": "repository",
        "GithubWorkflowRef": "ref",
        "BuildSignerURI": "{{ .url }}/{{ .job_workflow_ref }}",
        "BuildSignerDigest": "job_workflow_sha",
        "RunnerEnvironment": "runner_environment",
        "SourceRepositoryURI": "{{ .url }}/{{ .repository }}",
        "SourceRepositoryDigest": "sha",
        "SourceRepositoryRef": "ref",
        "SourceRepositoryIdentifier": "repository_id",
        "SourceRepositoryOwnerURI": "{{ .url }}/{{ .repository_owner }}",
        "SourceRepositoryOwnerIdentifier": "repository_owner_id",
        "BuildConfigURI": "{{ .url }}/{{ .workflow_ref }}",
        "BuildConfigDigest": "workflow_sha",
        "BuildTrigger": "event_name",
        "RunInvocationURI": "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
        "SourceRepositoryVisibilityAtSigning": "repository_visibility",
        "DeploymentEnvironment": "environment",
    },
    "SubjectAlternativeNameTemplate": "{{ .url }}/{{ .job_workflow_ref }}",
}
GITLAB_RULES = {
    "DefaultTemplateValues": {"url": "https://gitlab.com", "environment": ""},
    "ExtensionTemplates": {
        "BuildSignerURI": "https://{{ .ci_config_ref_uri }}",
        "BuildSignerDigest": "ci_config_sha",
        "RunnerEnvironment": "runner_environment",
        "SourceRepositoryURI": "{{ .url }}/{{ .project_path }}",
        "SourceRepositoryDigest": "sha",
        "SourceRepositoryRef": 'refs/{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}',
        "SourceRepositoryIdentifier": "project_id",
        "SourceRepositoryOwnerURI": "{{ .url }}/{{ .namespace_path }}",
        "SourceRepositoryOwnerIdentifier": "namespace_id",
        "BuildConfigURI": "https://{{ .ci_config_ref_uri }}",
        "BuildConfigDigest": "ci_config_sha",
        "BuildTrigger": "pipeline_source",
        "RunInvocationURI": "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}",
        "SourceRepositoryVisibilityAtSigning": "project_visibility",
        "DeploymentEnvironment": "environment",
    },
    "SubjectAlternativeNameTemplate": "https://{{ .ci_config_ref_uri }}",
}


def our_issuers(issuer):
    rows = [
        ("email", 'type = "email"'),
        ("federated", 'type = "email"\nissuer_claim = "$.federated_claims.connector_id"'),
        ("unverified", 'type = "email"\nskip_email_verification = true'),
        ("github", 'type = "ci-provider"\npreset = "github-actions"'),
        ("gitlab", 'type = "ci-provider"\npreset = "gitlab"'),
        ("spiffe", 'type = "spiffe"\nspiffe_trust_domain = "example.org"'),
        ("kubernetes", 'type = "kubernetes"'),
    ]
    return "".join(f'\n[[ca.issuers]]\nissuer = "{issuer.url(name)}"\n{rule}\n' for name, rule in rows)


def their_issuers(issuer):
    rules = {
        "email": {"Type": "email"},
        "federated": {"Type": "email", "IssuerClaim": "$.federated_claims.connector_id"},
        "unverified": {"Type": "email", "SkipEmailVerification": True},
        "github": {"Type": "ci-provider", "CIProvider": "github-workflow"},
        "gitlab": {"Type": "ci-provider", "CIProvider": "gitlab-pipeline"},
        "spiffe": {"Type": "spiffe", "SPIFFETrustDomain": "example.org"},
        "kubernetes": {"Type": "kubernetes"},
    }
    issuers = {
        issuer.url(name): {"IssuerURL": issuer.url(name), "ClientID": AUDIENCE, **rule} for name, rule in rules.items()
    }
    return {
        "OIDCIssuers": issuers,
        "CIIssuerMetadata": {"github-workflow": GITHUB_RULES, "gitlab-pipeline": GITLAB_RULES},
    }


def key_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def possession(key, words):
    """The signature a client makes to show that it holds the key."""
    words = words.encode()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}.get(key.key_size, hashes.SHA256())
        return key.sign(words, ec.ECDSA(algorithm))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(words, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(words)


def by_key(token, key, words, **more):
    content = {"algorithm": "ECDSA", "content": key_pem(key)}
    said = {"publicKeyRequest": {"publicKey": content, "proofOfPossession": b64(possession(key, words))}}
    return {"credentials": {"oidcIdentityToken": token}, **said, **more}


def signing_request(key, algorithm, names=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(list(names)))
    return builder.sign(key, algorithm)


def by_csr(token, request):
    pem = request if isinstance(request, bytes) else request.public_bytes(Encoding.PEM)
    return {"credentials": {"oidcIdentityToken": token}, "certificateSigningRequest": b64(pem)}


class Authority(Comparison):
    def certify(self, case, body, headers=None):
        """A request whose two answers are also compared as certificates, where they are."""
        raw = body if isinstance(body, (bytes, str)) else json.dumps(body)
        self.note_certified(case, *self.answers("POST", PATH, raw, {**JSON, **(headers or {})}))

    def note_certified(self, case, ours, theirs):
        self.note_answers(case, ours, theirs)
        if ours.status == theirs.status == 200:
            self.note(case, "members", list(ours.json), list(theirs.json))
            chains = [answer.json["signedCertificateEmbeddedSct"]["chain"]["certificates"] for answer in (ours, theirs)]
            self.note(case, "chain after the leaf", chains[0][1:], chains[1][1:])
            self.compare_leaves(case, *(x509.load_pem_x509_certificate(chain[0].encode()) for chain in chains))

    def compare_leaves(self, case, ours, theirs):
        aspects = {
            "version": lambda leaf: leaf.version.name,
            "subject": lambda leaf: leaf.subject.rfc4514_string(),
            "issuer": lambda leaf: leaf.issuer.rfc4514_string(),
            "seconds of validity": lambda leaf: (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds(),
            "signature algorithm": lambda leaf: leaf.signature_algorithm_oid.dotted_string,
            "public key": lambda leaf: leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
            "serial number": lambda leaf: 64 < leaf.serial_number.bit_length() <= 160,
            "extensions": lambda leaf: [extension.oid.dotted_string for extension in leaf.extensions],
        }
        for aspect, read in aspects.items():
            self.note(case, aspect, read(ours), read(theirs))
        mine, other = contents(ours), contents(theirs)
        for oid in sorted(set(mine) | set(other)):
            self.note(case, f"extension {oid}", mine.get(oid), other.get(oid))


def contents(leaf):
    """Extension to [critical, value]; an SCT list is only counted, its signature is over another time."""
    found = {}
    for extension in leaf.extensions:
        oid = extension.oid.dotted_string
        if oid == SCT_LIST:
            found[oid] = [extension.critical, f"{len(list(extension.value))} SCT"]
        else:
            found[oid] = [extension.critical, extension.value.public_bytes().hex()]
    return found


def keys_and_forms(authority, issuer):
    """Every key kind in both forms of request."""
    token = issuer.token("email", **EMAIL)
    kinds = {
        "P-256": (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()),
        "P-384": (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
        "P-521": (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
        "RSA 2048": (rsa.generate_private_key(65537, 2048), hashes.SHA256()),
        "RSA 3072": (rsa.generate_private_key(65537, 3072), hashes.SHA256()),
        "RSA 4096": (rsa.generate_private_key(65537, 4096), hashes.SHA256()),
        "Ed25519": (ed25519.Ed25519PrivateKey.generate(), None),
    }
    for name, (key, algorithm) in kinds.items():
        authority.certify(f"{name} by key", by_key(token, key, EMAIL["email"]))
        authority.certify(f"{name} by request", by_csr(token, signing_request(key, algorithm)))
    authority.certify("P-384 request signed with SHA-256", by_csr(token, signing_request(kinds["P-384"][0], hashes.SHA256())))
    authority.certify("RSA request signed with SHA-512", by_csr(token, signing_request(kinds["RSA 2048"][0], hashes.SHA512())))
    authority.certify("P-521 request signed with SHA-256", by_csr(token, signing_request(kinds["P-521"][0], hashes.SHA256())))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pss = builder.sign(kinds["RSA 2048"][0], hashes.SHA256(), rsa_padding=pss)
    authority.certify("RSA request signed with PSS", by_csr(token, pss))
    named = signing_request(kinds["P-256"][0], hashes.SHA256(), [x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    authority.certify("request with a subject", by_csr(token, named))
    return token, kinds["P-256"][0]


def bad_keys(authority, token, key):
    small = rsa.generate_private_key(65537, 1024)
    odd = ec.generate_private_key(ec.SECP256K1())
    short = ec.generate_private_key(ec.SECP224R1())
    thrice = rsa.generate_private_key(3, 2048)
    unusual = rsa.generate_private_key(65537, 2304)
    words = EMAIL["email"]
    for name, bad in (("RSA 1024", small), ("secp256k1", odd), ("P-224", short), ("RSA with exponent 3", thrice), ("RSA 2304", unusual)):
        authority.certify(f"{name} by key", by_key(token, bad, words))
        authority.certify(f"{name} by request", by_csr(token, signing_request(bad, hashes.SHA256())))
    other = ec.generate_private_key(ec.SECP256R1())
    body = by_key(token, key, words)
    body["publicKeyRequest"]["proofOfPossession"] = b64(possession(other, words))
    authority.certify("possession of another key", body)
    authority.certify("possession of other words", by_key(token, key, "subject-1"))
    body = by_key(token, key, words)
    del body["publicKeyRequest"]["proofOfPossession"]
    authority.certify("no proof of possession", body)
    body = by_key(token, key, words)
    body["publicKeyRequest"]["publicKey"]["content"] = "no key"
    authority.certify("key not PEM", body)
    body["publicKeyRequest"]["publicKey"]["content"] = ""
    authority.certify("key empty", body)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    short = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    body["publicKeyRequest"]["publicKey"]["content"] = f"-----BEGIN PUBLIC KEY-----\n{b64(short)}\n-----END PUBLIC KEY-----\n"
    authority.certify("key with a compressed point", body)
    body = by_key(token, key, words)
    body["publicKeyRequest"]["publicKey"]["algorithm"] = "RSA_PSS"
    authority.certify("another algorithm named", body)

    request = signing_request(key, hashes.SHA256()).public_bytes(Encoding.DER)
    damaged = asn1_csr.CertificationRequest.load(request)
    signature = bytearray(damaged["signature"].native)
    signature[-1] ^= 1
    damaged["signature"] = bytes(signature)
    pem = x509.load_der_x509_csr(damaged.dump(force=True)).public_bytes(Encoding.PEM)
    authority.certify("request with a bad signature", by_csr(token, pem))
    authority.certify("request not PEM", by_csr(token, b"no request"))
    authority.certify("request in DER", by_csr(token, request))
    both = {**by_key(token, key, words), **by_csr(token, signing_request(key, hashes.SHA256()))}
    authority.certify("malformed: key and request", both)
    authority.certify("neither key nor request", {"credentials": {"oidcIdentityToken": token}})


def tokens(authority, issuer, key):
    """Tokens with one thing wrong, and some that only look so."""
    words = EMAIL["email"]

    def certify(case, token, said=words):
        authority.certify(case, by_key(token, key, said))

    now = issuer.claims("email")["iat"]
    certify("token by ES256", issuer.token("email", "ES256", **EMAIL))
    certify("token expired", issuer.token("email", exp=now - 60, **EMAIL))
    certify("token just expired", issuer.token("email", exp=now - 2, **EMAIL))
    certify("token not yet valid", issuer.token("email", nbf=now + 3600, **EMAIL))

    def certify_from(seconds):
        # At an edge both servers must answer in the second that the token is made in, early in it.
        for _ in range(EDGE_TRIES):
            time.sleep(1 - time.time() % 1)
            made = issuer.claims("email")["iat"]
            body = by_key(issuer.token("email", nbf=made + seconds, **EMAIL), key, words)
            answers = authority.answers("POST", PATH, json.dumps(body), JSON)
            if int(time.time()) == made:
                return authority.note_certified(f"token valid in {seconds} s", *answers)
        raise SystemExit(f"two answers never came within one second, in {EDGE_TRIES} tries")

    for seconds in (1, 60, 299, 301):
        certify_from(seconds)
    certify("token with a fraction in nbf", issuer.token("email", nbf=now + 60.5, **EMAIL))
    for case, issued in (("tomorrow", now + 86400), ("a year ago", now - 86400 * 365), ("in 1970", 0)):
        certify(f"token issued {case}", issuer.token("email", iat=issued, **EMAIL))
    certify("token issued when nobody says", issuer.token("email", iat=None, **EMAIL))
    certify("token issued at no date", issuer.token("email", iat="yesterday", **EMAIL))
    certify("token without expiry", issuer.token("email", exp=None, **EMAIL))
    certify("token for another audience", issuer.token("email", aud="other", **EMAIL))
    certify("token for several audiences", issuer.token("email", aud=["other", AUDIENCE], **EMAIL))
    certify("token without audience", issuer.token("email", aud=None, **EMAIL))
    certify("token of an unknown issuer", issuer.token("nobody", **EMAIL))
    certify("token without issuer", issuer.token("email", iss=None, **EMAIL))
    certify("token of a longer issuer", issuer.token("email", iss=issuer.url("email") + "/", **EMAIL))
    certify("token signed by a stranger", issuer.token("email", key=issuer.stranger, **EMAIL))
    certify("token with an unknown key id", issuer.token("email", kid="other", **EMAIL))
    certify("token by RS512", issuer.token("email", "RS512", **EMAIL))
    claims = issuer.claims("email", **EMAIL)
    certify("token unsigned", jwt.encode(claims, None, algorithm="none"))
    public = issuer.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    certify("token signed with the public key as secret", secret_token(claims, public))
    right = issuer.token("email", **EMAIL)
    head, body, signature = right.split(".")
    certify("token with a damaged payload", ".".join([head, body[:-4] + "AAAA", signature]))
    certify("token of two parts", f"{head}.{body}")
    certify("token of four parts", f"{right}.x")
    certify("token empty", "")
    certify("token no token", "no token")

    certify("address not verified", issuer.token("email", **{**EMAIL, "email_verified": False}))
    certify("address verified in words", issuer.token("email", **{**EMAIL, "email_verified": "true"}))
    certify("address unverified in words", issuer.token("email", **{**EMAIL, "email_verified": "false"}))
    certify("address without verification", issuer.token("email", email=words))
    certify("address missing", issuer.token("email"))
    certify("address empty", issuer.token("email", email="", email_verified=True), "")
    certify("address malformed", issuer.token("email", email="not an address", email_verified=True), "not an address")
    certify("address with a name", issuer.token("email", email="Ada <ada@example.com>", email_verified=True), "Ada <ada@example.com>")
    certify("address beyond ASCII", issuer.token("email", email="ünal@example.com", email_verified=True), "ünal@example.com")
    certify("address a number", issuer.token("email", email=7, email_verified=True), "7")
    certify("address unverified where that is allowed", issuer.token("unverified", email=words, email_verified=False))
    certify("subject missing", issuer.token("email", sub=None, **EMAIL))
    connector = {"federated_claims": {"connector_id": "https://accounts.example.com", "user_id": "1"}}
    certify("federated", issuer.token("federated", **EMAIL, **connector))
    certify("federated without connector", issuer.token("federated", **EMAIL))


def secret_token(claims, secret):
    """PyJWT refuses to do this, for good reason."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT", "kid": "rsa"}) + b"." + part(claims)
    mac = base64.urlsafe_b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + mac).decode()


def machines(authority, issuer, key):
    """Build systems and workloads."""

    def certify(case, name, claims):
        authority.certify(case, by_key(issuer.token(name, **claims), key, claims.get("sub", "subject-1")))

    certify("github", "github", GITHUB)
    certify("github with an environment", "github", {**GITHUB, "environment": "production"})
    certify("github with numbers", "github", {**GITHUB, "run_id": 99, "repository_id": 4711})
    certify("github without a mandatory claim", "github", {k: v for k, v in GITHUB.items() if k != "job_workflow_ref"})
    certify("github with an empty claim", "github", {**GITHUB, "workflow": ""})
    certify("github with spaces", "github", {**GITHUB, "workflow": "build & release"})
    certify("github with an odd branch", "github", {**GITHUB, "job_workflow_ref": "octo/tool/.github/workflows/a b.yml@refs/heads/ü"})
    certify("github with an address", "github", {**GITHUB, **EMAIL})
    certify("gitlab branch", "gitlab", GITLAB)
    certify("gitlab tag", "gitlab", {**GITLAB, "ref_type": "tag", "ref": "v1"})
    certify("spiffe", "spiffe", {"sub": "spiffe://example.org/ns/a/sa/b"})
    certify("spiffe of another domain", "spiffe", {"sub": "spiffe://example.com/ns/a/sa/b"})
    certify("spiffe malformed", "spiffe", {"sub": "https://example.org/a"})
    account = {"namespace": "prod", "serviceaccount": {"name": "builder", "uid": "u"}}
    certify("kubernetes", "kubernetes", {"sub": "system:serviceaccount:prod:builder", "kubernetes.io": account})
    certify("kubernetes without its claim", "kubernetes", {"sub": "system:serviceaccount:prod:builder"})


def forms(authority, issuer, key):
    """The request around the token and the key."""
    token, words = issuer.token("email", **EMAIL), EMAIL["email"]
    body = by_key(token, key, words)
    bearer = {k: v for k, v in body.items() if k != "credentials"}
    authority.certify("token in the header", bearer, {"Authorization": f"Bearer {token}"})
    authority.certify("token in the header, lower case", bearer, {"Authorization": f"bearer {token}"})
    authority.certify("no token", bearer)
    authority.certify("wrong token in the body, right one in the header", {**bearer, "credentials": {"oidcIdentityToken": "x"}}, {"Authorization": f"Bearer {token}"})
    authority.certify("right token in the body, wrong one in the header", body, {"Authorization": "Bearer x"})
    authority.certify("unknown member", {**body, "more": {"deep": [1]}})
    snake = {
        "credentials": {"oidc_identity_token": token},
        "public_key_request": {
            "public_key": {"algorithm": "ECDSA", "content": key_pem(key)},
            "proof_of_possession": body["publicKeyRequest"]["proofOfPossession"],
        },
    }
    authority.certify("snake case", snake)
    authority.certify("malformed: empty body", b"")
    authority.certify("empty object", b"{}")
    authority.certify("malformed: not JSON", b"certificate, please")
    authority.certify("malformed: array", b"[]")
    authority.certify("malformed: cut short", json.dumps(body)[:-9])
    authority.certify("malformed: nested deeply", b'{"more":' * 20000 + b"1" + b"}" * 20000)
    authority.certify("malformed: over the body limit", json.dumps({**body, "more": "A" * (5 << 20)}))
    authority.certify("content type text/plain", body, {"Content-Type": "text/plain"})


def first_version(authority, issuer, key):
    """The paths of the first version, which answer with PEM."""
    token, words = issuer.token("email", **EMAIL), EMAIL["email"]
    bearer = {**JSON, "Authorization": f"Bearer {token}"}
    proof = b64(possession(key, words))
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    request = signing_request(key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def by(content, proof):
        return {"publicKey": {"content": b64(content), "algorithm": "ecdsa"}, "signedEmailAddress": proof}

    def certify(case, body, headers):
        ours, theirs = authority.ask(case, "POST", "/api/v1/signingCert", json.dumps(body), headers)
        if ours.status == theirs.status == 201:
            chains = [x509.load_pem_x509_certificates(answer.body) for answer in (ours, theirs)]
            authority.note(case, "chain after the leaf", *([one.serial_number for one in chain[1:]] for chain in chains))
            authority.note(case, "ends in", ours.body[-10:].decode(), theirs.body[-10:].decode())
            authority.compare_leaves(case, chains[0][0], chains[1][0])

    certify("v1 by key", by(key_pem(key).encode(), proof), bearer)
    certify("v1 by key in DER", by(der, proof), bearer)
    certify("v1 by request", {"certificateSigningRequest": b64(request)}, bearer)
    certify("v1 without a token", by(key_pem(key).encode(), proof), JSON)
    certify("v1 without a key", {}, bearer)
    certify("v1 without a proof", by(key_pem(key).encode(), ""), bearer)
    certify("v1 proof of another key", by(key_pem(key).encode(), b64(possession(ec.generate_private_key(ec.SECP256R1()), words))), bearer)
    certify("v1 key not PEM", by(b"no key", proof), bearer)
    ours, theirs = authority.ask("v1 root", "GET", "/api/v1/rootCert")
    authority.note("v1 root", "body", ours.body.decode(), theirs.body.decode())


def trusted(answer, read):
    return [[read(pem) for pem in chain["certificates"]] for chain in answer.json["chains"]]


def reads(authority):
    ours, theirs = authority.ask("trust bundle", "GET", "/api/v2/trustBundle")
    authority.note("trust bundle", "certificates", *(trusted(answer, str.strip) for answer in (ours, theirs)))
    authority.note("trust bundle", "ends of the PEMs", *(trusted(answer, lambda pem: pem[-1:]) for answer in (ours, theirs)))
    ours, theirs = authority.ask("configuration", "GET", "/api/v2/configuration")

    def listed(answer):
        return sorted((json.dumps(one, sort_keys=True) for one in (answer.json or {}).get("issuers", [])))

    for mine, other in zip(listed(ours), listed(theirs)):
        authority.note("configuration", "an issuer", mine, other)
    authority.note("configuration", "issuers", len(listed(ours)), len(listed(theirs)))
    ours, theirs = authority.ask("GET /healthz", "GET", "/healthz")
    authority.note("GET /healthz", "body", ours.json, theirs.json)
    for method, path in (("GET", PATH), ("PUT", PATH), ("POST", "/api/v2/trustBundle")):
        authority.ask(f"method {method} {path}", method, path, b"{}" if method != "GET" else None, JSON if method != "GET" else {})
    authority.ask("path GET /no/such", "GET", "/no/such")


def over_grpc(authority, issuer, client, ports, folder):
    """The same client, fulcio's own, to both: ours on the port of HTTP, theirs on another."""

    def ask(case, mode, argument):
        said = [subprocess.run([client, mode, f"127.0.0.1:{port}", argument], capture_output=True, text=True, check=False) for port in ports]
        codes = ["OK" if one.returncode == 0 else one.stderr.split(":")[0] for one in said]
        authority.note(case, "gRPC code", *codes)
        ours, theirs = (one.stderr.partition(": ")[2].strip() for one in said)
        if codes[0] == codes[1] != "OK":
            authority.note(case, "gRPC message", theirs if theirs and ours.startswith(theirs) else ours, theirs)

    def with_token(case, mode, token):
        file = folder / "grpc.token"
        file.write_text(token)
        ask(case, mode, file)

    right = issuer.token("email", **EMAIL)
    with_token("gRPC", "certify", right)
    with_token("gRPC by a build", "certify", issuer.token("github", **GITHUB))
    with_token("gRPC token in the metadata", "metadata", right)
    with_token("gRPC token expired", "certify", issuer.token("email", exp=issuer.claims("email")["iat"] - 60, **EMAIL))
    with_token("gRPC token signed by a stranger", "certify", issuer.token("email", key=issuer.stranger, **EMAIL))
    with_token("gRPC token empty", "certify", "")
    with_token("gRPC address not verified", "certify", issuer.token("email", **{**EMAIL, "email_verified": False}))
    ask("gRPC health", "health", "")
    ask("gRPC health of a service", "health", "dev.sigstore.fulcio.v2.CA")
    ask("gRPC health of no such service", "health", "no.such.Service")


def main(sealogd, peer, client, folder):
    with Servers(folder) as servers:
        port, log, other, provider, grpc = free_port(), free_port(), free_port(), free_port(), free_port()
        issuer = Issuer(provider)
        keys = servers.sealogd(sealogd, table("ctlog", log) + table("ca", port, our_issuers(issuer)))
        config = servers.folder / "fulcio.json"
        config.write_text(json.dumps(their_issuers(issuer)))
        servers.start(
            "fulcio",
            [peer, "serve", "--host", "127.0.0.1", "--port", other, "--grpc-host", "127.0.0.1", "--grpc-port", grpc]
            + ["--metrics-port", free_port(), "--legacy-unix-domain-socket", f"@sealog-fulcio-{other}"]
            + ["--ca", "fileca", "--fileca-cert", keys / "ca.pem", "--fileca-key", keys / "ca.key", "--fileca-watch=false"]
            + ["--fileca-key-passwd", "none", "--ct-log-url", f"http://localhost:{log}"]
            + ["--ct-log-public-key-path", keys / "ctlog.pub", "--config-path", config],
            other,
        )
        authority = Authority(port, other)
        token, key = keys_and_forms(authority, issuer)
        bad_keys(authority, token, key)
        tokens(authority, issuer, key)
        machines(authority, issuer, key)
        forms(authority, issuer, key)
        first_version(authority, issuer, key)
        over_grpc(authority, issuer, client, (port, grpc), servers.folder)
        reads(authority)


if __name__ == "__main__":
    main(*sys.argv[1:5])
