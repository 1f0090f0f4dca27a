"""RFC 3161: the same requests to `sealogd` and to timestamp-server, over one key and one chain.

    tsa.py SEALOGD TIMESTAMP_SERVER FOLDER
"""

import hashlib
import json
import sys

from asn1crypto import algos, core, tsp

from common import Comparison, Servers, b64, free_port, table

PATH = "/api/v1/timestamp"
QUERY = {"Content-Type": "application/timestamp-query"}
JSON = {"Content-Type": "application/json"}
OUR_POLICY = "1.3.6.1.4.1.57264.2"


def digest(name, data=b"a signature"):
    return hashlib.new(name, data).digest()


def query(name="sha256", content=None, **more):
    algorithm = algos.DigestAlgorithm({"algorithm": name, "parameters": core.Null()})
    imprint = {"hash_algorithm": algorithm, "hashed_message": content if content is not None else digest(name)}
    return tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, **more}).dump()


def values(attributes):
    """Signed attributes by name, those that differ between two answers left out."""
    return [one["type"].native for one in attributes]


class Authority(Comparison):
    def stamp(self, case, body, headers=None):
        ours, theirs = self.ask(case, "POST", PATH, body, QUERY if headers is None else headers)
        if 200 <= ours.status < 300 and 200 <= theirs.status < 300:
            self.compare_tokens(case, tsp.TimeStampResp.load(ours.body), tsp.TimeStampResp.load(theirs.body))

    def as_json(self, case, body):
        self.stamp(case, body if isinstance(body, (bytes, str)) else json.dumps(body), JSON)

    def compare_tokens(self, case, ours, theirs):
        def both(aspect, read):
            self.note(case, aspect, read(ours), read(theirs))

        def signed(reply):
            return reply["time_stamp_token"]["content"]

        def info(reply):
            return signed(reply)["encap_content_info"]["content"].parsed

        def signer(reply):
            return signed(reply)["signer_infos"][0]

        both("reply status", lambda r: r["status"]["status"].native)
        both("reply status text", lambda r: r["status"]["status_string"].native)
        both("content type of the token", lambda r: r["time_stamp_token"]["content_type"].native)
        both("signed data version", lambda r: signed(r)["version"].native)
        both("digest algorithms", lambda r: [a["algorithm"].native for a in signed(r)["digest_algorithms"]])
        both("signers", lambda r: len(signed(r)["signer_infos"]))
        both("certificates", lambda r: [c.chosen.subject.human_friendly for c in signed(r)["certificates"] or []])
        both("revocation lists", lambda r: signed(r)["crls"].native)

        both("token version", lambda r: info(r)["version"].native)
        both("policy", lambda r: info(r)["policy"].native)
        both("imprint", lambda r: info(r)["message_imprint"].dump().hex())
        both("serial number", lambda r: 0 < info(r)["serial_number"].native < 1 << 160)
        both("time in whole seconds", lambda r: "." not in info(r)["gen_time"].contents.decode())
        both("accuracy", lambda r: info(r)["accuracy"].native)
        both("ordering", lambda r: info(r)["ordering"].native)
        both("nonce", lambda r: info(r)["nonce"].native)
        both("name of the authority", lambda r: info(r)["tsa"].native)
        both("extensions", lambda r: info(r)["extensions"].native)

        both("signer version", lambda r: signer(r)["version"].native)
        both("signer id", lambda r: [signer(r)["sid"].name, signer(r)["sid"].chosen.dump().hex()])
        both("signer digest algorithm", lambda r: signer(r)["digest_algorithm"].native)
        both("signature algorithm", lambda r: signer(r)["signature_algorithm"]["algorithm"].native)
        both("signed attributes", lambda r: values(signer(r)["signed_attrs"]))
        both("unsigned attributes", lambda r: signer(r)["unsigned_attrs"].native)
        both("certificate hash", certificate_hash)
        for name, reply in (("ours", ours), ("theirs", theirs)):
            content = signed(reply)["encap_content_info"]["content"].contents
            named = attribute(signer(reply), "message_digest")[0].native
            algorithm = signer(reply)["digest_algorithm"]["algorithm"].native
            self.note(case, f"message digest of {name}", named == hashlib.new(algorithm, content).digest(), True)


def attribute(signer, name):
    return next(one["values"] for one in signer["signed_attrs"] if one["type"].native == name)


def certificate_hash(reply):
    """ESSCertIDv2: which certificate the signature is bound to."""
    signer = reply["time_stamp_token"]["content"]["signer_infos"][0]
    bound = attribute(signer, "signing_certificate_v2")[0]["certs"][0]
    return [bound["hash_algorithm"]["algorithm"].native, bound["cert_hash"].native.hex(), bound["issuer_serial"].native is not None]


def good(authority):
    authority.stamp("sha256", query())
    authority.stamp("sha384", query("sha384"))
    authority.stamp("sha512", query("sha512"))
    # The NULL cut out of a request whose outer lengths are one byte each.
    without = bytearray(query().replace(b"\x05\x00", b"", 1))
    for length in (1, 6, 8):
        without[length] -= 2
    authority.stamp("algorithm without parameters", bytes(without))
    authority.stamp("certificates wanted", query(cert_req=True))
    authority.stamp("certificates expressly not wanted", query(cert_req=False))
    authority.stamp("nonce", query(nonce=(1 << 63) + 5))
    authority.stamp("nonce of zero", query(nonce=0))
    authority.stamp("nonce below zero", query(nonce=-7))
    authority.stamp("long nonce", query(nonce=1 << 200))
    authority.stamp("our policy", query(req_policy=OUR_POLICY))
    authority.stamp("everything", query("sha512", nonce=12345, cert_req=True, req_policy=OUR_POLICY))
    authority.stamp("content type with parameters", query(), {"Content-Type": "application/timestamp-query; charset=utf-8"})


def refused(authority):
    for name in ("sha1", "md5", "sha224"):
        authority.stamp(name, query(name))
    unknown = query().replace(algos.DigestAlgorithmId("sha256").dump(), core.ObjectIdentifier("2.16.840.1.101.3.4.2.99").dump())
    authority.stamp("unknown hash", unknown)
    authority.stamp("sha3", query().replace(algos.DigestAlgorithmId("sha256").dump(), core.ObjectIdentifier("2.16.840.1.101.3.4.2.8").dump()))
    authority.stamp("digest short", query(content=digest("sha256")[:-1]))
    authority.stamp("digest long", query(content=digest("sha256") + b"\0"))
    authority.stamp("digest of another hash", query("sha256", digest("sha512")))
    authority.stamp("digest empty", query(content=b""))
    authority.stamp("another policy", query(req_policy="1.2.3.4"))
    extension = [{"extn_id": "1.2.3.4", "critical": False, "extn_value": b"\x05\x00"}]
    authority.stamp("extension", query(extensions=extension))
    extension[0]["critical"] = True
    authority.stamp("critical extension", query(extensions=extension))
    request = query()
    authority.stamp("version 2", request.replace(b"\x02\x01\x01", b"\x02\x01\x02", 1))
    authority.stamp("cut short", request[:-1])
    authority.stamp("bytes after it", request + b"\0")
    authority.stamp("empty body", b"")
    authority.stamp("no DER", b"please")
    authority.stamp("indefinite length", b"\x30\x80" + request[2:] + b"\0\0")
    authority.stamp("over the body limit", b"\x30" + b"\0" * (2 << 20))
    authority.stamp("content type missing", request, {})
    authority.stamp("content type text/plain", request, {"Content-Type": "text/plain"})
    authority.stamp("content type octet-stream", request, {"Content-Type": "application/octet-stream"})
    authority.stamp("DER as JSON", request, JSON)


def as_json(authority):
    right = {"artifactHash": b64(digest("sha256")), "hashAlgorithm": "sha256"}
    authority.as_json("json", right)
    authority.as_json("json as sigstore-js sends it", {"certificates": False, **right})
    authority.as_json("json with everything", {**right, "certificates": True, "nonce": 99, "tsaPolicyOID": OUR_POLICY})
    authority.as_json("json sha512", {"artifactHash": b64(digest("sha512")), "hashAlgorithm": "sha512"})
    authority.as_json("json long nonce", json.dumps(right)[:-1] + ', "nonce": %d}' % (1 << 70))
    authority.as_json("json sha1", {"artifactHash": b64(digest("sha1")), "hashAlgorithm": "sha1"})
    authority.as_json("json unknown hash", {**right, "hashAlgorithm": "sha9"})
    authority.as_json("json hash in capitals", {**right, "hashAlgorithm": "SHA256"})
    authority.as_json("json without hash algorithm", {"artifactHash": right["artifactHash"]})
    authority.as_json("json without hash", {"hashAlgorithm": "sha256"})
    authority.as_json("json hash short", {**right, "artifactHash": b64(digest("sha256")[:-1])})
    authority.as_json("json hash not base64", {**right, "artifactHash": "&&&&"})
    authority.as_json("json another policy", {**right, "tsaPolicyOID": "1.2.3.4"})
    authority.as_json("json policy no OID", {**right, "tsaPolicyOID": "policy"})
    authority.as_json("json nonce a text", {**right, "nonce": "99"})
    authority.as_json("json unknown member", {**right, "more": 1})
    authority.as_json("json empty", {})
    authority.as_json("json cut short", json.dumps(right)[:-5])
    authority.as_json("json array", [])
    authority.as_json("json no JSON", b"please")
    authority.as_json("json over 1024 bytes", {**right, "more": "A" * 2000})


def reads(authority):
    ours, theirs = authority.ask("certificate chain", "GET", "/api/v1/timestamp/certchain")
    authority.note("certificate chain", "body", ours.body.decode(errors="replace"), theirs.body.decode(errors="replace"))
    authority.ask("GET /ping", "GET", "/ping", media_type=False)
    for method, path in (("GET", PATH), ("PUT", PATH), ("GET", "/no/such")):
        authority.ask(f"path {method} {path}", method, path, query() if method != "GET" else None, QUERY if method != "GET" else {}, media_type=False)


def main(sealogd, peer, folder):
    with Servers(folder) as servers:
        port, other = free_port(), free_port()
        keys = servers.sealogd(sealogd, table("tsa", port))
        servers.start(
            "timestamp-server",
            [peer, "serve", "--host", "127.0.0.1", "--port", other, "--scheme", "http", "--disable-ntp-monitoring"]
            + ["--timestamp-signer", "file", "--file-signer-key-path", keys / "tsa.key", "--file-signer-passwd", "none"]
            + ["--certificate-chain-path", keys / "tsa.pem"],
            other,
        )
        authority = Authority(port, other)
        for part in (good, refused, as_json, reads):
            part(authority)


if __name__ == "__main__":
    main(*sys.argv[1:4])
