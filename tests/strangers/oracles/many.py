"""Sends generated requests to both servers at once, and compares the answers and what stands in the two logs."""

import base64
import concurrent.futures
import hashlib
import http.client
import json
import subprocess
import threading
import time

from common import REQUEST_SECONDS, UNANSWERED, Reply, ask, exchange
from generated import Generator, leaf_hash

# A request to the peer waits for its next look at its checkpoint, which is up to a second away: only many requests in
# flight make it quick.
THEIRS_IN_FLIGHT = 400
OURS_IN_FLIGHT = 32
# A body that neither server reads to its end costs its connection.
LARGE = 1 << 20


class Caller:
    """One server, asked by many threads over a connection each."""

    def __init__(self, port, in_flight, peer):
        self.port, self.peer = port, peer
        self.pool = concurrent.futures.ThreadPoolExecutor(in_flight)
        self.local = threading.local()

    def send(self, request):
        return self.pool.submit(self.answer, request)

    def answer(self, request):
        body = request.body_for(self.peer)
        if len(body) > LARGE or request.method != "POST":
            return ask(self.port, request.method, request.path, body or None, request.headers)
        connection = getattr(self.local, "connection", None)
        fresh = connection is None
        if fresh:
            connection = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            reply, lasts = exchange(connection, request.method, request.path, body, request.headers)
        except UNANSWERED as error:
            connection.close()
            self.local.connection = None
            # A connection that stood idle may have been closed in the meantime; a new one is another matter.
            return Reply(0, {}, type(error).__name__.encode()) if fresh else self.answer(request)
        if not lasts:
            connection.close()
            self.local.connection = None
        return reply


def index_of(reply):
    """Where the entry stands that this answer speaks of."""
    if reply.status == 201:
        index = reply.member("logIndex")
    else:
        index = reply.headers.get("x-log-index")
    return int(index) if index is not None else None


def send_all(generator, total, ours, theirs):
    """Every request with both answers."""
    alone, together, again = generator.requests(total)
    callers = (Caller(ours, OURS_IN_FLIGHT, False), Caller(theirs, THEIRS_IN_FLIGHT, True))
    answered = []
    # Those of one moment first: all of a group are in flight before the first of it is answered.
    for requests in (sum(together, []) + alone, again):
        # The peer's own memory of what it has is a moment behind.
        time.sleep(3)
        sent = [(request, *(caller.send(request) for caller in callers)) for request in requests]
        answered += [(request, mine.result(), other.result()) for request, mine, other in sent]
    for caller in callers:
        caller.pool.shutdown()
    return answered


def leaves(reader, place, key, origin):
    """The leaf hashes of a whole log, recomputed from its entries by a reader that neither server wrote."""
    done = subprocess.run([reader, "leaves", place, key, origin], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the log at {place} cannot be read:\n{done.stdout}{done.stderr}")
    return done.stdout.split()


def compare(log, answered, read):
    """`read` gives the leaf hashes of both logs, once all was answered."""
    logs = read()
    first = {}
    for request, mine, other in answered:
        replies = (mine, other)
        if request.first is None:
            first[request.number] = [index_of(reply) for reply in replies]
        case = request.case
        log.note(case, "status", mine.status, other.status)
        if request.wanted is not None:
            log.note(case, "status as it was made for", mine.status, request.wanted)
        if mine.status >= 400 and other.status >= 400 and request.method != "HEAD":
            log.note_refusal(case, mine, other)
        entries = [reply.json if reply.status == 201 else None for reply in replies]
        if all(entries):
            log.note(case, "members", shape(entries[0]), shape(entries[1]))
            same = entries[0]["canonicalizedBody"] == entries[1]["canonicalizedBody"]
            bodies = [digest(entry) if same else entry["canonicalizedBody"] for entry in entries]
            log.note(case, "canonicalizedBody", *bodies)
        in_log = []
        for name, reply, entry, hashes in zip(("ours", "theirs"), replies, entries, logs):
            index = index_of(reply)
            in_log.append(None if index is None else hashes[index] if index < len(hashes) else "beyond the log")
            if entry:
                log.note(case, f"leaf of {name}", leaf_hash(entry), in_log[-1])
                log.note(case, f"proof of {name}", log.proves(entry), True)
        if None not in in_log:
            log.note(case, "leaf hash", *in_log)
        if request.first is not None:
            places = [index_of(reply) == index for reply, index in zip(replies, first[request.first.number])]
            log.note(case, "where the first one stands", *places)


def proves(entry):
    """RFC 9162 section 2.1.3.2, over the answer's own root; the checkpoint must carry that root."""
    proof = entry["inclusionProof"]
    index, size = int(proof["logIndex"]), int(proof["treeSize"])
    node = hashlib.sha256(b"\0" + base64.b64decode(entry["canonicalizedBody"])).digest()
    last = size - 1
    for sibling in (base64.b64decode(h) for h in proof["hashes"]):
        if index % 2 == 1 or index == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while index % 2 == 0 and index != 0:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    lines = proof["checkpoint"]["envelope"].split("\n")
    return node == base64.b64decode(proof["rootHash"]) and lines[1:3] == [str(size), proof["rootHash"]]


def digest(entry):
    return hashlib.sha256(entry["canonicalizedBody"].encode()).hexdigest()


def shape(value):
    """Names and types, in their order."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return type(value).__name__


def run(log, seed, total, ours, theirs, read):
    """Everything; how many requests went out is said in the end."""
    answered = send_all(Generator(seed), total, ours, theirs)
    compare(log, answered, read)
    log.note(f"generated from seed {seed}", "requests", len(answered), total)
    kinds = {request.kind for request, _, _ in answered}
    log.note(f"generated from seed {seed}", "kinds", len(kinds), len(kinds))
    unreached = [request.case for request, *replies in answered if any(reply.status == 0 for reply in replies)]
    log.note(f"generated from seed {seed}", "not answered", json.dumps(unreached), "[]")
