"""Ed25519ph signatures (RFC 8032 section 5.1), for which the library at hand has no function. Slow, and for tests only."""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
DOM2 = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])


def _base():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x if x % 2 == 0 else P - x, y)


BASE = _base()


def _add(left, right):
    (x1, y1), (x2, y2) = left, right
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P - 2, P) % P
    return (x, (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P)


def _multiply(scalar, point):
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def sign(seed, digest):
    """The signature over a SHA-512 digest, and the public key that verifies it."""
    hashed = hashlib.sha512(seed).digest()
    secret = int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | 1 << 254
    public = _encode(_multiply(secret, BASE))
    nonce = _number(DOM2, hashed[32:], digest)
    point = _encode(_multiply(nonce, BASE))
    proof = (nonce + _number(DOM2, point, public, digest) * secret) % ORDER
    return point + proof.to_bytes(32, "little"), public
