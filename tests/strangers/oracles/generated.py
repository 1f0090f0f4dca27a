"""Thousands of requests for a log of signatures, all from one seed: valid, spelt otherwise, damaged, sent again.

A request's kind says what was done to it; kinds are what `docs/reference/differences.md` speaks of.
"""

import base64
import dataclasses
import hashlib
import json
import random

from damage import CERTIFICATE_DAMAGES, DIGEST_DAMAGES, KEY_DAMAGES, SIGNATURE_DAMAGES
from signers import DETAILS, Signers, digest_of
from spelling import MALFORMED, ODD_SPELLINGS, spell

PATH = "/api/v2/log/entries"
JSON = {"Content-Type": "application/json"}
# Bytes in a body that both servers still read.
BODY_LIMIT = 4 << 20

# How many of each; the sum is what is asked for, and what is left over goes to valid requests.
SHARES = {
    "spelling": 700,
    "odd spelling": 330,
    "malformed": 420,
    "pairing": 400,
    "signature": 360,
    "digest": 220,
    "key": 330,
    "certificate": 420,
    "dsse": 120,
    "damaged dsse": 60,
    "transport": 120,
    "large": 9,
    "again": 300,
    "again, spelt otherwise": 150,
    "at once": 180,
}
AT_ONCE = 3
# Damage after which a request may still be taken in, or even must be.
HARMLESS = {
    ("signature", "s of the other sign"): 201,
    # The log reads a certificate's key: much of the rest may be damaged.
    ("certificate", "bit flipped"): None,
    ("certificate", "another byte"): None,
    ("certificate", "byte inserted"): None,
    ("certificate", "byte missing"): None,
    ("certificate", "issuer not UTF-8"): None,
}


@dataclasses.dataclass
class Request:
    kind: str
    body: bytes
    number: int = 0
    # What ours must answer, where the way it was made decides that.
    wanted: int | None = None
    method: str = "POST"
    path: str = PATH
    headers: dict = dataclasses.field(default_factory=lambda: dict(JSON))
    # What the peer gets in place of `body`.
    other: bytes | None = None
    # The request that this one repeats.
    first: "Request | None" = None

    @property
    def case(self):
        return f"generated {self.kind} #{self.number}"

    def body_for(self, peer):
        return self.other if peer and self.other is not None else self.body


def b64(data):
    return base64.b64encode(data).decode()


@dataclasses.dataclass
class Parts:
    """What a request is made of, before it is spelt."""

    digest: bytes
    signature: bytes
    details: object
    arm: str
    der: bytes

    def message(self):
        verifier = {self.arm: {"rawBytes": b64(self.der)}, "keyDetails": self.details}
        return {"hashedRekordRequestV002": {"digest": b64(self.digest), "signature": {"content": b64(self.signature), "verifier": verifier}}}

    def body(self):
        return json.dumps(self.message()).encode()


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.signers = Signers(self.rng)
        self.count = 0

    def fresh(self, signer=None, arm=None):
        """The parts of a valid request that was never made before."""
        rng = self.rng
        signer = signer or rng.choice(self.signers.all)
        self.count += 1
        digest = digest_of(b"artifact %d" % self.count, signer.hash)
        arm = arm or rng.choice(("publicKey", "x509Certificate"))
        der = signer.spki if arm == "publicKey" else rng.choice(signer.certificates)
        return Parts(digest, signer.sign(digest), signer.details, arm, der), signer

    def requests(self, total):
        """All of them: those of one list may be sent together, the lists one after the other."""
        first = [request for kind, make in self.makers() for request in make(SHARES[kind])]
        together = self.at_once(SHARES["at once"])
        repeats = SHARES["again"] + SHARES["again, spelt otherwise"]
        left = total - len(first) - sum(map(len, together)) - repeats
        if left < repeats:
            raise SystemExit(f"{total} requests are too few for the shares of their kinds")
        valid = [self.valid() for _ in range(left)]
        again = [self.again(request) for request in self.rng.sample(valid, SHARES["again"])]
        again += [self.respelt(self.rng.choice(valid)) for _ in range(SHARES["again, spelt otherwise"])]
        # Damaged and valid ones among each other.
        alone = first + valid
        self.rng.shuffle(alone)
        self.rng.shuffle(again)
        for number, request in enumerate(alone + sum(together, []) + again):
            request.number = number
        return alone, together, again

    def makers(self):
        yield "spelling", self.spelling
        yield "odd spelling", self.odd_spelling
        yield "malformed", self.malformed
        yield "pairing", self.pairing
        yield "signature", lambda n: self.damaged(n, "signature", SIGNATURE_DAMAGES)
        yield "digest", lambda n: self.damaged(n, "digest", DIGEST_DAMAGES)
        yield "key", lambda n: self.damaged(n, "key", KEY_DAMAGES)
        yield "certificate", lambda n: self.damaged(n, "certificate", CERTIFICATE_DAMAGES)
        yield "dsse", self.dsse
        yield "damaged dsse", self.damaged_dsse
        yield "transport", self.transport
        yield "large", self.large

    def valid(self):
        parts, _ = self.fresh()
        request = Request("valid", parts.body(), wanted=201)
        request.parts = parts
        return request

    def spelling(self, count):
        return [Request("spelling", spell(self.rng, self.fresh()[0].message()), wanted=201) for _ in range(count)]

    def odd_spelling(self, count):
        """One oddity each that a reader of ProtoJSON may or may not take."""
        made = []
        for number in range(count):
            name, change = ODD_SPELLINGS[number % len(ODD_SPELLINGS)]
            made.append(Request(f"spelling: {name}", change(self.rng, self.fresh()[0].message())))
        return made

    def malformed(self, count):
        made = []
        for number in range(count):
            name, change = MALFORMED[number % len(MALFORMED)]
            made.append(Request(f"malformed: {name}", change(self.rng, self.fresh()[0].message())))
        return made

    def pairing(self, count):
        """Every kind of key under every name, signed with the hash that goes with the name."""
        made = []
        for signer in self.signers.one_of_each:
            for details, (_, hash_name) in DETAILS.items():
                for arm in ("publicKey", "x509Certificate"):
                    parts, _ = self.fresh(signer, arm)
                    own = signer.details == details
                    same = hash_name == signer.hash
                    if not own:
                        parts.digest = digest_of(b"pairing %d" % self.count, hash_name)
                        parts.signature = signer.sign(parts.digest, hash_name)
                        parts.details = details
                    what = "its name" if own else f"the name of {details}, {'its' if same else 'another'} hash"
                    made.append(Request(f"pairing: {what}", parts.body(), wanted=201 if own else 400))
        while len(made) < count:
            parts, _ = self.fresh()
            parts.details = self.rng.choice((24, 99, 2**31 - 1, -1, "PKIX_ECDSA_P256_SHA_384", "pkix_ecdsa_p256_sha_256", ""))
            made.append(Request("malformed: no such key details", parts.body(), wanted=400))
        return made[:count]

    def damaged(self, count, field, damages):
        made = []
        for number in range(count):
            name, kinds, change = damages[number % len(damages)]
            fitting = [signer for signer in self.signers.all if not kinds or signer.details.startswith(kinds)]
            arm = {"key": "publicKey", "certificate": "x509Certificate"}.get(field)
            parts, signer = self.fresh(self.rng.choice(fitting), arm)
            change(self.rng, parts, signer)
            made.append(Request(f"{field}: {name}", parts.body(), wanted=HARMLESS.get((field, name), 400)))
        return made

    def envelope(self):
        parts, signer = self.fresh()
        payload = self.rng.randbytes(self.rng.randrange(300))
        payload_type = self.rng.choice(("application/vnd.in-toto+json", "text/plain", "é", "a b"))
        kind = payload_type.encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        parts.digest = digest_of(pae, signer.hash)
        parts.signature = signer.sign(parts.digest)
        verifier = parts.message()["hashedRekordRequestV002"]["signature"]["verifier"]
        signature = {"sig": b64(parts.signature), "keyid": self.rng.choice(("", "k"))}
        envelope = {"payload": b64(payload), "payloadType": payload_type, "signatures": [signature]}
        return {"dsseRequestV002": {"envelope": envelope, "verifiers": [verifier]}}, parts

    def dsse(self, count):
        """Half of them as they are; half beside the entry that ours makes of them."""
        made = []
        for number in range(count):
            message, parts = self.envelope()
            body = json.dumps(message).encode() if number % 4 < 2 else spell(self.rng, message)
            if number % 2:
                made.append(Request("envelope as its digest", body, wanted=201, other=parts.body()))
            else:
                made.append(Request("envelope", body, wanted=201))
        return made

    def damaged_dsse(self, count):
        made = []
        for number in range(count):
            message, _ = self.envelope()
            request = message["dsseRequestV002"]
            envelope = request["envelope"]
            match number % 8:
                case 0:
                    envelope["payload"] = b64(b"another payload")
                case 1:
                    envelope["payloadType"] += "x"
                case 2:
                    envelope["signatures"] = []
                case 3:
                    envelope["signatures"] *= 2
                case 4:
                    request["verifiers"] = []
                case 5:
                    request["verifiers"] *= 2
                case 6:
                    del request["envelope"]
                case 7:
                    envelope["signatures"][0]["sig"] = b64(self.rng.randbytes(70))
            made.append(Request("damaged envelope", json.dumps(message).encode(), wanted=400))
        return made

    def transport(self, count):
        """The same entry over HTTP in other ways."""
        made = []
        ways = [
            ("method", {"method": "GET", "headers": {}}),
            ("method", {"method": "PUT"}),
            ("method", {"method": "DELETE"}),
            ("method", {"method": "PATCH"}),
            ("method HEAD", {"method": "HEAD", "headers": {}}),
            ("method of no standard", {"method": "FROB"}),
            ("content type", {"headers": {"Content-Type": "text/plain"}}),
            ("content type", {"headers": {"Content-Type": "application/json; charset=utf-8"}}),
            ("content type", {"headers": {"Content-Type": "APPLICATION/JSON"}}),
            ("content type", {"headers": {"Content-Type": "application/octet-stream"}}),
            ("content type", {"headers": {"Content-Type": "nonsense"}}),
            ("content type", {"headers": {"Content-Type": ""}}),
            ("content type", {"headers": {}}),
            ("content type of gRPC", {"headers": {"Content-Type": "application/grpc"}}),
            ("content type of forms", {"headers": {"Content-Type": "application/x-www-form-urlencoded"}}),
            ("method override", {"headers": {**JSON, "X-HTTP-Method-Override": "GET"}}),
            ("accept", {"headers": {**JSON, "Accept": "text/html"}}),
            ("accept", {"headers": {**JSON, "Accept": "application/x-protobuf"}}),
            ("content encoding", {"headers": {**JSON, "Content-Encoding": "gzip"}}),
            ("query", {"path": PATH + "?digest=AAAA&more=1"}),
            ("path", {"path": PATH + "/"}),
            ("path", {"path": PATH + "/7"}),
            ("path", {"path": "/api/v2/log/Entries"}),
            ("path", {"path": "/api/v2/log"}),
            ("path with two slashes", {"path": "/api//v2/log/entries"}),
            ("path with escapes", {"path": "/api/v2/log/%65ntries"}),
        ]
        for number in range(count):
            name, changes = ways[number % len(ways)]
            body = b"" if changes.get("method") in ("GET", "HEAD") else self.fresh()[0].body()
            made.append(Request(f"transport: {name}", body, **changes))
        return made

    def large(self, count):
        made = []
        for number in range(count):
            body = self.fresh()[0].body()
            match number % 3:
                case 0:
                    made.append(Request("large: as large as a body may be", body.rjust(BODY_LIMIT), wanted=201))
                case 1:
                    made.append(Request("large: a byte more", body.rjust(BODY_LIMIT + 1), wanted=400))
                case 2:
                    filler = b'{"hashedRekordRequestV002":{"digest":"' + b"A" * (BODY_LIMIT + self.rng.randrange(1 << 20))
                    made.append(Request("large: much more", filler + b'"}}', wanted=400))
        return made

    def again(self, request):
        return Request("again", request.body, wanted=201, first=request)

    def respelt(self, request):
        return Request("again, spelt otherwise", spell(self.rng, request.parts.message()), wanted=201, first=request)

    def at_once(self, count):
        """Groups of one entry, spelt alike and otherwise, to be sent in one moment."""
        groups = []
        while len(groups) * AT_ONCE < count:
            parts, _ = self.fresh()
            bodies = [parts.body()] + [self.rng.choice((parts.body(), spell(self.rng, parts.message()))) for _ in range(AT_ONCE - 1)]
            groups.append([Request("at once", body, wanted=201) for body in bodies])
            for request in groups[-1][1:]:
                request.first = groups[-1][0]
        return groups


def leaf_hash(entry):
    """RFC 9162 section 2.1.1."""
    return hashlib.sha256(b"\0" + base64.b64decode(entry["canonicalizedBody"])).hexdigest()
