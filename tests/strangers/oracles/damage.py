"""What can be wrong with one field: each has a name, the kinds of key it goes with, and what it does to the parts."""

from signers import CURVES, Ecdsa, digest_of, pem, spki


def flip(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def other_byte(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :]


def cut(rng, data):
    return data[: rng.randrange(1, len(data))]


def longer(rng, data):
    return data + rng.randbytes(rng.randrange(1, 40))


def inserted(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(1) + data[at:]


def missing_byte(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + data[at + 1 :]


def to(field, make):
    def change(rng, parts, _signer):
        setattr(parts, field, make(rng, getattr(parts, field)))

    return change


def tlv(tag, content):
    length = len(content)
    if length < 128:
        head = bytes([length])
    else:
        size = (length.bit_length() + 7) // 8
        head = bytes([0x80 | size]) + length.to_bytes(size, "big")
    return bytes([tag]) + head + content


def long_form(tag, content):
    """A length in more bytes than it needs, which BER has and DER has not."""
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def integer(value):
    size = value.bit_length() // 8 + 1
    return tlv(2, value.to_bytes(size, "big", signed=value < 0) if value >= 0 else value.to_bytes(size, "big", signed=True))


def halves(signature):
    """r and s of an ECDSA signature in DER."""
    inner = signature[3 if signature[1] & 0x80 else 2 :]
    r = int.from_bytes(inner[2 : 2 + inner[1]], "big")
    inner = inner[2 + inner[1] :]
    return r, int.from_bytes(inner[2 : 2 + inner[1]], "big")


def with_halves(make):
    def change(rng, parts, signer):
        r, s = halves(parts.signature)
        parts.signature = make(rng, r, s, signer)

    return change


def sequence(*parts):
    return tlv(0x30, b"".join(parts))


def raw(r, s, signer):
    size = (signer.order.bit_length() + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


ECDSA = "PKIX_ECDSA"
P256 = "PKIX_ECDSA_P256"
RSA = "PKIX_RSA"
EDWARDS = "PKIX_ED25519"

SIGNATURE_DAMAGES = [
    ("bit flipped", "", to("signature", flip)),
    ("another byte", "", to("signature", other_byte)),
    ("cut short", "", to("signature", cut)),
    ("longer", "", to("signature", longer)),
    ("byte inserted", "", to("signature", inserted)),
    ("byte missing", "", to("signature", missing_byte)),
    ("empty", "", to("signature", lambda *_: b"")),
    ("of something else", "", lambda rng, parts, signer: setattr(parts, "signature", signer.sign(digest_of(rng.randbytes(9), signer.hash)))),
    ("random", "", to("signature", lambda rng, data: rng.randbytes(len(data)))),
    ("zeros", "", to("signature", lambda _, data: bytes(len(data)))),
    ("of another key", ECDSA, lambda rng, parts, signer: setattr(parts, "signature", Ecdsa(rng, signer.details).sign(parts.digest))),
    ("s of the other sign", ECDSA, with_halves(lambda rng, r, s, signer: sequence(integer(r), integer(signer.order - s)))),
    ("r and s in place of DER", ECDSA, with_halves(lambda rng, r, s, signer: raw(r, s, signer))),
    ("length in long form", ECDSA, with_halves(lambda rng, r, s, signer: long_form(0x30, integer(r) + integer(s)))),
    ("zeros before r", ECDSA, with_halves(lambda rng, r, s, signer: sequence(tlv(2, b"\0\0" + r.to_bytes(66, "big").lstrip(b"\0")), integer(s)))),
    ("r negative", ECDSA, with_halves(lambda rng, r, s, signer: sequence(integer(-r), integer(s)))),
    ("r nothing", ECDSA, with_halves(lambda rng, r, s, signer: sequence(integer(0), integer(s)))),
    ("s nothing", ECDSA, with_halves(lambda rng, r, s, signer: sequence(integer(r), integer(0)))),
    ("r beyond the order", ECDSA, with_halves(lambda rng, r, s, signer: sequence(integer(r + signer.order), integer(s)))),
    ("three numbers", ECDSA, with_halves(lambda rng, r, s, signer: sequence(integer(r), integer(s), integer(1)))),
    ("of one byte more", RSA, to("signature", lambda rng, data: b"\0" + data)),
    ("with the modulus added", RSA, lambda rng, parts, signer: setattr(parts, "signature", beyond(parts.signature, signer.modulus))),
    ("with the order added", EDWARDS, lambda rng, parts, signer: setattr(parts, "signature", order_added(parts.signature))),
]


def beyond(signature, modulus):
    value = int.from_bytes(signature, "big") + modulus
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def order_added(signature):
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    return signature[:32] + s.to_bytes(32, "little")


DIGEST_DAMAGES = [
    ("bit flipped", "", to("digest", flip)),
    ("another byte", "", to("digest", other_byte)),
    ("cut short", "", to("digest", cut)),
    ("longer", "", to("digest", longer)),
    ("empty", "", to("digest", lambda *_: b"")),
    ("zeros", "", to("digest", lambda _, data: bytes(len(data)))),
    ("of another hash", "", lambda rng, parts, signer: setattr(parts, "digest", digest_of(b"x", {"sha256": "sha384"}.get(signer.hash, "sha256")))),
    ("with zeros after it", ECDSA, to("digest", lambda rng, data: data + bytes(rng.randrange(1, 9)))),
    ("twice", "", to("digest", lambda _, data: data * 2)),
]


def point(signer):
    return signer.spki[-(2 * ((signer.order.bit_length() + 7) // 8) + 1) :]


def with_point(make):
    def change(rng, parts, signer):
        old = point(signer)
        new = make(rng, old)
        bits = tlv(3, b"\0" + new)
        algorithm = signer.spki[2 + (signer.spki[1] & 0x80 > 0) :]
        algorithm = algorithm[: 2 + algorithm[1]]
        parts.der = sequence(algorithm, bits)

    return change


def compressed(_rng, old):
    size = len(old) // 2
    return bytes([2 + (old[-1] & 1)]) + old[1 : 1 + size]


def rsa_spki(modulus, exponent, parameters=b"\x05\0", inner=None):
    algorithm = sequence(bytes.fromhex("06092a864886f70d010101"), parameters)
    key = inner if inner is not None else sequence(integer(modulus), integer(exponent))
    return sequence(algorithm, tlv(3, b"\0" + key))


def rsa(make):
    return lambda rng, parts, signer: setattr(parts, "der", make(rng, signer))


def other_key(rng, parts, signer):
    """The key of somebody else, of the same kind."""
    parts.der = spki(Ecdsa(rng, signer.details).public)


def other_curve(rng, parts, signer):
    parts.der = spki(Ecdsa(rng, rng.choice([name for name in CURVES if name != signer.details])).public)


KEY_DAMAGES = [
    ("bit flipped", "", to("der", flip)),
    ("another byte", "", to("der", other_byte)),
    ("cut short", "", to("der", cut)),
    ("longer", "", to("der", longer)),
    ("byte inserted", "", to("der", inserted)),
    ("byte missing", "", to("der", missing_byte)),
    ("empty", "", to("der", lambda *_: b"")),
    ("random", "", to("der", lambda rng, data: rng.randbytes(len(data)))),
    ("in PEM", "", to("der", lambda _, data: pem(data, "PUBLIC KEY"))),
    ("a certificate", "", lambda rng, parts, signer: setattr(parts, "der", signer.certificates[0])),
    ("of somebody else", ECDSA, other_key),
    ("of another curve", ECDSA, other_curve),
    ("point compressed", ECDSA, with_point(compressed)),
    ("point hybrid", ECDSA, with_point(lambda _, old: bytes([6 + (old[-1] & 1)]) + old[1:])),
    ("point not on the curve", ECDSA, with_point(lambda rng, old: old[:-1] + bytes([old[-1] ^ 1]))),
    ("point at infinity", ECDSA, with_point(lambda *_: b"\0")),
    ("point alone", ECDSA, lambda rng, parts, signer: setattr(parts, "der", point(signer))),
    ("without parameters", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus, 65537, b""))),
    ("other parameters", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus, 65537, b"\x04\0"))),
    ("exponent even", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus, 65536))),
    ("exponent of 33 bits", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus, 2**32 + 1))),
    ("exponent one", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus, 1))),
    ("exponent three", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus, 3))),
    ("modulus negative", RSA, rsa(lambda rng, signer: rsa_spki(-signer.modulus, 65537))),
    ("modulus even", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus - 1, 65537))),
    ("modulus of other bits", RSA, rsa(lambda rng, signer: rsa_spki(signer.modulus >> rng.choice((1, 8, 1024)) | 1, 65537))),
    ("as PKCS #1 has it", RSA, rsa(lambda rng, signer: sequence(integer(signer.modulus), integer(65537)))),
]

CERTIFICATE_DAMAGES = [
    ("bit flipped", "", to("der", flip)),
    ("bit flipped", "", to("der", flip)),
    ("another byte", "", to("der", other_byte)),
    ("another byte", "", to("der", other_byte)),
    ("cut short", "", to("der", cut)),
    ("longer", "", to("der", longer)),
    ("byte inserted", "", to("der", inserted)),
    ("byte missing", "", to("der", missing_byte)),
    ("empty", "", to("der", lambda *_: b"")),
    ("random", "", to("der", lambda rng, data: rng.randbytes(len(data)))),
    ("in PEM", "", to("der", lambda _, data: pem(data, "CERTIFICATE"))),
    ("a bare key", "", lambda rng, parts, signer: setattr(parts, "der", signer.spki)),
    ("twice", "", to("der", lambda _, data: data * 2)),
    ("of somebody else", ECDSA, lambda rng, parts, signer: setattr(parts, "der", foreign(rng, signer))),
    ("issuer not UTF-8", "", to("der", lambda _, data: data.replace(b"nobody", b"nob\xffdy", 1))),
    ("bytes after the signature", "", to("der", lambda rng, data: grown(data, rng.randbytes(3)))),
]


def grown(certificate, more):
    """More at the end of the outermost SEQUENCE, whose length is in two bytes."""
    content = certificate[4:] + more
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def foreign(rng, signer):
    return rng.choice(signer.strangers).certificates[0]
