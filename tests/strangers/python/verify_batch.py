"""Verifies many bundles with sigstore-python: cases as JSON lines in, answers as JSON lines out.

It does what the command `sigstore verify identity` does, in one process. The library knows no managed keys:
such a case is answered with the reason it was not judged.
"""

import functools
import hashlib
import json
import pathlib
import sys

from sigstore import dsse
from sigstore.errors import Error, VerificationError
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy
from sigstore_models.common.v1 import HashAlgorithm


@functools.cache
def verifier(trusted_root: str) -> Verifier:
    return Verifier(trusted_root=TrustedRoot.from_file(trusted_root))


def artifact_digest(case: dict) -> Hashed:
    if "digest" in case:
        digest = bytes.fromhex(case["digest"].removeprefix("sha256:"))
    else:
        digest = hashlib.sha256(pathlib.Path(case["artifact"]).read_bytes()).digest()
    return Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest)


def check(case: dict) -> None:
    bundle = Bundle.from_json(pathlib.Path(case["bundle"]).read_bytes())
    signer = policy.Identity(identity=case["identity"], issuer=case["issuer"])
    hashed = artifact_digest(case)
    checker = verifier(case["trusted_root"])
    if not bundle._dsse_envelope:
        checker.verify_artifact(hashed, bundle, signer)
        return
    payload_type, payload = checker.verify_dsse(bundle, signer)
    if payload_type != dsse.Envelope._TYPE:
        raise VerificationError(f"expected {dsse.Envelope._TYPE}, got {payload_type}")
    if not dsse.Statement(payload)._matches_digest(hashed):
        raise VerificationError(f"no subject of the statement has digest {hashed.digest.hex()}")


def judge(case: dict) -> dict:
    if "key" in case:
        return {"id": case["id"], "skip": "the library knows no managed keys"}
    try:
        check(case)
        return {"id": case["id"], "ok": True}
    except Error as error:
        return {"id": case["id"], "ok": False, "error": f"{type(error).__name__}: {error}"}
    except Exception as error:
        # Not an error that the library documents: its command would end with a traceback.
        said = f"{type(error).__module__}.{type(error).__name__}: {error}"
        return {"id": case["id"], "ok": False, "crash": True, "error": said}


for line in sys.stdin:
    print(json.dumps(judge(json.loads(line))), flush=True)
