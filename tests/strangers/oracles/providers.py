"""The issuers of fulcio's production file, each at a loopback address of its own, over TLS: one key for all of them.

The file is rewritten origin by origin: `https://gitlab.com` becomes `https://127.0.1.7:PORT`, wherever it stands, and a
wildcard in a host becomes one within an address. Everything else in it stays as it is.
"""

import base64
import datetime
import http.server
import ipaddress
import json
import re
import ssl
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jwt.algorithms import RSAAlgorithm

AUDIENCE = "sigstore"
# Beside the production file: one issuer of each type that it has no example of, and a build system that fulcio's file has
# only since this version: its entry is configuration, which this version runs as well.
MORE_ISSUERS = """\
  https://oidc.buddyusercontent.com:
    issuer-url: https://oidc.buddyusercontent.com
    client-id: sigstore
    type: ci-provider
    ci-provider: buddy-pipeline
  https://uri.example.com:
    issuer-url: https://uri.example.com
    client-id: sigstore
    type: uri
    subject-domain: https://uri.example.com
  https://name.example.com:
    issuer-url: https://name.example.com
    client-id: sigstore
    type: username
    subject-domain: name.example.com
  https://spiffe.example.com:
    issuer-url: https://spiffe.example.com
    client-id: sigstore
    type: spiffe
    spiffe-trust-domain: example.org
  https://lax.example.com:
    issuer-url: https://lax.example.com
    client-id: sigstore
    type: email
    skip-email-verification: true
"""
MORE_METADATA = """\
  buddy-pipeline:
    default-template-values:
      base_url: "https://app.buddy.works"
      revision: ""
      ref: ""
    extension-templates:
      build-signer-uri: "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}/pipelines/pipeline/{{.pipeline_id}}"
      build-trigger: "triggered_on"
      runner-environment: "runner_environment"
      source-repository-uri: "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}"
      source-repository-digest: "revision"
      source-repository-ref: "ref"
      source-repository-owner-uri: "{{.base_url}}/{{.workspace_domain}}"
      run-invocation-uri: "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}/pipelines/pipeline/{{.pipeline_id}}/execution/{{.execution_id}}"
    subject-alternative-name-template: "{{.base_url}}/{{.workspace_domain}}/{{.project_name}}/pipelines/pipeline/{{.pipeline_id}}"
"""


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def name_of(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Providers:
    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.key = rsa.generate_private_key(65537, 2048)
        self.origins = {}
        self.issuers = {}

    def rewrite(self, text):
        """The production file with loopback addresses for issuers, and what vouches for them."""
        head, mark, rest = text.partition("\nmeta-issuers:")
        text = head.rstrip() + "\n" + MORE_ISSUERS + mark.lstrip() + rest.rstrip() + "\n" + MORE_METADATA
        keys = re.findall(r"^  (https://\S+):$", text, re.M)
        for origin in dict.fromkeys(re.match(r"https://[^/]+", key).group() for key in keys):
            number = len(self.origins) + 1
            middle = "*" if "*" in origin else "0"
            self.origins[origin] = f"127.{middle}.1.{number}"
        self.authority, chain, key = self._certificates()
        # The longest first: one may be the beginning of another.
        for origin in sorted(self.origins, key=len, reverse=True):
            text = re.sub(re.escape(origin) + r"(?=[/:\s\"'])", f"https://{self.origins[origin]}:{self.port}", text)
        indented = "".join(f"      {line}\n" for line in self.authority.splitlines())
        text = text.replace("    client-id: sigstore\n", "    client-id: sigstore\n    ca-cert: |\n" + indented)
        # The domain of usernames is a host without a scheme.
        text = text.replace("subject-domain: name.example.com", f"subject-domain: {self.origins['https://name.example.com']}")
        self._serve(chain, key)
        return text

    def url(self, issuer):
        """Where an issuer of the production file is; a `*` in its host needs no name."""
        parts = re.match(r"(https://[^/]+)(.*)", issuer)
        pattern = next(one for one in self.origins if re.fullmatch(re.escape(one).replace(r"\*", r"[^./]+"), parts.group(1)))
        url = f"https://{self._address(pattern)}:{self.port}{parts.group(2)}"
        self.issuers[urllib.parse.urlsplit(url.rstrip("/") + "/.well-known/openid-configuration")[1:3]] = url
        return url

    def host(self, issuer):
        return urllib.parse.urlsplit(self.url(issuer)).netloc

    def _address(self, origin):
        return self.origins[origin].replace("*", "1")

    def _certificates(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        addresses = [x509.IPAddress(ipaddress.ip_address(self._address(origin))) for origin in self.origins]

        def builder(subject, key):
            made = x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of("Oracle's issuers"))
            made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
            return made.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))

        ca = builder("Oracle's issuers", root).add_extension(x509.BasicConstraints(True, None), True).sign(root, hashes.SHA256())
        end = builder("issuer", leaf).add_extension(x509.SubjectAlternativeName(addresses), False)
        end = end.add_extension(x509.BasicConstraints(False, None), True).sign(root, hashes.SHA256())
        key = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return ca.public_bytes(Encoding.PEM).decode(), end.public_bytes(Encoding.PEM), key

    def _serve(self, chain, key):
        files = [self.folder / "issuers.pem", self.folder / "issuers.key"]
        for file, content in zip(files, (chain, key)):
            file.write_bytes(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        for origin in self.origins:
            server = http.server.ThreadingHTTPServer((self._address(origin), self.port), self._handler())
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def _handler(self):
        providers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                here = f"{self.server.server_address[0]}:{providers.port}"
                if self.path == "/keys":
                    key = json.loads(RSAAlgorithm.to_jwk(providers.key.public_key()))
                    said = {"keys": [{**key, "kid": "rsa", "alg": "RS256", "use": "sig", "key_ops": ["verify"]}]}
                elif issuer := providers.issuer_at(here, self.path):
                    said = {"issuer": issuer, "jwks_uri": f"https://{here}/keys"}
                    said["authorization_endpoint"] = said["token_endpoint"] = f"https://{here}/none"
                    said["id_token_signing_alg_values_supported"] = ["RS256"]
                else:
                    self.send_error(404)
                    return
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def issuer_at(self, host, path):
        return self.issuers.get((host, path)) or (
            # Before any token was made of it: the plain issuers, which are asked at the start.
            f"https://{host}{path.removesuffix('/.well-known/openid-configuration')}"
            if path.endswith("/.well-known/openid-configuration")
            else None
        )

    def token(self, issuer, claims):
        """A token with these claims, in JSON where they are text: with whatever no library would write."""
        now = int(time.time())
        registered = {"iss": self.url(issuer), "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600}
        if isinstance(claims, str):
            payload = json.dumps(registered)[:-1] + ", " + claims.strip()[1:]
        else:
            payload = json.dumps({**registered, **claims}, ensure_ascii=False)
        signed = b64url(b'{"alg":"RS256","typ":"JWT","kid":"rsa"}') + "." + b64url(payload.encode("utf-8", "surrogatepass"))
        return f"{signed}.{b64url(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
