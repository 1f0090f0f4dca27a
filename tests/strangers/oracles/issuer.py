"""An OpenID provider of our own making: one key set, an issuer per path, and tokens with anything in them."""

import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "sigstore"


class Issuer:
    """Serves discovery and keys under http://127.0.0.1:PORT/NAME for every name."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.stranger = rsa.generate_private_key(65537, 2048)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def url(self, name):
        return f"{self.base}/{name}"

    def keys(self):
        keys = [
            {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "rsa", "alg": "RS256"},
            {**json.loads(ECAlgorithm.to_jwk(self.ec.public_key())), "kid": "ec", "alg": "ES256"},
        ]
        return {"keys": [{**key, "use": "sig", "key_ops": ["verify"]} for key in keys]}

    def _handler(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.strip("/").split("/")[0]
                url = issuer.url(name)
                if self.path == f"/{name}/.well-known/openid-configuration":
                    said = {
                        "issuer": url,
                        "jwks_uri": f"{url}/keys",
                        "authorization_endpoint": f"{url}/auth",
                        "token_endpoint": f"{url}/token",
                        "response_types_supported": ["code"],
                        "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                    }
                elif self.path == f"/{name}/keys":
                    said = issuer.keys()
                else:
                    self.send_error(404)
                    return
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def claims(self, name, **more):
        """Claims of a token that is right, changed by `more`; a claim that is None is left out."""
        now = int(time.time())
        said = {"iss": self.url(name), "aud": AUDIENCE, "sub": "subject-1", "iat": now, "nbf": now, "exp": now + 600}
        said.update(more)
        return {claim: value for claim, value in said.items() if value is not None}

    def token(self, name, algorithm="RS256", key=None, kid=None, **more):
        key = key or (self.ec if algorithm == "ES256" else self.rsa)
        kid = kid or ("ec" if algorithm == "ES256" else "rsa")
        return jwt.encode(self.claims(name, **more), key, algorithm=algorithm, headers={"kid": kid})
