"""Requests for certificates, made before they are sent: a line of JSON each, every one with a key of its own.

    python requests.py COUNT OUT
"""

import base64
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def main(count, out):
    with open(out, "w", encoding="utf-8") as file:
        for _ in range(int(count)):
            key = ec.generate_private_key(ec.SECP256R1())
            request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
            pem = request.public_bytes(serialization.Encoding.PEM)
            file.write(json.dumps({"certificateSigningRequest": base64.b64encode(pem).decode()}) + "\n")


main(*sys.argv[1:])
