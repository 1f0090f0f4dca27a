"""Keys, certificates and signatures that follow from a seed, byte for byte: what a run sent can be sent again."""

import datetime
import hashlib
import math

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import ed25519ph

# The registry of `PublicKeyDetails` (sigstore_common.proto): number, and the hash that goes with the name.
DETAILS = {
    "PUBLIC_KEY_DETAILS_UNSPECIFIED": (0, "sha256"),
    "PKCS1_RSA_PKCS1V5": (1, "sha256"),
    "PKCS1_RSA_PSS": (2, "sha256"),
    "PKIX_RSA_PKCS1V5": (3, "sha256"),
    "PKIX_RSA_PSS": (4, "sha256"),
    "PKIX_ECDSA_P256_SHA_256": (5, "sha256"),
    "PKIX_ECDSA_P256_HMAC_SHA_256": (6, "sha256"),
    "PKIX_ED25519": (7, "sha512"),
    "PKIX_ED25519_PH": (8, "sha512"),
    "PKIX_RSA_PKCS1V15_2048_SHA256": (9, "sha256"),
    "PKIX_RSA_PKCS1V15_3072_SHA256": (10, "sha256"),
    "PKIX_RSA_PKCS1V15_4096_SHA256": (11, "sha256"),
    "PKIX_ECDSA_P384_SHA_384": (12, "sha384"),
    "PKIX_ECDSA_P521_SHA_512": (13, "sha512"),
    "LMS_SHA256": (14, "sha256"),
    "LMOTS_SHA256": (15, "sha256"),
    "PKIX_RSA_PSS_2048_SHA256": (16, "sha256"),
    "PKIX_RSA_PSS_3072_SHA256": (17, "sha256"),
    "PKIX_RSA_PSS_4096_SHA256": (18, "sha256"),
    "PKIX_ECDSA_P384_SHA_256": (19, "sha256"),
    "PKIX_ECDSA_P521_SHA_256": (20, "sha256"),
    "ML_DSA_65": (21, "sha512"),
    "ML_DSA_87": (22, "sha512"),
    "ML_DSA_44": (23, "sha512"),
}
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
# DigestInfo before a SHA-2 digest (RFC 8017 section 9.2).
DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
CURVES = {
    "PKIX_ECDSA_P256_SHA_256": (ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "PKIX_ECDSA_P384_SHA_384": (ec.SECP384R1(), 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973),
    "PKIX_ECDSA_P521_SHA_512": (ec.SECP521R1(), 2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7),
}
SMALL_PRIMES = math.prod(n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))


class Ecdsa:
    def __init__(self, rng, details):
        curve, self.order = CURVES[details]
        self.details, self.hash = details, DETAILS[details][1]
        self.key = ec.derive_private_key(rng.randrange(1, self.order), curve)
        self.public = self.key.public_key()

    def sign(self, digest, hash_name=None):
        # A digest of a foreign length is signed by whatever hash has that length.
        algorithm = HASHES[hash_name or self.hash]
        return self.key.sign(digest, ec.ECDSA(Prehashed(algorithm), deterministic_signing=True))


class Rsa:
    """Keys of many short primes, which are found at once and make moduli like any other."""

    def __init__(self, rng, bits):
        self.details, self.hash, self.bits = f"PKIX_RSA_PKCS1V15_{bits}_SHA256", "sha256", bits
        self.primes = []
        while len(self.primes) < bits // 512:
            found = prime(rng)
            if found not in self.primes:
                self.primes.append(found)
        self.modulus = math.prod(self.primes)
        self.exponents = [pow(65537, -1, p - 1) for p in self.primes]
        self.public = rsa.RSAPublicNumbers(65537, self.modulus).public_key()
        if self.modulus.bit_length() != bits:
            self.__init__(rng, bits)

    def sign(self, digest, hash_name=None):
        info = DIGEST_INFO[hash_name or self.hash] + digest
        padded = b"\0\1" + b"\xff" * (self.bits // 8 - len(info) - 3) + b"\0" + info
        message, total = int.from_bytes(padded, "big"), 0
        for p, exponent in zip(self.primes, self.exponents):
            others = self.modulus // p
            total += pow(message, exponent, p) * others * pow(others, -1, p)
        return (total % self.modulus).to_bytes(self.bits // 8, "big")


def prime(rng):
    while True:
        # The three highest bits, so that eight of them still make a whole modulus.
        found = rng.getrandbits(512) | 0b1111111 << 505 | 1
        if math.gcd(found, SMALL_PRIMES) == 1 and math.gcd(found - 1, 65537) == 1 and all(pow(b, found - 1, found) == 1 for b in (2, 3, 5)):
            return found


class Ed25519ph:
    def __init__(self, rng):
        self.details, self.hash, self.seed = "PKIX_ED25519_PH", "sha512", rng.randbytes(32)
        self.public = ed25519.Ed25519PublicKey.from_public_bytes(ed25519ph.sign(self.seed, bytes(64))[1])

    def sign(self, digest, _hash_name=None):
        return ed25519ph.sign(self.seed, digest)[0]


def spki(public):
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Signers:
    """One or more of every kind a log takes, each with certificates of several shapes."""

    def __init__(self, rng):
        self.rng = rng
        self.issuer = Ecdsa(rng, "PKIX_ECDSA_P256_SHA_256")
        self.all = [Ecdsa(rng, details) for details in CURVES for _ in range(4)]
        self.all += [Rsa(rng, bits) for bits in (2048, 3072, 4096)]
        self.all += [Ed25519ph(rng) for _ in range(2)]
        for signer in self.all:
            signer.spki = spki(signer.public)
            signer.certificates = [self.certificate(signer, shape) for shape in range(4)]
        for signer in self.all:
            signer.strangers = [other for other in self.all if other is not signer]
        self.one_of_each = list({signer.details: signer for signer in self.all}.values())

    def certificate(self, signer, shape):
        """The log reads its key and nothing else; names, times and extensions are there to be passed over."""
        start = datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=self.rng.randrange(100000))
        subject = [] if shape == 1 else [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"somebody {self.rng.getrandbits(32)}")]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "nobody")]))
            .public_key(signer.public)
            .serial_number(self.rng.getrandbits(150) + 1)
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(minutes=10, days=100000 * (shape == 3)))
        )
        if shape in (1, 3):
            names = [x509.RFC822Name("ada@example.com"), x509.UniformResourceIdentifier("https://example.com/a/b")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names[: shape % 3 + 1]), shape == 1)
            builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), False)
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public), False)
        if shape in (2, 3):
            builder = builder.add_extension(x509.BasicConstraints(False, None), True)
            builder = builder.add_extension(x509.KeyUsage(True, *[False] * 8), True)
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"https://issuer.example"), False)
        made = builder.sign(self.issuer.key, hashes.SHA256(), ecdsa_deterministic=True)
        return made.public_bytes(Encoding.DER)


def digest_of(data, name):
    return hashlib.new(name, data).digest()


def pem(der, label):
    if label == "CERTIFICATE":
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    return serialization.load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
