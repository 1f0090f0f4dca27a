"""What the three comparisons share: starting servers, asking both the same thing, printing what came back.

Every line printed is one thing compared: {"case", "aspect", "ours", "theirs"}. Whether a difference is
accepted is not decided here.
"""

import base64
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

# These only end what hangs.
STOP_SECONDS = 60
START_SECONDS = 120
REQUEST_SECONDS = 120


def b64(data):
    return base64.b64encode(data).decode()


RESERVED = []


def free_port():
    """A port that nobody has, and that nobody is given who asks for any port, for as long as this program runs.

    A socket bound to it, at every address, keeps it. It never listens, so a server that sets SO_REUSEADDR, as all do
    that are started here, can still be told to listen there.
    """
    both = socket.has_dualstack_ipv6()
    keeper = socket.socket(socket.AF_INET6 if both else socket.AF_INET)
    RESERVED.append(keeper)
    if both:
        keeper.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("::" if both else "0.0.0.0", 0))
    return keeper.getsockname()[1]


class Servers:
    """The servers of one comparison; stopped on the way out, whatever happened."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, process, _ in self.running:
            process.send_signal(signal.SIGTERM)
        for _, process, _ in self.running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def start(self, name, arguments, port, environment=None):
        """Starts a server and waits until it listens."""
        log = self.folder / f"{name}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "HOME": str(self.folder), **(environment or {})},
            )
        self.running.append((name, process, log))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"{name} did not start:\n{log.read_text(errors='replace')[-3000:]}")

    def sealogd(self, program, tables):
        """Makes an instance with these tables and runs it; gives back its folder of keys."""
        config = self.folder / "sealogd.toml"
        data = self.folder / "data"
        lines = [f'data_dir = "{data}"', "plain_keys = true", 'organization = "Oracle"', ""]
        config.write_text("\n".join(lines) + tables)
        made = subprocess.run([program, "init", "--config", config], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise SystemExit(f"sealogd init failed:\n{made.stdout}{made.stderr}")
        log = self.folder / "sealogd.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [program, "run", "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )
        self.running.append(("sealogd", process, log))
        for line in process.stdout:
            if line.startswith("{") and json.loads(line).get("event") == "ready":
                return data / "keys"
        raise SystemExit(f"sealogd did not start:\n{log.read_text(errors='replace')[-3000:]}")


def table(name, port, more=""):
    """A service's table: where it listens and what it is called."""
    return f'[{name}]\nlisten = "localhost:{port}"\nurl = "http://localhost:{port}"\n{more}\n'


class Reply:
    """An HTTP answer, read whole."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def media_type(self):
        return (self.headers.get("content-type") or "").split(";")[0].strip().lower()

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def member(self, name):
        value = self.json
        return value.get(name) if isinstance(value, dict) else None


# What comes of a request instead of an answer.
UNANSWERED = (ConnectionError, http.client.HTTPException, TimeoutError)


def ask(port, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
    try:
        return exchange(connection, method, path, body, headers or {})[0]
    except UNANSWERED as error:
        return Reply(0, {}, type(error).__name__.encode())
    finally:
        connection.close()


def exchange(connection, method, path, body, headers):
    """One request and its answer; whether the connection is good for another one."""
    cut = None
    try:
        connection.request(method, path, body=body, headers=headers)
    except ConnectionError as error:
        # Whoever reads only the beginning answers that and hangs up: the answer may be there before the rest is sent.
        if connection.sock is None:
            raise
        cut = error
    try:
        answer = connection.getresponse()
        content = answer.read()
    except UNANSWERED as error:
        raise cut or error
    reply = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
    return reply, cut is None and not answer.will_close


PRINTING = threading.Lock()


class Comparison:
    """Asks both servers and prints every aspect of the two answers."""

    def __init__(self, ours, theirs):
        self.ours = ours
        self.theirs = theirs

    @staticmethod
    def note(case, aspect, ours, theirs):
        line = json.dumps({"case": case, "aspect": aspect, "ours": text(ours), "theirs": text(theirs)})
        with PRINTING:
            print(line, flush=True)

    def ask(self, case, method, path, body=None, headers=None, media_type=True):
        """The same request to both; status, media type, error code and message are compared here."""
        return self.note_answers(case, *self.answers(method, path, body, headers), media_type)

    def answers(self, method, path, body=None, headers=None):
        return ask(self.ours, method, path, body, headers), ask(self.theirs, method, path, body, headers)

    def note_answers(self, case, ours, theirs, media_type=True):
        self.note(case, "status", ours.status, theirs.status)
        if media_type:
            self.note(case, "content type", ours.media_type, theirs.media_type)
        if theirs.status >= 400 and ours.status >= 400 and media_type:
            self.note_refusal(case, ours, theirs)
        return ours, theirs

    def note_refusal(self, case, ours, theirs):
        self.note(case, "code", ours.member("code"), theirs.member("code"))
        said, wanted = ours.member("message") or "", theirs.member("message") or ""
        # The leading words are kept; more may follow them for the caller.
        self.note(case, "message", wanted if wanted and said.startswith(wanted) else said, wanted)


def text(value):
    if isinstance(value, str):
        return " ".join(value.split()).replace("|", "/")
    return json.dumps(value, sort_keys=True)
