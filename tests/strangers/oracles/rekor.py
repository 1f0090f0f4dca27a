"""Rekor v2: the same requests to `sealogd` and to rekor-server-posix, over one log key and host name.

    rekor.py SEALOGD REKOR_SERVER FSCK READER FOLDER SEED

First requests made by hand, each for one reason, then thousands that follow from the seed. At the end both logs are read
whole by tessera's `fsck`, another implementation of tiled logs, and by a reader around tessera's client.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import json
import shutil
import subprocess
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import ed25519ph
import many
from common import Comparison, Servers, b64, free_port, table
from generated import JSON, PATH

# Requests that follow from the seed.
GENERATED = 5000
# Some seconds are usual. Damage may make it wait for ever, and then nothing is lost by giving up early.
FSCK_SECONDS = 300
DAMAGED_SECONDS = 30
COPY_TRIES = 20
ECDSA = {
    "PKIX_ECDSA_P256_SHA_256": (ec.SECP256R1, hashes.SHA256),
    "PKIX_ECDSA_P384_SHA_384": (ec.SECP384R1, hashes.SHA384),
    "PKIX_ECDSA_P521_SHA_512": (ec.SECP521R1, hashes.SHA512),
}


def digest(data, algorithm):
    return hashlib.new(algorithm.name, data).digest()


def spki_of(public):
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki(key):
    return spki_of(key.public_key())


def compressed(key):
    """A P-256 key whose point is written short, which SubjectPublicKeyInfo allows and few read."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point


def sign(key, data, algorithm):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(digest(data, algorithm), padding.PKCS1v15(), Prehashed(algorithm))
    return key.sign(digest(data, algorithm), ec.ECDSA(Prehashed(algorithm)))


def certificate(key, days=1, names=(), filler=0):
    """A certificate of its own making: the log reads its key and nothing else."""
    start = datetime.datetime(2020, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), True)
    if filler:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(filler)), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def verifier(details, key=None, cert=None):
    made = {"keyDetails": details} if details is not None else {}
    if key is not None:
        made["publicKey"] = {"rawBytes": b64(key)}
    if cert is not None:
        made["x509Certificate"] = {"rawBytes": b64(cert)}
    return made


def request(content, signature, who):
    return {"hashedRekordRequestV002": {"digest": b64(content), "signature": {"content": b64(signature), "verifier": who}}}


class Log(Comparison):
    proves = staticmethod(many.proves)

    def __init__(self, ours, theirs):
        super().__init__(ours, theirs)
        # The peer answers a client alone once a second.
        self.pool = concurrent.futures.ThreadPoolExecutor(100)
        self.asked = []

    def entry(self, case, body, headers=None):
        """The same, among others."""
        self.asked.append(self.pool.submit(self.entry_now, case, body, headers))

    def all_answered(self):
        for one in self.asked:
            one.result()
        self.asked.clear()

    def entry_now(self, case, body, headers=None):
        """A request whose two answers are also compared as log entries, where they are."""
        raw = body if isinstance(body, (bytes, str)) else json.dumps(body)
        ours, theirs = self.ask(case, "POST", PATH, raw, JSON if headers is None else headers)
        if ours.status == theirs.status == 201:
            self.compare_entries(case, ours.json, theirs.json)
        return ours, theirs

    def compare_entries(self, case, ours, theirs):
        self.note(case, "members", list(ours), list(theirs))
        for member in ("canonicalizedBody", "logId", "kindVersion", "integratedTime", "inclusionPromise"):
            self.note(case, member, ours.get(member), theirs.get(member))
        mine, other = ours["inclusionProof"], theirs["inclusionProof"]
        self.note(case, "proof members", list(mine), list(other))
        lines = [proof["checkpoint"]["envelope"].split("\n") for proof in (mine, other)]
        self.note(case, "checkpoint origin", lines[0][0], lines[1][0])
        self.note(case, "checkpoint shape", len(lines[0]), len(lines[1]))
        keys = [line[4].split(" ")[1:] for line in lines]
        # The name and the four bytes of key id; what follows is the signature of another tree.
        self.note(case, "checkpoint signer", [keys[0][0], key_id(keys[0][1])], [keys[1][0], key_id(keys[1][1])])
        for name, entry in (("ours", ours), ("theirs", theirs)):
            self.note(case, f"proof of {name}", self.proves(entry), True)


def key_id(signature):
    return base64.b64decode(signature)[:4].hex()


def good(log):
    """Entries of every kind that both must take."""
    for details, (curve, algorithm) in ECDSA.items():
        key = ec.generate_private_key(curve())
        for kind, who in (("key", verifier(details, key=spki(key))), ("certificate", verifier(details, cert=certificate(key)))):
            data = f"{details} {kind}".encode()
            log.entry(data.decode(), request(digest(data, algorithm()), sign(key, data, algorithm()), who))
    for bits in (2048, 3072, 4096):
        key, data, details = rsa.generate_private_key(65537, bits), b"rsa", f"PKIX_RSA_PKCS1V15_{bits}_SHA256"
        signature = sign(key, data, hashes.SHA256())
        log.entry(details, request(digest(data, hashes.SHA256()), signature, verifier(details, key=spki(key))))
    hashed = hashlib.sha512(b"edwards").digest()
    signature, public = ed25519ph.sign(bytes(range(32)), hashed)
    public = spki_of(ed25519.Ed25519PublicKey.from_public_bytes(public))
    log.entry("PKIX_ED25519_PH", request(hashed, signature, verifier("PKIX_ED25519_PH", key=public)))


def spellings(log, key):
    """The same entry, written as ProtoJSON also allows."""
    details = "PKIX_ECDSA_P256_SHA_256"

    def fresh(name):
        data = name.encode()
        return digest(data, hashes.SHA256()), sign(key, data, hashes.SHA256())

    content, signature = fresh("snake")
    who = {"key_details": details, "public_key": {"raw_bytes": b64(spki(key))}}
    body = {"hashed_rekord_request_v002": {"digest": b64(content), "signature": {"content": b64(signature), "verifier": who}}}
    log.entry("snake case", body)
    content, signature = fresh("url-safe")
    body = request(content, signature, verifier(details, key=spki(key)))
    log.entry("url-safe base64", json.dumps(body).replace("+", "-").replace("/", "_"))
    content, signature = fresh("unpadded")
    log.entry("unpadded base64", json.dumps(request(content, signature, verifier(details, key=spki(key)))).replace("=", ""))
    content, signature = fresh("number")
    log.entry("enum by number", request(content, signature, verifier(5, key=spki(key))))
    content, signature = fresh("null")
    body = request(content, signature, verifier(details, key=spki(key)))
    body["hashedRekordRequestV002"]["signature"]["verifier"]["x509Certificate"] = None
    log.entry("null arm", body)
    content, signature = fresh("plain text")
    log.entry("content type text/plain", request(content, signature, verifier(details, key=spki(key))), {"Content-Type": "text/plain"})
    content, signature = fresh("no type")
    log.entry("no content type", request(content, signature, verifier(details, key=spki(key))), {})
    content, signature = fresh("spaces")
    log.entry("white space around", b" \n" + json.dumps(request(content, signature, verifier(details, key=spki(key))), indent=3).encode() + b"\n\n")


def certificates(log, key):
    details, data = "PKIX_ECDSA_P256_SHA_256", b"certificates"
    content, signature = digest(data, hashes.SHA256()), sign(key, data, hashes.SHA256())
    log.entry("expired certificate", request(content, signature, verifier(details, cert=certificate(key))))
    log.entry("certificate for servers", request(content, signature, verifier(details, cert=certificate(key, names=["a.example"]))))
    cert = certificate(key)
    log.entry("certificate with bytes after it", request(content, signature, verifier(details, cert=cert + b"\0")))
    log.entry("certificate cut short", request(content, signature, verifier(details, cert=cert[:-1])))
    pem = x509.load_der_x509_certificate(cert).public_bytes(Encoding.PEM)
    log.entry("certificate in PEM", request(content, signature, verifier(details, cert=pem)))
    log.entry("leaf of 40000 bytes", request(content, signature, verifier(details, cert=certificate(key, filler=29000))))
    log.entry("leaf over 65535 bytes", request(content, signature, verifier(details, cert=certificate(key, filler=60000))))


def refused(log, key):
    """Requests with one thing wrong."""
    details, data = "PKIX_ECDSA_P256_SHA_256", b"refused"
    content, signature, who = digest(data, hashes.SHA256()), sign(key, data, hashes.SHA256()), spki(key)
    right = verifier(details, key=who)

    log.entry("signature of something else", request(digest(b"else", hashes.SHA256()), signature, right))
    log.entry("signature damaged", request(content, signature[:-1] + bytes([signature[-1] ^ 1]), right))
    log.entry("signature not DER", request(content, b"\x01" * 64, right))
    log.entry("signature empty", request(content, b"", right))
    log.entry("digest empty", request(b"", signature, right))
    log.entry("digest short", request(content[:-1], signature, right))
    log.entry("digest long", request(content + b"\0", signature, right))
    log.entry("digest of another hash", request(digest(data, hashes.SHA384()), signature, right))
    log.entry("no verifier", request(content, signature, None))
    log.entry("verifier without key", request(content, signature, verifier(details)))
    log.entry("key empty", request(content, signature, verifier(details, key=b"")))
    log.entry("key not DER", request(content, signature, verifier(details, key=b"no key")))
    log.entry("key with bytes after it", request(content, signature, verifier(details, key=who + b"\0")))
    log.entry("key with a compressed point", request(content, signature, verifier(details, key=compressed(key))))
    log.entry("no key details", request(content, signature, verifier(None, key=who)))
    log.entry("unspecified key details", request(content, signature, verifier("PUBLIC_KEY_DETAILS_UNSPECIFIED", key=who)))
    log.entry("malformed: unknown key details", request(content, signature, verifier("PKIX_NO_SUCH", key=who)))
    log.entry("unknown key details by number", request(content, signature, verifier(999, key=who)))
    log.entry("key details of another curve", request(content, signature, verifier("PKIX_ECDSA_P384_SHA_384", key=who)))
    log.entry("key details of RSA", request(content, signature, verifier("PKIX_RSA_PKCS1V15_2048_SHA256", key=who)))

    other = ec.generate_private_key(ec.SECP384R1())
    short = digest(data, hashes.SHA256())
    signed = other.sign(short, ec.ECDSA(Prehashed(hashes.SHA256())))
    log.entry("P-384 with SHA-256", request(short, signed, verifier("PKIX_ECDSA_P384_SHA_256", key=spki(other))))
    for curve in (ec.SECP224R1(), ec.SECP256K1()):
        odd = ec.generate_private_key(curve)
        log.entry(f"curve {curve.name}", request(content, sign(odd, data, hashes.SHA256()), verifier(details, key=spki(odd))))
    small = rsa.generate_private_key(65537, 1024)
    log.entry("RSA 1024", request(content, sign(small, data, hashes.SHA256()), verifier("PKIX_RSA_PKCS1V15_2048_SHA256", key=spki(small))))
    pss = rsa.generate_private_key(65537, 2048)
    signed = pss.sign(content, padding.PSS(padding.MGF1(hashes.SHA256()), 32), Prehashed(hashes.SHA256()))
    log.entry("RSA-PSS", request(content, signed, verifier("PKIX_RSA_PSS_2048_SHA256", key=spki(pss))))
    edwards = ed25519.Ed25519PrivateKey.generate()
    log.entry("pure Ed25519", request(content, edwards.sign(content), verifier("PKIX_ED25519", key=spki(edwards))))
    log.entry("pure Ed25519 as ph", request(digest(data, hashes.SHA512()), edwards.sign(data), verifier("PKIX_ED25519_PH", key=spki(edwards))))


def malformed(log, key):
    """Bodies that are no request."""
    details, data = "PKIX_ECDSA_P256_SHA_256", b"malformed"
    content, signature = digest(data, hashes.SHA256()), sign(key, data, hashes.SHA256())
    body = request(content, signature, verifier(details, key=spki(key)))
    whole = json.dumps(body)
    log.entry("malformed: empty body", b"")
    log.entry("malformed: empty object", {})
    log.entry("malformed: not JSON", b"hashedrekord")
    log.entry("malformed: array", b"[]")
    log.entry("malformed: null", b"null")
    log.entry("malformed: cut short", whole[:-7])
    log.entry("malformed: two documents", whole + whole)
    log.entry("malformed: not UTF-8", whole.replace(details, "\xff").encode("latin-1"))
    log.entry("malformed: unknown arm", {"intotoRequestV002": {}})
    log.entry("malformed: unknown member", {**body, "more": 1})
    log.entry("malformed: unknown member inside", {"hashedRekordRequestV002": {**body["hashedRekordRequestV002"], "more": 1}})
    log.entry("malformed: member twice", whole[:-2] + ', "digest": "%s"}}' % b64(content))
    log.entry("malformed: both arms", {**body, "dsseRequestV002": {}})
    log.entry("malformed: digest a number", {"hashedRekordRequestV002": {**body["hashedRekordRequestV002"], "digest": 7}})
    log.entry("malformed: digest not base64", {"hashedRekordRequestV002": {**body["hashedRekordRequestV002"], "digest": "&&&&"}})
    log.entry("malformed: nested deeply", b'{"hashedRekordRequestV002":' + b'{"signature":' * 20000 + b"1" + b"}" * 20001)
    log.entry("malformed: over the body limit", b'{"hashedRekordRequestV002":{"digest":"' + b"A" * (5 << 20) + b'"}}')


def attestation(log, key):
    """The retired arm that sigstore-js still sends."""
    payload, kind = b'{"_type":"https://in-toto.io/Statement/v1"}', "application/vnd.in-toto+json"
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    who = verifier("PKIX_ECDSA_P256_SHA_256", cert=certificate(key))
    envelope = {"payload": b64(payload), "payloadType": kind, "signatures": [{"sig": b64(sign(key, pae, hashes.SHA256())), "keyid": ""}]}
    log.entry("dsse request", {"dsseRequestV002": {"envelope": envelope, "verifiers": [who]}})


def twice(log, key):
    """The same entry again: what a client that retries sees."""
    details, data = "PKIX_ECDSA_P256_SHA_256", b"twice"
    body = request(digest(data, hashes.SHA256()), sign(key, data, hashes.SHA256()), verifier(details, key=spki(key)))
    log.entry_now("first of two", body)
    log.entry_now("second of two", body)


def paths(log):
    """Everything beside writing."""
    for method, path in (("GET", PATH), ("PUT", PATH), ("POST", "/api/v1/log/entries"), ("GET", "/api/v1/log"), ("GET", "/no/such"), ("POST", "/api/v2/log/entries/")):
        log.ask(f"method {method} {path}" if path == PATH else f"path {method} {path}", method, path, b"{}" if method != "GET" else None, JSON if method != "GET" else {})
    ours, theirs = log.ask("GET /healthz", "GET", "/healthz")
    log.note("GET /healthz", "body", ours.json, theirs.json)
    log.ask("read /api/v2/checkpoint", "GET", "/api/v2/checkpoint", media_type=False)
    log.ask("read /api/v2/tile/0/000.p/1", "GET", "/api/v2/tile/0/000.p/1", media_type=False)
    log.ask("read /api/v2/tile/entries/000.p/1", "GET", "/api/v2/tile/entries/000.p/1", media_type=False)


def verifier_key(folder, keys):
    """The log's key as note verifiers write it (C2SP signed-note)."""
    public = serialization.load_pem_public_key((keys / "rekor.pub").read_bytes())
    raw = b"\x01" + public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    name = hashlib.sha256(b"localhost\n" + raw).digest()[:4].hex()
    key = folder / "log.vkey"
    key.write_text(f"localhost+{name}+{b64(raw)}")
    return key


def fscked(fsck, key, place, limit=FSCK_SECONDS):
    """What tessera's fsck finds. Its exit status is 0 whatever it found, and what it finds can make it wait for ever."""
    arguments = [fsck, "--ui=false", "--public_key", key, "--storage_url", place]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired as late:
        return f"waits for ever: {late.stderr}"
    return "sound" if "Successfully fsck'd log" in done.stderr and "fsck failed" not in done.stderr else done.stdout + done.stderr


def read_whole(log, fsck, folder, keys, places):
    """Every tile, entry bundle and checkpoint, by a reader that neither server wrote."""
    key = verifier_key(folder, keys)
    log.note("the whole log", "as fsck finds it", *(fscked(fsck, key, place) for place in places))
    # That it looks at all: one letter of a checkpoint changed in a copy of the peer's own log (without its database of
    # duplicates, which is large).
    copy = folder / "damaged"
    for tries in range(COPY_TRIES):
        try:
            shutil.copytree(folder / "storage" / "tile", copy / "tile")
            break
        except (shutil.Error, FileNotFoundError):
            # The peer, which still runs, removes the partial tiles of full ones when it likes.
            shutil.rmtree(copy / "tile", ignore_errors=True)
            if tries == COPY_TRIES - 1:
                raise
            time.sleep(0.5)
    shutil.copy(folder / "storage" / "checkpoint", copy)
    checkpoint = copy / "checkpoint"
    lines = checkpoint.read_text().split("\n")
    lines[2] = ("B" if lines[2][0] == "A" else "A") + lines[2][1:]
    checkpoint.chmod(0o600)
    checkpoint.write_text("\n".join(lines))
    log.note("a damaged log", "as fsck finds it", fscked(fsck, key, f"file://{copy}/", DAMAGED_SECONDS) == "sound", False)


def by_hand(log):
    key = ec.generate_private_key(ec.SECP256R1())
    # Index 0 is ours by a seeded entry; one here gives the peer the same.
    log.entry_now("an entry to begin with", request(*first(key)))
    for part in (spellings, certificates, refused, malformed, attestation, twice):
        part(log, key)
    good(log)
    paths(log)
    log.all_answered()


def main(sealogd, peer, fsck, reader, folder, seed):
    with Servers(folder) as servers:
        port, other = free_port(), free_port()
        keys = servers.sealogd(sealogd, table("rekor", port))
        storage = servers.folder / "storage"
        storage.mkdir()
        servers.start(
            "rekor-server-posix",
            [peer, "serve", "--hostname", "localhost", "--http-port", other, "--grpc-port", free_port()]
            + ["--http-metrics-port", free_port(), "--storage-dir", storage, "--signer-filepath", keys / "rekor.key"]
            # Its own ten seconds would only make this slow; and it is to know every duplicate, not only the latest.
            + ["--checkpoint-interval", "100ms", "--batch-max-age", "50ms", "--batch-max-size", "4096"]
            + ["--pushback-max-outstanding", "40000", "--persistent-antispam"],
            other,
        )
        log = Log(port, other)
        by_hand(log)
        places = [f"http://localhost:{port}/", f"file://{storage}/"]

        def leaves():
            public = keys / "rekor.pub"
            return [many.leaves(reader, place, public, "localhost") for place in (places[0], storage)]

        many.run(log, int(seed), GENERATED, port, other, leaves)
        read_whole(log, fsck, servers.folder, keys, places)


def first(key):
    data = b"first"
    return digest(data, hashes.SHA256()), sign(key, data, hashes.SHA256()), verifier("PKIX_ECDSA_P256_SHA_256", key=spki(key))


if __name__ == "__main__":
    main(*sys.argv[1:7])
