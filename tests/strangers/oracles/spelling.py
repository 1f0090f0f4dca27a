"""One message in many spellings: those that ProtoJSON allows, those that it leaves open, those that it refuses."""

import json
import re

from signers import DETAILS


# A member's value that is written as it stands here.
class Raw(str):
    pass


def snake(name):
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def write(rng, value, plain=False):
    """JSON with white space, escapes and an order of members that nobody would choose."""

    def gap():
        return "" if plain else rng.choice(("", "", " ", "\n", "\t", "\r\n  "))

    def text(string):
        if plain or rng.random() < 0.8:
            return json.dumps(string, ensure_ascii=bool(rng.getrandbits(1)))
        spelt = ""
        for letter in string:
            chance = rng.random()
            if chance < 0.02:
                spelt += f"\\u{ord(letter):04x}"
            elif letter == "/" and chance < 0.5:
                spelt += "\\/"
            else:
                spelt += json.dumps(letter)[1:-1]
        return f'"{spelt}"'

    def any_value(value):
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, list):
            return "[" + ",".join(gap() + any_value(member) + gap() for member in value) + "]"
        if isinstance(value, dict):
            members = [*value.items()]
            if not plain:
                rng.shuffle(members)
            return "{" + ",".join(f"{gap()}{text(name)}{gap()}:{gap()}{any_value(member)}{gap()}" for name, member in members) + "}"
        return text(value) if isinstance(value, str) else json.dumps(value)

    return gap() + any_value(value) + gap()


BYTES = ("digest", "content", "rawBytes", "payload", "sig")


def respell(rng, message, names=None, base64=None):
    """Other names, other alphabets, nulls where nothing is."""

    def one(name, value):
        if isinstance(value, dict):
            made = {chosen(inner): one(inner, member) for inner, member in value.items()}
            absent = {"verifier": ("x509Certificate", "publicKey"), "": ("hashedRekordRequestV002", "dsseRequestV002")}.get(name, ())
            for other in absent:
                if other not in value and rng.random() < 0.2:
                    made[chosen(other)] = None
            return made
        if isinstance(value, list):
            return [one("verifier" if name == "verifiers" else name, member) for member in value]
        if name in BYTES:
            form = base64 or rng.choice(("", "url", "unpadded", "url unpadded"))
            if "url" in form:
                value = value.replace("+", "-").replace("/", "_")
            return value.rstrip("=") if "unpadded" in form else value
        if name == "keyDetails" and rng.random() < 0.4:
            return number_of(value)
        return value

    def chosen(name):
        return snake(name) if (names or rng.choice(("camel", "snake"))) == "snake" else name

    return one("", message)


def number_of(details):
    return DETAILS[details][0]


def spell(rng, message):
    """The same message otherwise, by nothing but what ProtoJSON allows."""
    return write(rng, respell(rng, message)).encode()


# Where members are, from the top.
PLACES = (
    ("hashedRekordRequestV002",),
    ("hashedRekordRequestV002", "signature"),
    ("hashedRekordRequestV002", "signature", "verifier"),
)


def at(message, place):
    for name in place:
        message = message[name]
    return message


def arm_of(message):
    verifier = at(message, PLACES[2])
    return verifier["publicKey" if "publicKey" in verifier else "x509Certificate"]


def some(rng, message):
    """An object somewhere in the message."""
    place = rng.choice(((),) + PLACES)
    return rng.choice((at(message, place), arm_of(message)))


def set_details(make):
    def change(rng, message):
        verifier = at(message, PLACES[2])
        verifier["keyDetails"] = Raw(make(rng, verifier["keyDetails"]))
        return write(rng, message, plain=True).encode()

    return change


def set_bytes(make):
    """Another text in place of one of the three in base64."""

    def change(rng, message):
        where, name = rng.choice(((at(message, PLACES[0]), "digest"), (at(message, PLACES[1]), "content"), (arm_of(message), "rawBytes")))
        where[name] = make(rng, where[name])
        return write(rng, message, plain=True).encode()

    return change


def whole(make):
    def change(rng, message):
        return make(rng, json.dumps(message).encode())

    return change


def line_breaks(rng, text):
    cut = rng.randrange(1, len(text))
    return text[:cut] + rng.choice(("\n", "\r\n", "\r")) + text[cut:]


def trailing_bits(rng, text):
    """The last letter says more than the bytes it ends: another text for the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip("=")
    padding = len(text) - len(bare)
    if padding == 0:
        return text
    index = alphabet.index(bare[-1]) | (rng.randrange(1, 4) if padding == 1 else rng.randrange(1, 16))
    return bare[:-1] + alphabet[index] + "=" * padding


def padding_short(_rng, text):
    return text[:-1] if text.endswith("=") else text


def both_alphabets(rng, text):
    """As if by two writers: one letter of the other alphabet."""
    marks = [at for at, letter in enumerate(text) if letter in "+/"]
    if len(marks) < 2:
        return text
    place = rng.choice(marks)
    return text[:place] + {"+": "-", "/": "_"}[text[place]] + text[place + 1 :]


# What one reader may take and another not; each of its own kind.
ODD_SPELLINGS = [
    ("number of key details as 5.0", set_details(lambda _, name: f"{number_of(name)}.0")),
    ("number of key details as 5e0", set_details(lambda _, name: f"{number_of(name)}e0")),
    ("number of key details as 50e-1", set_details(lambda _, name: f"{number_of(name)}0e-1")),
    ("number of key details in a text", set_details(lambda _, name: f'"{number_of(name)}"')),
    ("line breaks in base64", set_bytes(line_breaks)),
    ("bits after the last byte of base64", set_bytes(trailing_bits)),
    ("padding cut short", set_bytes(padding_short)),
    ("both alphabets in one text", set_bytes(both_alphabets)),
    ("padding in the middle", set_bytes(lambda rng, text: text[:4] + "====" + text[4:])),
    ("spaces in base64", set_bytes(lambda rng, text: text[: rng.randrange(len(text))] + " " + text)),
    ("byte order mark", whole(lambda _, body: b"\xef\xbb\xbf" + body)),
    ("UTF-16", whole(lambda _, body: body.decode().encode("utf-16"))),
    ("another document after it", whole(lambda rng, body: body + rng.choice((b"{}", b" null", b"\n" + body, b"[]")))),
    ("something after it", whole(lambda rng, body: body + rng.choice((b"\0", b"}", b",", b"x", b"\xff", b"]")))),
    ("null arm beside the other", whole(lambda _, body: body[:-1] + b',"dsseRequestV002":null}')),
]


def unknown_member(value):
    def change(rng, message):
        made = value(rng) if callable(value) else value
        some(rng, message)[rng.choice(("more", "Digest", "key-details", "", "@type", "hashedRekordRequestV001"))] = Raw(made)
        return write(rng, message, plain=True).encode()

    return change


def doubled(rng, message):
    """A name twice in one object, with the same value or another."""
    target = some(rng, message)
    name = rng.choice(list(target))
    value = target[name] if rng.random() < 0.5 else None
    text = json.dumps(message)
    member = json.dumps({name: target[name]})[1:-1]
    return text.replace(member, f"{member}, {json.dumps({name: value})[1:-1]}", 1).encode()


def doubled_spelling(rng, message):
    target = rng.choice((message, at(message, PLACES[2]), arm_of(message)))
    name = next(name for name in target if snake(name) != name)
    target[snake(name)] = rng.choice((target[name], None))
    return json.dumps(message).encode()


def both_in_verifier(rng, message):
    verifier = at(message, PLACES[2])
    verifier["publicKey"] = verifier["x509Certificate"] = arm_of(message)
    return json.dumps(message).encode()


def without(rng, message):
    target = some(rng, message)
    del target[rng.choice(list(target))]
    return json.dumps(message).encode()


def null_member(rng, message):
    target = some(rng, message)
    target[rng.choice(list(target))] = None
    return json.dumps(message).encode()


def empty_member(rng, message):
    target = rng.choice((at(message, PLACES[0]), at(message, PLACES[1]), arm_of(message)))
    name = next(name for name in target if name in BYTES)
    target[name] = ""
    return json.dumps(message).encode()


def other_type(rng, message):
    target = some(rng, message)
    target[rng.choice(list(target))] = Raw(rng.choice(("true", "false", "7", "[]", "[{}]", '""', '"x"', "1.5", "{}", "-0")))
    return write(rng, message, plain=True).encode()


def huge_number(rng):
    return rng.choice(("1e400", "9" * 400, "-" + "9" * 50, "1e-400", "0.1e1000000", "18446744073709551616"))


def deep(rng, message):
    levels = rng.choice((63, 100, 1000, 9999, 10001, 50000))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
    some(rng, message)["more"] = Raw(opened * levels + "1" + closed * levels)
    return write(rng, message, plain=True).encode()


def broken(rng, body):
    """One letter of the document's own is gone, or another."""
    marks = [at for at, letter in enumerate(body) if letter in b'{}":,']
    place = rng.choice(marks)
    return body[:place] + rng.choice((b"", b"'", b";", b"\0")) + body[place + 1 :]


# Nobody may take these, and both say so.
MALFORMED = [
    ("unknown member", unknown_member('"x"')),
    ("unknown member, null", unknown_member("null")),
    ("unknown member, a number of any size", unknown_member(huge_number)),
    ("unknown member, not a number", unknown_member(lambda rng: rng.choice(("NaN", "Infinity", "01", "+1", ".5", "1.", "0x10")))),
    ("unknown member, a lone surrogate", unknown_member('"\\ud800"')),
    ("nested deeply", deep),
    ("member twice", doubled),
    ("member in both spellings", doubled_spelling),
    ("key and certificate", both_in_verifier),
    ("member missing", without),
    ("member null", null_member),
    ("member empty", empty_member),
    ("member of another type", other_type),
    ("key details a number of any size", set_details(lambda rng, _: huge_number(rng))),
    ("key details no such name", set_details(lambda rng, name: json.dumps(rng.choice((name.lower(), name + " ", name[:-1], ""))))),
    ("not base64", set_bytes(lambda rng, text: text[:-5] + rng.choice("&%$ .~\u00e9") + text[-4:])),
    ("cut short", whole(lambda rng, body: body[: rng.randrange(len(body))])),
    ("not UTF-8", whole(lambda rng, body: body.replace(b'"digest"', rng.choice((b'"dig\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"'))))),
    ("broken", whole(broken)),
    ("a comment", whole(lambda rng, body: body[:1] + rng.choice((b"/* c */", b"// c\n", b"# c\n")) + body[1:])),
    ("comma after the last", whole(lambda _, body: body[:-1] + b",}")),
    ("a control character in a text", whole(lambda rng, body: body.replace(b'"digest": "', b'"digest": "' + bytes([rng.randrange(0x20)])))),
    ("nothing", whole(lambda rng, _: rng.choice((b"", b" ", b"\n\n", b"null", b"{}", b"[]", b'""', b"0", b"true")))),
    ("random bytes", whole(lambda rng, _: rng.randbytes(rng.randrange(1, 200)))),
]
