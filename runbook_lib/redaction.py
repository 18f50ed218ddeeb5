"""The second line of defence for secrets: known values are blanked in everything written out.

The first line is that secrets are never put where they could be written. Values are learnt when a
credential is resolved (`learn`) and live only in this process. A registry hands out a token for every few
requests, each good for minutes: of those only the newest are kept, or a page left open would grow for ever.

A secret is found however its characters are spelled, mixed as they come: as they are, in percent signs
(capital or not, whatever a library leaves alone), as JSON of any writer (Go's \\u003c, JSON within JSON) and
as HTML. It is found in base64 as well, by itself or amid other text, as docker's `user:token` is.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.parse
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

BLANK = "[redacted]"
_SHORTEST = 4  # blanking shorter values would shred ordinary text
_lock = threading.Lock()
_PASSING = 64  # short-lived tokens that are remembered; a whole run sees about five
_known: set[str] = set()
_passing: deque[str] = deque(maxlen=_PASSING)

_PLAIN = re.compile(r"[A-Za-z0-9._~-]")  # what nobody spells otherwise
_ENTITIES = {"<": "lt", ">": "gt", "&": "amp", '"': "quot", "'": "apos"}
_LEAST_CORE = 8  # characters of base64 that are no accident
_WORD = re.compile(r"[A-Za-z0-9+/_-]*")
_BACKWARD = re.compile(r"[A-Za-z0-9+/_-]")
_AMP, _PERCENT = "&(?:amp;){0,3}", "%(?:25){0,3}"  # what is escaped may be escaped once more, and again
_BACKSLASH = rf"(?:\\|{_PERCENT}5[cC])"
_RUNS = re.compile(r"\\+|[^\\]")  # backslashes one by one would be tried in all their ways
_PADDING = rf"(?:=|{_PERCENT}3[dD]|{_BACKSLASH}{{1,8}}u003[dD]|{_AMP}#61;){{0,2}}"


def learn(value: str, *, passing: bool = False) -> None:
    """Remember a secret for `redact`.

    `passing`: it is a token good for minutes, and forgotten once 64 more of its kind were learnt.
    """
    with _lock:
        if passing:
            _passing.append(value)
        else:
            _known.add(value)


def learn_login(username: str, secret: str) -> None:
    """Remember a secret, and docker's `auth` of it: of a short secret that is not found by itself."""
    learn(secret)
    learn(base64.b64encode(f"{username}:{secret}".encode()).decode())


def redact(text: str) -> str:
    """Return `text` with every learnt secret replaced by `[redacted]`."""
    with _lock:
        known, passing = frozenset(_known), tuple(_passing)
    for token in passing:
        for form in _forms(token):
            text = text.replace(form, BLANK)
    pattern = _pattern(known)
    return _blanked(pattern, text) if pattern is not None else text


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    parts: list[str] = []
    done = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        if match.lastgroup == "core":
            start, end = _whole_word(text, start, end, done)
        if end > done:
            parts += [text[done : max(start, done)], BLANK]
            done = end
    return "".join([*parts, text[done:]]) if parts else text


def _whole_word(text: str, start: int, end: int, done: int) -> tuple[int, int]:
    """The base64 around a match: its ends hold bits of the secret together with what stands beside it."""
    first = start
    while first > done and _BACKWARD.match(text[first - 1]):
        first -= 1
    if first and first < start and text[first - 1] == "\\":  # of a JSON escape: \n, or \u000a
        first = min(start, first + (5 if text[first] == "u" else 1))
    found = _WORD.match(text, end)
    last = found.end() if found else end
    return first, last + len(text[last : last + 2]) - len(text[last : last + 2].lstrip("="))


@lru_cache(maxsize=_PASSING)  # more would be kept of tokens that are forgotten
def _forms(token: str) -> tuple[str, ...]:
    """The usual encodings of a passing token, which is made of plain characters; longest first."""
    raw = token.encode()
    both = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    forms = {token, urllib.parse.quote(token, safe=""), json.dumps(token)[1:-1], *both}
    forms |= {form.rstrip("=") for form in both}
    return tuple(sorted((f for f in forms if len(f) >= _SHORTEST), key=len, reverse=True))


@lru_cache(maxsize=8)
def _pattern(known: frozenset[str]) -> re.Pattern[str] | None:
    """One expression for all of them, longest first; None where there is nothing to look for."""
    values = sorted((v for v in known if len(v) >= _SHORTEST), key=len, reverse=True)
    texts = ["".join(map(_spelled, _RUNS.findall(value))) for value in values]
    cores = dict.fromkeys(core for value in values for core in _cores(value))
    alternatives = [*texts, *([f"(?P<core>{'|'.join(cores)})"] if cores else [])]
    return re.compile("|".join(alternatives)) if alternatives else None


@lru_cache(maxsize=1024)
def _spelled(char: str) -> str:
    """An expression for every spelling of one character, or of several backslashes in a row."""
    if _PLAIN.match(char):
        return re.escape(char)
    if char[0] == "\\":  # each may be doubled, and doubled again
        return f"(?:{_BACKSLASH}|{_AMP}#(?:92|[xX]5[cC]);){{{len(char)},{8 * len(char)}}}"
    code = ord(char)
    percent = "".join(_PERCENT + _hex(f"{byte:02x}") for byte in char.encode("utf-8", "surrogatepass"))
    units = char.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(f"{_BACKSLASH}{{1,8}}u{_hex(units[i : i + 4])}" for i in range(0, len(units), 4))
    ways = [percent, escaped, f"{_AMP}#(?:0{{0,6}}{code}|[xX]0{{0,6}}{_hex(f'{code:x}')});"]
    if char in _ENTITIES:
        ways.append(f"{_AMP}{_ENTITIES[char]};")
    if char == " ":
        ways.append(r"\+")
    ways.append(re.escape(char))
    # Quotes, and by some writers slashes, have backslashes before them.
    return (f"{_BACKSLASH}{{0,8}}" if char in "\"'/" else "") + f"(?:{'|'.join(ways)})"


def _hex(digits: str) -> str:
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits)


def _cores(value: str) -> Iterator[str]:
    """What base64 makes of a text with a secret in it, also of JSON, such as docker's config in a Secret."""
    written = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    for text in sorted(written, key=len, reverse=True):
        yield from _cores_of(text.encode("utf-8", "surrogatepass"))


def _cores_of(raw: bytes) -> Iterator[str]:
    """Three ways, by the first byte's place in its triplet.

    The characters at both ends that depend on the neighbours are left out. Of a short secret nothing would
    be left that is no accident: that one is found only where it is encoded alone.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        cut = 1 if (before + len(raw)) % 3 else 0
        core = encoded[(0, 2, 3)[before] : len(encoded) - cut]
        if len(core) >= _LEAST_CORE:
            yield _of_base64(core)
    alone = base64.b64encode(raw).decode().rstrip("=")
    if len(alone) <= _LEAST_CORE + 4:
        yield rf"(?<![A-Za-z0-9+/_-]){_of_base64(alone)}{_PADDING}(?![A-Za-z0-9+/_-])"


def _of_base64(encoded: str) -> str:
    """Both alphabets, the common one and that of URLs."""
    other = {"+": "-", "/": "_"}
    return "".join(f"(?:{other[c]}|{_spelled(c)})" if c in other else c for c in encoded)
