"""Fulcio with its own production configuration, `sealogd` with what it imports of that: the same tokens to both.

    claims.py SEALOGD FULCIO CONFIG PARSER FOLDER

Every certificate of ours is also read by OpenSSL and by Go (PARSER, with fulcio's own reader of its extensions).
"""

import json
import pathlib
import subprocess
import sys

from asn1crypto.core import UTF8String
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca import JSON, PATH, by_csr, by_key, signing_request
from claim_sets import proofs, sets
from common import Comparison, Servers, ask, free_port, table
from providers import Providers

FULCIO = "1.3.6.1.4.1.57264.1."
OTHER_NAME = "1.3.6.1.4.1.57264.1.7"
# Compared once and for all by ca.py, with the reason why they differ; here they would say nothing of claims.
NOT_OF_CLAIMS = {"2.5.29.14", "2.5.29.35", "1.3.6.1.4.1.11129.2.4.2"}


class Claims(Comparison):
    def __init__(self, *ports):
        super().__init__(*ports)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.request = signing_request(self.key, hashes.SHA256())
        self.ours_issued = []

    def certify(self, case, token, words=None):
        """By a signing request, or by a key and a proof over these words."""
        body = json.dumps(by_csr(token, self.request) if words is None else by_key(token, self.key, words))
        answers = [ask(port, "POST", PATH, body, JSON) for port in (self.ours, self.theirs)]
        self.note(case, "answer", *(outcome(answer) for answer in answers))
        leaves = [leaf(answer) for answer in answers]
        if leaves[0]:
            self.ours_issued.append((case, leaves[0], answers[0]))
        if all(leaves):
            self.compare(case, *leaves)

    def compare(self, case, ours, theirs):
        def key(one):
            return one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

        self.note(case, "subject", *(one.subject.rfc4514_string() for one in (ours, theirs)))
        self.note(case, "public key", key(ours), key(theirs))
        mine, other = said(ours), said(theirs)
        self.note(case, "extensions", sorted(mine), sorted(other))
        for oid in sorted(set(mine) & set(other)):
            self.note(case, f"extension {oid.removeprefix(FULCIO)}", mine[oid], other[oid])


def outcome(answer):
    if answer.status == 200:
        return "certificate"
    return f"refused with {answer.status}, code {answer.member('code')}"


def leaf(answer):
    if answer.status != 200:
        return None
    pem = answer.json["signedCertificateEmbeddedSct"]["chain"]["certificates"][0]
    return x509.load_pem_x509_certificate(pem.encode())


def said(certificate):
    """Extension to what it says: names and Fulcio's texts in words, the rest in hexadecimal."""
    found = {}
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        if oid in NOT_OF_CLAIMS:
            continue
        if oid == "2.5.29.17":
            found[oid] = [extension.critical, [name_of(name) for name in extension.value]]
        else:
            content = extension.value.public_bytes()
            found[oid] = [extension.critical, text_of(oid, content) if oid.startswith(FULCIO) else content.hex()]
    return found


def name_of(name):
    if isinstance(name, x509.OtherName):
        return [name.type_id.dotted_string, UTF8String.load(name.value, strict=True).native]
    return [type(name).__name__, name.value]


def text_of(oid, content):
    """The six old extensions are bare text, the others DER."""
    if int(oid.removeprefix(FULCIO)) < 7:
        return content.decode()
    return UTF8String.load(content, strict=True).native


def by_openssl(claims, folder):
    """Our certificates under our chain, by the strictest rules OpenSSL has."""
    if not claims.ours_issued:
        return
    chain = claims.ours_issued[0][2].json["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    (folder / "root.pem").write_text(chain[-1] + "\n")
    (folder / "others.pem").write_text("\n".join(chain[1:-1]) + "\n")
    files = []
    for number, (_, certificate, _) in enumerate(claims.ours_issued):
        files.append(folder / f"leaf-{number}.pem")
        files[-1].write_bytes(certificate.public_bytes(Encoding.PEM))
    arguments = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-no-CApath", "-no-CAstore", "-CAfile", folder / "root.pem"]
    done = subprocess.run([*arguments, "-untrusted", folder / "others.pem", *files], capture_output=True, text=True, check=False)
    verdicts = dict(line.rsplit(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    for (case, _, _), file in zip(claims.ours_issued, files):
        claims.note(case, "openssl", verdicts.get(str(file), "not verified: " + done.stderr[-300:]), "OK")


def by_go(claims, parser):
    """Go must read in our certificates what Python reads."""
    pems = b"".join(certificate.public_bytes(Encoding.PEM) for _, certificate, _ in claims.ours_issued)
    done = subprocess.run([parser], input=pems, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode())
    lines = done.stdout.decode().splitlines()
    claims.note("all certificates", "read by go", len(claims.ours_issued), len(lines))
    for (case, certificate, _), line in zip(claims.ours_issued, lines):
        python = said(certificate)
        names = [name[1] for name in python.pop("2.5.29.17")[1]]
        texts = {oid.removeprefix(FULCIO): value for oid, (_, value) in python.items() if oid.startswith(FULCIO)}
        claims.note(case, "go", {"names": names, "extensions": texts, "error": ""}, json.loads(line))


def main(sealogd, peer, config, parser, folder):
    with Servers(folder) as servers:
        port, log, other = free_port(), free_port(), free_port()
        providers = Providers(servers.folder, free_port())
        file = servers.folder / "config.yaml"
        file.write_text(providers.rewrite(pathlib.Path(config).read_text()))
        imported = subprocess.run([sealogd, "import-fulcio", file], capture_output=True, text=True, check=False)
        if imported.returncode != 0 or "left out" in imported.stdout:
            raise SystemExit(f"the import failed:\n{imported.stderr}")
        keys = servers.sealogd(sealogd, table("ctlog", log) + table("ca", port) + imported.stdout)
        servers.start(
            "fulcio",
            [peer, "serve", "--host", "127.0.0.1", "--port", other, "--grpc-host", "127.0.0.1", "--grpc-port", free_port()]
            + ["--metrics-port", free_port(), "--legacy-unix-domain-socket", f"@sealog-fulcio-{other}"]
            + ["--ca", "fileca", "--fileca-cert", keys / "ca.pem", "--fileca-key", keys / "ca.key", "--fileca-watch=false"]
            + ["--fileca-key-passwd", "none", "--ct-log-url", f"http://localhost:{log}"]
            + ["--ct-log-public-key-path", keys / "ctlog.pub", "--config-path", file],
            other,
        )
        claims = Claims(port, other)
        ours, theirs = claims.ask("configuration", "GET", "/api/v2/configuration")
        listed = [sorted(json.dumps(one, sort_keys=True) for one in answer.json["issuers"]) for answer in (ours, theirs)]
        claims.note("configuration", "issuers", *listed)
        seen = set()
        for case, issuer, content, *words in [*sets(providers), *proofs(providers)]:
            if case in seen:
                raise SystemExit(f"two cases are called `{case}`")
            seen.add(case)
            claims.certify(case, providers.token(issuer, content), *words)
        by_openssl(claims, servers.folder)
        by_go(claims, parser)
        print(f"{len(seen)} claim sets", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:6])
