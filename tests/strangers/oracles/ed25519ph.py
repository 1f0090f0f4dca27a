"""Ed25519ph signatures (RFC 8032 section 5.1), for which the library at hand has no function. For tests only."""

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
    x = x if x % 2 == 0 else P - x
    # Extended coordinates (section 5.1.4): no division but at the end.
    return (x, y, 1, x * y % P)


BASE = _base()


def _add(left, right):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = left, right
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


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
